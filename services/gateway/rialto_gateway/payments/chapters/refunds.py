"""Refunds: objects of their own, which never change the payment's state.

The ledger first takes the amount from what we owe the merchant, and refuses where that is too little. A wallet then has
it; an acquirer is asked to give it back, and until it has answered the amount waits in suspense.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_gateway.payments.chapters.change import (
    AttemptChange,
    Change,
    Deadlines,
    RefundChange,
    about,
    event,
    resolved,
)
from rialto_gateway.payments.errors import PaymentNotRefundable, RefundAboveCaptured
from rialto_gateway.payments.facts import (
    AcquirerRefunded,
    AcquirerRefusedRefund,
    RefundAsked,
    RefundBooked,
    RefundRefused,
)
from rialto_gateway.payments.states import REFUNDABLE, Payment


def asked(payment: Payment, fact: RefundAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The merchant gives back all that is left, or a part. Raises: PaymentNotRefundable, RefundAboveCaptured."""
    left = payment.refundable_minor
    if left == 0:
        raise PaymentNotRefundable(
            f"the payment is {payment.state} with {payment.amount_captured_minor} captured and nothing left to refund; "
            "refunds under way and what is disputed count"
        )
    amount = left if fact.amount_minor is None else fact.amount_minor
    if amount > left:
        raise RefundAboveCaptured(f"{amount} is more than the {left} that is left to refund", param="amount_minor")
    ordinal = payment.refunds + 1
    refund_id = ids.derive(payment.id, "refund", ordinal)
    request = event(
        payment,
        events.RefundRequested,
        refund_id=refund_id,
        amount_minor=amount,
        currency=payment.currency,
        acquirer=payment.connector,
        wallet_id=payment.wallet_id,
    )
    record = RefundChange(refund_id, ordinal, amount, "pending", reason=fact.reason, metadata=fact.metadata)
    waiting = replace(payment, refunds=ordinal, refund_pending_minor=payment.refund_pending_minor + amount)
    detail = {"refund_requested_minor": str(amount)}
    return Change(waiting, "refund.requested", (request,), detail=detail, refunds=(record,))


def booked(payment: Payment, fact: RefundBooked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger took it from the merchant: the wallet has it, or the acquirer is to be asked."""
    if not _is_pending(payment, fact.amount_minor):
        return None
    detail = {"refund_minor": str(fact.amount_minor)}
    if payment.method == "wallet":
        return _succeeded(
            payment, fact.refund_id, fact.amount_minor, None, fact.requested_at, name="refund.booked", detail=detail
        )
    question = AttemptChange(
        attempt_id=ids.derive(fact.refund_id, "attempt"),
        step="refund",
        ordinal=1,
        amount_minor=fact.amount_minor,
        asked_at=fact.requested_at,
        subject_id=fact.refund_id,
        connector=payment.connector,
        authorisation=payment.authorisation,
    )
    return Change(payment, "refund.booked", detail=detail, attempts=(question,))


def refused(payment: Payment, fact: RefundRefused, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger took nothing."""
    if not _is_pending(payment, fact.amount_minor):
        return None
    detail = {"refund_minor": str(fact.amount_minor), "code": fact.code}
    return _failed(payment, fact.refund_id, fact.amount_minor, None, fact.code, name="refund.refused", detail=detail)


def by_acquirer(payment: Payment, fact: AcquirerRefunded, now: datetime, deadlines: Deadlines) -> Change | None:
    """The acquirer gives it back."""
    attempt = fact.attempt
    if not _is_pending(payment, attempt.amount_minor) or attempt.subject_id is None:
        return None
    change = _succeeded(
        payment,
        attempt.subject_id,
        attempt.amount_minor,
        attempt.connector,
        fact.requested_at,
        name="attempt.succeeded",
        detail=about(attempt),
    )
    return replace(change, outgoing=(*resolved(payment, attempt, "succeeded"), *change.outgoing))


def refused_by_acquirer(
    payment: Payment, fact: AcquirerRefusedRefund, now: datetime, deadlines: Deadlines
) -> Change | None:
    """The acquirer gave nothing back: certainly, and for good."""
    attempt = fact.attempt
    if not _is_pending(payment, attempt.amount_minor) or attempt.subject_id is None:
        return None
    change = _failed(
        payment,
        attempt.subject_id,
        attempt.amount_minor,
        attempt.connector,
        fact.code,
        name="attempt.failed",
        detail=about(attempt, code=fact.code),
    )
    return replace(change, outgoing=(*resolved(payment, attempt, "failed"), *change.outgoing))


def _is_pending(payment: Payment, amount_minor: int) -> bool:
    return payment.state in REFUNDABLE and payment.refund_pending_minor >= amount_minor


def _succeeded(
    payment: Payment,
    refund_id: UUID,
    amount_minor: int,
    acquirer: str | None,
    requested_at: datetime,
    *,
    name: str,
    detail: dict[str, Any],
) -> Change:
    after = replace(
        payment,
        refund_pending_minor=payment.refund_pending_minor - amount_minor,
        amount_refunded_minor=payment.amount_refunded_minor + amount_minor,
    )
    announced = event(
        payment,
        events.RefundSucceeded,
        refund_id=refund_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        acquirer=acquirer,
        requested_at=requested_at,
    )
    record = RefundChange(refund_id, None, amount_minor, "succeeded")
    return Change(after, name, (announced,), detail=detail, refunds=(record,))


def _failed(
    payment: Payment,
    refund_id: UUID,
    amount_minor: int,
    acquirer: str | None,
    code: str,
    *,
    name: str,
    detail: dict[str, Any],
) -> Change:
    after = replace(payment, refund_pending_minor=payment.refund_pending_minor - amount_minor)
    announced = event(
        payment,
        events.RefundFailed,
        refund_id=refund_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        acquirer=acquirer,
        failure_code=code,
    )
    record = RefundChange(refund_id, None, amount_minor, "failed", code)
    return Change(after, name, (announced,), detail=detail, refunds=(record,))
