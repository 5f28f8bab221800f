"""The books' history in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Pool, load_queries
from rialto_ledger.adapters.postgres import PostgresReader
from rialto_ledger.domain.account import Account, AccountType, Mode, Side
from rialto_ledger.domain.statement import AsOf, Line, Period, Position, TrialLine, Turnover

_QUERIES = load_queries(__package__, "books_queries.sql")


class PostgresBooks:
    """Reads of the journal's history, each in one statement or, where it takes several, in one snapshot."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reader = PostgresReader(pool)

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account as it is now, or None."""
        return await self._reader.account(account_id)

    async def archived_until(self) -> datetime | None:
        """Return when the last of the archived entries was recorded."""
        until: datetime | None = await self._pool.fetchval(_QUERIES["archived_until"])
        return until

    async def turnover(self, account_id: UUID, as_of: AsOf, now: datetime) -> Turnover:
        """Return what was known of an account."""
        arguments = (account_id, as_of.effective_at, as_of.recorded_at, now)
        [row] = await self._pool.fetch(_QUERIES["turnover"], *arguments)
        return _turnover_of(row)

    async def opening(
        self, account_id: UUID, period: Period, limit: int, now: datetime
    ) -> tuple[Turnover, Turnover, Sequence[Line]]:
        """Return what was booked before a period, what in it, and its first lines."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            last_before = period.start - datetime.resolution
            [before] = await connection.fetch(_QUERIES["turnover"], account_id, None, last_before, now)
            [within] = await connection.fetch(_QUERIES["period_turnover"], account_id, period.start, period.end)
            first = Position.before(period.start)
            lines = await connection.fetch(_QUERIES["lines"], *_range(account_id, first, period.end, limit))
        return _turnover_of(before), _turnover_of(within), [_line_of(row) for row in lines]

    async def lines(self, account_id: UUID, after: Position, end: datetime, limit: int) -> Sequence[Line]:
        """Return an account's lines after a place and before an instant, in the order of their places."""
        found = await self._pool.fetch(_QUERIES["lines"], *_range(account_id, after, end, limit))
        return [_line_of(row) for row in found]

    async def trial_balance(self, mode: Mode, recorded_at: datetime | None, now: datetime) -> Sequence[TrialLine]:
        """Return all accounts of a mode, summed by code without owners."""
        found = await self._pool.fetch(_QUERIES["trial_balance"], mode, recorded_at, now)
        return [
            TrialLine(row["account"], AccountType(row["type"]), row["currency"], _turnover_of(row)) for row in found
        ]


def _range(account_id: UUID, after: Position, end: datetime, limit: int) -> tuple[Any, ...]:
    return account_id, after.recorded_at, after.entry_id, after.line, end, limit


def _turnover_of(row: Mapping[str, Any]) -> Turnover:
    return Turnover(int(row["debits_minor"]), int(row["credits_minor"]))


def _line_of(row: Mapping[str, Any]) -> Line:
    return Line(
        position=Position(row["recorded_at"], row["entry_id"], row["line"]),
        side=Side(row["side"]),
        amount_minor=int(row["amount_minor"]),
        kind=row["kind"],
        payment_id=row["payment_id"],
        effective_at=row["effective_at"],
    )
