"""Capture, void and expiry: by the ledger where it holds the amount, by the acquirer where that one does.

An acquirer captures first; what it has captured, the ledger books. Nothing is voided while a capture is under way.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_gateway.attempts.attempt import NOT_FOUND
from rialto_gateway.payments.chapters import fees, settlement
from rialto_gateway.payments.chapters.change import (
    AttemptChange,
    CaptureChange,
    Change,
    Deadlines,
    about,
    ask,
    charge,
    end,
    event,
    resolved,
    void_at_acquirer,
)
from rialto_gateway.payments.errors import (
    CaptureAboveAuthorised,
    IncrementUnderWay,
    PaymentNotCapturable,
    PaymentNotVoidable,
)
from rialto_gateway.payments.facts import (
    AcquirerCaptured,
    AcquirerRefusedCapture,
    AcquirerRefusedVoid,
    AcquirerVoided,
    CaptureAsked,
    CaptureBooked,
    CaptureRefused,
    HoldCaptured,
    HoldExpired,
    HoldVoided,
    VoidAsked,
)
from rialto_gateway.payments.states import ASK_AGAIN_AFTER, Payment
from rialto_gateway.payouts.schedule import held_share

CAPTURES_ASKED_FOR = 3
"""How often a capture that nobody asked for is asked of an acquirer that has nothing of the one before."""

VOIDS_AT_ONCE = 10
"""How many voids of a payment are asked for, each at once where the acquirer has nothing of the one before."""


def asked(payment: Payment, fact: CaptureAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The merchant captures. Raises: PaymentNotCapturable, CaptureAboveAuthorised, IncrementUnderWay."""
    left = payment.capturable_minor
    if left == 0:
        raise PaymentNotCapturable(f"the payment is {payment.state} with nothing left to capture")
    is_being_raised = payment.increment_to_minor is not None
    if fact.amount_minor is None and is_being_raised:
        raise IncrementUnderWay(
            f"what is left to capture is not known while an increment to {payment.increment_to_minor} is under way; "
            "say how much, or wait for its outcome"
        )
    amount = left if fact.amount_minor is None else fact.amount_minor
    if amount > left:
        raise CaptureAboveAuthorised(f"{amount} is more than the {left} that is left to capture", param="amount_minor")
    final = fact.final or (amount == left and not is_being_raised)
    return ask_capture(payment, amount, final=final, name="capture.requested", now=now)


def ask_capture(payment: Payment, amount_minor: int, *, final: bool, name: str, now: datetime) -> Change:
    """Ask the ledger to book a capture, or the acquirer to make it."""
    ordinal = payment.captures + 1
    capture_id = ids.derive(payment.id, "capture", ordinal)
    waiting = replace(payment, captures=ordinal, capture_pending_minor=payment.capture_pending_minor + amount_minor)
    if final and (payment.capturable_minor > amount_minor or payment.increment_to_minor is not None):
        waiting = replace(waiting, void_reason="captured_in_part")  # nothing more may be captured
    record = CaptureChange(capture_id, ordinal, amount_minor, final, "pending")
    detail = {"capture_requested_minor": str(amount_minor)}
    if payment.method == "card":
        question = AttemptChange(
            attempt_id=ids.derive(capture_id, "attempt"),
            step="capture",
            ordinal=ordinal,
            amount_minor=amount_minor,
            asked_at=now,
            subject_id=capture_id,
            connector=payment.connector,
            authorisation=payment.authorisation,
            final=final,
        )
        return Change(waiting, name, captures=(record,), detail=detail, attempts=(question,))
    waiting, fee_minor = fees.ask(waiting, amount_minor)
    request = event(
        payment,
        events.CaptureRequested,
        capture_id=capture_id,
        ordinal=ordinal,
        amount_minor=amount_minor,
        currency=payment.currency,
        final=final,
        fee_minor=fee_minor,
    )
    return Change(waiting, name, (request,), (record,), detail)


def at_acquirer(payment: Payment, fact: AcquirerCaptured, now: datetime, deadlines: Deadlines) -> Change | None:
    """The acquirer has captured: the ledger is asked to book it, and the payment waits for that."""
    attempt = fact.attempt
    if payment.state != "authorised" or attempt.subject_id is None:
        return None
    known, fee_minor = fees.ask(replace(payment, reason=None), attempt.amount_minor)
    request = event(
        payment,
        events.CaptureRequested,
        capture_id=attempt.subject_id,
        ordinal=fact.ordinal,
        amount_minor=attempt.amount_minor,
        currency=payment.currency,
        final=fact.final,
        acquirer=attempt.connector,
        requested_at=fact.requested_at,
        fee_minor=fee_minor,
    )
    return Change(
        known, "attempt.succeeded", (*resolved(payment, attempt, "succeeded"), request), detail=about(attempt)
    )


