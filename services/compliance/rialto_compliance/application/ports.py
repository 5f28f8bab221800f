"""What the handlers need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_common.events import Event
from rialto_common.events.common import Mode, Sealed
from rialto_compliance.domain.rules import Outcome
from rialto_compliance.domain.sanctions import SanctionsList
from rialto_compliance.domain.screening import Verdict


@dataclass(frozen=True, slots=True)
class Screening:
    """A verdict as it is kept. `list_versions` holds every list that was asked, also those without a hit."""

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int
    verdict: Verdict
    list_versions: Mapping[str, str]
    screened_at: datetime


@dataclass(frozen=True, slots=True)
class KeptScreening:
    """A screening as it was read back: hits and rules in their published form."""

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    outcome: Outcome
    hits: Sequence[Mapping[str, object]]
    rules: Sequence[Mapping[str, object]]
    list_versions: Mapping[str, str]
    policy_version: str
    screened_at: datetime


@dataclass(frozen=True, slots=True)
class LoadedList:
    """A version of a list that is in force."""

    list_id: str
    version: str
    entities: int
    names: int
    loaded_at: datetime


class People(Protocol):
    """Reads sealed personal data."""

    async def names(self, sealed: Sequence[Sealed]) -> list[str | None]:
        """Return each party's name; None where the person was erased or gave none.

        Raises: SealBroken: a ciphertext was altered or moved.
        """
        ...


class Screenings(Protocol):
    """Keeps verdicts; part of the transaction."""

    async def save(self, screenings: Sequence[Screening]) -> set[UUID]:
        """Keep each verdict once and return the payments that had none before."""
        ...

    async def find(self, payment_id: UUID) -> KeptScreening | None:
        """Return a payment's screening."""
        ...


class Lists(Protocol):
    """Keeps which lists were in force when."""

    async def record(self, lists: Sequence[SanctionsList], loaded_at: datetime) -> None:
        """Note that these lists are in force from now on."""
        ...

    async def in_force(self) -> list[LoadedList]:
        """Return the lists that were loaded last."""
        ...


class Unit(Protocol):
    """One transaction of the handler."""

    @property
    def people(self) -> People: ...

    @property
    def screenings(self) -> Screenings: ...

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        ...
