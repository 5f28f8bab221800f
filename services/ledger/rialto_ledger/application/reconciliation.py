"""Reconciliation: take in what others report, and compare each closed day with what the ledger has of it itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.control.reporter import TotalsReporter
from rialto_common.control.totals import Report, Total, TotalKey
from rialto_common.events import Event
from rialto_common.events.payments import PaymentTotalsReported
from rialto_common.events.settlements import SettlementTotalsReported
from rialto_common.events.totals import ControlTotals
from rialto_common.runtime import Runtime
from rialto_ledger.adapters.control import PostgresControl, PostgresDifferences
from rialto_ledger.adapters.control import Report as Told
from rialto_ledger.domain.control import compare
from rialto_ledger.metrics import DifferenceMetrics

SOURCES: Mapping[str, str] = {
    PaymentTotalsReported.type: "gateway",
    SettlementTotalsReported.type: "chain_bridge",
}
"""The events that are taken in, and who tells them."""

Handle = Callable[[PostgresTransaction, Sequence[Event]], Awaitable[None]]


def beside(handle: Handle, runtime: Runtime) -> Handle:
    """Return a handler that keeps others' totals, and hands all other events on.

    In the ledger's one group, as a second one would read every payment's events once more.
    """

    async def both(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        reports = [event for event in events if event.type in SOURCES]
        if reports:
            await PostgresControl(transaction.connection).keep_reported(newest(reports), runtime.now())
        others = [event for event in events if event.type not in SOURCES]
        if others:
            await handle(transaction, others)

    return both


def newest(events: Sequence[Event]) -> list[Told]:
    """Return what the events say, only the highest revision of each source and key.

    Raises: MalformedEvent.
    """
    latest: dict[tuple[str, TotalKey], Told] = {}
    for event in events:
        data = event.read(ControlTotals)
        source, key = SOURCES[event.type], TotalKey(data.merchant_id, data.mode, data.currency, data.day)
        totals = {total.kind: Total(total.amount_minor, total.count) for total in data.totals}
        before = latest.get((source, key))
        if before is None or before[2] < data.revision:
            latest[source, key] = (source, key, data.revision, totals)
    return list(latest.values())


async def reconcile(
    transaction: PostgresTransaction, day: date, ours: Mapping[TotalKey, Report], now: datetime
) -> None:
    """Compare a day, and keep what is new of its differences."""
    control = PostgresControl(transaction.connection)
    known = await control.lock_differences(day)
    changed = compare(ours, await control.reported(day), known, now)
    if changed:
        await control.keep_differences(changed)


class Reconciler:
    """The loop: a day a step, and how many differences are open."""

    def __init__(
        self,
        reporter: TotalsReporter,
        differences: PostgresDifferences,
        metrics: DifferenceMetrics,
        runtime: Runtime,
    ) -> None:
        """`reporter` goes on with `reconcile` after each day it has told."""
        self._reporter = reporter
        self._differences = differences
        self._metrics = metrics
        self._runtime = runtime

    async def step(self) -> float:
        """Look at one day."""
        pause = await self._reporter.step()
        self._metrics.open(await self._differences.open(), self._runtime.now())
        return pause
