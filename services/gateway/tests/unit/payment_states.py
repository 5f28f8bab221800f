"""Payments in every state, and every fact, for the tests of the state machine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_gateway.payments.facts import (
    AuthorisationRefused,
    CaptureAsked,
    CaptureRefused,
    ComplianceVerdict,
    DeadlinePassed,
    Fact,
    FraudVerdict,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
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
    CaptureAsked(None, False),
    CaptureAsked(AMOUNT // 4, False),
    CaptureAsked(AMOUNT // 4, True),
    HoldCaptured(capture_id(), AMOUNT // 4, False),
    HoldCaptured(capture_id(), AMOUNT // 4, True),
    CaptureRefused(capture_id(), AMOUNT // 4, "hold_has_expired"),
    VoidAsked(),
    HoldVoided(AMOUNT),
    HoldExpired(AMOUNT),
    SettlementSubmitted(BATCH_ID, 31337, "0xabc"),
    confirmed(),
    SettlementReorged(),
    SettlementFailed("token_paused"),
    DeadlinePassed(),
]

_PART = AMOUNT // 4
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
]


def variants(state: State) -> list[Payment]:
    """Return the payments in which one state can be met."""
    return [payment(state), *(payment(state, **changes) for states, changes in _VARIANTS if state in states)]
