"""How payouts go on as their payments do, within the transaction that moves those."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from rialto_common import ids
from rialto_common.events.envelope import Event, EventData, compose
from rialto_common.events.payouts import PayoutFailed, PayoutPaid
from rialto_gateway.payouts.payout import Line, Payout
from rialto_gateway.payouts.ports import Payouts
from rialto_gateway.source import SOURCE
from rialto_gateway.webhooks.messages import Messages


class ProgressUnit(Protocol):
    """What is needed of a unit of work."""

    @property
    def payouts(self) -> Payouts: ...

    @property
    def messages(self) -> Messages: ...


@dataclass(frozen=True, slots=True)
class PayoutMessage:
    """A payout as it is after an event."""

    payout: Payout
    event: Event
    at: datetime

    @property
    def merchant_id(self) -> UUID:
        """The merchant that is told."""
        return self.payout.merchant_id

    @property
    def mode(self) -> str:
        """The mode that it happened in."""
        return self.payout.mode

    @property
    def object_id(self) -> UUID:
        """The payout, whose messages are told in order."""
        return self.payout.id

    @property
    def data(self) -> dict[str, Any]:
        """Return the payout as the message shows it."""
        payout = self.payout
        return {
            "id": ids.to_text("po", payout.id),
            "object": "payout",
            "merchant_id": ids.to_text("mer", payout.merchant_id),
            "mode": payout.mode,
            "status": payout.state,
            "failure_code": payout.failure_code,
            "amount_minor": str(payout.amount_minor),
            "currency": payout.currency,
            "payments": payout.payments,
            "sequence": self.event.sequence,
        }


async def progress(
    unit: ProgressUnit, lines: Sequence[Line], *, now: datetime, counted: Sequence[UUID] = ()
) -> list[Event]:
    """Record how payments of payouts stand, and tell which payouts have ended by it; return the events to publish.

    Args: counted: payouts to count anew though none of their payments has moved.
    """
    outgoing, told = [], []
    for before, after in await unit.payouts.move(lines, counted, now):
        if after.sequence == before.sequence:
            continue
        event = event_of(after, _outcome(after), now)
        outgoing.append(event)
        told.append(PayoutMessage(after, event, now))
    if told:
        await unit.messages.enqueue(told)
    return outgoing


def event_of(payout: Payout, data: EventData, now: datetime) -> Event:
    """Return an event about a payout, under the number that the payout has come to."""
    return compose(
        data,
        source=SOURCE,
        root=payout.id,
        key=ids.to_text("po", payout.id),
        shard=ids.shard_of(payout.merchant_id),
        time=now,
        sequence=payout.sequence,
        ordinal=payout.sequence,
    )


def facts_of(payout: Payout) -> dict[str, Any]:
    """Return what every event of a payout names."""
    return {
        "payout_id": payout.id,
        "merchant_id": payout.merchant_id,
        "mode": payout.mode,
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "payments": payout.payments,
    }


def _outcome(payout: Payout) -> EventData:
    if payout.state == "paid":
        return PayoutPaid(**facts_of(payout))
    return PayoutFailed(**facts_of(payout), failure_code=payout.failure_code or "settlement_failed")
