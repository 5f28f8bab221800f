"""Closed days told and compared, on a real PostgreSQL: the ledger's worker, and two reporters played by the test."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.postgres import PostgresBus, PostgresTransaction, PostgresUnitOfWork
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.reporter import TotalsReporter
from rialto_common.control.totals import Total, TotalKey, start_of
from rialto_common.database import Pool, open_pool
from rialto_common.events import Event, compose
from rialto_common.events.common import PAYMENTS, SETTLEMENTS
from rialto_common.events.ledger import LedgerTotalsReported
from rialto_common.events.payments import PaymentTotalsReported
from rialto_common.events.settlements import SettlementTotalsReported
from rialto_common.events.totals import ControlTotals, KindTotal
from rialto_common.metrics import BusMetrics
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.control import TOTALS_BY_DAY, PostgresDifferences
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.application.reconciliation import SOURCES, Reconciler, beside, reconcile
from rialto_ledger.domain.commands import Command
from rialto_ledger.domain.control import REPORTED_WITHIN, SETTLES_WITHIN, Difference, DifferenceState, Reason
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES, LedgerConsumer
from rialto_ledger.metrics import DifferenceMetrics
from rialto_ledger.testing import NOW, Payment, Sender, merchant_id, open_wallet, top_up

from .api_world import MERCHANT, OPERATOR, World

LedgerOf = Callable[[PostgresTransaction], PostgresLedger]

DAY = NOW.date()
CLOSED = start_of(DAY + timedelta(days=1)) + timedelta(minutes=15)
SETTLED = CLOSED + SETTLES_WITHIN
KEY = TotalKey(merchant_id(), "test", "USD", DAY)


class Clock(SystemRuntime):
    """The real runtime, at a time that a test sets."""

    at = NOW

    def now(self) -> datetime:
        return self.at


@dataclass
class Books:
    """The ledger's worker, those who send to it, and the time."""

    clock: Clock
    pool: Pool
    unit_of_work: PostgresUnitOfWork
    outside: PostgresUnitOfWork
    consumer: Consumer[PostgresTransaction]
    reporter: TotalsReporter
    registry: CollectorRegistry
    owner: "asyncpg.Connection[Any]"
    sender: Sender = field(default_factory=Sender)
    reported: int = 0

    @property
    def differences(self) -> PostgresDifferences:
        return PostgresDifferences(self.pool)

    async def hear(self, *events: Event) -> None:
        """Let the ledger handle what others say."""
        async with self.outside.begin() as transaction:
            transaction.publish(*events)
        await self.consumer.step()

    async def capture(self, *payments: Payment) -> None:
        """Authorise and capture payments, whole."""
        async with self.unit_of_work.begin() as transaction:
            commands: list[Command] = [open_wallet(), top_up(0, 1_000_000)]
            await post(PostgresLedger(transaction.connection), commands, self.clock.now())
        for payment in payments:
            await self.hear(self.sender.approved(payment), self.sender.capture(payment))

    async def report(
        self, captured: Total | None = None, *, settled: Total | None = None, revision: int = 1, key: TotalKey = KEY
    ) -> Event:
        """Tell totals as the gateway, or the chain-bridge, would."""
        event = self.told(captured, settled=settled, revision=revision, key=key)
        await self.hear(event)
        return event

    def told(self, captured: Total | None, *, settled: Total | None, revision: int, key: TotalKey = KEY) -> Event:
        model: type[ControlTotals] = PaymentTotalsReported if settled is None else SettlementTotalsReported
        kind, total = ("captured", captured) if settled is None else ("settled", settled)
        assert total is not None
        self.reported += 1
        data = model(
            merchant_id=key.merchant_id,
            mode="test",
            currency=key.currency,
            day=key.day,
            revision=revision,
            totals=[KindTotal(kind=kind, amount_minor=total.amount_minor, count=total.count)],
        )
        return compose(
            data,
            source="rialto.gateway" if settled is None else "rialto.chain_bridge",
            root=key.root,
            key=ids.to_text("mer", key.merchant_id),
            shard=ids.shard_of(key.merchant_id),
            time=self.clock.now(),
            sequence=self.reported,
            ordinal=revision,
        )

    async def look(self, now: datetime, day: date = DAY) -> list[Difference]:
        """Look at a day at a time, and return every difference there has been."""
        self.clock.at = now
        await self.reporter.look(day, now)
        return await self.differences.all("test", None, 100)

    async def said(self) -> list[tuple[int, int, dict[str, tuple[int, int]]]]:
        """Return what the ledger itself has told: sequence, revision and totals."""
        rows = await self.pool.fetch(
            "SELECT sequence, data FROM bus.log WHERE type = $1 ORDER BY position", LedgerTotalsReported.type
        )
        told = [(row["sequence"], LedgerTotalsReported.model_validate_json(row["data"])) for row in rows]
        return [
            (sequence, data.revision, {each.kind: (each.amount_minor, each.count) for each in data.totals})
            for sequence, data in told
        ]


