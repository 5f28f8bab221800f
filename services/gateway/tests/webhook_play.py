"""Histories of deliveries, played against any `DeliveryQueue`, and the laws that each of them keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from rialto_common import ids
from rialto_gateway.webhooks.breaker import WIDEST
from rialto_gateway.webhooks.ports import LEASE, Attempted, Claimed, DeliveryQueue
from rialto_gateway.webhooks.retries import Outcome, next_attempt

START = datetime(2026, 5, 1, tzinfo=UTC)
TAKEN, REFUSED, LOST = Outcome("succeeded", 204), Outcome("failed", 500), Outcome("unknown", error="ReadTimeout")
ENDPOINTS = [ids.derive(UUID(int=7), "endpoint", nth) for nth in range(3)]
LINES = [ids.derive(UUID(int=8), "line", nth) for nth in range(4)]


class Line(Protocol):
    """Where a test puts deliveries in line and looks at them."""

    queue: DeliveryQueue

    async def add(self, endpoint_id: UUID, line: UUID, place: int, at: datetime) -> UUID: ...

    async def states(self) -> dict[UUID, str]: ...


@dataclass
class Play:
    """One history: what was put in line, what is under way, and the time."""

    world: Line
    now: datetime = START
    order: dict[tuple[UUID, UUID], list[UUID]] = field(default_factory=dict)
    """Each line's deliveries, in order."""

    under_way: dict[tuple[UUID, int], Claimed] = field(default_factory=dict)
    taken: list[UUID] = field(default_factory=list)

    async def add(self, endpoint: int = 0, line: int = 0) -> UUID:
        """Put the next message of an object in an endpoint's line."""
        place = (ENDPOINTS[endpoint], LINES[line])
        members = self.order.setdefault(place, [])
        members.append(await self.world.add(*place, len(members), self.now))
        return members[-1]

    async def claim(self, slots: int = 100) -> list[Claimed]:
        """Claim, and check that only what is first in its line was handed out, once, and within the room there is."""
        before = await self.world.states()
        claimed = list(await self.world.queue.claim(self.now, slots))
        assert len(claimed) <= slots
        assert len({each.delivery_id for each in claimed}) == len(claimed)
        for each in claimed:
            line = next(members for members in self.order.values() if each.delivery_id in members)
            earlier = line[: line.index(each.delivery_id)]
            assert {before[other] for other in earlier} <= {"delivered", "given_up"}, "it went before its turn"
            assert before[each.delivery_id] in ("pending", "waiting", "sending")
        for each in claimed:
            self.under_way[each.delivery_id, each.attempt] = each
        for endpoint_id in ENDPOINTS:
            assert sum(each.endpoint_id == endpoint_id for each in claimed) <= WIDEST
        return claimed

    async def finish(self, *outcomes: tuple[Claimed, Outcome]) -> None:
        """Record what became of claimed deliveries."""
        attempted = []
        for claimed, outcome in outcomes:
            self.under_way.pop((claimed.delivery_id, claimed.attempt))
            again = None if outcome.taken else next_attempt(claimed.tries, self.now, 0.5)
            attempted.append(Attempted(claimed, outcome, again, 0.5))
        await self.world.queue.finish(attempted, self.now)
        states = await self.world.states()
        for claimed, outcome in outcomes:
            if outcome.taken and states[claimed.delivery_id] == "delivered":
                self.taken.append(claimed.delivery_id)

    def later(self, pause: timedelta) -> None:
        """Let time pass; a call whose lease ends was that of a process that died."""
        self.now += pause
        if pause >= LEASE:
            self.under_way.clear()

    async def play(self, script: Sequence[tuple[int, int, int]]) -> None:
        """Play a history of (what, and two numbers for it)."""
        for what, first, second in script:
            if what == 0:
                await self.add(first % len(ENDPOINTS), second % len(LINES))
            elif what == 1:
                await self.claim(1 + first % 10)
            elif what == 2 and self.under_way:
                some = list(self.under_way.values())[: 1 + second % 3]
                await self.finish(*[(each, (TAKEN, REFUSED, LOST)[first % 3]) for each in some])
            elif what == 3:
                self.later(timedelta(seconds=(1, 5, 61, 700)[first % 4]))
        await self.end_well()

    async def end_well(self) -> None:
        """From now on everything is taken: then all of it arrives, each line in its order, and nothing was dropped."""
        self.later(LEASE)
        for _ in range(400):
            claimed = await self.claim()
            if claimed:
                await self.finish(*[(each, TAKEN) for each in claimed])
            elif "pending" not in (await self.world.states()).values():
                break
            else:
                self.later(timedelta(hours=6))
        states = await self.world.states()
        assert set(states.values()) <= {"delivered"}, states
        for members in self.order.values():
            arrived = [each for each in self.taken if each in members]
            assert arrived == members
