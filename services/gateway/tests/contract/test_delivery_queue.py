"""One suite for the deliveries in line, run against memory and PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.database import open_pool
from rialto_common.simulation import SimulatedRuntime
from rialto_gateway.idempotency import Vault
from rialto_gateway.webhooks.breaker import OPENS_AFTER, WIDEST
from rialto_gateway.webhooks.lines import Delivery
from rialto_gateway.webhooks.memory import Deliveries, MemoryQueue
from rialto_gateway.webhooks.ports import LEASE, DeliveryQueue
from rialto_gateway.webhooks.queue import PostgresQueue
from rialto_gateway.webhooks.retries import RETRY_AFTER

from ..webhook_play import ENDPOINTS, LOST, REFUSED, START, TAKEN, Play

MERCHANT = UUID(int=1)


class World:
    """Deliveries, whichever kind they are; `other` is the queue as another gateway has it."""

    queue: DeliveryQueue
    other: DeliveryQueue

    async def add(self, endpoint_id: UUID, line: UUID, place: int, at: datetime) -> UUID:
        raise NotImplementedError

    async def states(self) -> dict[UUID, str]:
        raise NotImplementedError

    async def attempts(self, delivery_id: UUID) -> list[str]:
        raise NotImplementedError


class InMemory(World):
    def __init__(self) -> None:
        self.deliveries = Deliveries()
        self.queue = self.other = MemoryQueue(self.deliveries)

    async def add(self, endpoint_id: UUID, line: UUID, place: int, at: datetime) -> UUID:
        delivery_id = ids.derive(line, str(endpoint_id), place)
        self.deliveries.queued[delivery_id, endpoint_id] = Delivery(
            delivery_id, endpoint_id, line, "payment.settled", "{}", line, place, at, next_attempt_at=at
        )
        return delivery_id

    async def states(self) -> dict[UUID, str]:
        return {each.delivery_id: each.state for each in self.deliveries.queued.values()}

    async def attempts(self, delivery_id: UUID) -> list[str]:
        numbered = sorted(self.deliveries.attempts.items(), key=lambda each: each[0][1])
        return [state for (each, _), state in numbered if each == delivery_id]


class InPostgres(World):
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        runtime = SimulatedRuntime(3)
        vault = Vault(bytes(32), runtime)
        self.queue, self.other = PostgresQueue(pool, vault, runtime), PostgresQueue(pool, vault, runtime)

    async def open(self) -> None:
        await self.pool.execute("INSERT INTO gateway.merchants VALUES ($1, 'Shop', NULL, '0x', $2)", MERCHANT, START)
        for endpoint_id in ENDPOINTS:
            await self.pool.execute(
                "INSERT INTO gateway.webhook_endpoints VALUES ($1, $2, 'test', 'https://a.example', '{}', '\\x00', $3)",
                endpoint_id,
                MERCHANT,
                START,
            )
            await self.pool.execute("INSERT INTO gateway.webhook_breakers VALUES ($1)", endpoint_id)

    async def add(self, endpoint_id: UUID, line: UUID, place: int, at: datetime) -> UUID:
        delivery_id = ids.derive(line, str(endpoint_id), place)
        await self.pool.execute(
            "INSERT INTO gateway.webhook_deliveries (delivery_id, endpoint_id, payment_id, event, body, line, place,"
            " state, next_attempt_at, created_at) VALUES ($1, $2, $3, 'p', '{}', $3, $4, 'pending', $5, $5)",
            delivery_id,
            endpoint_id,
            line,
            place,
            at,
        )
        return delivery_id

    async def states(self) -> dict[UUID, str]:
        rows = await self.pool.fetch("SELECT delivery_id, state FROM gateway.webhook_deliveries")
        return {row["delivery_id"]: row["state"] for row in rows}

    async def attempts(self, delivery_id: UUID) -> list[str]:
        query = "SELECT state FROM gateway.webhook_attempts WHERE delivery_id = $1 ORDER BY nth"
        return [row["state"] for row in await self.pool.fetch(query, delivery_id)]


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("gateway"), application="test", max_size=4) as pool:
        opened = InPostgres(pool)
        await opened.open()
        yield opened


async def widen(play: Play) -> None:
    """Have the first endpoint take messages until it may have WIDEST calls at once."""
    for _ in range(WIDEST):
        await play.add(line=3)
        claimed = await play.claim()
        await play.finish(*[(each, TAKEN) for each in claimed])


async def test_the_next_of_a_line_goes_once_the_one_before_was_taken_and_other_lines_do_not_wait(world: World) -> None:
    play = Play(world)
    await widen(play)
    first, second, third = [await play.add(line=0) for _ in range(3)]
    other = await play.add(line=1)
    claimed = {each.delivery_id: each for each in await play.claim()}
    assert set(claimed) == {first, other}
    await play.finish((claimed[first], LOST), (claimed[other], TAKEN))
    assert await play.claim() == [], "neither the second, nor the first before its time"
    play.later(RETRY_AFTER[0])
    for expected in (first, second, third):
        (each,) = await play.claim()
        assert each.delivery_id == expected
        await play.finish((each, TAKEN))
    assert await world.attempts(first) == ["unknown", "succeeded"]


async def test_what_is_given_up_lets_the_next_of_its_line_go(world: World) -> None:
    play = Play(world)
    first, second = await play.add(), await play.add()
    for number in range(len(RETRY_AFTER) + 1):
        (each,) = await play.claim()
        assert (each.delivery_id, each.attempt, each.tries) == (first, number + 1, number + 1)
        await play.finish((each, REFUSED))
        play.later(RETRY_AFTER[-1])
    assert (await world.states())[first] == "given_up"
    (each,) = await play.claim()
    assert each.delivery_id == second


async def test_an_endpoint_has_one_call_at_first_and_more_with_each_that_was_taken(world: World) -> None:
    play = Play(world)
    for endpoint in (0, 1):
        for line in range(4):
            await play.add(endpoint, line)
    claimed = await play.claim()
    assert sorted(each.endpoint_id for each in claimed) == sorted(ENDPOINTS[:2])
    assert await play.claim() == []
    by_endpoint = {each.endpoint_id: each for each in claimed}
    await play.finish((by_endpoint[ENDPOINTS[0]], TAKEN), (by_endpoint[ENDPOINTS[1]], REFUSED))
    assert [each.endpoint_id for each in await play.claim()].count(ENDPOINTS[0]) == 2


async def test_slots_are_shared_between_endpoints(world: World) -> None:
    play = Play(world)
    await widen(play)
    for line in range(3):
        await play.add(0, line)
    await play.add(1, 0)
    await play.add(2, 0)
    claimed = await play.claim(slots=3)
    assert {each.endpoint_id for each in claimed} == set(ENDPOINTS)


async def test_after_a_run_of_failures_an_endpoint_is_left_alone_until_a_probe_is_taken(world: World) -> None:
    play = Play(world)
    for line in range(4):
        for _ in range(4):
            await play.add(0, line)
    for _ in range(OPENS_AFTER):
        (each,) = await play.claim()
        await play.finish((each, LOST))
        play.later(timedelta(seconds=4))
    assert await play.claim() == [], "the breaker is open"
    assert "given_up" not in (await world.states()).values()
    play.later(timedelta(seconds=31))
    (probe,) = await play.claim()
    assert await play.claim() == [], "one probe alone"
    await play.finish((probe, REFUSED))
    play.later(timedelta(seconds=31))
    assert await play.claim() == [], "the next pause is twice as long"
    play.later(timedelta(seconds=31))
    (probe,) = await play.claim()
    await play.finish((probe, TAKEN))
    assert len(await play.claim()) == 2, "it is closed again"
    await play.end_well()


async def test_an_attempt_whose_process_died_is_unknown_and_made_again_and_its_line_waits_for_it(world: World) -> None:
    play = Play(world)
    first, second = await play.add(), await play.add()
    (lost,) = await play.claim()
    play.later(LEASE - timedelta(seconds=1))
    assert await play.claim() == []
    play.now += timedelta(seconds=1)
    (again,) = await play.claim()
    assert (again.delivery_id, again.attempt) == (first, 2)
    assert await world.attempts(first) == ["unknown", "started"]
    # The process was not dead but slow: what it says is kept, and decides nothing any more.
    play.under_way[lost.delivery_id, lost.attempt] = lost
    await play.finish((lost, REFUSED))
    assert (await world.states())[first] == "sending"
    await play.finish((again, TAKEN))
    assert await world.attempts(first) == ["failed", "succeeded"]
    (each,) = await play.claim()
    assert each.delivery_id == second


@pytest.mark.parametrize("seed", range(4))
async def test_random_histories_keep_the_laws(world: World, seed: int) -> None:
    draw = random.Random(seed)
    script = [(draw.choice((0, 0, 1, 2, 2, 3)), draw.randrange(12), draw.randrange(12)) for _ in range(80)]
    await Play(world).play(script)


async def test_gateways_side_by_side_send_each_message_once_and_in_order(world: World) -> None:
    play = Play(world)
    for endpoint in range(3):
        for line in range(4):
            for _ in range(5):
                await play.add(endpoint, line)
    arrived: list[UUID] = []
    for _ in range(200):
        both = await asyncio.gather(world.queue.claim(play.now, 10), world.other.claim(play.now, 10))
        claimed = [each for one in both for each in one]
        assert len({each.delivery_id for each in claimed}) == len(claimed), "two have the same"
        lines = [next(line for line, members in play.order.items() if each.delivery_id in members) for each in claimed]
        assert len(set(lines)) == len(lines), "two of one line are under way"
        play.under_way |= {(each.delivery_id, each.attempt): each for each in claimed}
        arrived += [each.delivery_id for each in claimed]
        if not claimed and len(arrived) == 60:
            break
        await play.finish(*[(each, TAKEN) for each in claimed])
    for members in play.order.values():
        assert [each for each in arrived if each in members] == members
