"""A payment's states, what leads from one to the next, and what happens when nothing does.

| state | waits for | its deadline (default) | and then |
|---|---|---|---|
| `created` | fraud's and compliance's verdicts | 30 s | `review` |
| `review` | a person, or the missing verdicts | 7 days | `declined` |
| `approved` | the ledger to place the hold | 60 s | `unknown`, and the hold is cancelled |
| `requires_action` | the payer | 15 min | `expired` |
| `unknown` | the ledger to say what became of the hold | 30 s | `failed` once it answers; asked again until then |
| `authorised` | captures or a void | 7 days | `expired`, once the hold is released |
| `captured` | the chain-bridge to pay the merchant | 10 min | `settled`; asked again until then |
| `settled`, `declined`, `voided`, `expired`, `failed` | nothing: final | none | |

"Asked again" is after 30 s, then after twice as long each time, at least once an hour.

`TRANSITIONS` lists every state that each fact can lead to; a test holds the machine and this table to each other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

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

    `captures` counts those ever requested (their ordinals), `capture_pending_minor` is what the ledger has been asked
    to book and has not answered. `sequence` numbers the events sent about this payment, `asked` the repeated questions.
    """

    id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    shard: int
    amount_minor: int
    currency: str
    wallet_id: UUID
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

    @property
    def capturable_minor(self) -> int:
        """What may still be captured."""
        if self.state != "authorised" or self.void_reason is not None:
            return 0
        return self.amount_minor - self.amount_captured_minor - self.capture_pending_minor


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