@pytest.fixture
async def books(database: Database, pool: Pool, ledger_of: LedgerOf) -> AsyncIterator[Books]:
    clock, registry = Clock(), CollectorRegistry()
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=clock)
    bus = PostgresBus(database.dsn("ledger"), SystemRuntime())
    consumer: Consumer[PostgresTransaction] = Consumer(
        group="ledger",
        types=HANDLED_TYPES | SOURCES.keys(),
        subscription=await bus.subscribe("ledger", [PAYMENTS, SETTLEMENTS], member="test"),
        unit_of_work=unit_of_work,
        handler=beside(LedgerConsumer(ledger_of, clock).handle, clock),
        runtime=clock,
        metrics=BusMetrics(CollectorRegistry()),
        wait_seconds=0.05,
    )
    reporter = TotalsReporter(
        unit_of_work,
        schema="ledger",
        model=LedgerTotalsReported,
        derive=TOTALS_BY_DAY,
        runtime=clock,
        metrics=ControlMetrics(registry),
        then=reconcile,
    )
    outside_pool = await open_pool(database.dsn("gateway"), application="test", max_size=2)
    outside = PostgresUnitOfWork(outside_pool, schema="gateway", runtime=clock)
    owner = await asyncpg.connect(database.superuser_dsn())
    yield Books(clock, pool, unit_of_work, outside, consumer, reporter, registry, owner)
    await owner.close()
    await consumer.close()
    outside_pool.terminate()


async def test_equal_totals_leave_no_row(books: Books) -> None:
    await books.capture(Payment(0, 1000), Payment(1, 250))
    await books.hear(books.sender.confirmed(Payment(0, 1000)))
    await books.report(Total(1250, 2))
    await books.report(settled=Total(1000, 1))
    assert await books.look(SETTLED) == []
    assert await books.said() == [(1, 1, {"captured": (1250, 2), "settled": (1000, 1)})]


async def test_a_tampered_amount_is_one_row_that_is_resolved_once_it_is_repaired(books: Books) -> None:
    await books.capture(Payment(0, 1000), Payment(1, 250))
    await books.report(Total(1250, 2))
    assert await books.look(SETTLED) == []
    tamper = "UPDATE ledger.postings SET amount_minor = $1 WHERE amount_minor = $2"
    await books.owner.execute(tamper, 251, 250)

    noticed = SETTLED + timedelta(hours=1)
    assert await books.look(noticed) == [], "the gateway may be about to say the same"
    (difference,) = await books.look(noticed + SETTLES_WITHIN)
    assert (difference.kind, difference.source, difference.reason) == ("captured", "gateway", Reason.AMOUNT_DIFFERS)
    assert (difference.ours, difference.theirs) == (Total(1251, 2), Total(1250, 2))
    assert (difference.state, difference.first_seen_at) == (DifferenceState.OPEN, noticed + SETTLES_WITHIN)

    await books.owner.execute(tamper, 250, 251)
    (resolved,) = await books.look(noticed + timedelta(hours=2))
    assert (resolved.id, resolved.state) == (difference.id, DifferenceState.RESOLVED)
    assert [(revision, totals["captured"]) for _, revision, totals in await books.said()] == [
        (1, (1250, 2)),
        (2, (1251, 2)),
        (3, (1250, 2)),
    ]


