"""What only the embedded bus can get wrong: late commits, leases, lost connections, and a killed server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database, PostgresServer
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.port import Delivery
from rialto_common.bus.postgres import PostgresBus, PostgresSubscription, PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Pool, is_retryable, open_pool
from rialto_common.errors import CommitUnknown
from rialto_common.events.common import FRAUD, LEDGER, PAYMENTS
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import TYPE, make_event

LEASE = timedelta(seconds=1)
# What a lost connection may raise depends on how far the news of it has got.
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, CommitUnknown)
TABLES = """
CREATE SCHEMA bench;
SELECT bus.create_consumer_tables('bench', 'rialto_fraud');
CREATE TABLE bench.effects (number BIGINT GENERATED ALWAYS AS IDENTITY, key TEXT NOT NULL, sequence INT NOT NULL);
"""


class Ahead(SystemRuntime):
    """A runtime whose wall clock is a day ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=1)


class Bench:
    """One process on the embedded bus, with a table that shows which events took effect."""

    def __init__(self, database: Database, pool: Pool) -> None:
        self.database = database
        self.pool = pool
        self.runtime = SystemRuntime()
        self.bus = PostgresBus(database.dsn("owner"), self.runtime, lease=LEASE)
        self.unit_of_work = PostgresUnitOfWork(pool, schema="bench", runtime=self.runtime)

    async def publish(self, *events: Event) -> None:
        async with self.unit_of_work.begin() as transaction:
            transaction.publish(*events)

    async def member(self, name: str, *topics: str) -> PostgresSubscription:
        return await self.bus.subscribe("readers", topics or [FRAUD], member=name)

    async def consumer(self, name: str) -> Consumer[PostgresTransaction]:
        return Consumer(
            group="readers",
            types=frozenset({TYPE}),
            subscription=await self.member(name),
            unit_of_work=self.unit_of_work,
            handler=record,
            runtime=self.runtime,
            metrics=BusMetrics(CollectorRegistry()),
            max_events=50,
            wait_seconds=0.05,
        )

    async def effects(self) -> list[tuple[str, int]]:
        rows = await self.pool.fetch("SELECT key, sequence FROM bench.effects ORDER BY number")
        return [(row["key"], row["sequence"]) for row in rows]

    async def reached(self) -> dict[int, int]:
        rows = await self.pool.fetch("SELECT partition, position FROM bus.cursors WHERE consumer_group = 'readers'")
        return {row["partition"]: row["position"] for row in rows}

    async def blocked_by(self, connection: Any) -> bool:
        """Say whether someone waits for what this connection's transaction has locked."""
        return bool(
            await self.pool.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))",
                connection.get_server_pid(),
            )
        )


async def record(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
    await transaction.connection.executemany(
        "INSERT INTO bench.effects (key, sequence) VALUES ($1, $2)", [(event.key, event.sequence) for event in events]
    )


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        yield Bench(database, pool)


async def read_all(subscription: PostgresSubscription, count: int, *, max_events: int = 50) -> list[Delivery]:
    """Poll and acknowledge until `count` events came, or give up."""
    deliveries: list[Delivery] = []
    async with asyncio.timeout(20):
        while len(deliveries) < count:
            some = await subscription.poll(max_events=max_events, wait_seconds=0.2)
            await subscription.acknowledge(some)
            deliveries.extend(some)
    return deliveries


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.01)


# Commits that come late.


async def test_an_event_whose_transaction_commits_late_is_never_skipped(bench: Bench) -> None:
    reader = await bench.member("one")
    leave = asyncio.Event()
    entered = asyncio.Event()

    async def slow() -> None:
        async with bench.pool.acquire() as connection, connection.transaction():
            # What the unit of work does at its end, with a pause before the commit.
            unit = PostgresTransaction(connection, "bench", bench.runtime)
            unit.publish(make_event(1, 1))
            await bench.unit_of_work._append(unit)
            entered.set()
            await leave.wait()

    late = asyncio.create_task(slow())
    await entered.wait()
    next_one = asyncio.create_task(bench.publish(make_event(1, 2)))
    await eventually(lambda: _anyone_waits(bench))
    assert list(await reader.poll(max_events=50, wait_seconds=0.1)) == []
    assert not next_one.done()
    leave.set()
    await asyncio.gather(late, next_one)
    deliveries = await read_all(reader, 2)
    assert [delivery.event.sequence for delivery in deliveries] == [1, 2]
    assert deliveries[0].position < deliveries[1].position
    await reader.close()


