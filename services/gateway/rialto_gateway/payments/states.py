"""A payment's states, what leads from one to the next, and what happens when nothing does.

| state | waits for | its deadline (default) | and then |
|---|---|---|---|
| `created` | fraud's and compliance's verdicts | 30 s | `review` |
| `review` | a person, or the missing verdicts | 7 days | `declined` |
| `approved` | the ledger's hold, or the acquirer's answer | 60 s | `unknown`; the ledger's hold is cancelled |
| `requires_action` | the payer | 15 min | `expired` |
| `unknown` | the ledger or acquirer to say what came of it | 30 s | `failed` by the ledger; asked again until then |
| `authorised` | captures or a void | 7 days | `expired`, once the hold is released |
| `captured` | the chain-bridge to pay the merchant | 10 min | `settled`; asked again until then |
| `settled`, `declined`, `voided`, `expired`, `failed` | nothing: final | none | |

A captured payment of a merchant that is not paid at once (`payouts/schedule.py`) first waits for a payout, with the
reason `awaiting_payout`, and is looked at every 25 hours; the payout then asks for it to be settled.

A card's payment that is unknown becomes what the acquirer says it is, however late; no deadline gives it up.
"Asked again" is after 30 s, then after twice as long each time, at least once an hour.

`TRANSITIONS` lists every state that each fact can lead to; a test holds the machine and this table to each other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from rialto_gateway.payouts.schedule import Schedule
from rialto_gateway.pricing.price import Rate

State = Literal[
    "created",
    "review",
    "approved",
    "requires_action",
    "unknown",
    "authorised",
    "captured",
    "settled",
    "declined",
    "voided",
    "expired",
    "failed",
]

FINAL: frozenset[State] = frozenset({"settled", "declined", "voided", "expired", "failed"})
UNDECIDED: frozenset[State] = frozenset({"created", "approved", "unknown"})
"""What a caller with `Prefer: wait` waits to see the end of."""

REFUNDABLE: frozenset[State] = frozenset({"authorised", "captured", "settled"})
"""Where something may have been captured."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a state may last, and the state it leads to when nothing else happens."""

    after: timedelta
    leads_to: State


DEADLINES: dict[State, Deadline] = {
    "created": Deadline(timedelta(seconds=30), "review"),
    "review": Deadline(timedelta(days=7), "declined"),
    "approved": Deadline(timedelta(seconds=60), "unknown"),
    "requires_action": Deadline(timedelta(minutes=15), "expired"),
    "unknown": Deadline(timedelta(seconds=30), "failed"),
    "authorised": Deadline(timedelta(days=7, minutes=1), "expired"),
    "captured": Deadline(timedelta(minutes=10), "settled"),
}

HOLD_LASTS = timedelta(days=7)
"""How long the ledger keeps an authorisation's hold; the gateway's own deadline comes a minute later."""

ASK_AGAIN_AFTER = timedelta(seconds=30)
"""How long after a question (cancel, settle) the same question is put again, while there is no answer."""

ASK_AGAIN_AT_LEAST_EVERY = timedelta(hours=1)
"""The pause doubles with every time a question is put, up to this."""

MAX_DOUBLINGS = 10

LOOKED_AT_WHILE_WAITING = timedelta(hours=25)
"""The deadline of a payment that waits for a payout: a little more than a day, by which a daily one has come."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Where the merchant was paid."""

    batch_id: UUID
    chain_id: int
    tx_hash: str
    token: str | None = None
    token_amount: int | None = None
    block_number: int | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """What the machine knows of a payment. Amounts in minor units of `currency`.

    `captures`, `refunds`, `authorisations` and `voids` count those ever requested (their ordinals; the last two at
    acquirers alone), `capture_pending_minor` and `refund_pending_minor` are what was asked for and not answered.
    `increments` counts those ever asked for; `increment_to_minor` is what the one under way is to bring `amount_minor`
    to, and `amount_assessed_minor` what it was before the first.
    `amount_disputed_minor` is what payers want back or have got back through their issuers, `payout_schedule` and
    `reserve_bps` the merchant's as they are now.
    `fee_minor` was taken with what is captured, `fee_pending_minor` is asked for beside, both of `fee_basis_minor`.
    `connector` is the acquirer, and `authorisation` its reference, that the payment stands on. `sequence` numbers the
    events sent about this payment, `asked` the repeated questions.
    """

    id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    shard: int
    amount_minor: int
    currency: str
    wallet_id: UUID | None
    capture_method: Literal["automatic", "manual"]
    payee_address: str
    state: State
    reason: str | None
    decline_code: str | None
    fraud: str | None
    compliance: str | None
    amount_captured_minor: int
    capture_pending_minor: int
    captures: int
    void_reason: str | None
    asked: int
    settlement: Settlement | None
    authorised_at: datetime | None
    deadline_at: datetime | None
    sequence: int
    method: Literal["wallet", "card"] = "wallet"
    authorisations: int = 0
    voids: int = 0
    connector: str | None = None
    authorisation: str | None = None
    next_action_url: str | None = None
    amount_refunded_minor: int = 0
    refund_pending_minor: int = 0
    refunds: int = 0
    amount_disputed_minor: int = 0
    increments: int = 0
    increment_to_minor: int | None = None
    amount_assessed_minor: int | None = None
    payout_schedule: Schedule = "immediate"
    reserve_bps: int = 0
    waits_for_payout: bool = False
    payout_id: UUID | None = None
    fee_bps: int = 0
    fee_fixed_minor: int = 0
    fee_basis_minor: int = 0
    fee_pending_minor: int = 0
    fee_minor: int = 0

    @property
    def rate(self) -> Rate:
        """What it costs the merchant: the price that was in force when it was accepted."""
        return Rate(self.fee_bps, self.fee_fixed_minor)

    @property
    def amount_net_minor(self) -> int:
        """What the merchant is paid: what was captured less the fees of that."""
        return self.amount_captured_minor - self.fee_minor

    @property
    def refundable_minor(self) -> int:
        """What may still be refunded: what is disputed is not given back twice."""
        if self.state not in REFUNDABLE:
            return 0
        given_back = self.amount_refunded_minor + self.refund_pending_minor + self.amount_disputed_minor
        return max(0, self.amount_captured_minor - given_back)

    @property
    def capturable_minor(self) -> int:
        """What may still be captured."""
        if self.state != "authorised" or self.void_reason is not None:
            return 0
        return self.amount_minor - self.amount_captured_minor - self.capture_pending_minor


