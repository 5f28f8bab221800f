"""Tells a service's control totals: a loop that derives closed days from the service's own tables, one day a step.

The tables are read again and again, so that a late fact, or a row that someone changed, becomes a new revision. What is
told is kept in the commit that tells it, so a crash between two steps loses nothing, and nothing is told twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from rialto_common import ids
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.totals import Report, Total, TotalKey, Totals, closed_days, revised, start_of
from rialto_common.database import Connection, load_queries
from rialto_common.events.common import Mode
from rialto_common.events.envelope import Event, compose
from rialto_common.events.totals import ControlTotals, KindTotal
from rialto_common.runtime import Runtime

PAUSE_SECONDS = 20.0
PAUSE_PER_SECOND_OF_WORK = 20
"""A day that takes long to read is read less often: it takes at most a twentieth of the database's time."""

Reports = Mapping[TotalKey, Report]
Then = Callable[[PostgresTransaction, date, Reports, datetime], Awaitable[None]]


class TotalsReporter:
    """Derives, compares with what was told last, and tells what is new, in one transaction a day."""

    def __init__(
        self,
        unit_of_work: PostgresUnitOfWork,
        *,
        schema: str,
        model: type[ControlTotals],
        derive: str,
        runtime: Runtime,
        metrics: ControlMetrics,
        then: Then | None = None,
    ) -> None:
        """`schema` has a table `control_totals` and names the source. `derive` is SQL from two instants to rows of
        merchant_id, mode, currency, kind, amount_minor and count. `then` goes on in the same transaction.
        """
        self._unit_of_work = unit_of_work
        self._schema = schema
        self._model = model
        self._derive = derive
        self._runtime = runtime
        self._metrics = metrics
        self._then = then
        self._queries = {
            name: text.replace("{schema}", schema) for name, text in load_queries(__package__ or "").items()
        }
        self._looked_at: dict[date, datetime] = {}

    async def step(self) -> float:
        """Look at the day that was not looked at for longest, the newest first."""
        now, began = self._runtime.now(), self._runtime.monotonic()
        days = closed_days(now)
        never = start_of(date.min)
        day = min(days, key=lambda each: self._looked_at.get(each, never))
        # Before the work: one day that cannot be read must not keep the others from their turn.
        self._looked_at = {each: at for each, at in self._looked_at.items() if each in days} | {day: now}
        reports = await self.look(day, now)
        if day == days[0] and reports is not None:
            self._metrics.newest_day(reports.values())
        return max(PAUSE_SECONDS, PAUSE_PER_SECOND_OF_WORK * (self._runtime.monotonic() - began))

    async def look(self, day: date, now: datetime) -> Reports | None:
        """Tell what is new of a day, and return all that is told of it; None while another worker is at it."""
        async with self._unit_of_work.begin() as transaction:
            connection = transaction.connection
            if not await connection.fetchval(self._queries["lock"]):
                return None
            derived = await self._derived(connection, day)
            told = {report.key: report for report in map(report_of, await connection.fetch(self._queries["told"], day))}
            new = revised(derived, told, await self._last_sequences(connection, derived, told), now)
            if new:
                await self._keep(connection, new, now)
                transaction.publish(*(self._event(report) for report in new))
            reports = told | {report.key: report for report in new}
            if self._then is not None:
                await self._then(transaction, day, reports, now)
        return reports

    async def _derived(self, connection: Connection, day: date) -> dict[TotalKey, Totals]:
        rows = await connection.fetch(self._derive, start_of(day), start_of(day + timedelta(days=1)))
        found: dict[TotalKey, dict[str, Total]] = {}
        for row in rows:
            key = TotalKey(row["merchant_id"], row["mode"], row["currency"], day)
            found.setdefault(key, {})[row["kind"]] = Total(int(row["amount_minor"]), row["count"])
        return dict(found)

    async def _last_sequences(
        self, connection: Connection, derived: Mapping[TotalKey, Totals], told: Reports
    ) -> dict[Any, int]:
        merchants = list({key.merchant_id for key in derived.keys() | told.keys()})
        rows = await connection.fetch(self._queries["last_sequences"], merchants)
        return {row["merchant_id"]: row["sequence"] for row in rows}

    async def _keep(self, connection: Connection, reports: list[Report], now: datetime) -> None:
        await connection.execute(
            self._queries["tell"],
            [report.key.merchant_id for report in reports],
            [report.key.mode for report in reports],
            [report.key.currency for report in reports],
            [report.key.day for report in reports],
            [report.revision for report in reports],
            [report.sequence for report in reports],
            [totals_json(report.totals) for report in reports],
            now,
        )

    def _event(self, report: Report) -> Event:
        key = report.key
        data = self._model(
            merchant_id=key.merchant_id,
            mode=mode_of(key.mode),
            currency=key.currency,
            day=key.day,
            revision=report.revision,
            totals=[
                KindTotal(kind=kind, amount_minor=total.amount_minor, count=total.count)
                for kind, total in sorted(report.totals.items())
            ],
        )
        return compose(
            data,
            source=f"rialto.{self._schema}",
            root=key.root,
            key=ids.to_text("mer", key.merchant_id),
            shard=ids.shard_of(key.merchant_id),
            time=report.told_at,
            sequence=report.sequence,
            ordinal=report.revision,
        )


def mode_of(text: str) -> Mode:
    """Return a mode that a column holds."""
    return "live" if text == "live" else "test"


def report_of(row: Mapping[str, Any]) -> Report:
    """Return a row of `control_totals`."""
    key = TotalKey(row["merchant_id"], row["mode"], row["currency"], row["day"])
    return Report(key, row["revision"], row["sequence"], totals_of(row["totals"]), row["told_at"])


def totals_json(totals: Totals) -> str:
    """Return totals as a column holds them; amounts as text, for they may be larger than a number of JSON's."""
    return orjson.dumps(
        {kind: {"amount_minor": str(total.amount_minor), "count": total.count} for kind, total in totals.items()}
    ).decode()


def totals_of(text: str) -> dict[str, Total]:
    """Read what `totals_json` wrote."""
    return {kind: Total(int(total["amount_minor"]), total["count"]) for kind, total in orjson.loads(text).items()}