async def _anyone_waits(bench: Bench) -> bool:
    return bool(
        await bench.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0")
    )


async def test_a_reader_beside_many_writers_misses_nothing_and_sees_positions_grow(bench: Bench) -> None:
    reader = await bench.member("one")
    writers, each = 8, 25

    async def write(writer: int) -> None:
        for sequence in range(each):
            await bench.publish(make_event(writer, sequence), make_event(writer + 100, sequence))

    writing = [asyncio.create_task(write(writer)) for writer in range(writers)]
    deliveries = await read_all(reader, 2 * writers * each, max_events=7)
    await asyncio.gather(*writing)
    by_key: dict[str, list[int]] = {}
    by_partition: dict[int, list[int]] = {}
    for delivery in deliveries:
        by_key.setdefault(delivery.event.key, []).append(delivery.event.sequence)
        by_partition.setdefault(delivery.partition, []).append(delivery.position)
    assert len(by_key) == 2 * writers
    assert all(sequences == list(range(each)) for sequences in by_key.values())
    assert all(positions == sorted(set(positions)) for positions in by_partition.values())
    assert sorted(position for positions in by_partition.values() for position in positions) == list(
        range(1, 2 * writers * each + 1)
    )
    await reader.close()


async def test_writers_over_several_topics_in_any_order_do_not_deadlock(bench: Bench) -> None:
    topics = [PAYMENTS, LEDGER, FRAUD]

    async def write(writer: int) -> None:
        order = topics[writer % 3 :] + topics[: writer % 3]
        for sequence in range(20):
            await bench.publish(*[make_event(writer, sequence, topic=topic) for topic in order])

    async with asyncio.timeout(30):
        await asyncio.gather(*[write(writer) for writer in range(6)])
    counts = await bench.pool.fetch("SELECT topic, count(*) AS events FROM bus.log GROUP BY topic")
    assert {row["topic"]: row["events"] for row in counts} == dict.fromkeys(topics, 120)


async def test_a_transaction_that_rolls_back_leaves_no_gap(bench: Bench) -> None:
    await bench.publish(make_event(1, 1))

    async def fail() -> None:
        async with bench.pool.acquire() as connection, connection.transaction():
            unit = PostgresTransaction(connection, "bench", bench.runtime)
            unit.publish(make_event(1, 2))
            await bench.unit_of_work._append(unit)
            raise RuntimeError("after the append")

    with pytest.raises(RuntimeError):
        await fail()
    await bench.publish(make_event(1, 3))
    rows = await bench.pool.fetch("SELECT position, sequence FROM bus.log ORDER BY position")
    assert [(row["position"], row["sequence"]) for row in rows] == [(1, 1), (2, 3)]


async def test_an_unknown_topic_is_refused_and_nothing_is_written(bench: Bench) -> None:
    with pytest.raises(asyncpg.UndefinedObjectError, match="no topic"):
        await bench.publish(make_event(1, 1), make_event(1, 2, topic="rialto.nowhere.v1"))
    assert await bench.pool.fetchval("SELECT count(*) FROM bus.log") == 0


# Leases.


async def test_a_member_that_stalls_loses_its_partitions(bench: Bench) -> None:
    stalled = await bench.member("stalled")
    await stalled.poll(max_events=1, wait_seconds=0)
    await bench.publish(*[make_event(key, 1) for key in range(20)])
    alive = await bench.member("alive")
    assert list(await alive.poll(max_events=50, wait_seconds=0)) == []
    assert len({delivery.event.id for delivery in await read_all(alive, 20)}) == 20
    await alive.close()
    await stalled.close()