def hold_captured(payment: Payment, fact: HoldCaptured, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger booked a capture of its hold."""
    return _booked(payment, fact, "hold.captured", now, deadlines)


def booked(payment: Payment, fact: CaptureBooked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger booked what the acquirer captured."""
    return _booked(payment, fact, "capture.booked", now, deadlines)


def _booked(
    payment: Payment, fact: HoldCaptured | CaptureBooked, name: str, now: datetime, deadlines: Deadlines
) -> Change | None:
    if payment.state != "authorised":
        return None
    answered = fees.booked(_answered(payment, fact.amount_minor, None), fact.fee_minor)
    captured = replace(answered, amount_captured_minor=answered.amount_captured_minor + fact.amount_minor)
    record = CaptureChange(fact.capture_id, None, fact.amount_minor, fact.final, "succeeded")
    detail = {"captured_minor": str(fact.amount_minor)}
    if fact.fee_minor > 0:
        detail["fee_minor"] = str(fact.fee_minor)
    charged = charge(payment, "processing", fact.capture_id, fact.fee_minor, payment.rate)
    held = held_share(fact.amount_minor - fact.fee_minor, payment.reserve_bps)
    if fact.final or captured.amount_captured_minor == captured.amount_minor:
        whole = _captured(captured, name, now, deadlines)
        return replace(whole, captures=(record,), detail=detail, held_back_minor=held, fees=charged)
    return Change(captured, name, (), (record,), detail, held_back_minor=held, fees=charged)


def _captured(payment: Payment, name: str, now: datetime, deadlines: Deadlines) -> Change:
    """No more captures: the merchant is to be paid their total, when its schedule says."""
    total = payment.amount_captured_minor
    announced = event(payment, events.PaymentCaptured, amount_minor=total, currency=payment.currency)
    captured, asked_for = settlement.begin(replace(payment, void_reason=None), now, deadlines)
    return Change(captured, name, (announced, *asked_for))


def refused(payment: Payment, fact: CaptureRefused, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger refused a capture."""
    if payment.capture_pending_minor < fact.amount_minor:
        return None
    # Also after the payment left `authorised`: a hold may expire in the ledger while a capture is on its way to it.
    reason = fact.code if payment.state == "authorised" else payment.reason
    without = fees.refused(_answered(payment, fact.amount_minor, reason), fact.amount_minor, fact.fee_minor)
    record = CaptureChange(fact.capture_id, None, fact.amount_minor, False, "failed", fact.code)
    return Change(without, "posting.refused", (), (record,), {"code": fact.code})


def refused_by_acquirer(
    payment: Payment, fact: AcquirerRefusedCapture, now: datetime, deadlines: Deadlines
) -> Change | None:
    """The acquirer did not make this capture: certainly, and for good."""
    attempt = fact.attempt
    if payment.state != "authorised" or attempt.subject_id is None:
        return None
    if payment.capture_pending_minor < attempt.amount_minor:
        return None
    without = _answered(payment, attempt.amount_minor, fact.code)
    record = CaptureChange(attempt.subject_id, None, attempt.amount_minor, False, "failed", fact.code)
    outgoing = resolved(payment, attempt, "failed")
    failed = Change(without, "attempt.failed", outgoing, (record,), about(attempt, code=fact.code))
    never_arrived = fact.code == NOT_FOUND and payment.captures < CAPTURES_ASKED_FOR
    # An automatic capture is of everything: a part is one that the merchant asked for, and may want more beside.
    is_automatic = payment.capture_method == "automatic" and attempt.amount_minor == payment.amount_minor
    if not (is_automatic and never_arrived) or without.capturable_minor == 0:
        return failed
    # Nobody waits for its outcome, and it can no longer happen: another is asked for.
    again = ask_capture(without, attempt.amount_minor, final=True, name="attempt.failed", now=now)
    return replace(again, outgoing=outgoing, captures=(record, *again.captures), detail=failed.detail)


def _answered(payment: Payment, amount_minor: int, reason: str | None) -> Payment:
    """Take the answer to a capture off what is pending; once nothing is, the rest may be captured again."""
    pending = payment.capture_pending_minor - amount_minor
    void_reason = payment.void_reason if pending > 0 else None
    return replace(payment, capture_pending_minor=pending, void_reason=void_reason, reason=reason, asked=0)


def void_asked(payment: Payment, fact: VoidAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The merchant gives back what is not captured. Raises: PaymentNotVoidable."""
    if payment.state == "authorised" and payment.void_reason == "requested":
        return None  # asked before; the answer is on its way
    if payment.capturable_minor == 0 or payment.capture_pending_minor > 0:
        raise PaymentNotVoidable(f"the payment is {payment.state} with nothing to void, or a capture is under way")
    return ask_void(payment, "requested", now, name="void.requested")


def ask_void(payment: Payment, reason: str, now: datetime, *, name: str) -> Change:
    """Ask the ledger to release its hold, or the acquirer to let go; an attempt under way needs no second one."""
    waiting = replace(ask(payment, now), void_reason=reason)
    detail = {"reason": reason}
    if payment.method == "wallet":
        return Change(waiting, name, (event(payment, events.VoidRequested, reason=reason),), detail=detail)
    never_arrived = payment.reason == NOT_FOUND
    if (payment.void_reason is not None and not never_arrived) or payment.authorisation is None:
        return Change(waiting, name, detail=detail)
    waiting = replace(waiting, reason=None if never_arrived else payment.reason)
    question = void_at_acquirer(payment, payment.connector, payment.authorisation, now)
    return Change(replace(waiting, voids=question.ordinal), name, detail=detail, attempts=(question,))


def hold_voided(payment: Payment, fact: HoldVoided, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger released what was still held."""
    return _released(payment, fact.amount_released_minor, "hold.voided", now, deadlines)


def hold_expired(payment: Payment, fact: HoldExpired, now: datetime, deadlines: Deadlines) -> Change | None:
    """The hold's time ran out in the ledger."""
    if payment.state == "authorised":
        payment = replace(payment, void_reason="expired")
    return _released(payment, fact.amount_released_minor, "hold.expired", now, deadlines)


def voided_by_acquirer(payment: Payment, fact: AcquirerVoided, now: datetime, deadlines: Deadlines) -> Change | None:
    """The acquirer let go: of this payment's authorisation, or of one that came too late to be used."""
    return _let_go(payment, fact, "attempt.succeeded", "succeeded", now, deadlines, detail=about(fact.attempt))


def void_refused_by_acquirer(
    payment: Payment, fact: AcquirerRefusedVoid, now: datetime, deadlines: Deadlines
) -> Change | None:
    """The acquirer will not let go. What has expired counts as released; what the merchant wanted voided stays.

    One that never arrived is another matter: what it was to let go of is still held, so another is asked for.
    """
    detail = about(fact.attempt, code=fact.code)
    if fact.code == NOT_FOUND:
        return _never_arrived(payment, fact, now, detail=detail)
    if not _is_own(payment, fact.authorisation) or payment.void_reason == "expired":
        return _let_go(payment, fact, "attempt.failed", "failed", now, deadlines, detail=detail)
    back = deadlines.by_state["authorised"].after + (payment.authorised_at or now)
    kept = replace(payment, void_reason=None, reason=fact.code, asked=0, deadline_at=max(back, now + ASK_AGAIN_AFTER))
    return Change(kept, "attempt.failed", resolved(payment, fact.attempt, "failed"), detail=detail)


def _never_arrived(
    payment: Payment, fact: AcquirerRefusedVoid, now: datetime, *, detail: dict[str, Any]
) -> Change | None:
    """Ask for another void: at once, or when the payment's deadline says where many were lost before."""
    if payment.voids == 0:
        return None
    known, is_own = resolved(payment, fact.attempt, "failed"), _is_own(payment, fact.authorisation)
    stands_on_it = payment.state == "authorised" and payment.authorisation == fact.authorisation
    if payment.voids < VOIDS_AT_ONCE and (is_own or not stands_on_it):
        question = void_at_acquirer(payment, fact.attempt.connector, fact.authorisation, now)
        again = replace(payment, voids=question.ordinal, reason=None if is_own else payment.reason)
        return Change(again, "attempt.failed", known, detail=detail | {"next": "void"}, attempts=(question,))
    kept = replace(ask(payment, now), reason=NOT_FOUND) if is_own else payment
    return Change(kept, "attempt.failed", known, detail=detail)


def _let_go(
    payment: Payment,
    fact: AcquirerVoided | AcquirerRefusedVoid,
    name: str,
    outcome: str,
    now: datetime,
    deadlines: Deadlines,
    *,
    detail: dict[str, Any],
) -> Change | None:
    known = resolved(payment, fact.attempt, outcome)
    if not _is_own(payment, fact.authorisation):
        return Change(payment, name, known, detail=detail) if payment.voids > 0 else None
    left = payment.amount_minor - payment.amount_captured_minor
    change = _released(payment, left, name, now, deadlines)
    return None if change is None else replace(change, outgoing=(*known, *change.outgoing), detail=detail)


def _is_own(payment: Payment, authorisation: str) -> bool:
    """Whether the payment stands on this authorisation and has asked to be let go of it."""
    return payment.state == "authorised" and payment.authorisation == authorisation and payment.void_reason is not None


def _released(payment: Payment, released_minor: int, name: str, now: datetime, deadlines: Deadlines) -> Change | None:
    detail = {"released_minor": str(released_minor)}
    if payment.state == "unknown" and payment.method == "wallet":
        failed = end(payment, "failed", "ledger_did_not_answer")
        outgoing = (
            event(payment, events.AttemptResolved, step="authorise", outcome="failed"),
            event(payment, events.PaymentFailed, reason="ledger_did_not_answer"),
        )
        return Change(failed, name, outgoing, detail=detail)
    if payment.state != "authorised":
        return None
    if payment.amount_captured_minor > 0:
        return replace(_captured(payment, name, now, deadlines), detail=detail)
    if payment.void_reason == "expired":
        return Change(end(payment, "expired", None), name, (event(payment, events.PaymentExpired),), detail=detail)
    voided = event(payment, events.PaymentVoided, amount_released_minor=released_minor, currency=payment.currency)
    return Change(end(payment, "voided", None), name, (voided,), detail=detail)
