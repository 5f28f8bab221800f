"""Attempts in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, Pool, load_queries
from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.attempts.ports import Standing
from rialto_gateway.payments.chapters.change import AttemptChange

QUERIES = load_queries(__package__)


class PostgresAttempts:
    """The attempts' table, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def queue(self, changes: Sequence[tuple[UUID, AttemptChange]], now: datetime) -> None:
        """Record attempts, to be sent at once."""
        await self._connection.execute(
            QUERIES["queue"],
            now,
            [payment_id for payment_id, _ in changes],
            [change.attempt_id for _, change in changes],
            [change.step for _, change in changes],
            [change.ordinal for _, change in changes],
            [change.subject_id for _, change in changes],
            [change.connector for _, change in changes],
            [change.authorisation for _, change in changes],
            [change.amount_minor for _, change in changes],
            [change.final for _, change in changes],
            [change.asked_at for _, change in changes],
        )

    async def lock(self, attempt_id: UUID) -> Attempt | None:
        """Load an attempt, locked."""
        row = await self._connection.fetchrow(QUERIES["lock"], attempt_id)
        return None if row is None else _attempt(row)

    async def save(self, attempt: Attempt) -> None:
        """Write an attempt back."""
        await self._connection.execute(
            QUERIES["save"],
            attempt.id,
            attempt.connector,
            attempt.state,
            attempt.code,
            attempt.connector_code,
            attempt.connector_reference,
            attempt.url,
            attempt.asks,
            attempt.started_at,
            attempt.unknown_since,
            attempt.answered_at,
            attempt.overdue_at,
            attempt.due_at,
        )


class PostgresAttemptReader:
    """Reads and claims, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        """Take attempts that are due."""
        rows = await self._pool.fetch(QUERIES["claim"], now, until, limit)
        return [_attempt(row) for row in sorted(rows, key=lambda row: (row["created_at"], row["attempt_id"]))]

    async def find(self, attempt_id: UUID) -> Attempt | None:
        """Return an attempt, or None."""
        row = await self._pool.fetchrow(QUERIES["find"], attempt_id)
        return None if row is None else _attempt(row)

    async def of_payment(self, payment_id: UUID) -> Sequence[Attempt]:
        """Return a payment's attempts, the oldest first."""
        return [_attempt(row) for row in await self._pool.fetch(QUERIES["of_payment"], payment_id)]

    async def card(self, payment_id: UUID) -> str | None:
        """Return what is kept of a payment's card."""
        card: str | None = await self._pool.fetchval(QUERIES["card"], payment_id)
        return card

    async def unknown(self, limit: int) -> Sequence[Attempt]:
        """Return attempts whose outcome is unknown now, the oldest first."""
        return [_attempt(row) for row in await self._pool.fetch(QUERIES["unknown"], limit)]

    async def bring_back(self, now: datetime, latest: datetime) -> int:
        """Make due now what is due after `latest`."""
        return len(await self._pool.fetch(QUERIES["bring_back"], now, latest))

    async def standing(self) -> Sequence[Standing]:
        """Return the attempts that are unknown now."""
        rows = await self._pool.fetch(QUERIES["standing"])
        return [Standing(row["step"], row["connector"], row["count"], row["since"], row["overdue"]) for row in rows]


def _attempt(row: Any) -> Attempt:
    return Attempt(
        id=row["attempt_id"],
        payment_id=row["payment_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        currency=row["currency"],
        step=row["step"],
        ordinal=row["ordinal"],
        subject_id=row["subject_id"],
        connector=row["connector"],
        authorisation=row["acquirer_authorisation"],
        amount_minor=int(row["amount_minor"]),
        final=row["final"],
        state=row["state"],
        code=row["code"],
        connector_code=row["connector_code"],
        connector_reference=row["connector_reference"],
        url=row["url"],
        asks=row["asks"],
        asked_at=row["asked_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        unknown_since=row["unknown_since"],
        answered_at=row["answered_at"],
        overdue_at=row["overdue_at"],
        due_at=row["due_at"],
    )
