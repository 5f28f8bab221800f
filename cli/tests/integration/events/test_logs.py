"""The reader's contract: one suite, every bus."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from rialto_cli.events.ordering import last, merged
from rialto_cli.events.port import Entry, EventLog, Page, Place, Span, Want
from rialto_cli.events.selection import EVERY_TOPIC
from rialto_common import ids
from rialto_common.events import Event
from rialto_common.events.common import FRAUD, LEDGER, PAYMENTS
from rialto_common.testing import root_of

from .publishers import KafkaEventPublisher, PostgresPublisher, Publisher, made, payment

CREATED, ASSESSED, PLACED = "rialto.payment.created.v1", "rialto.fraud.assessed.v1", "rialto.hold.placed.v1"
ANYTHING = Want()


@pytest.fixture(params=["postgres", "kafka"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Publisher]:
    publisher: Publisher
    if request.param == "postgres":
        publisher = PostgresPublisher(request.getfixturevalue("database").dsn)
    else:
        publisher = KafkaEventPublisher(request.getfixturevalue("kafka_cluster"))
    yield publisher
    await publisher.close()


@pytest.fixture
async def log(bus: Publisher) -> AsyncIterator[EventLog]:
    reader = bus.log()
    yield reader
    await reader.close()


async def everything(log: EventLog, want: Want = ANYTHING, topics: Sequence[str] = EVERY_TOPIC) -> list[Entry]:
    return [entry async for entry in merged(log, await log.spans(topics), want)]


def events_of(entries: Sequence[Entry]) -> list[Event]:
    return [entry.event for entry in entries if entry.event is not None]


async def heard(log: EventLog, positions: dict[Place, int], count: int, want: Want = ANYTHING) -> list[Entry]:
    """Follow until so many entries have come; the positions move on."""
    entries: list[Entry] = []
    async with asyncio.timeout(20):
        while len(entries) < count:
            page: Page = await log.follow(positions, want, wait_seconds=0.5)
            positions.update(page.reached)
            entries += page.entries
    return entries


async def ends(log: EventLog, topics: Sequence[str] = EVERY_TOPIC) -> dict[Place, int]:
    return {place: span.end for place, span in (await log.spans(topics)).items()}


async def test_an_empty_bus_has_partitions_and_nothing_in_them(log: EventLog) -> None:
    spans = await log.spans(EVERY_TOPIC)
    assert {place.topic for place in spans} == set(EVERY_TOPIC)
    assert all(span.first == span.end for span in spans.values())
    assert await everything(log) == []
    page = await log.follow({place: span.end for place, span in spans.items()}, ANYTHING, wait_seconds=0.2)
    assert not page.entries


async def test_a_topic_that_is_not_there_has_no_partitions(log: EventLog) -> None:
    assert await log.spans(["rialto.nothing.v1"]) == {}


async def test_everything_is_read_once_each_partition_in_its_order(bus: Publisher, log: EventLog) -> None:
    told = [made(CREATED, number, sequence) for sequence in range(1, 41) for number in range(6)]
    for begin in range(0, len(told), 30):
        await bus.publish(told[begin : begin + 30])
    read: list[Entry] = []
    for place, span in (await log.spans([PAYMENTS])).items():
        position = span.first
        while position < span.end:
            page = await log.read(place, position, span.end, ANYTHING, limit=7)
            assert len(page.entries) <= 7
            assert all(entry.place == place and position <= entry.position < span.end for entry in page.entries)
            position = page.reached[place]
            read += page.entries
    assert sorted(events_of(read), key=order) == sorted(told, key=order)
    for number in range(6):
        assert [event.sequence for event in events_of(read) if event.key == payment(number)] == list(range(1, 41))


def order(event: Event) -> tuple[str, int]:
    return event.key, event.sequence


async def test_events_come_back_as_they_were_told(bus: Publisher, log: EventLog) -> None:
    told = [
        made(CREATED, 1),
        made(PLACED, 1, 2, causation_id="the cause", traceparent=None),
        made(ASSESSED, 2)._replace(topic=FRAUD + ".dlq", data='{"payee": "Zoë"}'.encode()),
    ]
    await bus.publish(told)
    assert events_of(await everything(log)) == told


async def test_what_is_not_committed_is_not_read(bus: Publisher, log: EventLog) -> None:
    positions = await ends(log)
    async with bus.unfinished([made(CREATED, 1)], commit=False):
        assert await everything(log) == []
        assert not (await log.follow(positions, ANYTHING, wait_seconds=0.5)).entries
    await bus.publish([made(CREATED, 1, 2)])
    assert [event.sequence for event in events_of(await heard(log, positions, 1))] == [2]
    assert [event.sequence for event in events_of(await everything(log))] == [2]


async def test_following_brings_each_event_once_in_order(bus: Publisher, log: EventLog) -> None:
    await bus.publish([made(CREATED, 1)])
    positions = await ends(log)
    for sequence in range(2, 30):
        await bus.publish([made(CREATED, number, sequence) for number in (1, 2)])
    entries = await heard(log, positions, 56)
    assert len(entries) == 56
    for number in (1, 2):
        assert [event.sequence for event in events_of(entries) if event.key == payment(number)] == list(range(2, 30))
    assert not (await log.follow(positions, ANYTHING, wait_seconds=0.3)).entries
    await bus.publish([made(CREATED, 1, 30)])
    assert [event.sequence for event in events_of(await heard(log, positions, 1))] == [30]


async def test_an_event_is_heard_soon_after_it_is_told(bus: Publisher, log: EventLog) -> None:
    positions = await ends(log)
    await bus.publish([made(CREATED, 1)])
    await heard(log, positions, 1)
    waits = []
    for sequence in range(2, 7):
        listening = asyncio.create_task(heard(log, positions, 1))
        # Until it listens: what is told before it does is found at once, which would say nothing.
        await asyncio.sleep(0.3)
        await bus.publish([made(CREATED, 1, sequence)])
        told_at = time.monotonic()
        await listening
        waits.append(time.monotonic() - told_at)
    assert sorted(waits)[2] < 0.5, waits


WANTS = {
    "a type": (Want(types=frozenset({PLACED})), [(PLACED, 1), (PLACED, 2)]),
    "a payment": (Want(story=payment(1)), [(CREATED, 1), (ASSESSED, 1), (PLACED, 1)]),
    "both": (Want(types=frozenset({ASSESSED}), story=payment(2)), [(ASSESSED, 2)]),
    "nothing of it": (Want(story=payment(9)), []),
}


@pytest.mark.parametrize(("want", "found"), WANTS.values(), ids=WANTS)
async def test_only_what_is_asked_for_comes(
    bus: Publisher, log: EventLog, want: Want, found: list[tuple[str, int]]
) -> None:
    positions = await ends(log)
    await bus.publish(
        [
            made(event_type, number, sequence)
            for number in (1, 2)
            for sequence, event_type in enumerate((CREATED, ASSESSED, PLACED), start=1)
        ]
    )
    expected = {(event_type, payment(number)) for event_type, number in found}
    assert {(event.type, event.key) for event in events_of(await everything(log, want))} == expected
    followed = await heard(log, positions, len(found), want)
    assert {(event.type, event.key) for event in events_of(followed)} == expected


async def test_a_payments_story_has_what_it_led_to_elsewhere(bus: Publisher, log: EventLog) -> None:
    await bus.publish([made(CREATED, 1), made(PLACED, 2, 2)._replace(correlation_id=payment(1)), made(PLACED, 3, 3)])
    story = events_of(await everything(log, Want(story=payment(1))))
    assert [(event.type, event.key) for event in story] == [(CREATED, payment(1)), (PLACED, payment(2))]


async def test_a_merchants_events_are_found_by_their_payload(bus: Publisher, log: EventLog) -> None:
    mine, other = root_of(50), root_of(51)

    def of(merchant: str, shard: int, sequence: int) -> Event:
        return made(CREATED, 1, sequence)._replace(shard=shard, data=b'{"merchant_id": "%b"}' % merchant.encode())

    name, shard = ids.to_text("mer", mine), ids.shard_of(mine)
    await bus.publish([of(name, shard, 1), of(ids.to_text("mer", other), shard, 2), of(name, shard, 3)])
    want = Want(merchant=name, shard=shard)
    assert [event.sequence for event in events_of(await everything(log, want))] == [1, 3]


async def test_since_begins_where_the_bus_took_the_first_event_of_that_time(bus: Publisher, log: EventLog) -> None:
    await bus.publish([made(CREATED, number) for number in range(4)])
    await asyncio.sleep(0.05)  # the bus's clock has milliseconds
    instant = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await bus.publish([made(CREATED, number, 2) for number in (1, 2)])
    spans = await log.spans([PAYMENTS])
    begin = await log.since(spans, instant)
    later = {place: Span(begin[place], span.end) for place, span in spans.items()}
    found = events_of([entry async for entry in merged(log, later, ANYTHING)])
    assert {(event.key, event.sequence) for event in found} == {(payment(1), 2), (payment(2), 2)}
    assert await log.since(spans, datetime.now(UTC) + timedelta(days=1)) == {
        place: span.end for place, span in spans.items()
    }


async def test_the_backlog_comes_in_time_order_over_all_topics(bus: Publisher, log: EventLog) -> None:
    types = (CREATED, ASSESSED, PLACED)
    told = [made(event_type, 1, 3 * turn + place) for turn in range(100) for place, event_type in enumerate(types)]
    for event_type in types:  # each topic by itself: the order in which they were told must not matter
        await bus.publish([event for event in told if event.type == event_type])
    assert [event.sequence for event in events_of(await everything(log))] == list(range(300))


@pytest.mark.parametrize("count", [0, 1, 7, 250, 1_000])
async def test_the_last_events_are_the_latest_over_all_partitions(bus: Publisher, log: EventLog, count: int) -> None:
    # One busy payment and a quiet one, whose only event is the third but last.
    told = [made(CREATED, 1, sequence) for sequence in range(1, 400)]
    quiet = made(PLACED, 2, 1, at=told[-3].time + timedelta(milliseconds=1))
    for begin in range(0, len(told), 40):
        await bus.publish(told[begin : begin + 40])
    await bus.publish([quiet])
    in_order = [*told[:-2], quiet, *told[-2:]]
    found = await last(log, await log.spans([PAYMENTS, LEDGER]), ANYTHING, count)
    assert events_of(found) == in_order[-count:] if count else not found


async def test_reading_leaves_no_trace(bus: Publisher, log: EventLog) -> None:
    await bus.publish([made(CREATED, 1)])
    positions = await ends(log)
    assert len(await everything(log)) == 1
    await log.follow(positions, ANYTHING, wait_seconds=0.2)
    assert await bus.traces() == []
