"""Puts events on a bus as services do, and holds back the commit when asked to."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from rialto_cli.events.kafka_log import KafkaLog
from rialto_cli.events.port import EventLog
from rialto_cli.events.postgres_log import PostgresLog
from rialto_common import ids
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events import Event
from rialto_common.events.asyncapi import examples
from rialto_common.events.kafka_binary import to_record
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import START, root_of


class Publisher(Protocol):
    """What the suite needs of a bus."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish in one transaction."""

    def unfinished(self, events: Sequence[Event], *, commit: bool) -> "contextlib.AbstractAsyncContextManager[None]":
        """Publish in a transaction that ends with the block."""

    def log(self) -> EventLog:
        """Return a reader."""

    async def traces(self) -> list[str]:
        """Return what consumers have left on the bus: groups, members, cursors."""

    async def close(self) -> None: ...


class PostgresPublisher:
    def __init__(self, dsn: Callable[[str], str]) -> None:
        """`dsn` gives the URI of a role."""
        self._dsn = dsn
        self._pool: Any = None

    async def publish(self, events: Sequence[Event]) -> None:
        async with self.unfinished(events, commit=True):
            pass

    @contextlib.asynccontextmanager
    async def unfinished(self, events: Sequence[Event], *, commit: bool) -> AsyncIterator[None]:
        """Publish with a real unit of work; one that is to come to nothing appends, waits for the block, and fails."""
        if self._pool is None:
            self._pool = await open_pool(self._dsn("gateway"), application="test")
        unit_of_work = PostgresUnitOfWork(self._pool, schema="gateway", runtime=SystemRuntime())
        if commit:
            async with unit_of_work.begin() as transaction:
                transaction.publish(*events)
                yield
            return
        with contextlib.suppress(RolledBack):
            async with unit_of_work.begin() as transaction:
                transaction.publish(*events)
                await unit_of_work._append(transaction)
                yield
                raise RolledBack

    def log(self) -> EventLog:
        return PostgresLog(self._dsn("auditor"))

    async def traces(self) -> list[str]:
        connection = await asyncpg.connect(self._dsn("owner"))
        try:
            rows = await connection.fetch(
                "SELECT consumer_group FROM bus.cursors UNION SELECT consumer_group FROM bus.members"
            )
            return [row["consumer_group"] for row in rows]
        finally:
            await connection.close()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


class RolledBack(Exception):
    """Ends a transaction without a commit."""


class KafkaEventPublisher:
    """Publishes in transactions, as the relay does, with its partitions."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, events: Sequence[Event]) -> None:
        async with self.unfinished(events, commit=True):
            pass

    @contextlib.asynccontextmanager
    async def unfinished(self, events: Sequence[Event], *, commit: bool) -> AsyncIterator[None]:
        producer = await self.producer()
        await producer.begin_transaction()
        for event in events:
            key, headers, value = to_record(event)
            await producer.send_and_wait(
                self.cluster.name(event.topic), value=value, key=key, headers=headers, partition=event.shard % 8
            )
        yield
        if commit:
            await producer.commit_transaction()
        else:
            await producer.abort_transaction()

    async def producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                transactional_id=self.cluster.name("test"), acks="all", **self.cluster.client_options("test")
            )
            await self._producer.start()
        return self._producer

    def log(self) -> EventLog:
        return KafkaLog(self.cluster)

    async def traces(self) -> list[str]:
        client = AIOKafkaAdminClient(**self.cluster.client_options("test-admin"))
        await client.start()
        try:
            return [group for group, *_ in await client.list_consumer_groups() if group.startswith(self.cluster.prefix)]
        finally:
            await client.close()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()


def payment(number: int) -> str:
    """Return the id of a made-up payment."""
    return ids.to_text("pay", root_of(number))


def made(event_type: str, number: int, sequence: int = 1, *, at: datetime | None = None, **changes: Any) -> Event:
    """Return an event of a type: a real payload, under a made-up payment's key, a second later for each sequence."""
    root = root_of(number)
    return examples()[event_type]._replace(
        id=ids.derive(root, event_type, sequence),
        key=payment(number),
        correlation_id=payment(number),
        shard=number % ids.SHARDS,
        sequence=sequence,
        time=at or START + timedelta(minutes=number, seconds=sequence),
        **changes,
    )
