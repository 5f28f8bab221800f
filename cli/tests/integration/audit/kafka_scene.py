"""One consistent world on Kafka, made by the real services, and copies of its topics to do wrong in."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.bus_url import Cluster, read
from rialto_cli.audit.chain import Node
from rialto_cli.audit.consumers import TOPICS
from rialto_cli.audit.kafka_reader import Kafka
from rialto_cli.audit.on_kafka import OnKafka
from rialto_cli.audit.snapshot import Snapshot
from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import AnvilNode, Database

_copies = itertools.count(1)
PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class KafkaScene:
    """A finished world: its database, its chain, its topics."""

    database: Database
    anvil: AnvilNode
    broker: KafkaBroker
    prefix: str

    @property
    def cluster(self) -> Cluster:
        """The cluster as the audit reads it."""
        cluster = read(f"{self.broker.url}/{self.prefix}", {})
        assert cluster is not None
        return cluster

    @contextmanager
    def bus(self) -> Iterator[OnKafka]:
        """How things stand on Kafka."""
        with Kafka(self.cluster) as kafka:
            yield OnKafka.before_the_snapshot(kafka)

    def audit(self, snapshot: Snapshot) -> Books:
        """Return the books of a snapshot of the database with these topics."""
        node = Node(self.anvil.url)
        with self.bus() as bus, snapshot:
            return books.compare(snapshot, node, node.newest_block(), bus=bus)

    def wrong(self) -> dict[str, int]:
        """Return what I8 finds wrong, with the database as it is."""
        return self.audit(Snapshot(self.database.dsn("auditor")))["I8"].by_check

    def copied(self) -> "KafkaScene":
        """The same world with topics of its own, which have the same records."""
        scene = replace(self, prefix=f"{self.prefix}-{next(_copies)}")
        create_topics(self.broker.cluster(scene.prefix))
        asyncio.run(_copy(self, scene))
        return scene

    def write(self, work: Callable[[AIOKafkaProducer], Awaitable[None]], transactional_id: str | None = None) -> None:
        """Write records as nobody should."""

        async def run() -> None:
            async with AIOKafkaProducer(
                bootstrap_servers=self.cluster.servers[0], transactional_id=transactional_id
            ) as producer:
                await work(producer)

        asyncio.run(run())

    def records(self, topic: str) -> list[ConsumerRecord]:
        """Return a topic's committed records, by partition."""
        return asyncio.run(_records(self, topic))

    def delete_records(self, topic: str) -> None:
        """Drop all that a topic holds now, as retention does."""

        async def run() -> None:
            ends = {at: record.offset + 1 for record in await _records(self, topic) for at in [_place(self, record)]}
            admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.servers[0])
            await admin.start()
            try:
                await admin.delete_records({at: RecordsToDelete(end) for at, end in ends.items()})
            finally:
                await admin.close()

        asyncio.run(run())

    def acknowledge(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Let a group claim to have read so far."""

        async def run() -> None:
            async with AIOKafkaConsumer(
                bootstrap_servers=self.cluster.servers[0], group_id=self.cluster.name(group), enable_auto_commit=False
            ) as consumer:
                at = TopicPartition(self.cluster.name(topic), partition)
                consumer.assign([at])
                await consumer.commit({at: offset})

        asyncio.run(run())


def _place(scene: KafkaScene, record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


async def _records(scene: KafkaScene, topic: str) -> list[ConsumerRecord]:
    places = [TopicPartition(scene.cluster.name(topic), partition) for partition in range(PARTITIONS)]
    found = []
    async with AIOKafkaConsumer(
        bootstrap_servers=scene.cluster.servers[0], isolation_level="read_committed", enable_auto_commit=False
    ) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while [at for at in places if await consumer.position(at) < ends[at]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def _copy(source: KafkaScene, target: KafkaScene) -> None:
    async with AIOKafkaProducer(bootstrap_servers=target.cluster.servers[0]) as producer:
        for topic in TOPICS:
            for record in await _records(source, topic):
                await send(producer, target.cluster.name(topic), record)


async def send(
    producer: AIOKafkaProducer, name: str, record: ConsumerRecord, *, partition: int | None = None, **headers: bytes
) -> None:
    """Write a copy of a record, perhaps into another partition or with other headers."""
    changed = {**dict(record.headers), **headers}
    at = record.partition if partition is None else partition
    await producer.send_and_wait(name, record.value, record.key, at, headers=list(changed.items()))
