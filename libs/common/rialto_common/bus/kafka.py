"""The bus on Apache Kafka: consumer groups that read what relays have published.

Publishing is not here: a unit of work appends to the log in its own database, and the service's relay copies that to
Kafka in transactions (`relay.py`). So readers read committed records only.
"""

import asyncio
from collections.abc import Collection, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.port import Delivery
from rialto_common.errors import BusUnavailable, MalformedEvent
from rialto_common.events.kafka_binary import from_record
from rialto_common.runtime import Runtime

log = structlog.get_logger()

SESSION_SECONDS = 6.0
"""After how long without a heartbeat a member's partitions go to the others; Kafka's own lower bound."""
POLL_INTERVAL_SECONDS = 30.0
"""After how long without a poll they do, however alive the member's connection is."""
REQUEST_SECONDS = 10.0
METADATA_SECONDS = 10.0
"""How soon new partitions and moved leaders are noticed."""
FETCH_WAIT_SECONDS = 0.05
"""How long a broker may hold a request for records when there are none. The client has one request under way and leaves
out partitions whose records are still being handled: what arrives there meanwhile waits for that request to end."""
COMMIT_SECONDS = 0.25
"""How often cursors are written while events flow: each time costs the broker as much as a batch of events. After a
crash what was acknowledged since comes again, and inboxes drop it."""
FETCH_PARTITION_BYTES = 512 * 1024
"""What one partition may bring at a time; a larger record still comes, alone. Bounds a member's memory."""
CLOSE_SECONDS = 5.0

# The partition has another holder by now, whose acknowledgement counts.
_LOST = (CommitFailedError, IllegalGenerationError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)


class KafkaBus:
    """Subscriptions on a cluster, each with connections of its own."""

    def __init__(
        self,
        cluster: KafkaCluster,
        runtime: Runtime,
        *,
        session_seconds: float = SESSION_SECONDS,
        poll_interval_seconds: float = POLL_INTERVAL_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._session_seconds = session_seconds
        self._poll_interval_seconds = poll_interval_seconds

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str) -> "KafkaSubscription":
        """Join a group; connects when first polled, so a service starts without Kafka."""
        return KafkaSubscription(
            self._cluster,
            self._runtime,
            group,
            list(topics),
            member,
            session_seconds=self._session_seconds,
            poll_interval_seconds=self._poll_interval_seconds,
        )

    async def rewind(self, group: str, topics: Sequence[str]) -> None:
        """Let the group see every retained event of these topics again.

        Raises: BusUnavailable: Kafka does not answer, or the group has members; Kafka moves no cursor under them.
        """
        consumer = AIOKafkaConsumer(
            group_id=self._cluster.name(group),
            enable_auto_commit=False,
            **self._cluster.client_options(f"rialto-rewind-{group}"),
        )
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await consumer.start()
                names = [self._cluster.name(topic) for topic in topics]
                await _fetch_metadata(consumer, names)
                places = [
                    TopicPartition(name, partition)
                    for name in names
                    for partition in consumer.partitions_for_topic(name) or ()
                ]
                consumer.assign(places)
                await consumer.commit(dict(await consumer.beginning_offsets(places)))
        except _LOST as error:
            raise BusUnavailable(f"the group {group} has members: stop them, then rewind it") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}") from error
        finally:
            await consumer.stop()


async def _fetch_metadata(consumer: AIOKafkaConsumer, names: Sequence[str]) -> None:
    """Have the client learn the partitions of topics it does not subscribe to; the library has no public way."""
    for name in names:
        await consumer._client._wait_on_metadata(name)


