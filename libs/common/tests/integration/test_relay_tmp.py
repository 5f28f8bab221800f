"""The relay from the log to Kafka: order, one active publisher, a zombie that can do no harm, a broker that is away."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rialto_cli.kafka_testing import KafkaBroker
from rialto_cli.testing import Database
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics_admin import ensure_topics
from rialto_common.database import open_pool
from rialto_common.errors import BusBacklogFull
from rialto_common.events.common import FRAUD
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import make_event

from .kafka_bench import TABLES, KafkaBench, eventually, per_key

PLACES = ("bench.relay.before_publish", "bench.relay.before_kafka_commit", "bench.relay.after_publish")


@pytest.fixture
async def bench(database: Database, kafka_cluster: KafkaCluster) -> AsyncIterator[KafkaBench]:
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        yield KafkaBench(database.dsn("owner"), pool, kafka_cluster)


@contextmanager
def relay_process(bench: KafkaBench, place: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A relay elsewhere, that will stop at a place."""
    script = Path(__file__).with_name("relay_process.py")
    url = f"kafka://{','.join(bench.cluster.servers)}/{bench.cluster.prefix}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), bench.dsn, url, "elsewhere", place, str(folder)], stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_events_of_a_key_arrive_in_the_order_of_their_commits_beside_many_writers(bench: KafkaBench) -> None:
    writers, each = 6, 30

    async def write(writer: int) -> None:
        for sequence in range(each):
            await bench.publish(make_event(writer, sequence), make_event(writer + 100, sequence))

    relay = bench.relay()
    relaying = asyncio.create_task(bench.keep_relaying(relay))
    await asyncio.gather(*[write(writer) for writer in range(writers)])
    await bench.drained()
    relaying.cancel()
    await relay.close()
    seen = per_key([(event.key, event.sequence) for event in await bench.on_kafka()])
    assert seen == {f"key-{writer + more}": list(range(each)) for writer in range(writers) for more in (0, 100)}


async def test_one_relay_is_active_and_another_takes_over_when_it_leaves(bench: KafkaBench) -> None:
    one, two = bench.relay("one"), bench.relay("two")
    await bench.publish(make_event(1, 1))
    await one.step()
    await two.step()
    await one.step()
    assert await bench.pool.fetchval("SELECT owner FROM bus.relays") == "one"
    await bench.publish(make_event(1, 2))
    await two.step()
    assert await bench.waiting() == 1, "the second relay publishes nothing while the first one leads"
    await one.close()
    await eventually(lambda: stepped(two, bench))
    assert [event.sequence for event in await bench.on_kafka()] == [1, 2]
    await two.close()


async def stepped(relay: object, bench: KafkaBench) -> bool:
    await relay.step()  # type: ignore[attr-defined]
    return await bench.waiting() == 0


@pytest.mark.parametrize("place", PLACES)
async def test_a_paused_relay_wakes_up_to_find_itself_shut_out(bench: KafkaBench, place: str, tmp_path: Path) -> None:
    for sequence in range(1, 6):
        await bench.publish(make_event(1, sequence), make_event(2, sequence))
    with relay_process(bench, place, tmp_path) as zombie:
        await eventually(lambda: exists(tmp_path / "stopping"))
        successor = bench.relay("successor")
        relaying = asyncio.create_task(bench.keep_relaying(successor))
        await bench.drained()
        for sequence in range(6, 11):
            await bench.publish(make_event(1, sequence), make_event(2, sequence))
        await bench.drained()
        os.kill(zombie.pid, signal.SIGCONT)
        await eventually(lambda: exists(tmp_path / "noticed"))
        await bench.publish(make_event(1, 11), make_event(2, 11))
        await bench.drained()
        relaying.cancel()
        await successor.close()
    seen = per_key([(event.key, event.sequence) for event in await bench.on_kafka()])
    assert set(seen) == {"key-1", "key-2"}
    for sequences in seen.values():
        # Published, but not known to be: its successor did so again. Never late, never out of order.
        again = [1, 2, 3, 4, 5] if place == "bench.relay.after_publish" else []
        assert sequences == [*again, *range(1, 12)]


