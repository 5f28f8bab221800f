"""Messages to merchants in memory: for simulation and tests, under the same contract as PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.webhooks.messages import MESSAGES, Message, body_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who listens to what; no `events` means all."""

    endpoint_id: UUID
    merchant_id: UUID
    mode: str
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to an endpoint."""

    endpoint_id: UUID
    payment_id: UUID
    event: str
    body: str


@dataclass
class Deliveries:
    """The endpoints, and the messages in line by (event id, endpoint id)."""

    endpoints: list[Endpoint] = field(default_factory=list)
    queued: dict[tuple[UUID, UUID], Delivery] = field(default_factory=dict)


class MemoryMessages:
    """One transaction's messages."""

    def __init__(self, deliveries: Deliveries, transaction: MemoryTransaction) -> None:
        self._deliveries = deliveries
        self._new: dict[tuple[UUID, UUID], Delivery] = {}
        transaction.on_commit(lambda: deliveries.queued.update(self._new))

    async def enqueue(self, messages: Sequence[Message]) -> None:
        """Write one delivery a message and endpoint; nothing where nobody listens.

        Raises: InvariantViolated: the event was told to this endpoint before.
        """
        for message in messages:
            payment, name = message.payment, MESSAGES[message.event.type]
            for endpoint in self._deliveries.endpoints:
                if (endpoint.merchant_id, endpoint.mode) != (payment.merchant_id, payment.mode):
                    continue
                if endpoint.events and name not in endpoint.events:
                    continue
                key = (message.event.id, endpoint.endpoint_id)
                if key in self._new or key in self._deliveries.queued:
                    raise InvariantViolated(f"event {message.event.id} would be told twice")
                self._new[key] = Delivery(endpoint.endpoint_id, payment.id, name, body_of(message))