class KafkaSubscription:
    """One member of a group; connects again by itself after Kafka was away."""

    def __init__(
        self,
        cluster: KafkaCluster,
        runtime: Runtime,
        group: str,
        topics: list[str],
        member: str,
        *,
        session_seconds: float,
        poll_interval_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._group = group
        self._topics = topics
        self._member = member
        self._session_seconds = session_seconds
        self._poll_interval_seconds = poll_interval_seconds
        self._consumer: AIOKafkaConsumer | None = None
        # What was handed out and is not acknowledged, per partition held: handed out again until it is, or is lost.
        self._handed_out: dict[TopicPartition, list[Delivery]] = {}
        # Acknowledged, and not yet written to Kafka.
        self._reached: dict[TopicPartition, int] = {}
        self._commit_due = 0.0

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        """Return the next events of this member's partitions, those not acknowledged first.

        Raises: BusUnavailable: Kafka does not answer.
        """
        consumer = await self._started()
        if self._reached and self._runtime.monotonic() >= self._commit_due:
            await self._commit()
        waiting = sum(map(len, self._handed_out.values()))
        if waiting < max_events:
            try:
                fetched = await consumer.getmany(
                    timeout_ms=0 if waiting else int(wait_seconds * 1000), max_records=max_events - waiting
                )
            except (KafkaError, ConsumerStoppedError, OSError) as error:
                await self._drop()
                raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}: {error}") from error
            for place, records in fetched.items():
                self._hand_out(place, records)
        deliveries = [delivery for place in self._handed_out.values() for delivery in place]
        return deliveries[:max_events]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Move the group's cursors; a partition lost meanwhile stays where its new holder has it.

        They are written within COMMIT_SECONDS of further polls, before a partition is given up, and at the end.
        """
        reached: dict[TopicPartition, int] = {}
        for delivery in deliveries:
            place = TopicPartition(self._cluster.name(delivery.event.topic), delivery.partition)
            if place in self._handed_out:
                reached[place] = max(delivery.position, reached.get(place, -1))
        for place, position in reached.items():
            left = [delivery for delivery in self._handed_out[place] if delivery.position > position]
            if left:
                self._handed_out[place] = left
            else:
                del self._handed_out[place]
        self._reached |= reached

    async def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        try:
            await self._commit()
        except BusUnavailable:
            log.warning("bus.acknowledgements_lost", group=self._group)  # the events come again
        await self._drop()

    async def _commit(self) -> None:
        """Write what was acknowledged. Raises: BusUnavailable."""
        reached, self._reached = self._reached, {}
        if not reached or self._consumer is None:
            return
        self._commit_due = self._runtime.monotonic() + COMMIT_SECONDS
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._consumer.commit({place: position + 1 for place, position in reached.items()})
        except _LOST:
            return
        except (KafkaError, OSError, TimeoutError) as error:
            raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}: {error}") from error

    async def give_up(self, places: Collection[TopicPartition]) -> None:
        """Write what was acknowledged, and forget what was handed out of partitions that are taken away."""
        for place in places:
            self._handed_out.pop(place, None)
        try:
            await self._commit()
        except BusUnavailable:
            log.warning("bus.acknowledgements_lost", group=self._group)  # the events come again

    def _hand_out(self, place: TopicPartition, records: Sequence[object]) -> None:
        """Keep records as deliveries; one that is no event (only relays should write here) is told and passed."""
        topic = self._cluster.plain(place.topic)
        deliveries = self._handed_out.setdefault(place, [])
        for record in records:
            try:
                event = from_record(topic, record.key, record.headers, record.value)  # type: ignore[attr-defined]
            except MalformedEvent as error:
                log.error(
                    "record.unreadable",
                    topic=topic,
                    partition=place.partition,
                    offset=record.offset,  # type: ignore[attr-defined]
                    error=str(error),
                )
                continue
            deliveries.append(Delivery(event, place.partition, record.offset))  # type: ignore[attr-defined]
        if not deliveries:
            del self._handed_out[place]

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        consumer = AIOKafkaConsumer(
            group_id=self._cluster.name(self._group),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(self._session_seconds * 1000),
            heartbeat_interval_ms=int(self._session_seconds * 1000 / 3),
            max_poll_interval_ms=int(self._poll_interval_seconds * 1000),
            request_timeout_ms=int(max(REQUEST_SECONDS, 2 * self._session_seconds) * 1000),
            metadata_max_age_ms=int(METADATA_SECONDS * 1000),
            fetch_max_wait_ms=int(FETCH_WAIT_SECONDS * 1000),
            max_partition_fetch_bytes=FETCH_PARTITION_BYTES,
            **self._cluster.client_options(self._member),
        )
        consumer.subscribe([self._cluster.name(topic) for topic in self._topics], listener=_GiveUp(self))
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(consumer)
            raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}: {error}") from error
        except BaseException:
            await _stop(consumer)
            raise
        self._consumer = consumer
        return consumer

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._handed_out.clear()
        self._reached.clear()
        if consumer is not None:
            await _stop(consumer)


class _GiveUp(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """Tells a subscription of partitions that are taken away."""

    def __init__(self, subscription: KafkaSubscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._subscription.give_up(revoked)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing to do: reading goes on from the group's cursor."""


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer; without brokers it cannot say goodbye, and its session's end says it instead."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("bus.close_failed", error=type(error).__name__)