async def test_a_member_that_died_while_its_clock_was_ahead_is_followed_at_once(bench: Bench) -> None:
    """Its lease would else keep its partitions, and its share of them, for as long as its clock was wrong."""
    ahead = Ahead()
    hasty = await PostgresBus(bench.database.dsn("owner"), ahead, lease=LEASE).subscribe(
        "readers", [FRAUD], member="hasty"
    )
    await bench.publish(make_event(1, 1))
    assert len(await read_all(hasty, 1)) == 1
    assert not await hasty.poll(max_events=1, wait_seconds=0)  # which writes the acknowledgement
    await bench.publish(make_event(1, 2), make_event(2, 1), make_event(3, 1), make_event(4, 1))
    heir = await bench.member("heir")
    deliveries = await read_all(heir, 4)
    assert sorted((delivery.event.key, delivery.event.sequence) for delivery in deliveries) == sorted(
        (event.key, event.sequence)
        for event in (make_event(1, 2), make_event(2, 1), make_event(3, 1), make_event(4, 1))
    )
    await heir.close()
    await hasty.close()


async def test_a_member_that_wakes_up_late_cannot_move_the_cursor(bench: Bench) -> None:
    stalled = await bench.member("stalled")
    await bench.publish(*[make_event(key, 1) for key in range(20)])
    old = await stalled.poll(max_events=200, wait_seconds=1)
    assert len(old) == 20
    alive = await bench.member("alive")
    first = await _first_batch(alive)
    await alive.acknowledge(first[:1])
    await alive.poll(max_events=1, wait_seconds=0)  # which writes the acknowledgement
    before = await bench.reached()
    assert sum(before.values()) == first[0].position
    await stalled.acknowledge(old)
    await stalled.poll(max_events=1, wait_seconds=0)
    assert await bench.reached() == before
    assert sum(before.values()) < sum(delivery.position for delivery in old)
    await alive.close()
    await stalled.close()


async def _first_batch(subscription: PostgresSubscription) -> list[Delivery]:
    async with asyncio.timeout(20):
        while not (deliveries := await subscription.poll(max_events=200, wait_seconds=0.2)):
            pass
    return list(deliveries)


async def test_a_paused_consumer_that_wakes_up_late_has_no_second_effect(bench: Bench) -> None:
    await bench.publish(*[make_event(key, sequence) for key in range(6) for sequence in (1, 2)])
    stalled = await bench.consumer("stalled")
    old = await stalled._subscription.poll(max_events=200, wait_seconds=1)
    assert len(old) == 12
    alive = await bench.consumer("alive")
    await eventually(lambda: _step_until(alive, bench, 12))
    await stalled.handle([delivery.event for delivery in old])
    await stalled._subscription.acknowledge(old)
    assert sorted(await bench.effects()) == [(f"key-{key}", sequence) for key in range(6) for sequence in (1, 2)]
    await alive.close()
    await stalled.close()


async def _step_until(consumer: Consumer[PostgresTransaction], bench: Bench, count: int) -> bool:
    await consumer.step()
    return len(await bench.effects()) >= count


async def test_a_rewind_is_not_undone_by_what_was_in_hand(bench: Bench) -> None:
    await bench.publish(*[make_event(key, 1) for key in range(8)])
    reader = await bench.member("one")
    in_hand = await _first_batch(reader)
    await bench.bus.rewind("readers", [FRAUD])
    await reader.acknowledge(in_hand)
    assert set((await bench.reached()).values()) == {0}
    again = await read_all(reader, 8)
    assert {delivery.event.id for delivery in again} == {delivery.event.id for delivery in in_hand}
    await reader.close()


async def test_a_group_of_more_members_than_partitions_leaves_some_idle_and_loses_nothing(bench: Bench) -> None:
    async with AsyncExitStack() as stack:
        members = [await bench.member(f"m{number}") for number in range(6)]
        for member in members:
            stack.push_async_callback(member.close)
        await eventually(lambda: _owners_after_a_round(bench, members, 4))
        await bench.publish(*[make_event(key, 1) for key in range(40)])
        seen: set[Any] = set()
        async with asyncio.timeout(20):
            while len(seen) < 40:
                for member in members:
                    some = await member.poll(max_events=50, wait_seconds=0)
                    await member.acknowledge(some)
                    seen |= {delivery.event.id for delivery in some}