@pytest.mark.parametrize(
    ("theirs", "reason"), [(Total(1000, 1), Reason.MISSING_THERE), (Total(1350, 3), Reason.MISSING_HERE)]
)
async def test_a_capture_that_one_side_lacks_says_on_which(books: Books, theirs: Total, reason: Reason) -> None:
    await books.capture(Payment(0, 1000), Payment(1, 250))
    await books.report(theirs)
    await books.look(CLOSED)
    (difference,) = await books.look(SETTLED)
    assert (difference.reason, difference.ours, difference.theirs) == (reason, Total(1250, 2), theirs)


async def test_a_merchant_the_ledger_knows_nothing_of_is_a_difference(books: Books) -> None:
    await books.report(Total(700, 1))
    (difference,) = await books.look(SETTLED)
    assert (difference.reason, difference.ours) == (Reason.MISSING_HERE, Total(0, 0))


async def test_a_reporter_that_stays_silent_is_a_difference_until_it_speaks(books: Books) -> None:
    await books.capture(Payment(0, 1000))
    due = start_of(DAY + timedelta(days=1)) + REPORTED_WITHIN
    assert await books.look(CLOSED) == []
    assert await books.look(due - timedelta(seconds=1)) == []
    (silent,) = await books.look(due)
    assert (silent.reason, silent.theirs, silent.source) == (Reason.NOT_REPORTED, None, "gateway")
    await books.report(Total(1000, 1))
    (spoken,) = await books.look(due + timedelta(minutes=1))
    assert spoken.state is DifferenceState.RESOLVED


async def test_duplicates_and_older_revisions_change_nothing(books: Books) -> None:
    await books.capture(Payment(0, 1000))
    newest = books.told(Total(1000, 1), settled=None, revision=3)
    older = [books.told(Total(9, 9), settled=None, revision=number) for number in (1, 2)]
    await books.hear(older[0], newest, older[1], newest)
    await books.hear(newest, *older)
    await books.hear(books.told(Total(9, 9), settled=None, revision=3))  # the same event: its id has the revision
    assert await books.look(SETTLED) == []
    assert await books.pool.fetchval("SELECT array_agg(revision) FROM ledger.reported_totals") == [3]


async def test_a_late_capture_is_a_new_revision_of_the_day_it_was_asked_for(books: Books) -> None:
    await books.capture(Payment(0, 1000))
    await books.hear(books.sender.approved(Payment(1, 250)))
    await books.report(Total(1000, 1))
    assert await books.look(SETTLED) == []

    await books.hear(books.sender.capture(Payment(1, 250)))  # carries the time at which it was asked for: DAY
    assert await books.look(SETTLED + timedelta(hours=1)) == []
    await books.report(Total(1250, 2), revision=2)
    assert await books.look(SETTLED + timedelta(hours=5)) == []
    assert await books.said() == [(1, 1, {"captured": (1000, 1)}), (2, 2, {"captured": (1250, 2)})]


async def test_a_settlement_counts_where_it_stands_and_not_where_the_chain_took_it_back(books: Books) -> None:
    payment = Payment(0, 1000)
    await books.capture(payment)
    await books.hear(books.sender.confirmed(payment, block=100))
    await books.look(CLOSED)
    await books.hear(books.sender.reorged(payment, block=100))
    await books.look(CLOSED + timedelta(minutes=1))
    tomorrow = Sender(NOW + timedelta(days=1))
    tomorrow._sent = books.sender._sent
    await books.hear(tomorrow.confirmed(payment, block=101))
    await books.look(CLOSED + timedelta(days=1), DAY)
    await books.look(CLOSED + timedelta(days=1), DAY + timedelta(days=1))
    assert await books.said() == [
        (1, 1, {"captured": (1000, 1), "settled": (1000, 1)}),
        (2, 2, {"captured": (1000, 1), "settled": (0, 0)}),
        (3, 1, {"settled": (1000, 1)}),
    ]


async def test_nothing_is_told_twice_by_another_worker_or_after_a_restart(books: Books) -> None:
    await books.capture(Payment(0, 1000))
    async with books.unit_of_work.begin() as transaction:
        await transaction.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('ledger.control_totals', 0))"
        )
        assert await books.reporter.look(DAY, CLOSED) is None
    assert await books.said() == []
    for _ in range(3):
        await books.look(CLOSED)
    assert len(await books.said()) == 1


