"""What the Kafka tests share: a database, a cluster, a relay between them, and what a reader sees."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry

from rialto_common.bus.consumer import Consumer
from rialto_common.bus.kafka import KafkaBus, KafkaSubscription
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.bus.relay import Relay
from rialto_common.database import Pool
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.events.kafka_binary import from_record
from rialto_common.metrics import BusMetrics, RelayMetrics
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import TYPE

TABLES = """
CREATE SCHEMA bench;
SELECT bus.create_consumer_tables('bench', 'rialto_fraud');
CREATE TABLE bench.effects (number BIGINT GENERATED ALWAYS AS IDENTITY, key TEXT NOT NULL, sequence INT NOT NULL);
"""
LEASE = timedelta(seconds=1)


class KafkaBench:
    """A service on Kafka in this process, with a table that shows which events took effect."""

    def __init__(self, dsn: str, pool: Pool, cluster: KafkaCluster) -> None:
        self.dsn = dsn
        self.pool = pool
        self.cluster = cluster
        self.runtime = SystemRuntime()
        self.registry = CollectorRegistry()
        self.relay_metrics = RelayMetrics(self.registry)
        self.bus = KafkaBus(cluster, self.runtime, session_seconds=1.5)
        self.unit_of_work = PostgresUnitOfWork(pool, schema="bench", runtime=self.runtime)

    async def publish(self, *events: Event, admitting: bool = False) -> None:
        """Append events to the log, as a service does."""
        async with self.unit_of_work.begin(admitting=admitting) as transaction:
            transaction.publish(*events)

    def relay(self, owner: str = "here", *, backlog_limit: int = 100_000) -> Relay:
        """A relay of this process."""
        return Relay(
            "bench",
            [FRAUD, FRAUD + ".dlq"],
            dsn=self.dsn,
            cluster=self.cluster,
            runtime=self.runtime,
            metrics=self.relay_metrics,
            owner=owner,
            backlog_limit=backlog_limit,
            lease=LEASE,
        )

    async def keep_relaying(self, relay: Relay) -> None:
        """Step a relay until cancelled."""
        while True:
            await self.runtime.sleep(await relay.step())

    async def waiting(self) -> int:
        """How many events Kafka does not have yet."""
        return int(
            await self.pool.fetchval(
                "SELECT coalesce(sum(t.next_position - 1 - r.published), -1) FROM bus.relayed AS r"
                " JOIN bus.topics AS t ON t.topic = r.topic"
            )
        )

    async def drained(self, seconds: float = 40) -> None:
        """Wait until Kafka has everything."""
        await eventually(lambda: self._nothing_waits(), seconds)

    async def _nothing_waits(self) -> bool:
        return await self.waiting() == 0

    async def subscribe(self, member: str, *, poll_interval_seconds: float = 30) -> KafkaSubscription:
        """A member of the group `readers`."""
        bus = KafkaBus(self.cluster, self.runtime, session_seconds=1.5, poll_interval_seconds=poll_interval_seconds)
        return await bus.subscribe("readers", [FRAUD], member=member)

    async def consumer(
        self, member: str, handler: Any = None, *, subscription: KafkaSubscription | None = None
    ) -> Consumer[PostgresTransaction]:
        """A consumer of the group `readers`, whose handler records effects unless another is given."""
        return Consumer(
            group="readers",
            types=frozenset({TYPE}),
            subscription=subscription or await self.subscribe(member),
            unit_of_work=self.unit_of_work,
            handler=handler or record,
            runtime=self.runtime,
            metrics=BusMetrics(CollectorRegistry()),
            max_events=50,
            wait_seconds=0.1,
        )

    async def effects(self) -> list[tuple[str, int]]:
        """What took effect, in order."""
        rows = await self.pool.fetch("SELECT key, sequence FROM bench.effects ORDER BY number")
        return [(row["key"], row["sequence"]) for row in rows]

    async def effects_per_key(self) -> dict[str, list[int]]:
        """The sequences that took effect, in order."""
        return per_key(await self.effects())

    async def on_kafka(self, topic: str = FRAUD) -> list[Event]:
        """Everything a reader of committed records sees in a topic now, partition by partition."""
        records = await committed_records(self.cluster, self.cluster.name(topic))
        return [from_record(topic, record.key, record.headers, record.value) for record in records]

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"there is no {name} of {labels}"
        return value


async def record(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
    """A handler whose effect is a row."""
    await transaction.connection.executemany(
        "INSERT INTO bench.effects (key, sequence) VALUES ($1, $2)", [(event.key, event.sequence) for event in events]
    )


def per_key(seen: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """Sequences by key, in order."""
    by_key: dict[str, list[int]] = {}
    for key, sequence in seen:
        by_key.setdefault(key, []).append(sequence)
    return by_key


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the condition lies in another process
            await asyncio.sleep(0.02)


async def committed_records(cluster: KafkaCluster, name: str) -> list[ConsumerRecord]:
    """Everything that is committed in a topic now, partition by partition.

    Kafka answers a commit before it has marked every partition, and until then hides the records from readers: so the
    ends are those of whoever reads uncommitted, and reading goes on until each position has passed them.
    """
    reader = AIOKafkaConsumer(
        enable_auto_commit=False, isolation_level="read_committed", **cluster.client_options("reader")
    )
    scout = AIOKafkaConsumer(
        enable_auto_commit=False, isolation_level="read_uncommitted", **cluster.client_options("scout")
    )
    try:
        await reader.start()
        await scout.start()
        await reader._client._wait_on_metadata(name)
        places = [TopicPartition(name, partition) for partition in reader.partitions_for_topic(name)]
        ends = await scout.end_offsets(places)
        reader.assign(places)
        await reader.seek_to_beginning()
        found: dict[TopicPartition, list[ConsumerRecord]] = {place: [] for place in places}
        async with asyncio.timeout(20):
            while any([await reader.position(place) < ends[place] for place in places]):
                for place, records in (await reader.getmany(timeout_ms=50)).items():
                    found[place] += records
        return [record for place in places for record in found[place]]
    finally:
        for consumer in (reader, scout):
            with suppress(TimeoutError):
                await consumer.stop()
