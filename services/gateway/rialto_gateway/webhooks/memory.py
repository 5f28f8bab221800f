"""Messages and deliveries in memory: for simulation and tests, under the same contract as PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from rialto_common import ids
from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.versions import LATEST
from rialto_gateway.webhooks.breaker import Breaker, share
from rialto_gateway.webhooks.lines import IN_LINE, Delivery, sendable
from rialto_gateway.webhooks.messages import MESSAGES, Told, body_of, matches
from rialto_gateway.webhooks.ports import LEASE, Attempted, BreakerChange, Claimed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who listens to what; no `events` means all."""

    endpoint_id: UUID
    merchant_id: UUID
    mode: str
    events: frozenset[str] = frozenset()


@dataclass
class Deliveries:
    """The endpoints, the events told by id, the messages in line by (event id, endpoint id), the breakers."""

    endpoints: list[Endpoint] = field(default_factory=list)
    told: dict[UUID, tuple[UUID, str]] = field(default_factory=dict)
    """Merchant and name of each event."""

    queued: dict[tuple[UUID, UUID], Delivery] = field(default_factory=dict)
    breakers: dict[UUID, Breaker] = field(default_factory=dict)
    attempts: dict[tuple[UUID, int], str] = field(default_factory=dict)
    """The state of each attempt, by delivery and number."""


class MemoryMessages:
    """One transaction's messages."""

    def __init__(self, deliveries: Deliveries, transaction: MemoryTransaction) -> None:
        self._deliveries = deliveries
        self._told: dict[UUID, tuple[UUID, str]] = {}
        self._new: dict[tuple[UUID, UUID], Delivery] = {}
        transaction.on_commit(self._commit)

    async def enqueue(self, messages: Sequence[Told]) -> None:
        """Write one event a message, and one delivery a message and endpoint that listens.

        Raises: InvariantViolated: the event was told before.
        """
        for message in messages:
            name, event = MESSAGES[message.event.type], message.event
            if event.id in self._told or event.id in self._deliveries.told:
                raise InvariantViolated(f"event {event.id} would be told twice")
            self._told[event.id] = (message.merchant_id, name)
            for endpoint in self._deliveries.endpoints:
                same = (endpoint.merchant_id, endpoint.mode) == (message.merchant_id, message.mode)
                if same and matches(name, endpoint.events):
                    self._new[event.id, endpoint.endpoint_id] = Delivery(
                        ids.derive(event.id, str(endpoint.endpoint_id)),
                        endpoint.endpoint_id,
                        message.object_id,
                        name,
                        body_of(message),
                        line=message.object_id,
                        place=event.sequence,
                        created_at=message.at,
                        next_attempt_at=message.at,
                    )

    def _commit(self) -> None:
        self._deliveries.told.update(self._told)
        self._deliveries.queued.update(self._new)


class MemoryQueue:
    """The deliveries in line."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def claim(self, now: datetime, slots: int) -> Sequence[Claimed]:
        """Claim what is due."""
        by_endpoint: dict[UUID, list[Delivery]] = {}
        for delivery in self._deliveries.queued.values():
            by_endpoint.setdefault(delivery.endpoint_id, []).append(delivery)
        endpoints = sorted(by_endpoint, key=lambda endpoint_id: endpoint_id.bytes)
        breakers = [self._deliveries.breakers.get(endpoint_id, Breaker()) for endpoint_id in endpoints]
        ready = [sendable(by_endpoint[endpoint_id], now) for endpoint_id in endpoints]
        rooms = [
            min(breaker.room(now) - _under_way(by_endpoint[endpoint_id], now), len(waiting))
            for endpoint_id, breaker, waiting in zip(endpoints, breakers, ready, strict=True)
        ]
        claimed = []
        for endpoint_id, breaker, waiting, count in zip(endpoints, breakers, ready, share(slots, rooms), strict=True):
            claimed += [self._start(delivery, now) for delivery in waiting[:count]]
            if count and breaker.probe_at is not None:
                self._deliveries.breakers[endpoint_id] = breaker.probing(now + LEASE)
        return claimed

    async def finish(self, attempted: Sequence[Attempted], now: datetime) -> Sequence[BreakerChange]:
        """Record attempts and move their lines on."""
        changes: dict[UUID, BreakerChange] = {}
        by_id = {delivery.delivery_id: delivery for delivery in self._deliveries.queued.values()}
        for each in attempted:
            claimed = each.claimed
            delivery = by_id[claimed.delivery_id]
            self._deliveries.attempts[claimed.delivery_id, claimed.attempt] = each.outcome.state
            if delivery.state == "sending" and delivery.attempts == claimed.attempt:
                delivery.state = each.state  # type: ignore[assignment]
                delivery.next_attempt_at = None if each.outcome.taken else each.again
            before = self._deliveries.breakers.get(claimed.endpoint_id, Breaker())
            after = before.after(each.outcome.taken, now, each.draw)
            self._deliveries.breakers[claimed.endpoint_id] = after
            first = changes.get(claimed.endpoint_id, BreakerChange(claimed.endpoint_id, before, after)).before
            changes[claimed.endpoint_id] = BreakerChange(claimed.endpoint_id, first, after)
        return [change for change in changes.values() if change.before != change.after]

    def _start(self, delivery: Delivery, now: datetime) -> Claimed:
        interrupted = (delivery.delivery_id, delivery.attempts)
        if self._deliveries.attempts.get(interrupted) == "started":
            self._deliveries.attempts[interrupted] = "unknown"
        delivery.state, delivery.next_attempt_at = "sending", now + LEASE
        delivery.attempts += 1
        self._deliveries.attempts[delivery.delivery_id, delivery.attempts] = "started"
        return Claimed(
            delivery_id=delivery.delivery_id,
            message_id=delivery.delivery_id,
            endpoint_id=delivery.endpoint_id,
            attempt=delivery.attempts,
            tries=delivery.attempts,
            url="https://shop.example",
            body=delivery.body,
            secret=b"\x00",
            previous_secret=None,
            created_at=delivery.created_at,
            api_version=LATEST,
            written=LATEST,
        )


def _under_way(deliveries: Sequence[Delivery], now: datetime) -> int:
    return sum(
        delivery.state == "sending" and delivery.next_attempt_at is not None and delivery.next_attempt_at > now
        for delivery in deliveries
        if delivery.state in IN_LINE
    )
