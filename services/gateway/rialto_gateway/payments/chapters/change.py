"""What a fact makes of a payment, and what all chapters share."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.connectors.port import Step
from rialto_gateway.payments.facts import AttemptRef
from rialto_gateway.payments.states import (
    ASK_AGAIN_AFTER,
    ASK_AGAIN_AT_LEAST_EVERY,
    DEADLINES,
    FINAL,
    MAX_DOUBLINGS,
    Deadline,
    Payment,
    State,
)
from rialto_gateway.payouts.payout import Line
from rialto_gateway.payouts.payout import State as PayoutState
from rialto_gateway.pricing.price import Fee, FeeKind, Rate

ObjectState = Literal["pending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class CaptureChange:
    """A capture to record, or the outcome of one."""

    capture_id: UUID
    ordinal: int | None
    amount_minor: int
    final: bool
    state: ObjectState
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class IncrementChange:
    """An increment to record, or the outcome of one; it brings the payment to `amount_minor`."""

    increment_id: UUID
    ordinal: int | None
    amount_before_minor: int
    amount_minor: int
    state: ObjectState
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class RefundChange:
    """A refund to record, or the outcome of one; `reason` and `metadata` are the merchant's."""

    refund_id: UUID
    ordinal: int | None
    amount_minor: int
    state: ObjectState
    failure_code: str | None = None
    reason: str | None = None
    metadata: str = "{}"


@dataclass(frozen=True, slots=True)
class AttemptChange:
    """A question to put to an acquirer, once the payment is saved.

    `connector` is None where it is still to be chosen; `subject_id` is the increment, capture or refund it is
    about, `authorisation` the reference of what is raised, captured, voided or refunded, `asked_at` when the
    merchant asked for it.
    """

    attempt_id: UUID
    step: Step
    ordinal: int
    amount_minor: int
    asked_at: datetime
    subject_id: UUID | None = None
    connector: str | None = None
    authorisation: str | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What a fact made of a payment; `name` and `detail` go on its timeline.

    `fees` are what the merchant was charged. `held_back_minor` is what of a capture that was just booked goes into the
    merchant's rolling reserve.
    """

    payment: Payment
    name: str
    outgoing: tuple[EventData, ...] = ()
    captures: tuple[CaptureChange, ...] = ()
    detail: dict[str, Any] | None = None
    refunds: tuple[RefundChange, ...] = ()
    attempts: tuple[AttemptChange, ...] = ()
    increments: tuple[IncrementChange, ...] = ()
    payout: Line | None = None
    held_back_minor: int = 0
    fees: tuple[Fee, ...] = ()


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


def enter(payment: Payment, state: State, reason: str | None, now: datetime, deadlines: Deadlines) -> Payment:
    """Return the payment in another state, with that state's deadline."""
    return replace(payment, state=state, reason=reason, deadline_at=deadlines.of(state, now), asked=0)


def ask(payment: Payment, now: datetime) -> Payment:
    """Count a question to another service and set when it is put again: ever more seldom, as each costs an event."""
    pause = min(ASK_AGAIN_AFTER * 2 ** min(payment.asked, MAX_DOUBLINGS), ASK_AGAIN_AT_LEAST_EVERY)
    return replace(payment, asked=payment.asked + 1, deadline_at=now + pause)


def end(payment: Payment, state: State, reason: str | None, decline_code: str | None = None) -> Payment:
    """Return the payment in a final state."""
    return replace(
        payment, state=state, reason=reason, decline_code=decline_code, deadline_at=None, next_action_url=None
    )


def event(payment: Payment, model: type[EventData], **fields: Any) -> EventData:
    """Return an event about a payment."""
    return model(payment_id=payment.id, merchant_id=payment.merchant_id, mode=payment.mode, **fields)


def decline(payment: Payment, code: str, name: str, detail: dict[str, Any]) -> Change:
    """Refuse a payment for good."""
    declined = end(payment, "declined", None, decline_code=code)
    return Change(declined, name, (event(payment, events.PaymentDeclined, decline_code=code),), detail=detail)


def resolved(payment: Payment, attempt: AttemptRef, outcome: str) -> tuple[EventData, ...]:
    """Return the event that tells what became of an unknown attempt; none where its outcome was never unknown."""
    if not attempt.was_unknown and not (attempt.step == "authorise" and payment.state == "unknown"):
        return ()
    return (event(payment, events.AttemptResolved, outcome=outcome, **told(payment, attempt)),)


def told(payment: Payment, attempt: AttemptRef) -> dict[str, Any]:
    """Return what an event tells of an attempt."""
    about: dict[str, Any] = {"step": attempt.step, "attempt_id": attempt.attempt_id, "acquirer": attempt.connector}
    if attempt.step in ("increment", "capture", "refund"):
        about |= {"amount_minor": attempt.amount_minor, "currency": payment.currency}
        about[f"{attempt.step}_id"] = attempt.subject_id
    return about


def about(attempt: AttemptRef, **more: Any) -> dict[str, Any]:
    """Return what a timeline line says of an attempt."""
    return {"step": attempt.step, "connector": attempt.connector, **more}


def line(payment: Payment, state: PayoutState, code: str | None = None) -> Line | None:
    """Return how the payment stands in its payout; None where it is in none."""
    return None if payment.payout_id is None else Line(payment.payout_id, payment.id, state, code)


def charge(payment: Payment, kind: FeeKind, subject_id: UUID, amount_minor: int, rate: Rate) -> tuple[Fee, ...]:
    """Return the fee of a capture or dispute; none where it is 0."""
    if amount_minor == 0:
        return ()
    whose = (payment.id, payment.merchant_id, payment.mode, payment.currency)
    return (Fee(subject_id, *whose, kind, amount_minor, rate),)


def void_at_acquirer(payment: Payment, connector: str | None, authorisation: str, now: datetime) -> AttemptChange:
    """Return the attempt that lets go of an authorisation; the payment must count it in `voids`."""
    ordinal = payment.voids + 1
    return AttemptChange(
        attempt_id=ids.derive(payment.id, "attempt.void", ordinal),
        step="void",
        ordinal=ordinal,
        amount_minor=payment.amount_minor,
        asked_at=now,
        connector=connector,
        authorisation=authorisation,
    )
