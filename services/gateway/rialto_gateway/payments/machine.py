"""The state machine: a payment and a fact give the next payment and what to tell the others. Pure.

`apply` returns None where a fact changes nothing: it came late, or twice, and the payment has moved on. Commands
(capture, void, review) that the state does not allow raise instead, as a person waits for the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.errors import (
    CaptureAboveAuthorised,
    PaymentNotCapturable,
    PaymentNotInReview,
    PaymentNotVoidable,
)
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
from rialto_gateway.payments.states import (
    ASK_AGAIN_AFTER,
    ASK_AGAIN_AT_LEAST_EVERY,
    DEADLINES,
    FINAL,
    HOLD_LASTS,
    MAX_DOUBLINGS,
    Deadline,
    Payment,
    Settlement,
    State,
)

ASSESSMENT_MISSING = "assessment_missing"
"""Why a payment is in review when a verdict did not come in time; the late verdict still counts."""


@dataclass(frozen=True, slots=True)
class CaptureChange:
    """A capture to record, or the outcome of one."""

    capture_id: UUID
    ordinal: int | None
    amount_minor: int
    final: bool
    state: Literal["pending", "succeeded", "failed"]
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a fact made of a payment; `name` and `detail` go on its timeline."""

    payment: Payment
    name: str
    outgoing: tuple[EventData, ...] = ()
    captures: tuple[CaptureChange, ...] = ()
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The deadlines in force; an installation may shorten or lengthen them."""

    by_state: dict[State, Deadline]

    @classmethod
    def default(cls) -> "Deadlines":
        """The table in `states.py`."""
        return cls(dict(DEADLINES))

    def of(self, state: State, now: datetime) -> datetime | None:
        """Return when a payment that enters `state` now must have left it."""
        return None if state in FINAL else now + self.by_state[state].after


def apply(payment: Payment, fact: Fact, now: datetime, deadlines: Deadlines) -> Change | None:
    """Return what the fact changes, or None where it changes nothing.

    Raises: PaymentNotCapturable, CaptureAboveAuthorised, PaymentNotVoidable, PaymentNotInReview: a command that the
    state does not allow.
    """
    step = _STEPS[type(fact)]
    return step(payment, fact, now, deadlines)


# Verdicts ------------------------------------------------------------------------------------------------------------


def _fraud_verdict(payment: Payment, fact: FraudVerdict, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.fraud is not None or not _takes_verdicts(payment):
        return None
    assessed = replace(payment, fraud=fact.outcome)
    return _decide(assessed, "fraud.assessed", {"outcome": fact.outcome}, now, deadlines)


def _compliance_verdict(
    payment: Payment, fact: ComplianceVerdict, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.compliance is not None or not _takes_verdicts(payment):
        return None
    screened = replace(payment, compliance=fact.outcome)
    return _decide(screened, "compliance.screened", {"outcome": fact.outcome}, now, deadlines)


def _takes_verdicts(payment: Payment) -> bool:
    return payment.state == "created" or (payment.state == "review" and payment.reason == ASSESSMENT_MISSING)


def _decide(payment: Payment, name: str, detail: dict[str, Any], now: datetime, deadlines: Deadlines) -> Change:
    """Decide from the verdicts so far: one block is enough to decline; only two clear ones let it pass."""
    if payment.compliance == "block":
        return _decline(payment, "sanctions_hit", name, detail)
    if payment.fraud == "block":
        return _decline(payment, "fraud_suspected", name, detail)
    if payment.fraud is None or payment.compliance is None:
        return Change(payment, name, detail=detail)
    reasons = [
        reason
        for reason, raised in (
            ("fraud_review", payment.fraud == "review"),
            ("compliance_review", payment.compliance == "review"),
        )
        if raised
    ]
    if reasons:
        reviewed = _enter(payment, "review", ",".join(reasons), now, deadlines)
        if payment.state == "review":
            # It has stood in review since its deadline passed; that time goes on counting.
            reviewed = replace(reviewed, deadline_at=payment.deadline_at)
        return Change(reviewed, name, (_event(payment, events.PaymentReviewOpened, reasons=reasons),), detail=detail)
    closed: tuple[EventData, ...] = ()
    if payment.state == "review":
        closed = (_event(payment, events.PaymentReviewClosed, decision="approved", decided_by="assessments"),)
    return _approve(payment, closed, name, detail, now, deadlines)


def _approve(
    payment: Payment,
    before: tuple[EventData, ...],
    name: str,
    detail: dict[str, Any],
    now: datetime,
    deadlines: Deadlines,
) -> Change:
    approved = _event(
        payment,
        events.PaymentApproved,
        wallet_id=payment.wallet_id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        expires_at=now + HOLD_LASTS,
    )
    return Change(_enter(payment, "approved", None, now, deadlines), name, (*before, approved), detail=detail)


def _decline(payment: Payment, code: str, name: str, detail: dict[str, Any]) -> Change:
    declined = _end(payment, "declined", None, decline_code=code)
    return Change(declined, name, (_event(payment, events.PaymentDeclined, decline_code=code),), detail=detail)


def _review_decided(payment: Payment, fact: ReviewDecided, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state != "review":
        raise PaymentNotInReview(f"the payment is {payment.state}; only one in review can be decided")
    decision: Literal["approved", "declined"] = "approved" if fact.decision == "approve" else "declined"
    closed = _event(payment, events.PaymentReviewClosed, decision=decision, decided_by=fact.by)
    detail = {"decision": decision}
    if fact.decision == "approve":
        return _approve(payment, (closed,), "payment.review_closed", detail, now, deadlines)
    change = _decline(payment, "review_declined", "payment.review_closed", detail)
    return replace(change, outgoing=(closed, *change.outgoing))


# Authorisation -------------------------------------------------------------------------------------------------------


def _hold_placed(payment: Payment, fact: HoldPlaced, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state != "approved":
        return None  # unknown: its cancellation is on the way, in order behind this hold
    authorised = replace(_enter(payment, "authorised", None, now, deadlines), authorised_at=now)
    announced = _event(
        payment,
        events.PaymentAuthorised,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        hold_id=fact.hold_id,
    )
    if payment.capture_method == "manual":
        return Change(authorised, "hold.placed", (announced,))
    captured = _ask_capture(authorised, payment.amount_minor, final=True, name="hold.placed")
    return replace(captured, outgoing=(announced, *captured.outgoing))


def _authorisation_refused(
    payment: Payment, fact: AuthorisationRefused, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.state not in ("approved", "unknown"):
        return None
    change = _decline(payment, fact.code, "posting.refused", {"code": fact.code})
    if payment.state == "unknown":
        return replace(change, outgoing=(_resolved(payment, "declined"), *change.outgoing))
    return change


# Capture, void, expiry -----------------------------------------------------------------------------------------------


def _capture_asked(payment: Payment, fact: CaptureAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    left = payment.capturable_minor
    if left == 0:
        raise PaymentNotCapturable(f"the payment is {payment.state} with nothing left to capture")
    amount = left if fact.amount_minor is None else fact.amount_minor
    if amount > left:
        raise CaptureAboveAuthorised(f"{amount} is more than the {left} that is left to capture", param="amount_minor")
    return _ask_capture(payment, amount, final=fact.final or amount == left, name="capture.requested")


def _ask_capture(payment: Payment, amount_minor: int, *, final: bool, name: str) -> Change:
    ordinal = payment.captures + 1
    capture_id = ids.derive(payment.id, "capture", ordinal)
    asked = replace(payment, captures=ordinal, capture_pending_minor=payment.capture_pending_minor + amount_minor)
    if final and payment.capturable_minor > amount_minor:
        asked = replace(asked, void_reason="captured_in_part")  # nothing more may be captured
    request = _event(
        payment,
        events.CaptureRequested,
        capture_id=capture_id,
        ordinal=ordinal,
        amount_minor=amount_minor,
        currency=payment.currency,
        final=final,
    )
    record = CaptureChange(capture_id, ordinal, amount_minor, final, "pending")
    return Change(asked, name, (request,), (record,), {"capture_requested_minor": str(amount_minor)})


def _hold_captured(payment: Payment, fact: HoldCaptured, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state != "authorised":
        return None
    answered = _answered(payment, fact.amount_minor, None)
    booked = replace(answered, amount_captured_minor=answered.amount_captured_minor + fact.amount_minor)
    record = CaptureChange(fact.capture_id, None, fact.amount_minor, fact.final, "succeeded")
    detail = {"captured_minor": str(fact.amount_minor)}
    if fact.final or booked.amount_captured_minor == booked.amount_minor:
        return replace(_captured(booked, "hold.captured", now, deadlines), captures=(record,), detail=detail)
    return Change(booked, "hold.captured", (), (record,), detail)


def _captured(payment: Payment, name: str, now: datetime, deadlines: Deadlines) -> Change:
    """No more captures: the merchant is to be paid their total."""
    total = payment.amount_captured_minor
    announced = _event(payment, events.PaymentCaptured, amount_minor=total, currency=payment.currency)
    return Change(
        _enter(replace(payment, void_reason=None), "captured", None, now, deadlines),
        name,
        (announced, _settlement_request(payment)),
    )


def _capture_refused(payment: Payment, fact: CaptureRefused, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.capture_pending_minor < fact.amount_minor:
        return None
    # Also after the payment left `authorised`: a hold may expire in the ledger while a capture is on its way to it.
    reason = fact.code if payment.state == "authorised" else payment.reason
    refused = _answered(payment, fact.amount_minor, reason)
    record = CaptureChange(fact.capture_id, None, fact.amount_minor, False, "failed", fact.code)
    return Change(refused, "posting.refused", (), (record,), {"code": fact.code})


def _answered(payment: Payment, amount_minor: int, reason: str | None) -> Payment:
    """Take the ledger's answer to a capture off what is pending; once nothing is, the rest may be captured again."""
    pending = payment.capture_pending_minor - amount_minor
    void_reason = payment.void_reason if pending > 0 else None
    return replace(payment, capture_pending_minor=pending, void_reason=void_reason, reason=reason, asked=0)


