"""Events that come again, or late: what a bus may do after a crash, done on purpose while everything runs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from rialto_cli.audit import consumers
from rialto_common.bus.kafka_cluster import KafkaCluster

COPY_SECONDS = 20.0
QUIET_MS = 1000

_REWIND = """
UPDATE bus.cursors AS c SET position = greatest(0, c.position - %(events)s), owner = NULL, owned_until = NULL
FROM (SELECT * FROM bus.cursors WHERE consumer_group = %(group)s) AS before
WHERE c.consumer_group = before.consumer_group AND c.topic = before.topic AND c.partition = before.partition
RETURNING (
    SELECT count(*) FROM bus.log AS l
    WHERE l.topic = c.topic AND l.partition = c.partition AND l.position > c.position AND l.position <= before.position
) AS events
"""


class Events(Protocol):
    """A bus whose recorded events can be delivered again."""

    def deliver_again(self, group: str, events: int) -> int:
        """Let up to so many of a group's events of each topic come again; returns how many will.

        Raises: OSError, psycopg.Error: the bus is away.
        """
        ...


@dataclass(frozen=True, slots=True)
class PostgresLog:
    """The embedded bus, as its operator can reach it."""

    superuser_dsn: str

    def deliver_again(self, group: str, events: int) -> int:
        """Set a group's cursors back by so many positions of each topic; returns how many events will come again.

        Raises: psycopg.Error: the database is away.
        """
        with psycopg.connect(self.superuser_dsn, autocommit=True, connect_timeout=5) as connection:
            rows = connection.execute(_REWIND, {"group": group, "events": events}).fetchall()
        return sum(int(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class KafkaTopics:
    """Kafka, as its operator can reach it: records are copied to the end of their partitions."""

    url: str

    def deliver_again(self, group: str, events: int) -> int:
        """Copy the last records of each topic that a group reads. Raises: OSError: Kafka is away."""
        topics = sorted({topic for name, topic, _ in consumers.rows() if name == group})
        try:
            return asyncio.run(self._copy(topics, events))
        except (KafkaError, TimeoutError) as error:
            raise OSError(f"Kafka does not answer: {type(error).__name__}") from error

    async def _copy(self, topics: Sequence[str], events: int) -> int:
        options = KafkaCluster.from_url(self.url).client_options("rialto-torture")
        consumer = AIOKafkaConsumer(isolation_level="read_committed", **options)
        producer = AIOKafkaProducer(acks="all", **options)
        async with asyncio.timeout(COPY_SECONDS):
            async with consumer, producer:
                places = [
                    TopicPartition(topic, partition)
                    for topic in topics
                    for partition in await producer.partitions_for(topic)
                ]
                consumer.assign(places)
                ends = await consumer.end_offsets(places)
                beginnings = await consumer.beginning_offsets(places)
                for place in places:
                    consumer.seek(place, max(beginnings[place], ends[place] - events))
                copied = 0
                while found := await consumer.getmany(*places, timeout_ms=QUIET_MS, max_records=events):
                    for place, records in found.items():
                        old = [record for record in records if record.offset < ends[place]]
                        copied += len(old)
                        for record in old:
                            await producer.send(
                                record.topic, record.value, record.key, record.partition, headers=list(record.headers)
                            )
                    if all([await consumer.position(place) >= ends[place] for place in places]):
                        break
                await producer.flush()
        return copied
