"""The same in memory, for tests and simulation. Histories are kept packed, as the database keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.events import Event
from rialto_fraud.adapters.history_codec import pack, unpack
from rialto_fraud.domain.assessment import Assessment
from rialto_fraud.domain.history import History


@dataclass
class FraudStore:
    """Everything this service keeps."""

    histories: dict[str, bytes] = field(default_factory=dict)
    assessments: dict[UUID, Assessment] = field(default_factory=dict)


class MemoryHistories:
    """Changes show once the transaction commits; transactions of the simulation do not overlap."""

    def __init__(self, store: FraudStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._transaction = transaction

    async def lock(self, subjects: Collection[str]) -> dict[str, History]:
        """Return the histories, empty where there is none."""
        return {subject: unpack(self._store.histories.get(subject, b"")) for subject in sorted(subjects)}

    async def save(self, histories: Mapping[str, History]) -> None:
        """Replace the histories."""
        packed = {subject: pack(history) for subject, history in histories.items()}
        self._transaction.on_commit(lambda: self._store.histories.update(packed))


class MemoryAssessments:
    """Keeps verdicts; they show once the transaction commits."""

    def __init__(self, store: FraudStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._transaction = transaction

    async def known(self, payment_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these payments have been assessed."""
        return self._store.assessments.keys() & set(payment_ids)

    async def save(self, assessments: Sequence[Assessment]) -> None:
        """Keep new verdicts."""
        new = {assessment.payment_id: assessment for assessment in assessments}
        self._transaction.on_commit(lambda: self._store.assessments.update(new))

    async def find(self, payment_id: UUID) -> Assessment | None:
        """Return a payment's verdict."""
        return self._store.assessments.get(payment_id)


class MemoryUnit:
    """The handler's view of one transaction in memory."""

    def __init__(self, store: FraudStore, transaction: MemoryTransaction) -> None:
        self._transaction = transaction
        self.histories = MemoryHistories(store, transaction)
        self.assessments = MemoryAssessments(store, transaction)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)