async def _owners_after_a_round(bench: Bench, members: Sequence[PostgresSubscription], count: int) -> bool:
    for member in members:
        await member.poll(max_events=50, wait_seconds=0)
    return bool(
        await bench.pool.fetchval("SELECT count(DISTINCT owner) = $1 FROM bus.cursors WHERE owner IS NOT NULL", count)
    )


async def test_a_batch_is_bounded_even_below_the_number_of_partitions_and_none_starves(bench: Bench) -> None:
    await bench.publish(*[make_event(key, 1) for key in range(40)])
    reader = await bench.member("one", FRAUD, LEDGER, PAYMENTS)
    seen: list[Delivery] = []
    async with asyncio.timeout(20):
        while len(seen) < 40:
            some = await reader.poll(max_events=2, wait_seconds=0.2)
            assert len(some) <= 2
            await reader.acknowledge(some)
            seen.extend(some)
    first_half = {delivery.partition for delivery in seen[:20]}
    assert first_half == {0, 1, 2, 3}
    await reader.close()


# Wake-ups.


async def test_a_waiting_reader_is_woken_by_a_commit(bench: Bench) -> None:
    reader = await bench.member("one")
    await reader.poll(max_events=50, wait_seconds=0)
    waiting = asyncio.create_task(reader.poll(max_events=50, wait_seconds=20))
    started = bench.runtime.monotonic()
    await bench.publish(make_event(1, 1))
    assert len(await waiting) == 1
    assert bench.runtime.monotonic() - started < LEASE.total_seconds() / 4
    await reader.close()


async def test_an_event_whose_notification_was_lost_is_still_delivered(bench: Bench) -> None:
    reader = await bench.member("one")
    await reader.poll(max_events=50, wait_seconds=0)
    waiting = asyncio.create_task(reader.poll(max_events=50, wait_seconds=20))
    async with bench.pool.acquire() as connection, connection.transaction():
        unit = PostgresTransaction(connection, "bench", bench.runtime)
        unit.publish(make_event(1, 1))
        await bench.unit_of_work._append(unit)  # and no announcement
    async with asyncio.timeout(5):
        assert len(await waiting) == 1
    await reader.close()


# Connections and servers that die.


async def test_a_reader_whose_connection_is_cut_carries_on(bench: Bench) -> None:
    reader = await bench.member("one")
    await bench.publish(make_event(1, 1))
    await read_all(reader, 1)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rialto-bus-readers'"
    assert await bench.pool.fetchval(cut)
    await bench.publish(make_event(1, 2))
    deliveries: list[Delivery] = []
    async with asyncio.timeout(20):
        while not deliveries or deliveries[-1].event.sequence != 2:
            try:
                deliveries = list(await reader.poll(max_events=50, wait_seconds=0.2))
            except LOST:
                continue
    # The first comes again where its acknowledgement was still to be written when the connection was cut.
    assert [delivery.event.sequence for delivery in deliveries] in ([2], [1, 2])
    await reader.close()


async def test_a_unit_of_work_whose_connection_is_cut_before_its_commit_writes_nothing(bench: Bench) -> None:
    async def cut_off() -> None:
        async with bench.unit_of_work.begin() as transaction:
            await record(transaction, [make_event(1, 1)])
            transaction.publish(make_event(1, 1))
            await _cut(bench, transaction)

    with pytest.raises(LOST) as caught:
        await cut_off()
    assert is_retryable(caught.value)
    assert await bench.effects() == []
    assert await bench.pool.fetchval("SELECT count(*) FROM bus.log") == 0
    await bench.publish(make_event(1, 2))


