"""Readers when the bus goes away and comes back, holds what is no event, or is guarded."""

import asyncio
from collections.abc import Callable

import pytest

from rialto_cli.events.kafka_log import KafkaLog
from rialto_cli.events.ordering import merged
from rialto_cli.events.port import Entry, EventLog, LogUnreadable, Place, Want
from rialto_cli.events.postgres_log import PostgresLog
from rialto_cli.events.selection import EVERY_TOPIC
from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import PostgresServer
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.events.common import PAYMENTS

from .publishers import KafkaEventPublisher, PostgresPublisher, made

CREATED = "rialto.payment.created.v1"


async def everything(log: EventLog, want: Want = Want()) -> list[Entry]:  # noqa: B008 - frozen
    return [entry async for entry in merged(log, await log.spans(EVERY_TOPIC), want)]


async def answers(log: EventLog) -> dict[Place, int]:
    """Return the ends of the partitions as soon as the bus tells them."""
    async with asyncio.timeout(30):
        while True:
            try:
                return {place: span.end for place, span in (await log.spans([PAYMENTS])).items()}
            except LogUnreadable:
                await asyncio.sleep(0.1)


async def follow_until(log: EventLog, positions: dict[Place, int]) -> list[Entry]:
    """Follow until something comes."""
    async with asyncio.timeout(30):
        while not (page := await log.follow(positions, Want(), wait_seconds=1)).entries:
            positions.update(page.reached)
    return list(page.entries)


async def test_a_database_that_was_away_is_read_on_from_the_same_place(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory()
    database = server.create_database()
    publisher, log = PostgresPublisher(database.dsn), PostgresLog(database.dsn("auditor"))
    await publisher.publish([made(CREATED, 1)])
    positions = await answers(log)
    await publisher.close()
    server.kill()
    with pytest.raises(LogUnreadable, match=r"the bus's database does not answer: .+"):
        await log.follow(positions, Want(), wait_seconds=5)
    server.start()
    publisher = PostgresPublisher(database.dsn)
    await publisher.publish([made(CREATED, 1, 2)])
    await answers(log)
    (entry,) = await follow_until(log, positions)
    assert entry.event == made(CREATED, 1, 2)
    await log.close()
    await publisher.close()


async def test_a_broker_that_was_away_is_read_on_from_the_same_place(
    kafka_factory: Callable[..., KafkaBroker],
) -> None:
    broker = kafka_factory()
    cluster = broker.cluster()
    create_topics(cluster)
    publisher, log = KafkaEventPublisher(cluster), KafkaLog(cluster)
    await publisher.publish([made(CREATED, 1)])
    positions = await answers(log)
    await publisher.close()
    broker.kill()
    with pytest.raises(LogUnreadable, match=r"Kafka does not answer as it should: .+"):
        await log.spans([PAYMENTS])
    broker.start()
    publisher = KafkaEventPublisher(cluster)
    await publisher.publish([made(CREATED, 1, 2)])
    await answers(log)
    (entry,) = await follow_until(log, positions)
    assert entry.event == made(CREATED, 1, 2)
    await log.close()
    await publisher.close()


async def test_what_is_no_event_is_shown_with_its_place_and_reason(kafka_cluster: KafkaCluster) -> None:
    publisher, log = KafkaEventPublisher(kafka_cluster), KafkaLog(kafka_cluster)
    await publisher.publish([made(CREATED, 1)])
    producer = await publisher.producer()
    async with producer.transaction():
        await producer.send_and_wait(kafka_cluster.name(PAYMENTS), b"{}", key=b"pay_1", partition=1)
    await publisher.publish([made(CREATED, 1, 2)])
    entries = await everything(log)
    assert [entry.event is not None for entry in entries if entry.place.partition == 1].count(False) == 1
    (strange,) = [entry for entry in entries if entry.event is None]
    assert strange.place == Place(PAYMENTS, 1)
    assert strange.fault == f"a record of {PAYMENTS} is no event: the header ce_specversion is missing"
    assert len(entries) == 3
    assert len(await everything(log, Want(types=frozenset({CREATED})))) == 2
    await log.close()
    await publisher.close()


async def test_partitions_that_are_added_are_found(kafka_cluster: KafkaCluster) -> None:
    publisher, log = KafkaEventPublisher(kafka_cluster), KafkaLog(kafka_cluster)
    positions = await answers(log)
    assert len(positions) == 8
    create_topics(kafka_cluster, partitions=9)
    spans = await log.spans([PAYMENTS])
    assert len(spans) == 9
    positions = {**{place: span.first for place, span in spans.items()}, **positions}
    producer = await publisher.producer()
    async with producer.transaction():
        await producer.send_and_wait(kafka_cluster.name(PAYMENTS), b"{}", key=b"pay_1", partition=8)
    (entry,) = await follow_until(log, positions)
    assert entry.place == Place(PAYMENTS, 8)
    await log.close()
    await publisher.close()


async def test_a_guarded_cluster_is_read_with_its_password_and_not_without(
    kafka_factory: Callable[..., KafkaBroker],
) -> None:
    broker = kafka_factory(secured=True)
    cluster = broker.secured_cluster("mine")
    create_topics(cluster)
    publisher, log = KafkaEventPublisher(cluster), KafkaLog(cluster)
    await publisher.publish([made(CREATED, 1)])
    assert [entry.event for entry in await everything(log)] == [made(CREATED, 1)]
    # Another installation on the same cluster sees none of it.
    elsewhere = KafkaLog(broker.secured_cluster("theirs"))
    assert await elsewhere.spans(EVERY_TOPIC) == {}
    stranger = KafkaLog(
        KafkaCluster(
            cluster.servers, tls=True, prefix="mine", username="rialto", password="wrong", ca_file=cluster.ca_file
        )
    )
    with pytest.raises(LogUnreadable):
        await stranger.spans(EVERY_TOPIC)
    for each in (log, elsewhere, stranger):
        await each.close()
    await publisher.close()
