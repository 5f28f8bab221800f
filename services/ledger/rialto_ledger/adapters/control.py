"""What others report, and the differences, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from rialto_common.control.reporter import totals_json, totals_of
from rialto_common.control.totals import Total, TotalKey, Totals
from rialto_common.database import Connection, Pool, load_queries
from rialto_ledger.domain.account import Mode
from rialto_ledger.domain.control import Difference, DifferenceState, Reason, Reported

_QUERIES = load_queries(__package__, "control.sql")

TOTALS_BY_DAY = _QUERIES["totals_by_day"]

Report = tuple[str, TotalKey, int, Totals]
"""Source, key, revision and totals."""


class PostgresControl:
    """Reports and differences inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep_reported(self, reports: Sequence[Report], now: datetime) -> None:
        """Keep reports, each source and key once, where they are newer than what is kept."""
        await self._connection.execute(
            _QUERIES["keep_reported"],
            [source for source, _, _, _ in reports],
            [key.merchant_id for _, key, _, _ in reports],
            [key.mode for _, key, _, _ in reports],
            [key.currency for _, key, _, _ in reports],
            [key.day for _, key, _, _ in reports],
            [revision for _, _, revision, _ in reports],
            [totals_json(totals) for _, _, _, totals in reports],
            now,
        )

    async def reported(self, day: date) -> dict[str, dict[TotalKey, Reported]]:
        """Return what was reported of a day, by source."""
        found: dict[str, dict[TotalKey, Reported]] = {}
        for row in await self._connection.fetch(_QUERIES["reported"], day):
            report = Reported(totals_of(row["totals"]), row["received_at"])
            found.setdefault(row["source"], {})[_key_of(row)] = report
        return found

    async def lock_differences(self, day: date) -> dict[UUID, Difference]:
        """Return a day's differences; nobody explains one until the transaction ends."""
        rows = await self._connection.fetch(_QUERIES["lock_differences"], day)
        return {row["id"]: _difference_of(row) for row in rows}

    async def keep_differences(self, differences: Sequence[Difference]) -> None:
        """Write differences as they are now."""
        await self._connection.execute(
            _QUERIES["keep_differences"],
            [each.id for each in differences],
            [each.key.merchant_id for each in differences],
            [each.key.mode for each in differences],
            [each.key.currency for each in differences],
            [each.key.day for each in differences],
            [each.kind for each in differences],
            [each.source for each in differences],
            [str(each.ours.amount_minor) for each in differences],
            [each.ours.count for each in differences],
            [None if each.theirs is None else str(each.theirs.amount_minor) for each in differences],
            [None if each.theirs is None else each.theirs.count for each in differences],
            [each.reason for each in differences],
            [each.state for each in differences],
            [each.first_seen_at for each in differences],
            [each.last_seen_at for each in differences],
            [each.note for each in differences],
            [each.explained_by for each in differences],
        )


class PostgresDifferences:
    """Committed differences, each call on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self, mode: Mode, state: DifferenceState | None, limit: int) -> list[Difference]:
        """Return the differences of a mode, the longest standing first."""
        return [_difference_of(row) for row in await self._pool.fetch(_QUERIES["differences"], mode, state, limit)]

    async def one(self, difference_id: UUID, mode: Mode) -> Difference | None:
        """Return a difference, or None."""
        row = await self._pool.fetchrow(_QUERIES["difference"], difference_id, mode)
        return None if row is None else _difference_of(row)

    async def explain(self, difference_id: UUID, mode: Mode, note: str, explained_by: str) -> bool:
        """Note why the two differ; False where there is no such difference, or it is resolved."""
        return await self._pool.fetchval(_QUERIES["explain"], difference_id, mode, note, explained_by) is not None

    async def open(self) -> dict[tuple[str, str], tuple[int, datetime]]:
        """Return how many are open and since when, by kind and reason."""
        rows = await self._pool.fetch(_QUERIES["open_differences"])
        return {(row["kind"], row["reason"]): (row["count"], row["since"]) for row in rows}


def _key_of(row: Mapping[str, Any]) -> TotalKey:
    return TotalKey(row["merchant_id"], row["mode"], row["currency"], row["day"])


def _difference_of(row: Mapping[str, Any]) -> Difference:
    theirs = row["theirs_minor"]
    return Difference(
        id=row["id"],
        key=_key_of(row),
        kind=row["kind"],
        source=row["source"],
        ours=Total(int(row["ours_minor"]), row["ours_count"]),
        theirs=None if theirs is None else Total(int(theirs), row["theirs_count"]),
        reason=Reason(row["reason"]),
        state=DifferenceState(row["state"]),
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        note=row["note"],
        explained_by=row["explained_by"],
    )
