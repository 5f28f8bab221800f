"""What the in-memory database does on purpose to whoever commits, and how it hands partitions on."""

import pytest

from rialto_common.bus.memory import LEASE_SECONDS, Faults, MemoryBus, MemoryTransaction, MemoryUnitOfWork, StoreFaults
from rialto_common.errors import CommitUnknown, ServiceUnavailable
from rialto_common.events.common import FRAUD
from rialto_common.simulation import Crashed, SimulatedRuntime
from rialto_common.testing import make_event


class World:
    def __init__(self, faults: StoreFaults | None = None) -> None:
        self.runtime = SimulatedRuntime(5)
        self.bus = MemoryBus(self.runtime, faults=Faults.none(), store_faults=faults)
        self.work = MemoryUnitOfWork(self.bus, self.runtime, name="books")
        self.rows: list[str] = []

    async def write(self, row: str = "row") -> None:
        async with self.work.begin() as transaction:
            transaction.on_commit(lambda: self.rows.append(row))
            transaction.publish(make_event(1, 1))


@pytest.mark.parametrize(
    ("faults", "error", "committed"),
    [
        (StoreFaults(away=1.0), ConnectionError, False),
        (StoreFaults(refused=1.0), ServiceUnavailable, False),
        (StoreFaults(unknown_lost=1.0), CommitUnknown, False),
        (StoreFaults(unknown_committed=1.0), CommitUnknown, True),
    ],
)
async def test_each_fault_is_raised_and_writes_all_or_nothing(
    faults: StoreFaults, error: type[Exception], committed: bool
) -> None:
    world = World(faults)
    with pytest.raises(error):
        await world.write()
    assert (world.rows == ["row"]) == committed == (len(world.bus.log) == 1)
    assert sum(world.bus.struck.values()) == 1
    assert world.work.store.commits == int(committed)


async def test_after_a_fault_the_next_transaction_has_its_turn() -> None:
    world = World(StoreFaults(refused=1.0))
    with pytest.raises(ServiceUnavailable):
        await world.write()
    world.bus.store_faults = StoreFaults()
    await world.write("again")
    assert world.rows == ["again"]


async def test_a_transaction_that_writes_nothing_meets_no_fault_at_its_commit() -> None:
    world = World(StoreFaults(refused=1.0, unknown_lost=1.0))
    async with world.work.begin() as transaction:
        transaction.on_commit(lambda: world.rows.append("never"), unless=lambda: True)
    assert world.work.store.commits == 0


@pytest.mark.parametrize(("point", "committed"), [("books.before_commit", False), ("books.after_commit", True)])
async def test_a_crash_around_the_commit_leaves_all_or_nothing(point: str, committed: bool) -> None:
    world = World()
    world.runtime.crash_at = point
    with pytest.raises(Crashed):
        await world.write()
    assert bool(world.rows) == bool(world.bus.log) == committed
    await world.write("next")
    assert world.rows[-1] == "next"


async def test_a_view_is_the_same_for_all_who_ask_within_a_transaction() -> None:
    world = World()
    async with world.work.begin() as transaction:
        assert isinstance(transaction, MemoryTransaction)
        assert transaction.view("rows", list[str]) is transaction.view("rows", list[str])


async def test_a_member_that_falls_silent_loses_its_partitions_after_a_lease_and_its_late_word_does_not_count() -> None:
    world = World()
    one = await world.bus.subscribe("readers", [FRAUD], member="one")
    two = await world.bus.subscribe("readers", [FRAUD], member="two")
    for key in range(40):
        world.bus.append([make_event(key, 1)])
    in_hand = await one.poll(max_events=100, wait_seconds=0)
    assert in_hand
    theirs = await two.poll(max_events=100, wait_seconds=0)
    await two.acknowledge(theirs)
    world.bus.fall_silent("one")
    await world.runtime.sleep(LEASE_SECONDS + 0.1)
    again = await two.poll(max_events=100, wait_seconds=0)
    assert {item.event.id for item in again} == {item.event.id for item in in_hand}
    await one.acknowledge(in_hand)
    assert world.bus.lag("readers", [FRAUD]) == len(in_hand)
    await two.acknowledge(again)
    assert world.bus.lag("readers", [FRAUD]) == 0


async def test_a_partition_that_is_withheld_gives_nothing_for_a_while() -> None:
    world = World()
    world.bus.append([make_event(1, 1)])
    [place] = world.bus.logs
    world.bus.withheld[place] = world.runtime.monotonic() + 10
    reader = await world.bus.subscribe("readers", [FRAUD], member="one")
    assert await reader.poll(max_events=10, wait_seconds=1) == []
    assert reader.is_behind
    await world.runtime.sleep(10)
    assert len(await reader.poll(max_events=10, wait_seconds=1)) == 1
