"""Payments in every state, and every fact, for the tests of the state machine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_gateway.connectors.port import Step
from rialto_gateway.payments.facts import (
    AcquirerAuthorised,
    AcquirerCaptured,
    AcquirerIncremented,
    AcquirerRefunded,
    AcquirerRefusedAuthorisation,
    AcquirerRefusedCapture,
    AcquirerRefusedIncrement,
    AcquirerRefusedRefund,
    AcquirerRefusedVoid,
    AcquirerVoided,
    ActionNeeded,
    AttemptRef,
    AuthorisationRefused,
    CaptureAsked,
    CaptureBooked,
    CaptureRefused,
    ComplianceVerdict,
    DeadlinePassed,
    DisputeMoved,
    Fact,
    FraudVerdict,
    HoldCaptured,
    HoldExpired,
    HoldIncreased,
    HoldPlaced,
    HoldVoided,
    IncrementAsked,
    IncrementLimits,
    IncrementRefused,
    OutcomeUnknown,
    PayoutStarted,
    RefundAsked,
    RefundBooked,
    RefundRefused,
    ReviewDecided,
    SettlementConfirmed,
    SettlementFailed,
    SettlementReorged,
    SettlementSubmitted,
    VoidAsked,
)
from rialto_gateway.payments.machine import ASSESSMENT_MISSING, Deadlines
from rialto_gateway.payments.states import FINAL, Payment, State

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINES = Deadlines.default()
AMOUNT = 1000
PAYMENT_ID = ids.uuid7(int(NOW.timestamp() * 1000), 1)
MERCHANT_ID = ids.uuid7(int(NOW.timestamp() * 1000), 2)
WALLET_ID = ids.uuid7(int(NOW.timestamp() * 1000), 3)
BATCH_ID = ids.uuid7(int(NOW.timestamp() * 1000), 4)


def capture_id(ordinal: int = 1) -> UUID:
    """Return the id of a payment's nth capture."""
    return ids.derive(PAYMENT_ID, "capture", ordinal)


def refund_id(ordinal: int = 1) -> UUID:
    """Return the id of a payment's nth refund."""
    return ids.derive(PAYMENT_ID, "refund", ordinal)


def increment_id(ordinal: int = 1) -> UUID:
    """Return the id of a payment's nth increment."""
    return ids.derive(PAYMENT_ID, "increment", ordinal)


LIMITS = IncrementLimits(5_000)
AUTHORISATION, OTHER_AUTHORISATION = "auth_1", "auth_2"


def attempt(step: Step, amount_minor: int = AMOUNT, *, ordinal: int = 1, was_unknown: bool = False) -> AttemptRef:
    """Return an attempt at an acquirer."""
    subjects = {
        "increment": increment_id(ordinal),
        "capture": capture_id(ordinal),
        "refund": refund_id(ordinal),
    }
    attempt_id = ids.derive(PAYMENT_ID, f"attempt.{step}", ordinal)
    return AttemptRef(attempt_id, step, "harbour", amount_minor, subjects.get(step), was_unknown)


def card(state: State = "created", **changes: Any) -> Payment:
    """Return a card's payment as the machine leaves one in a state, with what is given changed."""
    known: dict[str, Any] = {}
    if state in ("requires_action", "authorised", "captured", "settled", "voided", "expired"):
        known = {"connector": "harbour", "authorisation": AUTHORISATION}
    if state not in ("created", "review"):
        known["authorisations"] = 1
    if state == "requires_action":
        known["next_action_url"] = "https://acquirer.example/3ds"
    return payment(state, wallet_id=None, method="card", **(known | changes))


def payment(state: State = "created", **changes: Any) -> Payment:
    """Return a payment as the machine leaves one in a state, with what is given changed."""
    plain = Payment(
        id=PAYMENT_ID,
        merchant_id=MERCHANT_ID,
        mode="test",
        shard=ids.shard_of(MERCHANT_ID),
        amount_minor=AMOUNT,
        currency="USD",
        wallet_id=WALLET_ID,
        capture_method="automatic",
        payee_address="0x" + "0" * 40,
        state=state,
        reason=ASSESSMENT_MISSING if state == "review" else None,
        decline_code="fraud_suspected" if state == "declined" else None,
        fraud=None,
        compliance=None,
        amount_captured_minor=AMOUNT if state in ("captured", "settled") else 0,
        capture_pending_minor=0,
        captures=0,
        void_reason=None,
        asked=0,
        settlement=None,
        authorised_at=NOW if state in ("authorised", "captured", "settled") else None,
        deadline_at=None if state in FINAL else NOW,
        sequence=1,
    )
    if state not in ("created", "review"):
        plain = replace(plain, fraud="allow", compliance="clear")
    return replace(plain, **changes)


