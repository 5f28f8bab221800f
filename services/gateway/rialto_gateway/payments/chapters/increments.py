"""Incremental authorisation: more is authorised under a payment that was, as for a hotel's guest or a bar's tab.

An increment names the new total, and there is one at a time: asked for twice, it raises the payment once. Where the
ledger or the acquirer says no, what was authorised before still is. Captures and voids that are asked for meanwhile are
sent after it, in order; a capture has to say how much, as what is left is not known.
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
    IncrementChange,
    about,
    event,
    resolved,
)
from rialto_gateway.payments.errors import (
    IncrementAboveLimit,
    IncrementNotAbove,
    IncrementUnderWay,
    PaymentNotIncrementable,
)
from rialto_gateway.payments.facts import (
    AcquirerIncremented,
    AcquirerRefusedIncrement,
    HoldIncreased,
    IncrementAsked,
    IncrementRefused,
)
from rialto_gateway.payments.states import Payment


def asked(payment: Payment, fact: IncrementAsked, now: datetime, deadlines: Deadlines) -> Change | None:
    """The merchant wants more to be authorised.

    Raises: PaymentNotIncrementable, IncrementUnderWay, IncrementNotAbove, IncrementAboveLimit.
    """
    if payment.capture_method != "manual" or payment.capturable_minor == 0:
        raise PaymentNotIncrementable(
            f"the payment is {payment.state} with {payment.capture_method} capture and {payment.capturable_minor} left "
            "to capture; only an authorised one with manual capture and something left can be raised"
        )
    if payment.increment_to_minor is not None:
        raise IncrementUnderWay(
            f"an increment to {payment.increment_to_minor} has no outcome yet; ask again once it has"
        )
    if fact.amount_minor <= payment.amount_minor:
        raise IncrementNotAbove(
            f"{payment.amount_minor} are authorised already; send the new total, above that", param="amount_minor"
        )
    assessed = payment.amount_assessed_minor or payment.amount_minor
    most = fact.limits.most(assessed)
    if fact.amount_minor > most:
        raise IncrementAboveLimit(
            f"a payment that was assessed with {assessed} can be raised to {most}; take what is above "
            "that as a payment of its own",
            param="amount_minor",
        )
    ordinal = payment.increments + 1
    increment_id = _id(payment, ordinal)
    waiting = replace(payment, increments=ordinal, increment_to_minor=fact.amount_minor, amount_assessed_minor=assessed)
    record = IncrementChange(increment_id, ordinal, payment.amount_minor, fact.amount_minor, "pending")
    detail = {"increment_to_minor": str(fact.amount_minor)}
    if payment.method == "card":
        question = AttemptChange(
            attempt_id=ids.derive(increment_id, "attempt"),
            step="increment",
            ordinal=ordinal,
            amount_minor=fact.amount_minor,
            asked_at=now,
            subject_id=increment_id,
            connector=payment.connector,
            authorisation=payment.authorisation,
        )
        return Change(waiting, "increment.requested", detail=detail, attempts=(question,), increments=(record,))
    request = event(
        payment,
        events.IncrementRequested,
        increment_id=increment_id,
        ordinal=ordinal,
        amount_minor=fact.amount_minor,
        currency=payment.currency,
    )
    return Change(waiting, "increment.requested", (request,), detail=detail, increments=(record,))


def hold_increased(payment: Payment, fact: HoldIncreased, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger holds more."""
    if not _is_under_way(payment, fact.increment_id):
        return None
    return _raised(payment, fact.increment_id, fact.amount_minor, None, "hold.increased", {})


def refused(payment: Payment, fact: IncrementRefused, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger holds no more than before."""
    if not _is_under_way(payment, fact.increment_id):
        return None
    return _not_raised(payment, fact.increment_id, fact.amount_minor, None, fact.code, "hold.increase_refused", {})


def by_acquirer(payment: Payment, fact: AcquirerIncremented, now: datetime, deadlines: Deadlines) -> Change | None:
    """The acquirer has authorised more."""
    attempt = fact.attempt
    if not _is_under_way(payment, attempt.subject_id) or attempt.subject_id is None:
        return None
    change = _raised(
        payment, attempt.subject_id, attempt.amount_minor, attempt.connector, "attempt.succeeded", about(attempt)
    )
    return replace(change, outgoing=(*resolved(payment, attempt, "succeeded"), *change.outgoing))


def refused_by_acquirer(
    payment: Payment, fact: AcquirerRefusedIncrement, now: datetime, deadlines: Deadlines
) -> Change | None:
    """The acquirer has authorised no more: certainly, and for good."""
    attempt = fact.attempt
    if not _is_under_way(payment, attempt.subject_id) or attempt.subject_id is None:
        return None
    change = _not_raised(
        payment,
        attempt.subject_id,
        attempt.amount_minor,
        attempt.connector,
        fact.code,
        "attempt.failed",
        about(attempt, code=fact.code),
    )
    return replace(change, outgoing=(*resolved(payment, attempt, "failed"), *change.outgoing))


def _id(payment: Payment, ordinal: int) -> UUID:
    return ids.derive(payment.id, "increment", ordinal)


def _is_under_way(payment: Payment, increment_id: UUID | None) -> bool:
    return payment.increment_to_minor is not None and increment_id == _id(payment, payment.increments)


def _answered(payment: Payment) -> Payment:
    """Take the answer to an increment; a reason that something else gave stays."""
    was_reason = payment.reason in ("increment_unknown", "increment_unanswered")
    return replace(payment, increment_to_minor=None, reason=None if was_reason else payment.reason)


def _raised(
    payment: Payment, increment_id: UUID, amount_minor: int, acquirer: str | None, name: str, detail: dict[str, Any]
) -> Change:
    before = payment.amount_minor
    after = replace(_answered(payment), amount_minor=amount_minor)
    announced = event(
        payment,
        events.PaymentIncremented,
        increment_id=increment_id,
        amount_before_minor=before,
        amount_minor=amount_minor,
        currency=payment.currency,
        acquirer=acquirer,
    )
    record = IncrementChange(increment_id, None, before, amount_minor, "succeeded")
    return Change(after, name, (announced,), detail=detail | {"amount_minor": str(amount_minor)}, increments=(record,))


def _not_raised(
    payment: Payment,
    increment_id: UUID,
    amount_minor: int,
    acquirer: str | None,
    code: str,
    name: str,
    detail: dict[str, Any],
) -> Change:
    announced = event(
        payment,
        events.PaymentIncrementFailed,
        increment_id=increment_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        failure_code=code,
        acquirer=acquirer,
    )
    record = IncrementChange(increment_id, None, payment.amount_minor, amount_minor, "failed", code)
    detail = detail | {"increment_to_minor": str(amount_minor), "code": code}
    return Change(_answered(payment), name, (announced,), detail=detail, increments=(record,))
