"""Partitions of the log and the inboxes: made ahead, dropped when old, and no rows lost on the way."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.postgres import PostgresBus, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events.common import FRAUD
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import make_event

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Bench:
    """The embedded bus at a chosen instant, with a service's consumer tables in the schema `bench`."""

    def __init__(self, dsn: str, pool: Any) -> None:
        self.pool = pool
        self.bus = PostgresBus(dsn, SystemRuntime())
        self._dsn = dsn

    async def maintain(self, at: datetime) -> None:
        await PostgresBus(self._dsn, SimulatedRuntime(1, start=at)).maintain()

    async def publish(self, at: datetime, key: int) -> None:
        runtime = SimulatedRuntime(1, start=at)
        async with PostgresUnitOfWork(self.pool, schema="bench", runtime=runtime).begin() as transaction:
            transaction.publish(make_event(key, 1))
            await transaction.inbox.take([make_event(key, 1)])

    async def partitions(self, parent: str) -> set[str]:
        rows = await self.pool.fetch(
            "SELECT inhrelid::REGCLASS::TEXT AS name FROM pg_inherits WHERE inhparent = $1::TEXT::REGCLASS", parent
        )
        return {row["name"].rpartition(".")[2] for row in rows}

    async def where(self, key: int) -> str:
        place = await self.pool.fetchval("SELECT tableoid::REGCLASS::TEXT FROM bus.log WHERE key = $1", f"key-{key}")
        return str(place)


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    dsn = database.dsn("owner")
    async with await open_pool(dsn, application="maintenance") as pool:
        await pool.execute("CREATE SCHEMA bench; SELECT bus.create_consumer_tables('bench', 'rialto_fraud')")
        yield Bench(dsn, pool)


async def test_the_coming_days_have_partitions_before_they_come(bench: Bench) -> None:
    await bench.maintain(NOON)
    days = {"20260310", "20260311", "20260312", "20260313"}
    assert await bench.partitions("bus.log") == {"log_default"} | {f"log_{day}" for day in days}
    assert await bench.partitions("bench.inbox") == {"inbox_default"} | {f"inbox_{day}" for day in days}
    await bench.publish(NOON + timedelta(days=2), 1)
    assert await bench.where(1) == "bus.log_20260312"


async def test_partitions_past_their_retention_go_and_younger_ones_stay(bench: Bench) -> None:
    await bench.maintain(NOON - timedelta(days=20))
    await bench.publish(NOON - timedelta(days=20), 1)
    await bench.publish(NOON - timedelta(days=18), 2)
    await bench.maintain(NOON - timedelta(days=14))
    await bench.publish(NOON - timedelta(days=14), 3)
    await bench.maintain(NOON)
    assert {name for name in await bench.partitions("bus.log") if name < "log_20260310"} == {
        "log_20260224",
        "log_20260225",
        "log_20260226",
        "log_20260227",
    }
    assert await bench.pool.fetchval("SELECT array_agg(key) FROM bus.log") == ["key-3"]


async def test_rows_in_the_default_partition_stay_readable_and_go_when_they_are_old(bench: Bench) -> None:
    await bench.publish(NOON, 1)
    assert await bench.where(1) == "bus.log_default"
    await bench.maintain(NOON)
    assert await bench.partitions("bus.log") == {"log_default", "log_20260311", "log_20260312", "log_20260313"}
    assert await bench.where(1) == "bus.log_default"
    await bench.maintain(NOON + timedelta(days=14))
    assert await bench.pool.fetchval("SELECT count(*) FROM bus.log") == 1
    await bench.maintain(NOON + timedelta(days=15))
    assert await bench.pool.fetchval("SELECT count(*) FROM bus.log") == 0


@pytest.mark.parametrize("has_partition", [True, False], ids=["in-its-days-partition", "in-the-default-partition"])
async def test_an_event_that_a_group_has_not_read_stays_however_old_it_is(bench: Bench, has_partition: bool) -> None:
    reader = await bench.bus.subscribe("slow", [FRAUD], member="one")
    assert await reader.poll(max_events=10, wait_seconds=0) == []
    if has_partition:
        await bench.maintain(NOON)
    await bench.publish(NOON, 1)
    await bench.maintain(NOON + timedelta(days=30))
    [delivery] = await reader.poll(max_events=10, wait_seconds=0)
    assert delivery.event.key == "key-1"
    await reader.acknowledge([delivery])
    assert not await reader.poll(max_events=10, wait_seconds=0)  # which writes the acknowledgement
    await bench.maintain(NOON + timedelta(days=30))
    assert await bench.pool.fetchval("SELECT count(*) FROM bus.log") == 0
    await reader.close()


@pytest.mark.parametrize("has_partition", [True, False], ids=["in-its-days-partition", "in-the-default-partition"])
async def test_a_handled_id_is_kept_120_days_from_its_handling_however_old_what_it_is_about(
    bench: Bench, has_partition: bool
) -> None:
    # The made-up events carry the first of January in their ids, wherever and whenever they are handled.
    if has_partition:
        await bench.maintain(datetime(2026, 1, 1, tzinfo=UTC))
    handled_at = datetime(2026, 12, 1, tzinfo=UTC)
    await bench.publish(handled_at, 1)
    place = await bench.pool.fetchval("SELECT tableoid::REGCLASS::TEXT FROM bench.inbox")
    assert place == ("bench.inbox_20260101" if has_partition else "bench.inbox_default")
    for days in (0, 1, 120):
        await bench.maintain(handled_at + timedelta(days=days))
        assert await bench.pool.fetchval("SELECT count(*) FROM bench.inbox") == 1
    await bench.maintain(handled_at + timedelta(days=121))
    assert await bench.pool.fetchval("SELECT count(*) FROM bench.inbox") == 0


async def test_maintenance_does_not_deadlock_with_a_consumer_that_is_about_to_publish(bench: Bench) -> None:
    unit_of_work = PostgresUnitOfWork(bench.pool, schema="bench", runtime=SimulatedRuntime(1, start=NOON))
    async with bench.pool.acquire() as maintainer:
        async with unit_of_work.begin() as transaction:
            await transaction.inbox.take([make_event(1, 1)])
            transaction.publish(make_event(1, 1))
            waiting = SimulatedRuntime(2).spawn(_maintain_on(maintainer), name="maintain")
            pid = maintainer.get_server_pid()
            while not await bench.pool.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid):
                assert not waiting.done()
        await waiting
    assert "log_20260311" in await bench.partitions("bus.log")


async def _maintain_on(connection: Any) -> None:
    await connection.execute("SELECT bus.maintain($1, 14, 120)", NOON)
