"""Apply facts and commands to payments: load → decide → save → tell the others. The deciding is in `machine.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.events import compliance, fraud, ledger, settlements
from rialto_common.events.common import COMPLIANCE, FRAUD, LEDGER, SETTLEMENTS
from rialto_common.events.envelope import Event, EventData, compose
from rialto_common.runtime import Runtime
from rialto_gateway.payments import machine
from rialto_gateway.payments.facts import (
    AuthorisationRefused,
    CaptureBooked,
    CaptureRefused,
    ComplianceVerdict,
    Fact,
    FraudVerdict,
    HoldCaptured,
    HoldExpired,
    HoldIncreased,
    HoldPlaced,
    HoldVoided,
    IncrementRefused,
    RefundBooked,
    RefundRefused,
    SettlementConfirmed,
    SettlementFailed,
    SettlementReorged,
    SettlementSubmitted,
)
from rialto_gateway.payments.machine import AttemptChange, CaptureChange, Deadlines, IncrementChange, RefundChange
from rialto_gateway.payments.ports import TimelineLine, Unit
from rialto_gateway.payments.states import Payment
from rialto_gateway.payouts.payout import Line
from rialto_gateway.payouts.ports import HeldBack
from rialto_gateway.payouts.progress import progress
from rialto_gateway.pricing.price import Fee
from rialto_gateway.source import SOURCE
from rialto_gateway.webhooks.messages import MESSAGES, Message

log = structlog.get_logger()

TOPICS = (FRAUD, COMPLIANCE, LEDGER, SETTLEMENTS)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A fact about a payment, and what brought it: an event, or an actor such as a merchant, an acquirer or the clock.

    `reference` is what stands as the cause on the timeline where no event does: an attempt's id.
    """

    payment_id: UUID
    fact: Fact
    cause: Event | None = None
    actor: str = "merchant"
    reference: str | None = None


Tx_contra = TypeVar("Tx_contra", contravariant=True)


class FactHandler(Generic[Tx_contra]):
    """Handles the other services' events: the consumer's handler."""

    def __init__(self, unit_of: Callable[[Tx_contra], Unit], runtime: Runtime, deadlines: Deadlines) -> None:
        """`unit_of` gives the gateway's view of a transaction that the consumer opened."""
        self._unit_of = unit_of
        self._runtime = runtime
        self._deadlines = deadlines

    async def handle(self, transaction: Tx_contra, events: Sequence[Event]) -> None:
        """Apply what a batch of events says, in order.

        Raises: MalformedEvent; InvariantViolated: an event about a payment that does not exist.
        """
        occurrences = [occurrence for event in events if (occurrence := read_fact(event)) is not None]
        await apply_all(occurrences, self._unit_of(transaction), now=self._runtime.now(), deadlines=self._deadlines)


def read_fact(event: Event) -> Occurrence | None:
    """Return what an event says about a payment; None where it is none of the gateway's business."""
    reader = _READERS.get(event.type)
    if reader is None:
        return None
    payment_id, fact = reader(event)
    return None if fact is None else Occurrence(payment_id, fact, event, event.source.removeprefix("rialto."))


async def apply_all(
    occurrences: Sequence[Occurrence], unit: Unit, *, now: datetime, deadlines: Deadlines
) -> dict[UUID, Payment]:
    """Apply occurrences, in order, to their payments; return the payments as they are now.

    Raises: what the machine raises for commands; InvariantViolated for a fact about a payment that does not exist.
    """
    held = await unit.payments.lock(sorted({occurrence.payment_id for occurrence in occurrences}))
    changed: dict[UUID, Payment] = {}
    lines: list[TimelineLine] = []
    captures: list[tuple[UUID, CaptureChange]] = []
    refunds: list[tuple[UUID, RefundChange]] = []
    attempts: list[tuple[UUID, AttemptChange]] = []
    increments: list[tuple[UUID, IncrementChange]] = []
    paid_out: list[Line] = []
    charged: list[Fee] = []
    held_back: list[HeldBack] = []
    outgoing: list[Event] = []
    told: list[Message] = []
    for occurrence in occurrences:
        payment = held.get(occurrence.payment_id)
        if payment is None:
            raise InvariantViolated(f"there is no payment {occurrence.payment_id} for {type(occurrence.fact).__name__}")
        change = machine.apply(payment, occurrence.fact, now, deadlines)
        if change is None:
            continue
        after, line = _next_line(change.payment, change.name, change.detail, occurrence)
        for data in change.outgoing:
            after, event = _next_event(after, data, occurrence.cause, now)
            outgoing.append(event)
            if event.type in MESSAGES:
                told.append(Message(after, event, now))
        held[after.id] = changed[after.id] = after
        lines.append(line)
        captures.extend((after.id, capture) for capture in change.captures)
        refunds.extend((after.id, refund) for refund in change.refunds)
        attempts.extend((after.id, attempt) for attempt in change.attempts)
        increments.extend((after.id, increment) for increment in change.increments)
        if change.held_back_minor > 0:
            held_back.append(HeldBack(after.merchant_id, after.mode, after.currency, change.held_back_minor))
        charged.extend(change.fees)
        if change.payout is not None:
            paid_out.append(change.payout)
    if changed:
        await unit.payments.save(list(changed.values()), now)
        await unit.payments.add_timeline(lines, now)
        if captures:
            await unit.payments.record_captures(captures, now)
        if refunds:
            await unit.refunds.record(refunds, now)
        if increments:
            await unit.increments.record(increments, now)
        if attempts:
            await unit.attempts.queue(attempts, now)
        if told:
            await unit.messages.enqueue(told)
        if charged:
            await unit.pricing.charge(charged, now)
        if held_back:
            await unit.payouts.hold_back(held_back, now)
        if paid_out:
            outgoing += await progress(unit, paid_out, now=now)
        unit.publish(*outgoing)
    return held