def after_deadline() -> datetime:
    """Return a time when every deadline of `payment()` has passed."""
    return NOW + timedelta(days=30)


def confirmed() -> SettlementConfirmed:
    """Return the chain's confirmation."""
    return SettlementConfirmed(
        ids.derive(PAYMENT_ID, "settlement"), BATCH_ID, 31337, "0xabc", "RUSD", AMOUNT * 10_000, 7
    )


EVERY_FACT: list[Fact] = [
    *(FraudVerdict(outcome) for outcome in ("allow", "review", "block")),
    *(ComplianceVerdict(outcome) for outcome in ("clear", "review", "block")),
    ReviewDecided("approve", "operator"),
    ReviewDecided("decline", "operator"),
    HoldPlaced(ids.derive(PAYMENT_ID, "hold")),
    AuthorisationRefused("insufficient_funds"),
    AcquirerAuthorised(attempt("authorise"), AUTHORISATION),
    AcquirerAuthorised(attempt("authorise", ordinal=2, was_unknown=True), OTHER_AUTHORISATION),
    AcquirerRefusedAuthorisation(attempt("authorise"), "insufficient_funds", is_decline=True, elsewhere=False),
    AcquirerRefusedAuthorisation(attempt("authorise"), "no_acquirer", is_decline=False, elsewhere=False),
    AcquirerRefusedAuthorisation(attempt("authorise"), "not_sent", is_decline=False, elsewhere=True),
    ActionNeeded(attempt("authorise"), AUTHORISATION, "https://acquirer.example/3ds"),
    OutcomeUnknown(attempt("authorise"), "timed_out"),
    OutcomeUnknown(attempt("capture", AMOUNT // 4), "timed_out"),
    OutcomeUnknown(attempt("void"), "timed_out"),
    OutcomeUnknown(attempt("refund", AMOUNT // 4), "timed_out"),
    OutcomeUnknown(attempt("increment", AMOUNT + 100), "timed_out"),
    IncrementAsked(AMOUNT + 100, LIMITS),
    HoldIncreased(increment_id(), AMOUNT + 100),
    IncrementRefused(increment_id(), AMOUNT + 100, "insufficient_funds"),
    AcquirerIncremented(attempt("increment", AMOUNT + 100)),
    AcquirerRefusedIncrement(attempt("increment", AMOUNT + 100), "do_not_honour"),
    AcquirerCaptured(attempt("capture", AMOUNT // 4), 1, False, NOW),
    AcquirerRefusedCapture(attempt("capture", AMOUNT // 4), "authorisation_expired"),
    AcquirerRefusedCapture(attempt("capture", AMOUNT // 4), "acquirer_has_nothing"),
    CaptureBooked(capture_id(), AMOUNT // 4, False),
    CaptureBooked(capture_id(), AMOUNT // 4, True),
    AcquirerVoided(attempt("void"), AUTHORISATION),
    AcquirerVoided(attempt("void"), OTHER_AUTHORISATION),
    AcquirerRefusedVoid(attempt("void"), AUTHORISATION, "authorisation_expired"),
    AcquirerRefusedVoid(attempt("void"), AUTHORISATION, "acquirer_has_nothing"),
    AcquirerRefusedVoid(attempt("void"), OTHER_AUTHORISATION, "acquirer_has_nothing"),
    RefundAsked(None),
    RefundAsked(AMOUNT // 8),
    RefundBooked(refund_id(), AMOUNT // 8, NOW),
    RefundRefused(refund_id(), AMOUNT // 8, "insufficient_merchant_balance"),
    AcquirerRefunded(attempt("refund", AMOUNT // 8), NOW),
    AcquirerRefusedRefund(attempt("refund", AMOUNT // 8), "refund_refused"),
    *(
        DisputeMoved(ids.derive(PAYMENT_ID, "dispute"), what, "harbour", AMOUNT // 8, 15, "fraudulent", NOW, None)
        for what in ("opened", "evidence_submitted", "accepted", "won", "lost")
    ),
    CaptureAsked(None, False),
    CaptureAsked(AMOUNT // 4, False),
    CaptureAsked(AMOUNT // 4, True),
    HoldCaptured(capture_id(), AMOUNT // 4, False),
    HoldCaptured(capture_id(), AMOUNT // 4, True),
    CaptureRefused(capture_id(), AMOUNT // 4, "hold_has_expired"),
    VoidAsked(),
    HoldVoided(AMOUNT),
    HoldExpired(AMOUNT),
    PayoutStarted(ids.derive(PAYMENT_ID, "payout")),
    SettlementSubmitted(BATCH_ID, 31337, "0xabc"),
    confirmed(),
    SettlementReorged(),
    SettlementFailed("token_paused"),
    DeadlinePassed(),
]

_PART = AMOUNT // 4
RAISING: dict[str, Any] = {
    "capture_method": "manual",
    "increments": 1,
    "increment_to_minor": AMOUNT + 100,
    "amount_assessed_minor": AMOUNT,
}
_VARIANTS: list[tuple[tuple[State, ...], dict[str, Any]]] = [
    (("created", "review"), {"fraud": "allow"}),
    (("created", "review"), {"fraud": "review"}),
    (("created", "review"), {"compliance": "clear"}),
    (("created", "review"), {"compliance": "review"}),
    (("review",), {"reason": "fraud_review", "fraud": "review", "compliance": "clear"}),
    (("approved",), {"capture_method": "manual"}),
    (("authorised", "captured", "settled"), {"amount_captured_minor": _PART}),
    (("authorised", "captured", "settled"), {"amount_captured_minor": _PART, "capture_pending_minor": _PART}),
    (("authorised", "voided", "expired"), {"capture_pending_minor": _PART}),
    (("authorised",), {"capture_pending_minor": _PART, "void_reason": "captured_in_part"}),
    (("authorised",), {"amount_captured_minor": AMOUNT - _PART, "capture_pending_minor": _PART}),
    (("authorised",), {"void_reason": "requested"}),
    (("authorised",), {"void_reason": "expired"}),
    (("authorised",), {"amount_captured_minor": _PART, "void_reason": "expired"}),
    (("authorised", "captured", "settled"), {"amount_captured_minor": _PART, "refund_pending_minor": _PART // 2}),
    (("captured", "settled"), {"amount_captured_minor": _PART, "amount_refunded_minor": _PART}),
    (("authorised",), {"capture_method": "manual"}),
    (("authorised", "captured", "settled", "voided", "expired"), RAISING),
    (("authorised",), RAISING | {"void_reason": "requested"}),
    (("authorised",), RAISING | {"capture_pending_minor": _PART, "void_reason": "captured_in_part"}),
    (("authorised",), {"payout_schedule": "manual"}),
    (("captured", "settled"), {"amount_disputed_minor": AMOUNT // 8}),
    (("captured",), {"payout_schedule": "daily", "waits_for_payout": True, "reason": "awaiting_payout"}),
    (("captured", "settled"), {"payout_schedule": "daily", "payout_id": ids.derive(PAYMENT_ID, "payout")}),
]
_CARDS: list[tuple[tuple[State, ...], dict[str, Any]]] = [
    (("authorised", "captured", "settled", "declined", "voided", "expired", "failed"), {"voids": 1}),
    (("authorised",), {"voids": 1, "void_reason": "requested"}),
    (("expired",), {"connector": None, "authorisation": None, "authorised_at": None}),
    (("requires_action",), {"authorisation": None}),
]


def variants(state: State) -> list[Payment]:
    """Return the payments in which one state can be met, from wallets and by cards."""
    found = [payment(state), card(state)]
    for states, changes in _VARIANTS:
        if state in states:
            found += [payment(state, **changes), card(state, **changes)]
    return found + [card(state, **changes) for states, changes in _CARDS if state in states]


def fits(before: Payment, fact: Fact) -> bool:
    """Whether a payment can meet a fact at all: the ledger's holds are wallets', the acquirers' answers are cards'."""
    of_holds = HoldPlaced | HoldCaptured | HoldVoided | HoldExpired | HoldIncreased | IncrementRefused
    if isinstance(fact, of_holds | CaptureRefused | AuthorisationRefused):
        return before.method == "wallet"
    of_cards = (
        AcquirerAuthorised,
        AcquirerRefusedAuthorisation,
        ActionNeeded,
        OutcomeUnknown,
        AcquirerIncremented,
        AcquirerRefusedIncrement,
        AcquirerCaptured,
        AcquirerRefusedCapture,
        CaptureBooked,
        AcquirerVoided,
        AcquirerRefusedVoid,
        AcquirerRefunded,
        AcquirerRefusedRefund,
        DisputeMoved,
    )
    return before.method == "card" or not isinstance(fact, of_cards)
