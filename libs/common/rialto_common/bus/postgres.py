"""The log in PostgreSQL: appended to in the unit of work itself, and read by groups where it is the bus.

The events are rows of the same transaction. See `migrations/0001_bus.sql` for why positions have no gaps, and
docs/decisions/0002 for the alternatives. In front of Kafka the same log is the outbox that `relay.py` copies.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from rialto_common.bus.port import Delivery, check_size
from rialto_common.bus.postgres_inbox import PostgresDeadLetters, PostgresInbox
from rialto_common.bus.postgres_rows import event_of
from rialto_common.database import Connection, Pool, column, commit, load_queries
from rialto_common.errors import BusBacklogFull
from rialto_common.events.envelope import Event
from rialto_common.runtime import Runtime

CHANNEL = "rialto_bus"
BACKLOG_LIMIT = "bus_backlog_limit"
LEASE = timedelta(seconds=5)
ROLLBACK_SECONDS = 2.0
"""A server that is frozen shall not hold the caller for another statement's timeout after the one that failed."""
LOG_DAYS = 14
INBOX_DAYS = 120
"""How long handled event ids are kept, at least from their handling: longer than any bus may deliver an event again."""

_QUERIES = load_queries(__package__)


class PostgresTransaction:
    """A unit of work on one connection; services reach their tables through `connection`."""

    def __init__(self, connection: Connection, schema: str, runtime: Runtime) -> None:
        self.connection = connection
        self.inbox = PostgresInbox(connection, schema, runtime)
        self.dead_letters = PostgresDeadLetters(connection, schema, runtime)
        self.outgoing: list[Event] = []

    def publish(self, *events: Event) -> None:
        """Put events into the log when this transaction commits. Raises: EventTooLarge."""
        check_size(events)
        self.outgoing.extend(events)


Told = Callable[[frozenset[str]], bool]
"""Hears which topics a commit appended to; answers whether nobody else need be woken."""


class PostgresUnitOfWork:
    """Opens transactions of one service on its own schema."""

    def __init__(self, pool: Pool, *, schema: str, runtime: Runtime, tell: Told | None = None) -> None:
        """`tell` is a relay beside this unit of work: where it publishes the topics itself, NOTIFY is spared."""
        self._pool = pool
        self._schema = schema
        self._runtime = runtime
        self._tell = tell
        self._unannounced: set[str] = set()
        self._announcing = False

    @asynccontextmanager
    async def begin(self, *, admitting: bool = False) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction; commit on leaving, together with what was published.

        Raises: CommitUnknown: the commit's answer was lost. BusBacklogFull: new work, and too much waits already.
        """
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            unit = PostgresTransaction(connection, self._schema, self._runtime)
            try:
                await transaction.start()
                yield unit
                if unit.outgoing:
                    await self._append(unit, admitting=admitting)
                    # Only where something is told: a crash around an empty commit, as of a look for replays, shows
                    # nothing, and would come before any other.
                    self._runtime.crash_point(f"{self._schema}.before_commit")
            except BaseException:
                await _rollback(connection, transaction)
                raise
            await commit(transaction)
            if unit.outgoing:
                self._runtime.crash_point(f"{self._schema}.after_commit")
                self._announce(unit.outgoing)

    async def _append(self, unit: PostgresTransaction, *, admitting: bool = False) -> None:
        events = unit.outgoing
        columns: list[object] = [
            self._runtime.now(),
            column([event.topic for event in events]),
            [event.id for event in events],
            column([event.source for event in events]),
            column([event.type for event in events]),
            [event.key for event in events],
            column([event.shard for event in events]),
            column([event.time for event in events]),
            [event.sequence for event in events],
            [event.correlation_id for event in events],
            column([event.causation_id for event in events]),
            [event.traceparent for event in events],
            [event.data.decode() for event in events],
            admitting,
        ]
        try:
            await unit.connection.execute(_QUERIES["append"], *columns)
        except asyncpg.ConfigurationLimitExceededError as error:
            if error.constraint_name != BACKLOG_LIMIT:
                raise
            raise BusBacklogFull(
                f"{error}; what was accepted is kept, new work is taken again once it is back"
            ) from error

    def _announce(self, events: Sequence[Event]) -> None:
        """Wake the readers. After the commit and on its own, as NOTIFY inside would make all commits queue up.

        Only a hint, for which the caller does not wait: a reader that misses it looks again within its poll's wait.
        """
        topics = frozenset(event.topic for event in events)
        if self._tell is not None and self._tell(topics):
            return
        self._unannounced |= topics
        if not self._announcing:
            self._announcing = True
            self._runtime.spawn(self._notify(), name="bus-notify")

    async def _notify(self) -> None:
        """Announce what was appended to, also what is while this is under way; a failure loses nothing."""
        try:
            async with self._pool.acquire() as connection:
                while self._unannounced:
                    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, self._unannounced.pop())
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            self._unannounced.clear()
        finally:
            self._announcing = False


async def _rollback(connection: Connection, transaction: Any) -> None:
    """Roll back where there still is a connection; without one the server has done it.

    A connection that does not answer is dropped: the pool would wait for its cancelled statement to be acknowledged.
    """
    try:
        if connection.is_closed():
            return
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await transaction.rollback()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


class PostgresBus:
    """Subscriptions on the log, each with a connection of its own."""

    def __init__(self, dsn: str, runtime: Runtime, *, lease: timedelta = LEASE) -> None:
        self._dsn = dsn
        self._runtime = runtime
        self._lease = lease

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str) -> "PostgresSubscription":
        """Join a group."""
        return PostgresSubscription(self._dsn, self._runtime, group, list(topics), member, self._lease)

    async def rewind(self, group: str, topics: Sequence[str]) -> None:
        """Let the group see every retained event of these topics again, at its members' next claim."""
        connection = await connect(self._dsn, "rialto-bus-rewind")
        try:
            await connection.execute(_QUERIES["rewind"], group, list(topics))
        finally:
            await connection.close()

    async def maintain(self) -> float:
        """Create the coming days' partitions and drop old ones; due again in an hour."""
        connection = await connect(self._dsn, "rialto-bus-maintain")
        try:
            await connection.execute(_QUERIES["maintain"], self._runtime.now(), LOG_DAYS, INBOX_DAYS)
        finally:
            await connection.close()
        return 3600.0


