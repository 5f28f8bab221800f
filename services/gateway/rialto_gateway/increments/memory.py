"""The increments' table in memory, under the same contract as PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.increments.store import is_same
from rialto_gateway.payments.chapters.change import IncrementChange
from rialto_gateway.payments.states import Payment

Row = dict[str, Any]


@dataclass
class IncrementRows:
    """Committed rows by increment id."""

    rows: dict[UUID, Row] = field(default_factory=dict)

    def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's increments, in the order of their ordinals."""
        rows = [row for row in self.rows.values() if row["payment_id"] == payment_id]
        return sorted(rows, key=lambda row: int(row["ordinal"]))


class MemoryIncrements:
    """One transaction's view of the table."""

    def __init__(
        self, committed: IncrementRows, payments: Mapping[UUID, Payment], transaction: MemoryTransaction
    ) -> None:
        """`payments` are the committed ones: an increment's payment was accepted long before."""
        self._committed = committed
        self._payments = payments
        self._mine: dict[UUID, Row] = {}
        transaction.on_commit(lambda: committed.rows.update(self._mine), unless=lambda: not self._mine)

    async def record(self, changes: Sequence[tuple[UUID, IncrementChange]], now: datetime) -> None:
        """Insert the increments asked for; resolve those that have an outcome. Raises: InvariantViolated."""
        for payment_id, change in changes:
            row = self._find(change.increment_id)
            if change.state != "pending":
                if row is not None:
                    outcome = {"state": change.state, "failure_code": change.failure_code, "updated_at": now}
                    self._mine[change.increment_id] = row | outcome
                continue
            if row is not None or payment_id not in self._payments:
                raise InvariantViolated(f"increment {change.increment_id} is there already, or its payment is not")
            self._mine[change.increment_id] = {
                "increment_id": change.increment_id,
                "payment_id": payment_id,
                "ordinal": change.ordinal,
                "amount_before_minor": change.amount_before_minor,
                "amount_minor": change.amount_minor,
                "state": "pending",
                "failure_code": None,
                "idempotency_key": None,
                "request_hash": None,
                "created_at": now,
                "updated_at": now,
            }

    async def asked_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this increment was asked for before under the key. Raises: IdempotencyKeyReused."""
        rows = (self._committed.rows | self._mine).values()
        named = [row for row in rows if (row["payment_id"], row["idempotency_key"]) == (payment_id, key)]
        return is_same(named[0] if named else None, request_hash)

    async def name(self, increment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of an increment just recorded, and what it stands for."""
        row = self._find(increment_id)
        if row is not None:
            self._mine[increment_id] = row | {"idempotency_key": key, "request_hash": request_hash}

    def _find(self, increment_id: UUID) -> Row | None:
        return self._mine.get(increment_id) or self._committed.rows.get(increment_id)


class NoMandates:
    """No payment was made by a mandate."""

    async def check_raised(self, payment_id: UUID, amount_minor: int, now: datetime) -> None:
        """Nothing was agreed."""
