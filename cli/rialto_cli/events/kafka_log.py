"""Kafka, read by a consumer without a group that is given its partitions: nobody's cursor moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from rialto_cli.events.port import Entry, LogUnreadable, Page, Place, Positions, Span, Want
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.errors import MalformedEvent
from rialto_common.events.kafka_binary import from_record

REQUEST_SECONDS = 10.0
CLOSE_SECONDS = 2.0
FETCH_PARTITION_BYTES = 256 * 1024
"""What a partition may bring at a time; with about 80 partitions, memory stays below some 20 MB."""
FOLLOW_LIMIT = 2_000
READ_SECONDS = 1.0
READ_WAIT_MS = 10
"""How long a fetch waits for what may come. A broker answers one fetch at a time: with half a second, each partition of
a backlog would wait for the fetch that waits at the end of the one before."""
FOLLOW_WAIT_MS = 500

_FAILURES = (KafkaError, OSError, TimeoutError)


class KafkaLog:
    """Reads with one consumer, which is made anew after a failure."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._consumer: AIOKafkaConsumer | None = None
        self._wait_ms = READ_WAIT_MS

    async def spans(self, topics: Collection[str]) -> Mapping[Place, Span]:
        """Return what the partitions of these topics hold now."""
        async with self._connected() as consumer:
            # The library has no public way to learn the partitions of topics that are not subscribed to.
            found = await consumer._client.fetch_all_metadata()
            places = [
                Place(topic, partition)
                for topic in sorted(topics)
                for partition in sorted(found.partitions_for_topic(self._cluster.name(topic)) or ())
            ]
            partitions = [self._partition(place) for place in places]
            if not partitions:
                return {}
            first = await consumer.beginning_offsets(partitions)
            end = await consumer.end_offsets(partitions)
            return {place: Span(first[at], end[at]) for place, at in zip(places, partitions, strict=True)}

    async def since(self, spans: Mapping[Place, Span], instant: datetime) -> Positions:
        """Return where what the broker took at that instant or later begins."""
        async with self._connected() as consumer:
            asked = {self._partition(place): int(instant.timestamp() * 1000) for place in spans}
            found = await consumer.offsets_for_times(asked) if asked else {}
        positions = {}
        for place, span in spans.items():
            at = found.get(self._partition(place))
            positions[place] = span.end if at is None else at.offset
        return positions

    async def read(self, place: Place, start: int, end: int, want: Want, *, limit: int) -> Page:
        """Return the wanted ones of up to `limit` entries of one partition."""
        if start >= end:
            return Page([], {place: end})
        partition = self._partition(place)
        async with self._connected(READ_WAIT_MS) as consumer:
            await self._go_to(consumer, {place: start})
            fetched = await consumer.getmany(partition, timeout_ms=int(READ_SECONDS * 1000), max_records=limit)
            reached = await consumer.position(partition)
            if reached >= end:
                # Nothing more of it is asked for: a fetch that waits for it would hold up the others'.
                consumer.pause(partition)
        entries = [self._entry(record) for record in fetched.get(partition, ()) if record.offset < end]
        return Page([entry for entry in entries if want.takes(entry)], {place: min(reached, end)})

    async def follow(self, positions: Positions, want: Want, *, wait_seconds: float) -> Page:
        """Return the wanted entries from these positions on; wait that long at most for one to come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        reached = dict(positions)
        while True:
            remaining = max(0.0, deadline - loop.time())
            async with self._connected(FOLLOW_WAIT_MS) as consumer:
                await self._go_to(consumer, reached)
                fetched = await consumer.getmany(timeout_ms=int(remaining * 1000), max_records=FOLLOW_LIMIT)
                reached = {place: await consumer.position(self._partition(place)) for place in reached}
            entries = [self._entry(record) for records in fetched.values() for record in records]
            wanted = [entry for entry in entries if want.takes(entry)]
            if wanted or remaining <= 0:
                return Page(wanted, reached)

    async def close(self) -> None:
        """Stop the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await consumer.stop()

    async def _go_to(self, consumer: AIOKafkaConsumer, positions: Positions) -> None:
        """Have these partitions be read from these positions on. What was fetched for a place left is dropped."""
        wanted = {self._partition(place): position for place, position in positions.items()}
        assigned = consumer.assignment()
        if not wanted.keys() <= assigned:
            kept = {each: await consumer.position(each) for each in assigned}
            consumer.assign([*assigned, *(wanted.keys() - assigned)])
            for partition, position in {**kept, **wanted}.items():
                consumer.seek(partition, position)
            return
        consumer.resume(*(wanted.keys() & consumer.paused()))
        for partition, position in wanted.items():
            if await consumer.position(partition) != position:
                consumer.seek(partition, position)

    @contextlib.asynccontextmanager
    async def _connected(self, wait_ms: int | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        """Give a started consumer whose fetches wait so long at most (None: any); after a failure the next is new."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                if self._consumer is not None and wait_ms not in (None, self._wait_ms):
                    await self.close()
                if self._consumer is None:
                    self._wait_ms = READ_WAIT_MS if wait_ms is None else wait_ms
                    self._consumer = await self._start(self._wait_ms)
                yield self._consumer
        except _FAILURES as error:
            await self.close()
            said = " ".join(str(error).split()) or type(error).__name__
            raise LogUnreadable(f"Kafka does not answer as it should: {said.rstrip('.')}") from error

    async def _start(self, wait_ms: int) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
            max_partition_fetch_bytes=FETCH_PARTITION_BYTES,
            fetch_max_wait_ms=wait_ms,
            **self._cluster.client_options("rialto-events"),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _partition(self, place: Place) -> TopicPartition:
        return TopicPartition(self._cluster.name(place.topic), place.partition)

    def _entry(self, record: Any) -> Entry:
        place = Place(self._cluster.plain(record.topic), record.partition)
        try:
            event = from_record(place.topic, record.key, record.headers, record.value)
        except MalformedEvent as error:
            time = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            return Entry(place, record.offset, time, None, error.detail)
        return Entry(place, record.offset, event.time, event)