class PostgresSubscription:
    """One member of a group; reconnects by itself after the database was away."""

    def __init__(
        self, dsn: str, runtime: Runtime, group: str, topics: list[str], member: str, lease: timedelta
    ) -> None:
        self._dsn = dsn
        self._runtime = runtime
        self._group = group
        self._topics = topics
        self._member = member
        self._lease = lease
        self._connection: asyncpg.Connection[Any] | None = None
        self._woken = asyncio.Event()
        self._held: dict[tuple[str, int], int] = {}
        # Acknowledged, and not yet written.
        self._reached: dict[tuple[str, int], int] = {}
        self._claim_due = 0.0
        self._turn = 0

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        """Return the next events of this member's partitions."""
        deadline = self._runtime.monotonic() + wait_seconds
        while True:
            self._woken.clear()
            deliveries = await self._read(max_events)
            remaining = deadline - self._runtime.monotonic()
            if deliveries or remaining <= 0:
                return deliveries
            try:
                async with asyncio.timeout(min(remaining, self._lease.total_seconds() / 4)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Move the group's cursors; a partition lost meanwhile stays where its new holder has it.

        They are written by the statement that reads what comes next, or at the end.
        """
        for delivery in deliveries:
            place = (delivery.event.topic, delivery.partition)
            if place in self._held:
                self._held[place] = max(delivery.position, self._held[place])
                self._reached[place] = self._held[place]

    async def _write_cursors(self, connection: "asyncpg.Connection[Any]") -> None:
        if self._reached:
            await connection.execute(_QUERIES["acknowledge"], self._group, self._member, *self._take_reached())

    def _take_reached(self) -> tuple[list[str], list[int], list[int]]:
        """Return topics, partitions and positions to be written, and have none left."""
        reached, self._reached = self._reached, {}
        return [topic for topic, _ in reached], [partition for _, partition in reached], list(reached.values())

    async def close(self) -> None:
        """Leave the group; where the database is away, the lease ends the membership instead."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._write_cursors(self._connection)
            await self._connection.execute(_QUERIES["leave"], self._group, self._member)
            await self._connection.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            self._connection.terminate()

    async def _read(self, max_events: int) -> list[Delivery]:
        connection = await self._connected()
        await self._claim_when_due(connection)
        if not self._held:
            return []
        # Whoever has a backlog may fill the batch, and each partition comes first in its turn, so that none starves.
        places = list(self._held)
        self._turn = (self._turn + 1) % len(places)
        places = places[self._turn :] + places[: self._turn]
        rows = await connection.fetch(
            _QUERIES["acknowledge_and_read"],
            self._group,
            self._member,
            *self._take_reached(),
            [topic for topic, _ in places],
            [partition for _, partition in places],
            [self._held[place] for place in places],
            max_events,
        )
        return [Delivery(event_of(row), row["partition"], row["position"]) for row in sorted(rows, key=_by_position)]

    async def _claim_when_due(self, connection: "asyncpg.Connection[Any]") -> None:
        if self._runtime.monotonic() < self._claim_due:
            return
        # First, as a claim answers with what is written.
        await self._write_cursors(connection)
        now = self._runtime.now()
        rows = await connection.fetch(
            _QUERIES["claim"], self._group, self._topics, self._member, now, now + self._lease
        )
        self._held = {(row["topic"], row["partition"]): row["reached"] for row in rows}
        self._claim_due = self._runtime.monotonic() + self._lease.total_seconds() / 4

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._claim_due = 0.0
            self._connection = await connect_reader(self._dsn, f"rialto-bus-{self._group}", self._wake)
        return self._connection

    def _wake(self, _connection: object, _pid: int, _channel: str, topic: object) -> None:
        if topic in self._topics:
            self._woken.set()


Wake = Callable[[object, int, str, object], None]


async def connect_reader(dsn: str, application: str, wake: Wake) -> "asyncpg.Connection[Any]":
    """Return a connection to read the log with, which calls `wake` (its last argument: a topic) after commits."""
    connection = await connect(
        dsn,
        application,
        # Losing an acknowledgement only delivers again, so cursors need not wait for the disk.
        synchronous_commit="off",
        # Every statement here finds its rows by primary key, so one plan serves (halving the cost of a poll), and a
        # plan made while a partition was empty must not become a scan of the full one.
        plan_cache_mode="force_generic_plan",
        enable_seqscan="off",
    )
    try:
        await connection.add_listener(CHANNEL, wake)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def connect(dsn: str, application: str, **settings: str) -> "asyncpg.Connection[Any]":
    return await asyncpg.connect(
        dsn,
        timeout=5,
        command_timeout=30,
        server_settings={
            "application_name": application,
            "timezone": "UTC",
            "plan_cache_mode": "force_custom_plan",
            "jit": "off",
            **settings,
        },
    )


def _by_position(row: Any) -> int:
    position: int = row["position"]
    return position
