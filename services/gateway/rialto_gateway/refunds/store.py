"""Refunds in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.payments.chapters.change import RefundChange

QUERIES = load_queries(__package__)


class PostgresRefunds:
    """The refunds' table, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, changes: Sequence[tuple[UUID, RefundChange]], now: datetime) -> None:
        """Insert the refunds asked for; resolve those that have an outcome."""
        asked = [(payment_id, change) for payment_id, change in changes if change.state == "pending"]
        resolved = [change for _, change in changes if change.state != "pending"]
        if asked:
            await self._connection.execute(
                QUERIES["record"],
                now,
                [payment_id for payment_id, _ in asked],
                [change.refund_id for _, change in asked],
                [change.ordinal for _, change in asked],
                [change.amount_minor for _, change in asked],
                [change.reason for _, change in asked],
                [change.metadata for _, change in asked],
            )
        if resolved:
            await self._connection.execute(
                QUERIES["resolve"],
                now,
                [change.refund_id for change in resolved],
                [change.state for change in resolved],
                [change.failure_code for change in resolved],
            )

    async def made_under(self, payment_id: UUID, key: str, request_hash: bytes) -> UUID | None:
        """Return the refund that was asked for before under the key, if any. Raises: IdempotencyKeyReused."""
        row = await self._connection.fetchrow(QUERIES["by_key"], payment_id, key)
        return found_under(row, request_hash)

    async def name(self, refund_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of a refund just recorded, and what it stands for."""
        await self._connection.execute(QUERIES["name"], refund_id, key, request_hash)


class PostgresRefundReader:
    """Reads of committed refunds, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, refund_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a refund; None where there is none for this caller."""
        row: Mapping[str, Any] | None = await self._pool.fetchrow(QUERIES["get"], refund_id, merchant_id, mode)
        return row

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's refunds."""
        return await self._pool.fetch(QUERIES["of_payment"], payment_id)

    async def answered(self, refund_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these refunds are no longer pending."""
        return [row["refund_id"] for row in await self._pool.fetch(QUERIES["answered"], list(refund_ids))]


def found_under(row: Mapping[str, Any] | None, request_hash: bytes) -> UUID | None:
    """Return the refund of a row found by its key. Raises: IdempotencyKeyReused: the key stands for another."""
    if row is None:
        return None
    if row["request_hash"] != request_hash:
        raise IdempotencyKeyReused("this Idempotency-Key was used for another refund; use a new key")
    refund_id: UUID = row["refund_id"]
    return refund_id