_PAST_AUTHORISATION: tuple[State, ...] = (
    "authorised",
    "captured",
    "settled",
    "declined",
    "voided",
    "expired",
    "failed",
)
"""Where an authorisation that an acquirer gives is one too many, and is let go of."""

TRANSITIONS: dict[str, dict[State, frozenset[State]]] = {
    "FraudVerdict": {
        "created": frozenset({"created", "approved", "declined", "review"}),
        "review": frozenset({"review", "approved", "declined"}),
    },
    "ComplianceVerdict": {
        "created": frozenset({"created", "approved", "declined", "review"}),
        "review": frozenset({"review", "approved", "declined"}),
    },
    "ReviewDecided": {"review": frozenset({"approved", "declined"})},
    "HoldPlaced": {"approved": frozenset({"authorised"})},
    "AuthorisationRefused": {"approved": frozenset({"declined"}), "unknown": frozenset({"declined"})},
    "AcquirerAuthorised": {
        "approved": frozenset({"authorised"}),
        "unknown": frozenset({"authorised"}),
        "requires_action": frozenset({"authorised"}),
        **{state: frozenset({state}) for state in _PAST_AUTHORISATION},
    },
    "AcquirerRefusedAuthorisation": {
        "approved": frozenset({"approved", "declined", "failed"}),
        "unknown": frozenset({"approved", "declined", "failed"}),
        "requires_action": frozenset({"approved", "declined", "failed"}),
    },
    "ActionNeeded": {
        "approved": frozenset({"requires_action"}),
        "unknown": frozenset({"requires_action"}),
        "declined": frozenset({"declined"}),
        "voided": frozenset({"voided"}),
        "expired": frozenset({"expired"}),
        "failed": frozenset({"failed"}),
    },
    "OutcomeUnknown": {
        "approved": frozenset({"approved", "unknown"}),
        "unknown": frozenset({"unknown"}),
        "requires_action": frozenset({"requires_action"}),
        **{state: frozenset({state}) for state in _PAST_AUTHORISATION},
    },
    "IncrementAsked": {"authorised": frozenset({"authorised"})},
    **{
        # Also after the payment has ended: a hold may expire in the ledger while an increment is on its way to it.
        fact: {state: frozenset({state}) for state in ("authorised", "captured", "settled", "voided", "expired")}
        for fact in ("HoldIncreased", "IncrementRefused", "AcquirerIncremented", "AcquirerRefusedIncrement")
    },
    "AcquirerCaptured": {"authorised": frozenset({"authorised"})},
    "AcquirerRefusedCapture": {"authorised": frozenset({"authorised"})},
    "CaptureBooked": {"authorised": frozenset({"authorised", "captured"})},
    "AcquirerVoided": {
        **{state: frozenset({state}) for state in _PAST_AUTHORISATION},
        "authorised": frozenset({"authorised", "voided", "expired", "captured"}),
    },
    "AcquirerRefusedVoid": {
        **{state: frozenset({state}) for state in _PAST_AUTHORISATION},
        "authorised": frozenset({"authorised", "expired", "captured"}),
    },
    "RefundAsked": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "RefundBooked": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "RefundRefused": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "AcquirerRefunded": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "AcquirerRefusedRefund": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "DisputeMoved": {state: frozenset({state}) for state in sorted(REFUNDABLE)},
    "CaptureAsked": {"authorised": frozenset({"authorised"})},
    "HoldCaptured": {"authorised": frozenset({"authorised", "captured"})},
    "CaptureRefused": {
        "authorised": frozenset({"authorised"}),
        "captured": frozenset({"captured"}),
        "settled": frozenset({"settled"}),
        "voided": frozenset({"voided"}),
        "expired": frozenset({"expired"}),
    },
    "VoidAsked": {"authorised": frozenset({"authorised"})},
    "HoldVoided": {
        "unknown": frozenset({"failed"}),
        "authorised": frozenset({"voided", "expired", "captured"}),
    },
    "HoldExpired": {"unknown": frozenset({"failed"}), "authorised": frozenset({"expired", "captured"})},
    "PayoutStarted": {"captured": frozenset({"captured"})},
    "SettlementSubmitted": {"captured": frozenset({"captured"})},
    "SettlementConfirmed": {"captured": frozenset({"settled"})},
    "SettlementReorged": {"captured": frozenset({"captured"})},
    "SettlementFailed": {"captured": frozenset({"captured"})},
    "DeadlinePassed": {
        "created": frozenset({"review"}),
        "review": frozenset({"declined"}),
        "approved": frozenset({"unknown"}),
        "requires_action": frozenset({"expired"}),
        "unknown": frozenset({"unknown"}),
        "authorised": frozenset({"authorised"}),
        "captured": frozenset({"captured"}),
    },
}
"""Fact → state → the states it can lead to. What is not listed changes nothing (or, for a command, is refused)."""
