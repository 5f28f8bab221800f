"""What delivering needs of storage: claim what may be sent now, record what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from rialto_gateway.webhooks.breaker import Breaker
from rialto_gateway.webhooks.retries import Outcome

LEASE = timedelta(seconds=60)
"""When an attempt whose process died is made again; longer than a call may take."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to send, as attempt number `attempt`; `tries` counts from when it was last put in line.

    `body` is kept in the API's version `written`, and sent in the endpoint's `api_version`.
    `secret` and `previous_secret` are encrypted; the second signs too, where it is not None.
    """

    delivery_id: UUID
    message_id: UUID
    endpoint_id: UUID
    attempt: int
    tries: int
    url: str
    body: str
    secret: bytes
    previous_secret: bytes | None
    created_at: datetime
    api_version: str
    written: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """What became of a claimed delivery, when it is due again (None: never), and a draw in [0, 1) for the breaker."""

    claimed: Claimed
    outcome: Outcome
    again: datetime | None
    draw: float

    @property
    def state(self) -> str:
        """What the delivery is after it."""
        if self.outcome.taken:
            return "delivered"
        return "given_up" if self.again is None else "pending"


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """An endpoint's breaker before and after."""

    endpoint_id: UUID
    before: Breaker
    after: Breaker


class DeliveryQueue(Protocol):
    """The deliveries in line.

    The first of each line (an endpoint and an object) alone may be claimed, and the next only once it is at its end:
    delivered or given up. Lines do not wait for one another but for their endpoint's room.
    """

    async def claim(self, now: datetime, slots: int) -> Sequence[Claimed]:
        """Claim up to so many deliveries that are due, fairly over their endpoints, each with a new attempt.

        They are due again after LEASE, should this process die: what became of such an attempt is unknown.
        """
        ...

    async def finish(self, attempted: Sequence[Attempted], now: datetime) -> Sequence[BreakerChange]:
        """Record attempts, move their lines on, and return the breakers that changed.

        An attempt whose lease has ended is recorded; what becomes of its delivery is for the attempt made since.
        """
        ...