async def test_the_loop_comes_to_the_newest_closed_day_first_and_to_every_other_in_turn(books: Books) -> None:
    await books.capture(Payment(0, 1000))
    metrics = DifferenceMetrics(books.registry)
    reconciler = Reconciler(books.reporter, books.differences, metrics, books.clock)
    books.clock.at = start_of(DAY + timedelta(days=1)) + REPORTED_WITHIN
    assert await reconciler.step() >= 20
    assert len(await books.said()) == 1
    labels = {"kind": "captured", "mode": "test", "currency": "USD"}
    assert books.registry.get_sample_value("rialto_control_total_minor", labels) == 1000
    assert books.registry.get_sample_value("rialto_control_total_movements", labels) == 1

    open_ones = {"kind": "captured", "reason": "not_reported"}
    assert books.registry.get_sample_value("rialto_ledger_open_differences", open_ones) == 0
    books.clock.at += SETTLES_WITHIN
    for _ in range(31):
        await reconciler.step()
    assert books.registry.get_sample_value("rialto_ledger_open_differences", open_ones) == 1
    books.clock.at += timedelta(hours=1)
    await reconciler.step()
    age = books.registry.get_sample_value("rialto_ledger_oldest_open_difference_seconds", {"kind": "captured"})
    assert age == 3600


async def test_the_operator_sees_and_explains_differences(books: Books, world: World) -> None:
    await books.capture(Payment(0, 1000))
    await books.report(Total(900, 1))
    await books.look(CLOSED)
    (difference,) = await books.look(SETTLED)
    path = f"/v1/differences/{ids.to_text('dif', difference.id)}/explain"
    async with world.client(OPERATOR) as client:
        page = (await client.get("/v1/differences")).json()
        (shown,) = page["data"]
        assert (shown["ours"], shown["theirs"]) == (
            {"amount_minor": "1000", "count": 1},
            {"amount_minor": "900", "count": 1},
        )
        assert (shown["day"], shown["reason"], shown["state"]) == ("2026-03-01", "amount_differs", "open")
        assert page["has_more"] is False
        answer = await client.post(path, json={"note": "the gateway's row was edited by hand"})
        assert (answer.status_code, answer.json()["state"]) == (200, "explained")
        assert answer.json()["explained_by"] == OPERATOR.service
        assert (await client.get("/v1/differences")).json()["data"] == []
        for state, count in {"explained": 1, "resolved": 0, "all": 1}.items():
            listed = await client.get("/v1/differences", params={"state": state})
            assert len(listed.json()["data"]) == count
        assert (await client.post(path, json={"note": ""})).status_code == 400
        assert (await client.get("/v1/differences", params={"state": "x"})).status_code == 400

    (still,) = await books.look(SETTLED + timedelta(minutes=1))
    assert still.state is DifferenceState.EXPLAINED
    await books.report(Total(800, 1), revision=2)
    (reopened,) = await books.look(SETTLED + timedelta(minutes=2))
    assert reopened.state is DifferenceState.OPEN
    await books.report(Total(1000, 1), revision=3)
    await books.look(SETTLED + timedelta(minutes=3))
    async with world.client(OPERATOR) as client:
        late = await client.post(path, json={"note": "too late"})
        assert (late.status_code, late.json()["code"]) == (409, "difference_resolved")
        unknown = await client.post(f"/v1/differences/{ids.to_text('dif', KEY.root)}/explain", json={"note": "x"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "difference_not_found")
    async with world.client(Caller("gateway", None, "live")) as client:
        assert (await client.get("/v1/differences", params={"state": "all"})).json()["data"] == []
        assert (await client.post(path, json={"note": "x"})).status_code == 404
    async with world.client(MERCHANT) as client:
        assert (await client.get("/v1/differences")).json()["code"] == "operator_only"
        assert (await client.post(path, json={"note": "x"})).json()["code"] == "operator_only"


@pytest.mark.parametrize("table", ["control_totals", "reported_totals", "differences"])
async def test_the_service_can_take_nothing_of_it_away(pool: Pool, table: str) -> None:
    for statement in (f"DELETE FROM ledger.{table}", f"UPDATE ledger.{table} SET merchant_id = merchant_id"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
