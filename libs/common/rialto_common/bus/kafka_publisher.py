"""Publishes events to Kafka in transactions. Whoever opens a publisher under an id shuts the one before it out."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics import MAX_RECORD_BYTES
from rialto_common.errors import BusUnavailable
from rialto_common.events.envelope import Event
from rialto_common.events.kafka_binary import to_record

log = structlog.get_logger()

OPEN_SECONDS = 5.0
PUBLISH_SECONDS = 5.0
LOOK_SECONDS = 2.0
TRANSACTION_SECONDS = 15.0
"""After how long Kafka itself ends a transaction whose publisher went away: readers wait no longer than that."""
CLOSE_SECONDS = 2.0
METADATA_SECONDS = 5.0


class KafkaPublisher:
    """One open publisher; after any error it must be closed and another opened."""

    def __init__(self, producer: AIOKafkaProducer, cluster: KafkaCluster) -> None:
        self._producer = producer
        self._cluster = cluster

    @classmethod
    async def open(cls, cluster: KafkaCluster, transactional_id: str) -> "KafkaPublisher":
        """Take the id over: an unfinished transaction under it is aborted, and its publisher can commit no more.

        Raises: BusUnavailable.
        """
        producer = AIOKafkaProducer(
            transactional_id=cluster.name(transactional_id),
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
            acks="all",
            max_batch_size=MAX_RECORD_BYTES,
            max_request_size=4 * MAX_RECORD_BYTES,
            request_timeout_ms=int(PUBLISH_SECONDS * 1000),
            metadata_max_age_ms=int(METADATA_SECONDS * 1000),
            **cluster.client_options(transactional_id),
        )
        publisher = cls(producer, cluster)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await producer.start()
                # The producer's id is fetched with the first transaction: an empty one does the shutting out.
                await producer.begin_transaction()
                await producer.abort_transaction()
        except (KafkaError, OSError, TimeoutError) as error:
            await publisher.close()
            raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}: {error}") from error
        except BaseException:
            await publisher.close()
            raise
        return publisher

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has now.

        Raises: BusUnavailable: Kafka does not answer, or has no such topic.
        """
        name = self._cluster.name(topic)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return len(await self._producer.partitions_for(name))
        except (KafkaError, OSError, TimeoutError) as error:
            raise BusUnavailable(
                f"Kafka does not answer, or lacks the topic {name} ({type(error).__name__}): see `rialto topics apply`"
            ) from error

    async def publish(self, events: Sequence[tuple[Event, int]], *, before_commit: Callable[[], None]) -> None:
        """Write events, each with its partition, in order, all or none; `before_commit` marks the last moment before.

        Raises: BusUnavailable: Kafka does not answer, another publisher has taken the id over, or the broker refuses;
        whether readers will see the events is then unknown, and they are to be published again.
        """
        places: dict[tuple[str, int], list[Event]] = defaultdict(list)
        for event, partition in events:
            places[(self._cluster.name(event.topic), partition)].append(event)
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._producer.begin_transaction()
                written = [
                    sent
                    for (topic, partition), some in places.items()
                    for sent in await self._send(topic, partition, some)
                ]
                await asyncio.gather(*written)
                before_commit()
                await self._producer.commit_transaction()
        except MessageSizeTooLargeError as error:
            raise BusUnavailable(
                "the broker takes no record as large as one of ours: raise the topic's max.message.bytes "
                "(`rialto topics apply` does); until then this topic waits"
            ) from error
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            # An assertion: the library's way of saying that its transaction is in a state it cannot go on from.
            raise BusUnavailable(f"publishing failed: {type(error).__name__}: {error}") from error

    async def _send(self, topic: str, partition: int, events: Sequence[Event]) -> "list[asyncio.Future[object]]":
        """Hand events over in batches as large as a record may be; whole batches cost the client far less."""
        sent = []
        batch = self._producer.create_batch()
        for event in events:
            key, headers, value = to_record(event)
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                sent.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise BusUnavailable(f"the client takes no record as large as that of the event {event.id}")
        sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        return sent

    async def close(self) -> None:
        """Close the connections, whatever state they are in."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._producer.stop()
        except Exception as error:  # noqa: BLE001 - it is given up in any case, and the sender task may raise anything
            log.info("publisher.dropped", error=type(error).__name__)
            # A producer that cannot flush never comes to closing its connections.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._producer.client.close()