def _void_asked(payment: Payment, fact: VoidAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state == "authorised" and payment.void_reason == "requested":
        return None  # asked before; the answer is on its way
    if payment.capturable_minor == 0 or payment.capture_pending_minor > 0:
        raise PaymentNotVoidable(f"the payment is {payment.state} with nothing to void, or a capture is under way")
    return _ask_void(payment, "requested", now, name="void.requested")


def _ask_void(payment: Payment, reason: str, now: datetime, *, name: str) -> Change:
    asked = replace(_ask(payment, now), void_reason=reason)
    return Change(asked, name, (_event(payment, events.VoidRequested, reason=reason),), detail={"reason": reason})


def _hold_voided(payment: Payment, fact: HoldVoided, now: datetime, deadlines: Deadlines) -> Change | None:
    return _released(payment, fact.amount_released_minor, "hold.voided", now, deadlines)


def _hold_expired(payment: Payment, fact: HoldExpired, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state == "authorised":
        payment = replace(payment, void_reason="expired")
    return _released(payment, fact.amount_released_minor, "hold.expired", now, deadlines)


def _released(payment: Payment, released_minor: int, name: str, now: datetime, deadlines: Deadlines) -> Change | None:
    detail = {"released_minor": str(released_minor)}
    if payment.state == "unknown":
        failed = _end(payment, "failed", "ledger_did_not_answer")
        outgoing = (
            _resolved(payment, "failed"),
            _event(payment, events.PaymentFailed, reason="ledger_did_not_answer"),
        )
        return Change(failed, name, outgoing, detail=detail)
    if payment.state != "authorised":
        return None
    if payment.amount_captured_minor > 0:
        return replace(_captured(payment, name, now, deadlines), detail=detail)
    if payment.void_reason == "expired":
        return Change(_end(payment, "expired", None), name, (_event(payment, events.PaymentExpired),), detail=detail)
    voided = _event(payment, events.PaymentVoided, amount_released_minor=released_minor, currency=payment.currency)
    return Change(_end(payment, "voided", None), name, (voided,), detail=detail)


# Settlement ----------------------------------------------------------------------------------------------------------


def _settlement_submitted(
    payment: Payment, fact: SettlementSubmitted, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.state != "captured":
        return None
    settlement = Settlement(fact.batch_id, fact.chain_id, fact.tx_hash)
    return Change(replace(payment, settlement=settlement, reason=None), "settlement.submitted")


def _settlement_confirmed(
    payment: Payment, fact: SettlementConfirmed, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.state != "captured":
        return None
    settlement = Settlement(
        fact.batch_id, fact.chain_id, fact.tx_hash, fact.token, fact.token_amount, fact.block_number
    )
    settled = _end(replace(payment, settlement=settlement), "settled", None)
    announced = _event(
        payment,
        events.PaymentSettled,
        settlement_id=fact.settlement_id,
        amount_minor=payment.amount_captured_minor,
        currency=payment.currency,
        chain_id=fact.chain_id,
        tx_hash=fact.tx_hash,
        block_number=fact.block_number,
    )
    return Change(settled, "settlement.confirmed", (announced,), detail={"tx_hash": fact.tx_hash})


def _settlement_reorged(
    payment: Payment, fact: SettlementReorged, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.state != "captured":
        return None
    return Change(replace(payment, reason="settlement_reorged"), "settlement.reorged")


def _settlement_failed(payment: Payment, fact: SettlementFailed, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.state != "captured":
        return None
    return Change(replace(payment, reason=fact.code), "settlement.failed", detail={"code": fact.code})


def _settlement_request(payment: Payment) -> EventData:
    return _event(
        payment,
        events.SettlementRequested,
        settlement_id=ids.derive(payment.id, "settlement"),
        amount_minor=payment.amount_captured_minor,
        currency=payment.currency,
        payee_address=payment.payee_address,
    )


# Time ----------------------------------------------------------------------------------------------------------------


def _deadline_passed(payment: Payment, fact: DeadlinePassed, now: datetime, deadlines: Deadlines) -> Change | None:
    if payment.deadline_at is None or payment.deadline_at > now:
        return None
    name = "deadline.passed"
    match payment.state:
        case "created":
            opened = _event(payment, events.PaymentReviewOpened, reasons=[ASSESSMENT_MISSING])
            return Change(_enter(payment, "review", ASSESSMENT_MISSING, now, deadlines), name, (opened,))
        case "review":
            return _decline(payment, "review_expired", name, {})
        case "requires_action":
            return Change(_end(payment, "expired", None), name, (_event(payment, events.PaymentExpired),))
        case "approved":
            unknown = _enter(payment, "unknown", "ledger_did_not_answer", now, deadlines)
            cancelled = _ask_void(unknown, "ledger_did_not_answer", now, name=name)
            announced = _event(payment, events.AttemptUnknown, step="authorise")
            return replace(cancelled, outgoing=(announced, *cancelled.outgoing))
        case "unknown":
            return _ask_void(payment, "ledger_did_not_answer", now, name=name)
        case "authorised" if payment.capture_pending_minor > 0:
            # The ledger has been asked to book it and will answer: never let time overtake money.
            return Change(replace(_ask(payment, now), reason="capture_unanswered"), name)
        case "authorised":
            return _ask_void(payment, payment.void_reason or "expired", now, name=name)
        case "captured":
            again = replace(_ask(payment, now), reason=payment.reason or "settlement_overdue")
            return Change(again, name, (_settlement_request(payment),))
        case _:
            return None


# Shared --------------------------------------------------------------------------------------------------------------


def _enter(payment: Payment, state: State, reason: str | None, now: datetime, deadlines: Deadlines) -> Payment:
    return replace(payment, state=state, reason=reason, deadline_at=deadlines.of(state, now), asked=0)


def _ask(payment: Payment, now: datetime) -> Payment:
    """Count a question to another service and set when it is put again: ever more seldom, as each costs an event."""
    pause = min(ASK_AGAIN_AFTER * 2 ** min(payment.asked, MAX_DOUBLINGS), ASK_AGAIN_AT_LEAST_EVERY)
    return replace(payment, asked=payment.asked + 1, deadline_at=now + pause)


def _end(payment: Payment, state: State, reason: str | None, decline_code: str | None = None) -> Payment:
    return replace(payment, state=state, reason=reason, decline_code=decline_code, deadline_at=None)


def _event(payment: Payment, model: type[EventData], **fields: Any) -> EventData:
    return model(payment_id=payment.id, merchant_id=payment.merchant_id, mode=payment.mode, **fields)


def _resolved(payment: Payment, outcome: str) -> EventData:
    return _event(payment, events.AttemptResolved, step="authorise", outcome=outcome)


_STEPS: dict[type[Any], Callable[[Payment, Any, datetime, Deadlines], Change | None]] = {
    FraudVerdict: _fraud_verdict,
    ComplianceVerdict: _compliance_verdict,
    ReviewDecided: _review_decided,
    HoldPlaced: _hold_placed,
    AuthorisationRefused: _authorisation_refused,
    CaptureAsked: _capture_asked,
    HoldCaptured: _hold_captured,
    CaptureRefused: _capture_refused,
    VoidAsked: _void_asked,
    HoldVoided: _hold_voided,
    HoldExpired: _hold_expired,
    SettlementSubmitted: _settlement_submitted,
    SettlementConfirmed: _settlement_confirmed,
    SettlementReorged: _settlement_reorged,
    SettlementFailed: _settlement_failed,
    DeadlinePassed: _deadline_passed,
}
