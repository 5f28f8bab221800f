"""What attempts need: their table inside a transaction, reads of what is committed, and the acquirers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.connectors.port import Answer, Connector
from rialto_gateway.payments.chapters.change import AttemptChange


@dataclass(frozen=True, slots=True)
class Standing:
    """How many attempts of a step at an acquirer are unknown, and since when the oldest is."""

    step: str
    connector: str
    count: int
    since: datetime
    overdue: int


class Attempts(Protocol):
    """The attempts' table, inside one transaction."""

    async def queue(self, changes: Sequence[tuple[UUID, AttemptChange]], now: datetime) -> None:
        """Record attempts of payments (payment id, attempt), to be sent at once."""
        ...

    async def lock(self, attempt_id: UUID) -> Attempt | None:
        """Load an attempt and keep others from changing it until the transaction ends; its payment is locked before."""
        ...

    async def save(self, attempt: Attempt) -> None:
        """Write an attempt back."""
        ...


class AttemptReader(Protocol):
    """Reads of committed attempts, and the claims of those that are due."""

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        """Take attempts that are due, the longest overdue first, and leave them to nobody else until the lease ends.

        An increment, capture or void waits for those of its payment that were asked for before it.
        """
        ...

    async def find(self, attempt_id: UUID) -> Attempt | None:
        """Return an attempt, or None."""
        ...

    async def of_payment(self, payment_id: UUID) -> Sequence[Attempt]:
        """Return a payment's attempts, the oldest first."""
        ...

    async def card(self, payment_id: UUID) -> str | None:
        """Return what is kept of a payment's card (see `cards.py`)."""
        ...

    async def unknown(self, limit: int) -> Sequence[Attempt]:
        """Return attempts whose outcome is unknown now, those that have been so for longest first."""
        ...

    async def bring_back(self, now: datetime, latest: datetime) -> int:
        """Make due now what is due after `latest`; return how many there were."""
        ...

    async def standing(self) -> Sequence[Standing]:
        """Return the attempts that are unknown now, by step and acquirer."""
        ...


@dataclass(frozen=True, slots=True)
class RouteAsked:
    """What a route is chosen by: a payment's facts, and the acquirers it was put to before.

    `decline` is the code of the last one's decline, where it did not say itself that another may be asked.
    """

    payment_id: UUID
    mode: str
    amount_minor: int
    currency: str
    tried: Collection[str]
    method: str = "card"
    decline: str | None = None


class Connectors(Protocol):
    """The acquirers that this platform can speak to."""

    def takes_cards(self, mode: str) -> bool:
        """Whether a card can be charged at all in a mode."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all acquirers."""
        ...

    def named(self, name: str) -> Connector | None:
        """Return an acquirer by its name, also one that takes no new payments any more."""
        ...

    def choose(self, asked: RouteAsked) -> Connector | None:
        """Return the acquirer to ask for an authorisation; None where there is none that was not tried."""
        ...

    def sent(self, name: str) -> None:
        """Take note that a question goes to an acquirer."""
        ...

    def heard(self, name: str, answer: Answer) -> None:
        """Take note of what came of it, for the acquirer's health."""
        ...
