"""The bus's contract: one suite, every adapter. A new adapter joins by adding a `Harness` to the fixture below."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.kafka import KafkaBus
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.port import MAX_EVENT_BYTES, Bus, Transaction, UnitOfWork
from rialto_common.bus.postgres import PostgresBus, PostgresUnitOfWork
from rialto_common.bus.relay import Relay
from rialto_common.database import open_pool
from rialto_common.errors import EventTooLarge, MalformedEvent
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics, RelayMetrics
from rialto_common.runtime import Runtime, SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import TYPE, make_event


class Harness(Protocol):
    """What the suite needs of an adapter."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def bus(self) -> Bus: ...

    @property
    def unit_of_work(self) -> UnitOfWork[Any]: ...


class MemoryHarness:
    def __init__(self, seed: int, faults: Faults) -> None:
        self.runtime = SimulatedRuntime(seed)
        self.bus = MemoryBus(self.runtime, faults=faults)
        self.unit_of_work = MemoryUnitOfWork(self.bus, self.runtime)


class PostgresHarness:
    def __init__(self, dsn: str, pool: Any) -> None:
        self.runtime = SystemRuntime()
        self.bus: Bus = PostgresBus(dsn, self.runtime, lease=timedelta(seconds=1))
        self.unit_of_work = PostgresUnitOfWork(pool, schema="bus_test", runtime=self.runtime)


class KafkaHarness(PostgresHarness):
    """The outbox in PostgreSQL, a relay, and Kafka behind it."""

    def __init__(self, dsn: str, pool: Any, cluster: KafkaCluster) -> None:
        super().__init__(dsn, pool)
        self.bus = KafkaBus(cluster, self.runtime)
        self.relay = Relay(
            "bus_test",
            [FRAUD, FRAUD + ".dlq"],
            dsn=dsn,
            cluster=cluster,
            runtime=self.runtime,
            metrics=RelayMetrics(CollectorRegistry()),
            owner="one",
            backlog_limit=100_000,
        )

    async def keep_relaying(self) -> None:
        while True:
            await self.runtime.sleep(await self.relay.step())


