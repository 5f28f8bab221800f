"""The same in memory, for tests and simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.events import Event
from rialto_common.events.common import Sealed
from rialto_compliance.application.handlers import published_hits
from rialto_compliance.application.ports import KeptScreening, LoadedList, People, Screening
from rialto_compliance.domain.sanctions import SanctionsList


@dataclass
class ComplianceStore:
    """Everything this service keeps, and the names behind the parties that the tests invented."""

    screenings: dict[UUID, KeptScreening] = field(default_factory=dict)
    lists: dict[tuple[str, str], LoadedList] = field(default_factory=dict)
    names: dict[UUID, str | None] = field(default_factory=dict)


class MemoryPeople:
    """Knows the parties' names; a party that is not known was erased."""

    def __init__(self, names: Mapping[UUID, str | None]) -> None:
        self._names = names

    async def names(self, sealed: Sequence[Sealed]) -> list[str | None]:
        """Return each party's name."""
        return [self._names.get(item.party_id) for item in sealed]


class MemoryScreenings:
    """Keeps verdicts; they show once the transaction commits."""

    def __init__(self, store: ComplianceStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._transaction = transaction

    async def save(self, screenings: Sequence[Screening]) -> set[UUID]:
        """Keep each verdict once and return the payments that had none before."""
        new = {s.payment_id: kept(s) for s in reversed(screenings) if s.payment_id not in self._store.screenings}
        self._transaction.on_commit(lambda: self._store.screenings.update(new))
        return set(new)

    async def find(self, payment_id: UUID) -> KeptScreening | None:
        """Return a payment's screening."""
        return self._store.screenings.get(payment_id)


class MemoryLists:
    """Keeps which lists were in force when."""

    def __init__(self, store: ComplianceStore) -> None:
        self._store = store

    async def record(self, lists: Sequence[SanctionsList], loaded_at: datetime) -> None:
        """Note that these lists are in force from now on."""
        for source in lists:
            self._store.lists[source.list_id, source.version] = LoadedList(
                source.list_id, source.version, len(source.entities), source.name_count, loaded_at
            )

    async def in_force(self) -> list[LoadedList]:
        """Return the lists that were loaded last."""
        newest = max((loaded.loaded_at for loaded in self._store.lists.values()), default=None)
        in_force = [loaded for loaded in self._store.lists.values() if loaded.loaded_at == newest]
        return sorted(in_force, key=lambda loaded: loaded.list_id)


class MemoryUnit:
    """The handler's view of one transaction in memory."""

    def __init__(self, store: ComplianceStore, transaction: MemoryTransaction, people: People | None = None) -> None:
        """`people` reads the parties' names; by default those that the store was given."""
        self._transaction = transaction
        self.people: People = MemoryPeople(store.names) if people is None else people
        self.screenings = MemoryScreenings(store, transaction)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


def kept(screening: Screening) -> KeptScreening:
    """Return a screening in the form in which it is read back."""
    verdict = screening.verdict
    return KeptScreening(
        payment_id=screening.payment_id,
        merchant_id=screening.merchant_id,
        mode=screening.mode,
        outcome=verdict.outcome,
        hits=[hit.model_dump() for hit in published_hits(verdict)],
        rules=[asdict(rule) for rule in verdict.rules],
        list_versions=dict(screening.list_versions),
        policy_version=verdict.policy_version,
        screened_at=screening.screened_at,
    )
