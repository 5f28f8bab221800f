"""Increments in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, load_queries
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.payments.chapters.change import IncrementChange

QUERIES = load_queries(__package__)


class PostgresIncrements:
    """The increments' table, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, changes: Sequence[tuple[UUID, IncrementChange]], now: datetime) -> None:
        """Insert the increments asked for; resolve those that have an outcome."""
        asked = [(payment_id, change) for payment_id, change in changes if change.state == "pending"]
        resolved = [change for _, change in changes if change.state != "pending"]
        if asked:
            await self._connection.execute(
                QUERIES["record"],
                now,
                [payment_id for payment_id, _ in asked],
                [change.increment_id for _, change in asked],
                [change.ordinal for _, change in asked],
                [change.amount_before_minor for _, change in asked],
                [change.amount_minor for _, change in asked],
            )
        if resolved:
            await self._connection.execute(
                QUERIES["resolve"],
                now,
                [change.increment_id for change in resolved],
                [change.state for change in resolved],
                [change.failure_code for change in resolved],
            )

    async def asked_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this increment was asked for before under the key. Raises: IdempotencyKeyReused."""
        row = await self._connection.fetchrow(QUERIES["by_key"], payment_id, key)
        return is_same(row, request_hash)

    async def name(self, increment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of an increment just recorded, and what it stands for."""
        await self._connection.execute(QUERIES["name"], increment_id, key, request_hash)


def is_same(row: Mapping[str, Any] | None, request_hash: bytes) -> bool:
    """Say whether an increment was found by its key. Raises: IdempotencyKeyReused: the key stands for another."""
    if row is not None and row["request_hash"] != request_hash:
        raise IdempotencyKeyReused("this Idempotency-Key was used for another increment; use a new key")
    return row is not None
