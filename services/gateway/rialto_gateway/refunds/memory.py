"""The refunds' table in memory, under the same contract as PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.payments.chapters.change import RefundChange
from rialto_gateway.payments.states import Payment
from rialto_gateway.refunds.store import found_under

Row = dict[str, Any]


@dataclass
class RefundRows:
    """Committed rows by refund id."""

    rows: dict[UUID, Row] = field(default_factory=dict)


class MemoryRefunds:
    """One transaction's view of the table."""

    def __init__(self, committed: RefundRows, payments: Mapping[UUID, Payment], transaction: MemoryTransaction) -> None:
        """`payments` are the committed ones: a refund's payment was accepted long before."""
        self._committed = committed
        self._payments = payments
        self._mine: dict[UUID, Row] = {}
        transaction.on_commit(lambda: committed.rows.update(self._mine), unless=lambda: not self._mine)

    async def record(self, changes: Sequence[tuple[UUID, RefundChange]], now: datetime) -> None:
        """Insert the refunds asked for; resolve those that have an outcome. Raises: InvariantViolated: one is there."""
        for payment_id, change in changes:
            row = self._find(change.refund_id)
            if change.state != "pending":
                if row is not None:
                    outcome = {"state": change.state, "failure_code": change.failure_code, "updated_at": now}
                    self._mine[change.refund_id] = row | outcome
                continue
            if row is not None:
                raise InvariantViolated(f"refund {change.refund_id} is there already")
            payment = self._payments[payment_id]
            self._mine[change.refund_id] = {
                "refund_id": change.refund_id,
                "payment_id": payment_id,
                "merchant_id": payment.merchant_id,
                "mode": payment.mode,
                "currency": payment.currency,
                "ordinal": change.ordinal,
                "amount_minor": change.amount_minor,
                "reason": change.reason,
                "metadata": change.metadata,
                "state": "pending",
                "failure_code": None,
                "idempotency_key": None,
                "request_hash": None,
                "created_at": now,
                "updated_at": now,
            }

    async def made_under(self, payment_id: UUID, key: str, request_hash: bytes) -> UUID | None:
        """Return the refund that was asked for before under the key, if any. Raises: IdempotencyKeyReused."""
        rows = (self._committed.rows | self._mine).values()
        named = [row for row in rows if (row["payment_id"], row["idempotency_key"]) == (payment_id, key)]
        return found_under(named[0] if named else None, request_hash)

    async def name(self, refund_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of a refund just recorded, and what it stands for."""
        row = self._find(refund_id)
        if row is not None:
            self._mine[refund_id] = row | {"idempotency_key": key, "request_hash": request_hash}

    def _find(self, refund_id: UUID) -> Row | None:
        return self._mine.get(refund_id) or self._committed.rows.get(refund_id)


class MemoryRefundReader:
    """Reads of committed refunds."""

    def __init__(self, committed: RefundRows) -> None:
        self._committed = committed

    async def get(self, refund_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a refund; None where there is none for this caller."""
        row = self._committed.rows.get(refund_id)
        if row is None or merchant_id not in (None, row["merchant_id"]) or mode not in (None, row["mode"]):
            return None
        return row

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's refunds, in the order of their ordinals."""
        rows = [row for row in self._committed.rows.values() if row["payment_id"] == payment_id]
        return sorted(rows, key=lambda row: int(row["ordinal"]))

    async def answered(self, refund_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these refunds are no longer pending."""
        rows = (self._committed.rows.get(refund_id) for refund_id in refund_ids)
        return [row["refund_id"] for row in rows if row is not None and row["state"] != "pending"]