async def exists(file: Path) -> bool:
    return await asyncio.to_thread(file.exists)


async def test_without_a_broker_accepting_goes_on_up_to_the_limit_and_everything_arrives_when_it_is_back(
    database: Database, kafka_factory: Callable[..., KafkaBroker]
) -> None:
    broker = kafka_factory()
    cluster = broker.cluster("away")
    await ensure_topics(cluster, SystemRuntime())
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = KafkaBench(database.dsn("owner"), pool, cluster)
        relay = bench.relay(backlog_limit=20)
        relaying = asyncio.create_task(bench.keep_relaying(relay))
        await bench.publish(make_event(1, 1), admitting=True)
        await bench.drained()
        broker.kill()
        for sequence in range(2, 22):
            await bench.publish(make_event(1, sequence), admitting=True)
        with pytest.raises(BusBacklogFull, match="20 events"):
            await bench.publish(make_event(1, 22), admitting=True)
        assert await bench.waiting() == 20, "the refused transaction has left nothing behind"
        await bench.publish(make_event(2, 1))  # what only goes on with accepted work is never refused
        await eventually(lambda: backlog_is_seen(bench))
        broker.start()
        await bench.drained()
        await bench.publish(make_event(1, 22), admitting=True)
        await bench.drained()
        await eventually(lambda: no_backlog_is_seen(bench))
        relaying.cancel()
        await relay.close()
        seen = per_key([(event.key, event.sequence) for event in await bench.on_kafka()])
    if list(dict.fromkeys(seen['key-1'])) != list(range(1, 23)):
        import shutil
        shutil.copytree(broker.node.directory, f'/tmp/kfail/{os.getpid()}', dirs_exist_ok=True)
        again = per_key([(event.key, event.sequence) for event in await bench.on_kafka()])
        print('AGAIN', again, seen)
    # A batch whose commit the kill cut off may have come twice; in order all the same.
    assert list(dict.fromkeys(seen["key-1"])) == list(range(1, 23))
    assert seen["key-2"] == [1]


async def backlog_is_seen(bench: KafkaBench) -> bool:
    return (
        bench.metric("rialto_relay_unpublished_events", topic=FRAUD) == 21
        and bench.metric("rialto_relay_oldest_unpublished_seconds", topic=FRAUD) > 0.5
        and bench.metric("rialto_relay_active", relay="bench") == 0
    )


async def no_backlog_is_seen(bench: KafkaBench) -> bool:
    return (
        bench.metric("rialto_relay_unpublished_events", topic=FRAUD) == 0
        and bench.metric("rialto_relay_oldest_unpublished_seconds", topic=FRAUD) == 0
        and bench.metric("rialto_relay_active", relay="bench") == 1
    )


async def test_what_kafka_does_not_have_yet_is_kept_however_old_it_is(bench: KafkaBench) -> None:
    relay = bench.relay()
    await bench.publish(make_event(1, 1), make_event(1, 2))
    await relay.step()
    await bench.publish(make_event(1, 3))
    await bench.pool.execute(
        "UPDATE bus.log SET recorded_at = recorded_at - INTERVAL '60 days' WHERE topic = $1", FRAUD
    )
    await bench.pool.execute("SELECT bus.maintain($1, 14, 120)", bench.runtime.now())
    assert [row["sequence"] for row in await bench.pool.fetch("SELECT sequence FROM bus.log")] == [3]
    await relay.close()


async def test_a_topic_that_is_missing_holds_its_events_until_it_is_made(
    database: Database, kafka: KafkaBroker, kafka_cluster: KafkaCluster
) -> None:
    bare = kafka.cluster(f"{kafka_cluster.prefix}-bare")
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)
        bench = KafkaBench(database.dsn("owner"), pool, bare)
        relay = bench.relay()
        await bench.publish(make_event(1, 1))
        assert await relay.step() > 0, "it backs off"
        assert await bench.waiting() == 1
        await ensure_topics(bare, bench.runtime)
        await eventually(lambda: stepped(relay, bench))
        await relay.close()
        assert [event.sequence for event in await bench.on_kafka()] == [1]
