"""What only Kafka does to a consumer: rebalances in mid-batch, stalls, dead brokers, new partitions, long backlogs."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import Database
from rialto_common.bus.kafka import KafkaBus, KafkaSubscription
from rialto_common.bus.kafka_cluster import KafkaCluster, SaslMechanism
from rialto_common.bus.kafka_drain import undelivered
from rialto_common.bus.kafka_publisher import KafkaPublisher
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import open_pool
from rialto_common.errors import BusUnavailable
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.testing import make_event

from .kafka_bench import TABLES, KafkaBench, eventually, record

KEYS = 40


@pytest.fixture
async def bench(database: Database, kafka_cluster: KafkaCluster) -> AsyncIterator[KafkaBench]:
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        yield KafkaBench(database.dsn("owner"), pool, kafka_cluster)


@pytest.fixture
async def relaying(bench: KafkaBench) -> AsyncIterator[None]:
    """A relay that runs beside the test."""
    relay = bench.relay()
    task = asyncio.create_task(bench.keep_relaying(relay))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await relay.close()


async def everything_took_effect_once(bench: KafkaBench, keys: int, sequences: Sequence[int]) -> bool:
    """Say whether all effects are there; fails at once where there is one too many or one out of order."""
    effects = await bench.effects_per_key()
    for key, seen in effects.items():
        assert seen == list(sequences)[: len(seen)], f"{key}: {seen}"
    return len(effects) == keys and all(len(seen) == len(sequences) for seen in effects.values())


@pytest.mark.usefixtures("relaying")
async def test_members_that_come_and_go_while_batches_are_in_flight_repeat_and_skip_nothing(bench: KafkaBench) -> None:
    """Each batch takes a while inside its transaction, so every rebalance meets some under way."""

    async def slow(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        await record(transaction, events)
        await asyncio.sleep(0.15)

    running: dict[str, asyncio.Task[None]] = {}
    stopping: set[str] = set()

    async def member(name: str) -> None:
        consumer = await bench.consumer(name, slow)
        while name not in stopping:
            await bench.runtime.sleep(await consumer.step())
        await consumer.close()

    async def publish() -> None:
        for sequence in range(30):
            await bench.publish(*[make_event(key, sequence) for key in range(KEYS)])
            await asyncio.sleep(0.1)

    publishing = asyncio.create_task(publish())
    for round_ in range(4):
        name = f"member-{round_}"
        running[name] = asyncio.create_task(member(name))
        await asyncio.sleep(1.2)
        if round_ >= 1:
            stopping.add(f"member-{round_ - 1}")
    await publishing
    await eventually(lambda: everything_took_effect_once(bench, KEYS, range(30)), 60)
    stopping |= set(running)
    await asyncio.gather(*running.values())


@pytest.mark.usefixtures("relaying")
async def test_a_member_that_stalls_past_its_poll_interval_loses_its_partitions_and_its_late_work_has_no_effect(
    bench: KafkaBench,
) -> None:
    stalled = await bench.subscribe("stalled", poll_interval_seconds=1.5)
    held: list[Any] = []
    await bench.publish(*[make_event(key, 1) for key in range(KEYS)])

    async def has_all() -> bool:
        held[:] = await stalled.poll(max_events=100, wait_seconds=0.1)
        return len(held) == KEYS

    await eventually(has_all)
    # It polls no more. Its connection goes on answering, so only the poll interval gives it away.
    successor = await bench.consumer("successor")

    async def taken_over() -> bool:
        await successor.step()
        return await everything_took_effect_once(bench, KEYS, [1])

    await eventually(taken_over)
    late = await bench.consumer("stalled", subscription=stalled)
    await late.handle([delivery.event for delivery in held])
    await stalled.acknowledge(held)
    assert await everything_took_effect_once(bench, KEYS, [1])
    await bench.publish(*[make_event(key, 2) for key in range(KEYS)])

    async def both_go_on() -> bool:
        await late.step()
        await successor.step()
        return await everything_took_effect_once(bench, KEYS, [1, 2])

    await eventually(both_go_on)
    await successor.close()
    await late.close()


async def test_a_broker_that_is_killed_and_started_again_loses_nothing_and_repeats_nothing(
    database: Database, kafka_factory: Callable[..., KafkaBroker]
) -> None:
    broker = kafka_factory()
    cluster = broker.cluster("killed")
    await asyncio.to_thread(create_topics, cluster)
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = KafkaBench(database.dsn("owner"), pool, cluster)
        relay, consumer = bench.relay(), await bench.consumer("one")

        async def consume() -> None:
            while True:
                await bench.runtime.sleep(await consumer.step())

        tasks = [asyncio.create_task(bench.keep_relaying(relay)), asyncio.create_task(consume())]
        await bench.publish(*[make_event(key, 1) for key in range(KEYS)])
        await eventually(lambda: everything_took_effect_once(bench, KEYS, [1]))
        broker.kill()
        await bench.publish(*[make_event(key, 2) for key in range(KEYS)])
        await asyncio.to_thread(broker.start)
        await eventually(lambda: everything_took_effect_once(bench, KEYS, [1, 2]), 60)
        await bench.publish(*[make_event(key, 3) for key in range(KEYS)])
        await eventually(lambda: everything_took_effect_once(bench, KEYS, [1, 2, 3]), 30)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await consumer.close()
        await relay.close()


@pytest.mark.usefixtures("relaying")
async def test_more_partitions_keep_the_order_of_a_key_and_are_used_once_the_old_ones_are_read(
    bench: KafkaBench,
) -> None:
    behind = await bench.consumer("one")

    async def caught_up(sequences: Sequence[int]) -> bool:
        await behind.step()
        return await everything_took_effect_once(bench, KEYS, sequences)

    await bench.publish(*[make_event(key, 1) for key in range(KEYS)])
    await eventually(lambda: caught_up([1]))
    await behind.step()  # what was acknowledged is written with a later poll; from then on the group counts
    await bench.publish(*[make_event(key, 2) for key in range(KEYS)])
    await bench.drained()  # on Kafka, in the old partitions, and not read yet
    await asyncio.to_thread(create_topics, bench.cluster, partitions=16)

    published = 2
    async with asyncio.timeout(30):
        while await bench.waiting() == 0:
            published += 1
            await bench.publish(*[make_event(key, published) for key in range(KEYS)])
            await asyncio.sleep(0.3)
    assert await undelivered(bench.cluster, FRAUD, 8) == {"readers": 8}
    assert await bench.pool.fetchval("SELECT partitions FROM bus.relayed WHERE topic = $1", FRAUD) == 8
    await eventually(lambda: caught_up(range(1, published + 1)), 60)
    assert await bench.pool.fetchval("SELECT partitions FROM bus.relayed WHERE topic = $1", FRAUD) == 16
    spreads = "SELECT after_position, partitions FROM bus.relayed_spreads WHERE topic = $1 ORDER BY after_position"
    (began, first), (moved, then) = await bench.pool.fetch(spreads, FRAUD)
    assert (began, first, then) == (0, 8, 16)
    assert 2 * KEYS <= moved < published * KEYS
    await behind.close()


async def test_a_consumer_a_million_events_behind_needs_no_more_memory_than_one_a_little_behind(
    kafka_cluster: KafkaCluster, bench: KafkaBench
) -> None:
    events = 1_000_000
    await publish_many(kafka_cluster, events)
    subscription = await bench.subscribe("one")
    process = psutil.Process()
    await read(subscription, 5_000)
    gc.collect()
    before = process.memory_info().rss
    await read(subscription, 60_000)
    grown = process.memory_info().rss - before
    assert grown < 48 * 1024 * 1024, f"{grown / 2**20:.0f} MB more after 60,000 events"
    await subscription.close()


async def publish_many(cluster: KafkaCluster, events: int) -> None:
    """Write events as a relay does, many more at a time."""
    publisher = await KafkaPublisher.open(cluster, "bulk")
    some = [make_event(key, 1) for key in range(64)]
    batch = [(event, event.shard % 8) for event in some] * 157
    for _ in range(-(-events // len(batch))):
        await publisher.publish(batch, before_commit=lambda: None)
    await publisher.close()


async def read(subscription: KafkaSubscription, count: int) -> None:
    async with asyncio.timeout(60):
        while count > 0:
            deliveries = await subscription.poll(max_events=400, wait_seconds=1)
            assert len(deliveries) <= 400
            await subscription.acknowledge(deliveries)
            count -= len(deliveries)


async def test_a_topic_that_takes_only_smaller_records_holds_its_events_until_it_takes_them(
    database: Database, kafka: KafkaBroker, kafka_cluster: KafkaCluster
) -> None:
    cluster = kafka.cluster(f"{kafka_cluster.prefix}-small")
    await create_small_topics(cluster, {"max.message.bytes": "2000"})
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = KafkaBench(database.dsn("owner"), pool, cluster)
        relay = bench.relay()
        large = make_event(1, 2)._replace(data=b'"%s"' % (b"x" * 5_000))
        await bench.publish(make_event(1, 1), large, make_event(1, 3))
        assert await relay.step() > 0, "it backs off"
        assert await bench.waiting() == 3
        await asyncio.to_thread(create_topics, cluster)  # as `rialto topics apply`: what differs is mended

        async def nothing_waits() -> bool:
            await relay.step()
            return await bench.waiting() == 0

        await eventually(nothing_waits)
        await relay.close()
        assert [event.sequence for event in await bench.on_kafka()] == [1, 2, 3]


async def create_small_topics(cluster: KafkaCluster, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**cluster.client_options("test"))
    await admin.start()
    names = [cluster.name(FRAUD), cluster.name(FRAUD + ".dlq")]
    await admin.create_topics([NewTopic(name, 8, 1, topic_configs=config) for name in names])
    await admin.close()


async def test_a_record_that_is_no_event_is_passed_over_and_told(
    bench: KafkaBench, relaying: None, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = AIOKafkaProducer(**bench.cluster.client_options("stranger"))
    await producer.start()
    await producer.send_and_wait(bench.cluster.name(FRAUD), b"hello", key=b"key-1", partition=0)
    await producer.stop()
    await bench.publish(*[make_event(key, 1) for key in range(KEYS)])
    consumer = await bench.consumer("one")

    async def took_effect() -> bool:
        await consumer.step()
        return await everything_took_effect_once(bench, KEYS, [1])

    await eventually(took_effect)
    await consumer.close()
    assert "record.unreadable" in capsys.readouterr().out


async def test_rewinding_a_group_that_has_members_is_refused(bench: KafkaBench, relaying: None) -> None:
    await bench.publish(make_event(1, 1))
    subscription = await bench.subscribe("one")

    async def polled() -> bool:
        return bool(await subscription.poll(max_events=10, wait_seconds=0.1))

    await eventually(polled)
    with pytest.raises(BusUnavailable, match="has members"):
        await bench.bus.rewind("readers", [FRAUD])
    await subscription.close()
    await bench.bus.rewind("readers", [FRAUD])


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
async def test_events_travel_over_tls_with_scram_and_a_wrong_password_is_told(
    database: Database,
    kafka_factory: Callable[..., KafkaBroker],
    mechanism: SaslMechanism,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = kafka_factory(secured=True)
    cluster = broker.secured_cluster("secured", mechanism)
    await asyncio.to_thread(create_topics, cluster)
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = KafkaBench(database.dsn("owner"), pool, cluster)
        relay, consumer = bench.relay(), await bench.consumer("one")
        await bench.publish(make_event(1, 1))

        async def took_effect() -> bool:
            await relay.step()
            await consumer.step()
            return await everything_took_effect_once(bench, 1, [1])

        await eventually(took_effect)
        await consumer.close()
        await relay.close()
    wrong = replace(cluster, password="wrong")
    with pytest.raises(BusUnavailable):
        await KafkaPublisher.open(wrong, "intruder")
    assert "SaslAuthenticationFailed" in caplog.text
    caplog.clear()
    stranger = await KafkaBus(wrong, bench.runtime).subscribe("intruders", [FRAUD], member="one")
    with pytest.raises(BusUnavailable):
        await stranger.poll(max_events=1, wait_seconds=0.1)
    assert "SaslAuthenticationFailed" in caplog.text