@pytest.fixture(params=["memory", "memory-with-faults", "postgres", "kafka"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    if request.param.startswith("memory"):
        faults = Faults() if request.param == "memory-with-faults" else Faults.none()
        yield MemoryHarness(7, faults)
        return
    cluster = request.getfixturevalue("kafka_cluster") if request.param == "kafka" else None
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("owner"), application="bus-contract") as pool:
        await pool.execute("CREATE SCHEMA bus_test; SELECT bus.create_consumer_tables('bus_test', 'rialto_fraud')")
        if cluster is None:
            yield PostgresHarness(database.dsn("owner"), pool)
            return
        kafka = KafkaHarness(database.dsn("owner"), pool, cluster)
        relaying = asyncio.create_task(kafka.keep_relaying())
        yield kafka
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        await kafka.relay.close()


class Recorder:
    """A handler whose effect is a list; `poison` names events (key, sequence) that it cannot handle."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.poison: set[tuple[str, int]] = set()

    async def __call__(self, transaction: Transaction, events: Sequence[Event]) -> None:
        for event in events:
            if (event.key, event.sequence) in self.poison:
                raise MalformedEvent("the test says so")
        # Counted only with the commit, as a handler's rows would be.
        self._pending = [(event.key, event.sequence) for event in events]
        transaction.publish()
        self.seen.extend(self._pending)

    def per_key(self) -> dict[str, list[int]]:
        by_key: dict[str, list[int]] = {}
        for key, sequence in self.seen:
            by_key.setdefault(key, []).append(sequence)
        return by_key


async def publish(harness: Harness, events: Sequence[Event]) -> None:
    async with harness.unit_of_work.begin() as transaction:
        transaction.publish(*events)


async def consumer(
    harness: Harness, recorder: Recorder, *, group: str = "readers", member: str = "one", max_events: int = 50
) -> Consumer[Any]:
    return Consumer(
        group=group,
        types=frozenset({TYPE}),
        subscription=await harness.bus.subscribe(group, [FRAUD], member=member),
        unit_of_work=harness.unit_of_work,
        handler=recorder,
        runtime=harness.runtime,
        metrics=BusMetrics(CollectorRegistry()),
        max_events=max_events,
        wait_seconds=0.05,
    )


async def run_until(steps: Sequence[Consumer[Any]], done: Callable[[], bool], *, rounds: int = 2000) -> None:
    for _ in range(rounds):
        if done():
            return
        for one in steps:
            await one.step()
    pytest.fail("the consumers did not get there")


async def test_events_of_a_key_arrive_in_order_and_each_takes_effect_once(harness: Harness) -> None:
    for sequence in range(20):
        await publish(harness, [make_event(key, sequence) for key in range(15)])
    recorder = Recorder()
    reader = await consumer(harness, recorder)
    await run_until([reader], lambda: len(recorder.seen) >= 300)
    await reader.step()
    assert recorder.per_key() == {f"key-{key}": list(range(20)) for key in range(15)}
    await reader.close()


async def test_an_event_arrives_as_it_was_published(harness: Harness) -> None:
    sent = make_event(1, 1)._replace(
        time=datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC),
        causation_id="c",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        data='{"text":"Zo\u00eb \U0001f4b6","n":1.50}'.encode(),
    )
    await publish(harness, [sent])
    subscription = await harness.bus.subscribe("readers", [FRAUD], member="one")
    received: list[Event] = []
    for _ in range(50):
        received += [delivery.event for delivery in await subscription.poll(max_events=10, wait_seconds=0.05)]
        if received:
            break
    assert received == [sent]
    await subscription.close()


async def test_what_a_transaction_published_is_delivered_only_if_it_commits(harness: Harness) -> None:
    async def publish_and_fail() -> None:
        async with harness.unit_of_work.begin() as transaction:
            transaction.publish(make_event(1, 1))
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await publish_and_fail()
    await publish(harness, [make_event(1, 2)])
    recorder = Recorder()
    reader = await consumer(harness, recorder)
    await run_until([reader], lambda: bool(recorder.seen))
    await reader.step()
    assert recorder.seen == [("key-1", 2)]
    await reader.close()


async def test_a_crash_between_handling_and_acknowledging_delivers_again_without_a_second_effect(
    harness: Harness,
) -> None:
    await publish(harness, [make_event(key, 1) for key in range(10)])
    subscription = await harness.bus.subscribe("readers", [FRAUD], member="crashing")
    recorder = Recorder()
    handled: list[Event] = []
    while len({event.id for event in handled}) < 10:
        deliveries = await subscription.poll(max_events=50, wait_seconds=0.05)
        async with harness.unit_of_work.begin() as transaction:
            await recorder(transaction, await transaction.inbox.take([delivery.event for delivery in deliveries]))
        handled.extend(delivery.event for delivery in deliveries)
    await subscription.close()  # never acknowledged

    successor = await harness.bus.subscribe("readers", [FRAUD], member="successor")
    again: set[UUID] = set()
    while len(again) < 10:
        deliveries = await successor.poll(max_events=50, wait_seconds=0.05)
        async with harness.unit_of_work.begin() as transaction:
            await recorder(transaction, await transaction.inbox.take([delivery.event for delivery in deliveries]))
        again |= {delivery.event.id for delivery in deliveries}
        await successor.acknowledge(deliveries)
    assert sorted(recorder.seen) == sorted((f"key-{key}", 1) for key in range(10))
    await successor.close()


async def test_two_groups_each_get_every_event(harness: Harness) -> None:
    await publish(harness, [make_event(key, 1) for key in range(12)])
    async with AsyncExitStack() as stack:
        for group in ("one", "two"):
            recorder = Recorder()
            # The inbox is per service; a second group of the same service would share it, so read without one.
            subscription = await harness.bus.subscribe(group, [FRAUD], member=group)
            stack.push_async_callback(subscription.close)
            seen: set[str] = set()
            for _ in range(500):
                deliveries = await subscription.poll(max_events=50, wait_seconds=0.05)
                seen |= {delivery.event.key for delivery in deliveries}
                await subscription.acknowledge(deliveries)
                if len(seen) == 12:
                    break
            assert len(seen) == 12
            assert recorder.seen == []


async def test_members_share_the_work_and_the_rest_take_over_when_one_leaves(harness: Harness) -> None:
    first, second = Recorder(), Recorder()
    one = await consumer(harness, first, member="one")
    two = await consumer(harness, second, member="two")
    # Whether both have joined shows in the work: there is more of it until each has done some.
    sequence = 0
    while not (first.seen and second.seen):
        sequence += 1
        assert sequence < 50, "one of the members never gets anything"
        await publish(harness, [make_event(key, sequence) for key in range(60)])
        await run_until([one, two], lambda so_far=60 * sequence: len(first.seen) + len(second.seen) >= so_far)  # type: ignore[misc]
    await one.close()
    sequence += 1
    await publish(harness, [make_event(key, sequence) for key in range(60)])
    await run_until([two], lambda: len(first.seen) + len(second.seen) >= 60 * sequence)
    total = sorted(first.seen + second.seen)
    assert total == sorted((f"key-{key}", nth) for key in range(60) for nth in range(1, sequence + 1))
    await two.close()


async def test_a_rewound_group_sees_every_event_again_and_the_inbox_keeps_the_effects_single(
    harness: Harness,
) -> None:
    await publish(harness, [make_event(key, 1) for key in range(8)])
    recorder = Recorder()
    reader = await consumer(harness, recorder)
    await run_until([reader], lambda: len(recorder.seen) >= 8)
    await reader.close()
    await harness.bus.rewind("readers", [FRAUD])
    subscription = await harness.bus.subscribe("readers", [FRAUD], member="again")
    seen: set[str] = set()
    for _ in range(500):
        deliveries = await subscription.poll(max_events=50, wait_seconds=0.05)
        seen |= {delivery.event.key for delivery in deliveries}
        async with harness.unit_of_work.begin() as transaction:
            assert await transaction.inbox.take([delivery.event for delivery in deliveries]) == []
        await subscription.acknowledge(deliveries)
        if len(seen) == 8:
            break
    assert len(seen) == 8
    await subscription.close()


async def test_the_inbox_knows_an_event_by_its_source_and_id_together(harness: Harness) -> None:
    one, other = make_event(1, 1), make_event(1, 1, source="rialto.other")
    assert one.id == other.id
    async with harness.unit_of_work.begin() as transaction:
        assert await transaction.inbox.take([one, other, one]) == [one, other]
    async with harness.unit_of_work.begin() as transaction:
        assert await transaction.inbox.take([other, make_event(1, 2), one]) == [make_event(1, 2)]


async def test_a_large_backlog_is_read_in_bounded_batches(harness: Harness) -> None:
    for start in range(0, 5000, 1000):
        await publish(harness, [make_event(number, 1) for number in range(start, start + 1000)])
    subscription = await harness.bus.subscribe("readers", [FRAUD], member="one")
    largest, seen = 0, set()
    for _ in range(2000):
        deliveries = await subscription.poll(max_events=100, wait_seconds=0.05)
        largest = max(largest, len(deliveries))
        seen |= {delivery.event.key for delivery in deliveries}
        await subscription.acknowledge(deliveries)
        if len(seen) == 5000:
            break
    assert len(seen) == 5000
    assert largest <= 100
    await subscription.close()


async def test_a_poison_event_parks_its_key_while_the_others_flow_and_a_replay_heals_it_in_order(
    harness: Harness,
) -> None:
    recorder = Recorder()
    recorder.poison = {("key-3", 2)}
    for sequence in (1, 2, 3):
        await publish(harness, [make_event(key, sequence) for key in range(6)])
    reader = await consumer(harness, recorder)
    await run_until([reader], lambda: len(set(recorder.seen)) >= 16)
    assert {(key, sequence) for key, sequence in recorder.seen} == {
        (f"key-{key}", sequence) for key in range(6) for sequence in (1, 2, 3)
    } - {("key-3", 2), ("key-3", 3)}
    async with harness.unit_of_work.begin() as transaction:
        (row,) = await transaction.dead_letters.overview()
        assert (row["key"], row["events"]) == ("key-3", 2)
        assert "the test says so" in str(row["error"])

    recorder.poison = set()
    async with harness.unit_of_work.begin() as transaction:
        assert await transaction.dead_letters.request_replay(None, "key-3") == 1
    await run_until([reader], lambda: ("key-3", 3) in recorder.seen)
    assert recorder.per_key()["key-3"] == [1, 2, 3]
    await publish(harness, [make_event(3, 4)])
    await run_until([reader], lambda: ("key-3", 4) in recorder.seen)
    async with harness.unit_of_work.begin() as transaction:
        assert await transaction.dead_letters.overview() == []
    await reader.close()


async def test_a_replay_that_fails_again_stays_parked_with_the_new_error(harness: Harness) -> None:
    recorder = Recorder()
    recorder.poison = {("key-1", 1)}
    await publish(harness, [make_event(1, 1), make_event(2, 1)])
    reader = await consumer(harness, recorder)
    await run_until([reader], lambda: ("key-2", 1) in recorder.seen)
    async with harness.unit_of_work.begin() as transaction:
        await transaction.dead_letters.request_replay(None, None)
    overview: list[dict[str, object]] = []
    for _ in range(200):
        await reader.step()
        async with harness.unit_of_work.begin() as transaction:
            overview = await transaction.dead_letters.overview()
        if overview and not overview[0]["replay_requested"]:
            break
    assert [(row["key"], row["events"], row["replay_requested"]) for row in overview] == [("key-1", 1, False)]
    await reader.close()


async def test_a_dead_letter_is_also_published_on_the_dead_letter_topic(harness: Harness) -> None:
    recorder = Recorder()
    recorder.poison = {("key-1", 1)}
    await publish(harness, [make_event(1, 1)])
    reader = await consumer(harness, recorder)
    watcher = await harness.bus.subscribe("watchers", [FRAUD + ".dlq"], member="one")
    letters: list[str] = []
    for _ in range(200):
        await reader.step()
        letters += [delivery.event.key for delivery in await watcher.poll(max_events=10, wait_seconds=0.05)]
        if letters:
            break
    assert set(letters) == {"key-1"}
    await reader.close()
    await watcher.close()


async def test_an_event_of_the_largest_size_arrives_and_a_larger_one_is_refused_before_anything_is_written(
    harness: Harness,
) -> None:
    padding = MAX_EVENT_BYTES - len(b'{"text":""}')
    largest = make_event(1, 1)._replace(data=b'{"text":"' + b"x" * padding + b'"}')
    larger = make_event(1, 2)._replace(data=b'{"text":"' + b"x" * (padding + 1) + b'"}')

    async def publish_both() -> None:
        async with harness.unit_of_work.begin() as transaction:
            transaction.publish(make_event(2, 1))
            transaction.publish(larger)

    with pytest.raises(EventTooLarge, match=str(MAX_EVENT_BYTES)):
        await publish_both()
    await publish(harness, [largest])
    subscription = await harness.bus.subscribe("readers", [FRAUD], member="one")
    received: list[Event] = []
    for _ in range(100):
        received += [delivery.event for delivery in await subscription.poll(max_events=10, wait_seconds=0.05)]
        if received:
            break
    assert received == [largest]
    await subscription.close()