async def test_a_commit_that_is_cut_off_is_unknown_and_never_half_done(bench: Bench) -> None:
    # A deferred trigger holds the commit open at a place where it can be cut off for sure.
    await bench.pool.execute(
        """
        CREATE FUNCTION bench.wait() RETURNS TRIGGER LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_lock(7);
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON bench.effects DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION bench.wait();
        """
    )

    async def commit() -> None:
        async with bench.unit_of_work.begin() as transaction:
            await record(transaction, [make_event(1, 1)])
            await transaction.inbox.take([make_event(1, 1)])
            transaction.publish(make_event(1, 1))

    async with bench.pool.acquire() as holder:
        await holder.execute("SELECT pg_advisory_lock(7)")
        committing = asyncio.create_task(commit())
        await eventually(lambda: bench.blocked_by(holder))
        await bench.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))",
            holder.get_server_pid(),
        )
        with pytest.raises(CommitUnknown):
            await committing
        await holder.execute("SELECT pg_advisory_unlock(7)")
    written = [
        await bench.pool.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("bench.effects", "bench.inbox", "bus.log")
    ]
    assert written == [0, 0, 0]
    # Asking again is what a consumer does: the same event, the same effect, once.
    await commit()
    assert await bench.effects() == [("key-1", 1)]


async def test_a_cancelled_unit_of_work_leaves_a_clean_connection_behind(bench: Bench) -> None:
    async with await open_pool(bench.database.dsn("owner"), application="narrow", max_size=1) as pool:
        unit_of_work = PostgresUnitOfWork(pool, schema="bench", runtime=bench.runtime)

        async def hang() -> None:
            async with unit_of_work.begin() as transaction:
                await record(transaction, [make_event(1, 1)])
                await transaction.connection.execute("SELECT pg_sleep(60)")

        hanging = asyncio.create_task(hang())
        await eventually(lambda: _sleeps(bench))
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        async with unit_of_work.begin() as transaction:
            await record(transaction, [make_event(1, 2)])
    assert await bench.effects() == [("key-1", 2)]


async def _sleeps(bench: Bench) -> bool:
    return bool(await bench.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


async def _cut(bench: Bench, transaction: PostgresTransaction) -> None:
    await bench.pool.execute("SELECT pg_terminate_backend($1)", transaction.connection.get_server_pid())


async def test_consumers_and_writers_survive_a_kill_of_the_server_without_a_restart(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory(durable=True)
    database = server.create_database()
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = Bench(database, pool)
        consumer = await bench.consumer("one")
        stop = asyncio.Event()
        acknowledged: list[int] = []
        unsure = 0

        async def consume() -> None:
            while not stop.is_set():  # noqa: ASYNC110 - the pause is the step's own
                await asyncio.sleep(await consumer.step())

        async def write() -> None:
            nonlocal unsure
            sequence = 0
            while not stop.is_set():
                sequence += 1
                try:
                    await bench.publish(make_event(1, sequence))
                    acknowledged.append(sequence)
                except LOST:
                    unsure += 1
                    await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(consume()), asyncio.create_task(write())]
        await eventually(lambda: _count(acknowledged, 50))
        await asyncio.to_thread(server.kill)
        await eventually(lambda: _count([None] * unsure, 3))
        await asyncio.to_thread(server.start)
        before = len(acknowledged)
        await eventually(lambda: _count(acknowledged, before + 50))
        stop.set()
        await asyncio.gather(*tasks)
        await eventually(lambda: _caught_up(consumer, bench))
        effects = [sequence for _, sequence in await bench.effects()]
        assert effects == sorted(set(effects))
        assert set(acknowledged) <= set(effects)
        await consumer.close()


async def _count(items: Sequence[object], at_least: int) -> bool:
    return len(items) >= at_least


async def _caught_up(consumer: Consumer[PostgresTransaction], bench: Bench) -> bool:
    await consumer.step()
    return bool(
        await bench.pool.fetchval(
            "SELECT (SELECT count(*) FROM bench.effects) = (SELECT count(*) FROM bus.log WHERE topic = $1)", FRAUD
        )
    )
