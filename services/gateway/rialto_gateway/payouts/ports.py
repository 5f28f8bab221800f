"""What payouts need of storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from rialto_gateway.payouts.payout import Line, Payout, Waiting
from rialto_gateway.payouts.schedule import Terms


@dataclass(frozen=True, slots=True)
class Settings:
    """A merchant's terms in force, when what waits is looked at next, and how many payouts there have been."""

    merchant_id: UUID
    mode: str
    terms: Terms
    next_at: datetime | None
    payouts: int


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A share of captures that is held back for a while."""

    merchant_id: UUID
    mode: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Named:
    """The idempotency key that a payout is asked for under, and what it stands for."""

    key: str
    request_hash: bytes


class Payouts(Protocol):
    """The payouts' tables, inside one transaction; the payments in them are locked before."""

    async def lock_settings(self, merchant_id: UUID, mode: str) -> Settings | None:
        """Load a merchant's settings and keep others from changing them, and from making payouts, until the end."""
        ...

    async def save_settings(self, settings: Settings, now: datetime) -> None:
        """Write settings back, or for the first time."""
        ...

    async def hold_back(self, shares: Sequence[HeldBack], now: datetime) -> None:
        """Add to what is held back of today's captures."""
        ...

    async def waiting(self, merchant_id: UUID, mode: str, currency: str, limit: int) -> list[Waiting]:
        """Return payments that wait for a payout, the oldest first."""
        ...

    async def made_under(self, merchant_id: UUID, mode: str, named: Named) -> UUID | None:
        """Return the payout that was asked for before under the key, if any. Raises: IdempotencyKeyReused."""
        ...

    async def add(self, payout: Payout, payments: Sequence[Waiting], named: Named | None) -> None:
        """Record a payout with its payments."""
        ...

    async def move(self, lines: Sequence[Line], recount: Sequence[UUID], now: datetime) -> list[tuple[Payout, Payout]]:
        """Write how payments stand, and count these payouts anew; return each payout before and after, in id order."""
        ...


class PayoutReader(Protocol):
    """Reads of what is committed, as rows of `gateway.payouts`."""

    async def settings(self, merchant_id: UUID, mode: str) -> Settings | None:
        """Return a merchant's settings; None: those of everyone."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[Settings]:
        """Return settings whose next look is due, the longest overdue first."""
        ...

    async def currencies(self, merchant_id: UUID, mode: str) -> list[str]:
        """Return the currencies in which payments of a merchant wait."""
        ...

    async def pending_minor(self, merchant_id: UUID, mode: str, currency: str) -> int:
        """Return what of a merchant's money is captured and neither waits nor is paid."""
        ...

    async def held_minor(self, settings: Settings, currency: str, now: datetime) -> int:
        """Return what of a merchant's captures is held back now."""
        ...

    async def overdue(self, now: datetime, limit: int) -> list[UUID]:
        """Return payouts whose deadline has passed."""
        ...

    async def row(self, payout_id: UUID, merchant_id: UUID, mode: str) -> Mapping[str, Any] | None:
        """Return a payout; None where there is none for this caller."""
        ...

    async def page(
        self, merchant_id: UUID, mode: str, *, at: datetime, before: UUID, state: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return payouts before a place, the newest first."""
        ...

    async def payments(self, payout_id: UUID, after: UUID, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return a payout's payments after an id, in id order."""
        ...