def _next_line(
    payment: Payment, name: str, detail: dict[str, Any] | None, occurrence: Occurrence
) -> tuple[Payment, TimelineLine]:
    nth = payment.sequence + 1
    cause = occurrence.reference if occurrence.cause is None else str(occurrence.cause.id)
    line = TimelineLine(payment.id, nth, payment.state, name, cause, occurrence.actor, detail)
    return replace(payment, sequence=nth), line


def _next_event(payment: Payment, data: EventData, cause: Event | None, now: datetime) -> tuple[Payment, Event]:
    sequence = payment.sequence + 1
    event = compose(
        data,
        source=SOURCE,
        root=payment.id,
        key=ids.to_text("pay", payment.id),
        shard=payment.shard,
        time=now,
        sequence=sequence,
        ordinal=sequence,
        cause=cause,
    )
    return replace(payment, sequence=sequence), event


Read = tuple[UUID, Fact | None]


def _fraud_assessed(event: Event) -> Read:
    data = event.read(fraud.FraudAssessed)
    return data.payment_id, FraudVerdict(data.outcome)


def _compliance_screened(event: Event) -> Read:
    data = event.read(compliance.ComplianceScreened)
    return data.payment_id, ComplianceVerdict(data.outcome)


def _hold_placed(event: Event) -> Read:
    data = event.read(ledger.HoldPlaced)
    return data.payment_id, HoldPlaced(data.hold_id)


def _hold_captured(event: Event) -> Read:
    data = event.read(ledger.HoldCaptured)
    return data.payment_id, HoldCaptured(data.capture_id, data.amount_minor, data.final, data.fee_minor)


def _hold_increased(event: Event) -> Read:
    data = event.read(ledger.HoldIncreased)
    return data.payment_id, HoldIncreased(data.increment_id, data.amount_minor)


def _hold_increase_refused(event: Event) -> Read:
    data = event.read(ledger.HoldIncreaseRefused)
    return data.payment_id, IncrementRefused(data.increment_id, data.amount_minor, data.code)


def _hold_voided(event: Event) -> Read:
    data = event.read(ledger.HoldVoided)
    return data.payment_id, HoldVoided(data.amount_released_minor)


def _hold_expired(event: Event) -> Read:
    data = event.read(ledger.HoldExpired)
    return data.payment_id, HoldExpired(data.amount_released_minor)


def _posting_refused(event: Event) -> Read:
    data = event.read(ledger.PostingRefused)
    if data.step == "authorise":
        return data.payment_id, AuthorisationRefused(data.code)
    if data.step == "capture" and data.capture_id is not None and data.amount_minor is not None:
        return data.payment_id, CaptureRefused(data.capture_id, data.amount_minor, data.code, data.fee_minor)
    log.error("posting.refused", step=data.step, code=data.code, payment_id=event.key)
    return data.payment_id, None


def _capture_booked(event: Event) -> Read:
    data = event.read(ledger.CaptureBooked)
    return data.payment_id, CaptureBooked(data.capture_id, data.amount_minor, data.final, data.fee_minor)


def _refund_booked(event: Event) -> Read:
    data = event.read(ledger.RefundBooked)
    return data.payment_id, RefundBooked(data.refund_id, data.amount_minor, data.requested_at)


def _refund_refused(event: Event) -> Read:
    data = event.read(ledger.RefundRefused)
    return data.payment_id, RefundRefused(data.refund_id, data.amount_minor, data.code)


def _settlement_submitted(event: Event) -> Read:
    data = event.read(settlements.SettlementSubmitted)
    return data.payment_id, SettlementSubmitted(data.batch_id, data.chain_id, data.tx_hash)


def _settlement_confirmed(event: Event) -> Read:
    data = event.read(settlements.SettlementConfirmed)
    return data.payment_id, SettlementConfirmed(
        data.settlement_id,
        data.batch_id,
        data.chain_id,
        data.tx_hash,
        data.token,
        data.token_amount,
        data.block_number,
    )


def _settlement_reorged(event: Event) -> Read:
    return event.read(settlements.SettlementReorged).payment_id, SettlementReorged()


def _settlement_failed(event: Event) -> Read:
    data = event.read(settlements.SettlementFailed)
    return data.payment_id, SettlementFailed(data.code)


_READERS: dict[str, Callable[[Event], Read]] = {
    fraud.FraudAssessed.type: _fraud_assessed,
    compliance.ComplianceScreened.type: _compliance_screened,
    ledger.HoldPlaced.type: _hold_placed,
    ledger.HoldCaptured.type: _hold_captured,
    ledger.HoldIncreased.type: _hold_increased,
    ledger.HoldIncreaseRefused.type: _hold_increase_refused,
    ledger.HoldVoided.type: _hold_voided,
    ledger.HoldExpired.type: _hold_expired,
    ledger.PostingRefused.type: _posting_refused,
    ledger.CaptureBooked.type: _capture_booked,
    ledger.RefundBooked.type: _refund_booked,
    ledger.RefundRefused.type: _refund_refused,
    settlements.SettlementSubmitted.type: _settlement_submitted,
    settlements.SettlementConfirmed.type: _settlement_confirmed,
    settlements.SettlementReorged.type: _settlement_reorged,
    settlements.SettlementFailed.type: _settlement_failed,
}

TYPES = frozenset(_READERS)
"""The event types the gateway acts on."""
