"""The relay: copies what a service's units of work appended to the log to Kafka, in order, at least once.

One relay of a service is active: the one that holds the lease row, and shows that it lives by renewing it; another that
sees it unchanged for the length of a lease, by its own monotonic clock, takes it. A lease alone would not do, as a
process that is paused wakes up believing in it, so that is followed by taking over the relay's `transactional_id`:
from then on Kafka refuses the earlier relay's commits, and aborts the transaction it had open. Only after that is read
how far the topics were copied, so nothing that the earlier one finished is missed, and nothing of it comes late.

A crash between Kafka's commit and the record of how far it went publishes a batch again: in order, under the same ids,
which inboxes drop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.kafka_drain import undelivered
from rialto_common.bus.kafka_publisher import KafkaPublisher
from rialto_common.bus.postgres import connect_reader
from rialto_common.bus.postgres_rows import event_of
from rialto_common.database import is_retryable, load_queries
from rialto_common.errors import BusUnavailable
from rialto_common.events.envelope import Event
from rialto_common.metrics import RelayMetrics
from rialto_common.runtime import Runtime

log = structlog.get_logger()

LEASE = timedelta(seconds=5)
BATCH_EVENTS = 500
ENOUGH_EVENTS = 100
REST_SECONDS = 0.04
"""After a batch of less than ENOUGH_EVENTS, how long the next may gather: a transaction costs Kafka and us the same
whatever it holds. Measured on two cores, p50/p99 of the pipeline in ms at 100/s and 300/s: without a rest 386/539 and
822/1506; with 20 ms 330/442 and 746/1209; with 40 ms 259/369 and 590/940; with 70 ms 300/459 and 991/1752."""
IDLE_SECONDS = 1.0
"""How long to wait for a hint before looking again: hints may be lost, events may not."""
MEASURE_SECONDS = 1.0
REFRESH_SECONDS = 5.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 3.0

_QUERIES = load_queries(__package__)


@dataclass(slots=True)
class _Progress:
    """A topic's copying: up to which position, over how many of Kafka's partitions, and whether it must wait."""

    published: int
    partitions: int
    held: bool = False


class Relay:
    """Copies one service's topics. Every worker of the service has one; whoever holds the lease is active."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        *,
        dsn: str,
        cluster: KafkaCluster,
        runtime: Runtime,
        metrics: RelayMetrics,
        owner: str,
        backlog_limit: int,
        lease: timedelta = LEASE,
    ) -> None:
        """`owner`: this process; `backlog_limit`: how many events of a topic may wait before new work is refused."""
        self.name = name
        self._topics = frozenset(topics)
        self._dsn = dsn
        self._cluster = cluster
        self._runtime = runtime
        self._metrics = metrics
        self._owner = owner
        self._backlog_limit = backlog_limit
        self._lease = lease
        self._connection: asyncpg.Connection[Any] | None = None
        self._publisher: KafkaPublisher | None = None
        self._epoch: int | None = None
        self._signs: tuple[int, int] | None = None
        self._signs_since = 0.0
        self._progress: dict[str, _Progress] = {}
        self._woken = asyncio.Event()
        self._claim_due = self._measure_due = self._refresh_due = 0.0
        self._backoff = 0.0

    def tell(self, topics: frozenset[str]) -> bool:
        """Hear that a commit of this process appended to topics; say whether this relay will see to them all."""
        self._woken.set()
        return self._publisher is not None and topics <= self._topics

    async def step(self) -> float:
        """Copy what there is, or wait for it; return when to come again.

        Raises nothing that a retry can mend: that becomes a back-off, and the events wait in the log.
        """
        try:
            if not await self._lead():
                return self._lease.total_seconds() / 4
            copied = await self._copy()
            if copied == 0:
                await self._wait()
        except Exception as error:
            if not is_retryable(error):
                raise
            return await self._back_off(error)
        self._backoff = 0.0
        return REST_SECONDS if 0 < copied < ENOUGH_EVENTS else 0.0

    async def close(self) -> None:
        """Give the lease back, so that another takes over at once."""
        await self._resign()
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            if self._epoch is not None:
                await connection.execute(_QUERIES["relay_release"], self.name, self._owner, self._epoch)
            await connection.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            connection.terminate()

    # Leading --------------------------------------------------------------------------------------------------------

    async def _lead(self) -> bool:
        """Take or keep the lease, with an open publisher; False while another has it."""
        connection = await self._connected()
        if self._runtime.monotonic() >= self._claim_due:
            epoch = await self._claim(connection)
            self._claim_due = self._runtime.monotonic() + self._lease.total_seconds() / 4
            if epoch != self._epoch:
                # Lost, or gained: in both cases whatever publisher there was is another's past.
                await self._resign()
                self._epoch = epoch
                log.info("relay.leads" if epoch is not None else "relay.follows", relay=self.name, epoch=epoch)
        if self._runtime.monotonic() >= self._measure_due:
            await self._measure(connection)
        if self._epoch is None:
            return False
        if self._publisher is None:
            await self._take_over(connection)
        return True

    async def _claim(self, connection: "asyncpg.Connection[Any]") -> int | None:
        """Return the epoch in which this relay holds the lease; None while another does."""
        if self._epoch is not None:
            return _epoch(await connection.fetchrow(_QUERIES["relay_renew"], self.name, self._owner, self._epoch))
        lease = await connection.fetchrow(_QUERIES["relay_lease"], self.name)
        if lease is None:
            raise BusUnavailable(f"the relay {self.name} is not registered")
        now, signs = self._runtime.monotonic(), (lease["epoch"], lease["renewals"])
        if signs != self._signs:
            self._signs, self._signs_since = signs, now
        if lease["owner"] is not None and now - self._signs_since < self._lease.total_seconds():
            return None
        return _epoch(await connection.fetchrow(_QUERIES["relay_take"], self.name, self._owner, *signs))

    async def _take_over(self, connection: "asyncpg.Connection[Any]") -> None:
        """Shut the earlier relay out, and only then read how far it came."""
        publisher = await KafkaPublisher.open(self._cluster, f"rialto-relay-{self.name}")
        try:
            progress = {}
            for row in await connection.fetch(_QUERIES["relay_progress"], self.name):
                partitions = row["partitions"] or await publisher.partitions(row["topic"])
                progress[row["topic"]] = _Progress(row["published"], partitions)
        except BaseException:
            await publisher.close()
            raise
        self._publisher, self._progress = publisher, progress
        self._refresh_due = 0.0

    async def _resign(self) -> None:
        publisher, self._publisher = self._publisher, None
        self._metrics.active(self.name, False)
        if publisher is not None:
            await publisher.close()

    # Copying --------------------------------------------------------------------------------------------------------

    async def _copy(self) -> int:
        """Copy the next batch; return how many events that were."""
        if self._publisher is None:
            raise BusUnavailable("the relay has no publisher")
        if self._runtime.monotonic() >= self._refresh_due:
            await self._refresh(self._publisher)
        self._woken.clear()
        connection = await self._connected()
        topics = [topic for topic, progress in self._progress.items() if not progress.held]
        rows = await connection.fetch(
            _QUERIES["relay_read"], topics, [self._progress[topic].published for topic in topics], BATCH_EVENTS
        )
        if not rows:
            return 0
        self._runtime.crash_point(f"{self.name}.relay.before_publish")
        await self._publisher.publish(
            [self._placed(event_of(row)) for row in rows],
            before_commit=lambda: self._runtime.crash_point(f"{self.name}.relay.before_kafka_commit"),
        )
        self._runtime.crash_point(f"{self.name}.relay.after_publish")
        await self._advance(connection, {row["topic"]: row["position"] for row in rows})
        self._runtime.crash_point(f"{self.name}.relay.after_record")
        self._metrics.published(self.name, len(rows))
        return len(rows)

    def _placed(self, event: Event) -> tuple[Event, int]:
        return event, event.shard % self._progress[event.topic].partitions

    async def _advance(self, connection: "asyncpg.Connection[Any]", reached: Mapping[str, int]) -> None:
        """Remember how far the topics were copied. Raises: BusUnavailable: the lease is another's by now."""
        for topic, position in reached.items():
            self._progress[topic].published = position
        recorded = await connection.fetch(
            _QUERIES["relay_advance"],
            self.name,
            self._owner,
            self._epoch,
            list(reached),
            list(reached.values()),
            [self._progress[topic].partitions for topic in reached],
        )
        if len(recorded) < len(reached):
            raise BusUnavailable("another relay has taken the lease")

    async def _refresh(self, publisher: KafkaPublisher) -> None:
        """See whether topics have more partitions; go over to them once everyone has read what lies in the old ones.

        A shard's events move to another partition then. Were the old one not read to its end, a reader could see a
        payment's next event before the one it follows.
        """
        waits = False
        for topic, progress in self._progress.items():
            partitions = await publisher.partitions(topic)
            if partitions == progress.partitions:
                progress.held = False
                continue
            progress.held = waits = True
            if partitions < progress.partitions:
                log.error("relay.partitions_lost", topic=topic, were=progress.partitions, are=partitions)
                continue
            behind = await undelivered(self._cluster, topic, progress.partitions)
            if behind:
                log.warning("relay.waits_for_readers", topic=topic, behind=behind, partitions=partitions)
                continue
            progress.partitions, progress.held = partitions, False
            await self._advance(await self._connected(), {topic: progress.published})
            log.info("relay.repartitioned", topic=topic, partitions=partitions)
        self._refresh_due = self._runtime.monotonic() + (1.0 if waits else REFRESH_SECONDS)

    # Around it ------------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(min(IDLE_SECONDS, self._lease.total_seconds() / 4)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _measure(self, connection: "asyncpg.Connection[Any]") -> None:
        for row in await connection.fetch(_QUERIES["relay_progress"], self.name):
            oldest = row["oldest_at"]
            age = 0.0 if oldest is None else max(0.0, (self._runtime.now() - oldest).total_seconds())
            self._metrics.backlog(row["topic"], row["waiting"], age)
        self._metrics.active(self.name, self._publisher is not None)
        self._measure_due = self._runtime.monotonic() + MEASURE_SECONDS

    async def _back_off(self, error: Exception) -> float:
        """Start afresh with a new publisher: after an error nobody can say what state the old one is in."""
        if self._backoff == 0.0:
            log.warning("relay.waiting", relay=self.name, error=f"{type(error).__name__}: {error}"[:500])
        await self._resign()
        # The error may be that another has shut this one out: it must not answer in kind before it has seen the lease.
        self._claim_due = 0.0
        self._backoff = min(LONGEST_BACKOFF_SECONDS, max(FIRST_BACKOFF_SECONDS, self._backoff * 2))
        return self._backoff * (0.5 + self._runtime.random.random() / 2)

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._claim_due = 0.0
            connection = await connect_reader(self._dsn, f"rialto-relay-{self.name}", self._hint)
            try:
                await connection.execute(_QUERIES["relay_register"], self.name)
                await connection.execute(
                    _QUERIES["relay_register_topics"], self.name, sorted(self._topics), self._backlog_limit
                )
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def _hint(self, _connection: object, _pid: int, _channel: str, topic: object) -> None:
        if topic in self._topics:
            self._woken.set()


def _epoch(row: Any) -> int | None:
    return None if row is None else int(row["epoch"])
