"""The laws of deliveries, on random histories: order in each line, nothing dropped, no line waits for another."""

import asyncio
from datetime import datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_common import ids
from rialto_gateway.webhooks.breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    OPENS_AFTER,
    PAUSE_JITTER,
    WIDEST,
    Breaker,
    share,
)
from rialto_gateway.webhooks.lines import Delivery
from rialto_gateway.webhooks.memory import Deliveries, MemoryQueue
from rialto_gateway.webhooks.ports import LEASE, DeliveryQueue

from ..webhook_play import START, Play

DRAWS = st.floats(0, 1, exclude_max=True)


class InMemory:
    """Deliveries in memory."""

    def __init__(self) -> None:
        self.deliveries = Deliveries()
        self.queue: DeliveryQueue = MemoryQueue(self.deliveries)

    async def add(self, endpoint_id: UUID, line: UUID, place: int, at: datetime) -> UUID:
        delivery_id = ids.derive(line, str(endpoint_id), place)
        self.deliveries.queued[delivery_id, endpoint_id] = Delivery(
            delivery_id, endpoint_id, line, "payment.settled", "{}", line, place, at, next_attempt_at=at
        )
        return delivery_id

    async def states(self) -> dict[UUID, str]:
        return {each.delivery_id: each.state for each in self.deliveries.queued.values()}


STEP = st.tuples(st.integers(0, 3), st.integers(0, 11), st.integers(0, 11))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_every_line_arrives_in_its_order_and_nothing_is_dropped_whatever_fails(
    script: list[tuple[int, int, int]],
) -> None:
    asyncio.run(Play(InMemory()).play(script))


@given(st.lists(st.tuples(st.booleans(), DRAWS), max_size=80))
def test_a_breaker_opens_after_a_run_of_failures_and_closes_when_a_probe_is_taken(
    outcomes: list[tuple[bool, float]],
) -> None:
    breaker, now, run = Breaker(), START, 0
    for taken, draw in outcomes:
        if breaker.probe_at is not None:
            assert breaker.room(breaker.probe_at - (breaker.probe_at - now) / 2) == 0, "it is left alone"
            now = breaker.probe_at
            assert breaker.room(now) == 1
            breaker = breaker.probing(now + LEASE)
            assert breaker.room(now) == 0, "one probe at a time"
        run = 0 if taken else run + 1
        breaker = breaker.after(taken, now, draw)
        assert (breaker.state == "open") == (run >= OPENS_AFTER)
        assert (breaker.state == "closed") == (breaker.probe_at is None)
        assert 1 <= breaker.width <= WIDEST
        assert run == 0 or breaker.width == 1
        if breaker.probe_at is not None:
            assert FIRST_PAUSE * (1 - PAUSE_JITTER) <= breaker.probe_at - now <= LONGEST_PAUSE


def test_failures_of_calls_that_were_under_way_do_not_put_the_probe_off() -> None:
    breaker = Breaker(width=WIDEST)
    for _ in range(OPENS_AFTER):
        breaker = breaker.after(False, START, 0)
    late = breaker.after(False, START + FIRST_PAUSE / 2, 0)
    assert (late.state, late.probe_at) == ("open", breaker.probe_at)
    assert late.after(True, START + FIRST_PAUSE, 0).state == "closed"


@given(st.integers(0, 50), st.lists(st.integers(0, 8), max_size=20))
def test_slots_are_shared_in_turns_and_none_is_wasted(slots: int, rooms: list[int]) -> None:
    shares = share(slots, rooms)
    assert sum(shares) == min(slots, sum(rooms))
    assert all(given <= room for given, room in zip(shares, rooms, strict=True))
    for given_one, room in zip(shares, rooms, strict=True):
        if given_one < room:
            assert max(shares) - given_one <= 1, "one has two more than another that wants them"
