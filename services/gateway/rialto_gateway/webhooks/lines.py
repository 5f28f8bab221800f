"""The order of deliveries: which of an endpoint's may go now; pure, and what every `DeliveryQueue` does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

DeliveryState = Literal["pending", "waiting", "sending", "delivered", "given_up"]
IN_LINE = frozenset({"pending", "waiting", "sending"})
"""Not at its end: what comes after it in its line waits."""


@dataclass(slots=True)
class Delivery:
    """A message on its way to an endpoint."""

    delivery_id: UUID
    endpoint_id: UUID
    payment_id: UUID
    event: str
    body: str
    line: UUID
    place: int
    created_at: datetime
    state: DeliveryState = "pending"
    attempts: int = 0
    next_attempt_at: datetime | None = None


def is_first(delivery: Delivery, line: Iterable[Delivery]) -> bool:
    """Say whether nothing of its line comes before it."""
    return all(other.place >= delivery.place for other in line if other.state in IN_LINE)


def sendable(deliveries: Iterable[Delivery], now: datetime) -> list[Delivery]:
    """Return an endpoint's deliveries that may be sent now: due, and the first of their lines; the longest due first.

    One that is under way is due when its lease has ended.
    """
    lines: dict[UUID, list[Delivery]] = {}
    for delivery in deliveries:
        lines.setdefault(delivery.line, []).append(delivery)
    ready = [
        delivery
        for line in lines.values()
        for delivery in line
        if delivery.next_attempt_at is not None and delivery.next_attempt_at <= now and is_first(delivery, line)
    ]
    return sorted(ready, key=lambda delivery: (delivery.next_attempt_at, delivery.delivery_id))
