"""The consumer on the in-memory bus: order, poison, back-off, and exactly one effect whatever the bus does."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rialto_common.bus.consumer import LONGEST_BACKOFF_SECONDS, Consumer
from rialto_common.bus.memory import Faults, MemoryBus, MemorySubscription, MemoryTransaction, MemoryUnitOfWork
from rialto_common.bus.port import Delivery
from rialto_common.errors import InvariantViolated, MalformedEvent, ServiceUnavailable
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics
from rialto_common.simulation import Crashed, SimulatedRuntime
from rialto_common.testing import TYPE, make_event

Place = tuple[str, int]


class World:
    """A bus, a service's store, and a handler that fails where it is told to."""

    def __init__(self, *, seed: int = 1, faults: Faults | None = None, max_events: int = 50) -> None:
        self.runtime = SimulatedRuntime(seed)
        self.bus = MemoryBus(self.runtime, faults=faults or Faults.none())
        self.unit_of_work = MemoryUnitOfWork(self.bus, self.runtime)
        self.registry = CollectorRegistry()
        self.metrics = BusMetrics(self.registry)
        self.effects: list[Place] = []
        self.poison: dict[Place, Exception] = {}
        self.away: list[Exception] = []
        self.batches: list[list[Place]] = []
        self._max_events = max_events

    async def handle(self, transaction: MemoryTransaction, events: Sequence[Event]) -> None:
        batch = [(event.key, event.sequence) for event in events]
        self.batches.append(batch)
        if self.away:
            raise self.away.pop(0)
        for place in batch:
            if place in self.poison:
                raise self.poison[place]
        transaction.on_commit(lambda: self.effects.extend(batch))

    async def consumer(
        self, member: str = "one", subscription: Any = None, shards: frozenset[int] | None = None
    ) -> Consumer[MemoryTransaction]:
        return Consumer(
            group="readers",
            types=frozenset({TYPE}),
            subscription=subscription or await self.bus.subscribe("readers", [FRAUD], member=member),
            unit_of_work=self.unit_of_work,
            handler=self.handle,
            runtime=self.runtime,
            metrics=self.metrics,
            max_events=self._max_events,
            wait_seconds=1.0,
            shards=shards,
        )

    def publish(self, *events: Event) -> None:
        self.bus.append(events)

    def parked(self) -> dict[str, list[int]]:
        letters = self.unit_of_work.store.parked
        return {key: [letter.event.sequence for letter in found] for (_, key), found in letters.items()}

    def per_key(self) -> dict[str, list[int]]:
        by_key: dict[str, list[int]] = {}
        for key, sequence in self.effects:
            by_key.setdefault(key, []).append(sequence)
        return by_key

    def count(self, metric: str) -> float:
        return sum(
            sample.value for family in self.registry.collect() for sample in family.samples if sample.name == metric
        )


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep the many parked events of this module out of the report; drawing a traceback takes seconds."""
    with capture_logs():
        yield


async def steps(consumer: Consumer[Any], count: int) -> None:
    for _ in range(count):
        await consumer.step()


async def test_a_batch_is_handled_at_once_and_counted() -> None:
    world = World()
    world.publish(*[make_event(1, sequence) for sequence in range(10)])
    await steps(await world.consumer(), 2)
    assert world.batches == [[("key-1", sequence) for sequence in range(10)]]
    assert world.count("rialto_events_handled_total") == 10


async def test_events_of_other_types_pass_by_without_a_transaction() -> None:
    world = World()
    world.publish(make_event(1, 1, event_type="rialto.fraud.later.v9"), make_event(1, 2))
    await steps(await world.consumer(), 3)
    assert world.effects == [("key-1", 2)]
    assert len(world.unit_of_work.store.handled) == 1


async def test_bisecting_keeps_the_order_and_isolates_the_poison() -> None:
    world = World()
    world.poison = {("key-1", 11): MalformedEvent("bad")}
    world.publish(*[make_event(1, sequence) for sequence in range(16)])
    await steps(await world.consumer(), 3)
    assert world.effects == [("key-1", sequence) for sequence in range(11)]
    assert world.parked() == {"key-1": [11, 12, 13, 14, 15]}
    assert len(world.batches) <= 2 * 16


async def test_other_keys_of_the_failing_batch_go_on_in_order() -> None:
    world = World()
    world.poison = {("key-2", 1): InvariantViolated("unbalanced"), ("key-4", 2): KeyError("a bug")}
    world.publish(*[make_event(key, sequence) for sequence in (1, 2, 3) for key in range(6)])
    await steps(await world.consumer(), 8)
    assert world.per_key() == {
        "key-0": [1, 2, 3],
        "key-1": [1, 2, 3],
        "key-3": [1, 2, 3],
        "key-4": [1],
        "key-5": [1, 2, 3],
    }
    assert world.parked() == {"key-2": [1, 2, 3], "key-4": [2, 3]}
    assert world.count("rialto_events_parked_total") == 2


@pytest.mark.parametrize("error", [ServiceUnavailable("away"), ConnectionResetError(), TimeoutError()], ids=repr)
async def test_a_retryable_error_holds_its_place_and_parks_nothing(error: Exception) -> None:
    world = World()
    world.away = [error] * 5
    world.publish(*[make_event(1, sequence) for sequence in range(4)])
    consumer = await world.consumer()
    pauses = [await consumer.step() for _ in range(5)]
    assert world.effects == []
    assert world.parked() == {}
    assert all(0 < pause <= LONGEST_BACKOFF_SECONDS for pause in pauses)
    await consumer.step()
    assert world.effects == [("key-1", sequence) for sequence in range(4)]
    assert len(world.batches) == 6


async def test_the_pause_grows_to_its_bound_and_starts_anew_after_a_success() -> None:
    world = World()
    world.away = [ServiceUnavailable("away") for _ in range(12)]
    world.publish(make_event(1, 1))
    consumer = await world.consumer()
    pauses = [await consumer.step() for _ in range(12)]
    assert pauses[0] <= 0.05
    assert LONGEST_BACKOFF_SECONDS / 2 <= pauses[-1] <= LONGEST_BACKOFF_SECONDS
    assert await consumer.step() == 0
    world.away = [ServiceUnavailable("away")]
    world.publish(make_event(1, 2))
    assert 0 < await consumer.step() <= 0.05


async def test_a_retryable_error_in_one_half_of_a_poisoned_batch_loses_neither_half() -> None:
    world = World()
    world.poison = {("key-1", 3): MalformedEvent("bad")}
    world.publish(*[make_event(1, sequence) for sequence in range(4)])
    consumer = await world.consumer()
    original = world.handle

    async def once_away(transaction: MemoryTransaction, events: Sequence[Event]) -> None:
        if [event.sequence for event in events] == [2, 3] and not world.parked():
            consumer._handler = original
            raise ServiceUnavailable("away in the second half")
        await original(transaction, events)

    consumer._handler = once_away
    assert await consumer.step() > 0
    assert world.effects == [("key-1", 0), ("key-1", 1)]
    await steps(consumer, 2)
    assert world.effects == [("key-1", 0), ("key-1", 1), ("key-1", 2)]
    assert world.parked() == {"key-1": [3]}


class Failing(MemorySubscription):
    """Fails to poll or to acknowledge as often as it is told."""

    polls = 0
    acknowledgements = 0
    error: Exception = ConnectionResetError()

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        if self.polls > 0:
            self.polls -= 1
            raise self.error
        return await super().poll(max_events=max_events, wait_seconds=wait_seconds)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if self.acknowledgements > 0:
            self.acknowledgements -= 1
            raise self.error
        await super().acknowledge(deliveries)


async def failing(world: World) -> Failing:
    await world.bus.subscribe("readers", [FRAUD], member="one")
    return Failing(world.bus, "readers", [FRAUD], "one")


async def test_an_acknowledgement_that_fails_brings_the_events_again_without_a_second_effect() -> None:
    world = World()
    subscription = await failing(world)
    subscription.acknowledgements = 2
    world.publish(make_event(1, 1), make_event(1, 2))
    consumer = await world.consumer(subscription=subscription)
    pauses = [await consumer.step() for _ in range(3)]
    assert pauses[0] > 0
    assert pauses[1] > 0
    assert pauses[2] == 0
    assert world.effects == [("key-1", 1), ("key-1", 2)]
    assert world.bus.groups["readers"].reached != {}


async def test_a_poll_that_fails_is_a_pause() -> None:
    world = World()
    subscription = await failing(world)
    subscription.polls = 1
    world.publish(make_event(1, 1))
    consumer = await world.consumer(subscription=subscription)
    assert await consumer.step() > 0
    assert await consumer.step() == 0
    assert world.effects == [("key-1", 1)]


async def test_a_fault_of_the_subscription_s_code_is_not_hidden() -> None:
    world = World()
    subscription = await failing(world)
    subscription.polls, subscription.error = 1, KeyError("a bug")
    with pytest.raises(KeyError):
        await (await world.consumer(subscription=subscription)).step()


@pytest.mark.parametrize("place", ["memory.before_commit", "memory.after_commit", "readers.before_acknowledge"])
async def test_a_crash_anywhere_leaves_one_effect_an_event(place: str) -> None:
    world = World()
    world.publish(*[make_event(key, sequence) for key in range(3) for sequence in (1, 2)])
    world.runtime.crash_at = place
    crashing = await world.consumer()
    with pytest.raises(Crashed):
        await steps(crashing, 5)
    await crashing.close()
    await steps(await world.consumer("successor"), 5)
    assert world.per_key() == {f"key-{key}": [1, 2] for key in range(3)}


async def test_an_operators_replay_heals_a_key_in_order_and_lets_it_flow_again() -> None:
    world = World()
    world.poison = {("key-1", 2): MalformedEvent("bad")}
    world.publish(*[make_event(1, sequence) for sequence in (1, 2, 3)])
    consumer = await world.consumer()
    await steps(consumer, 3)
    assert world.parked() == {"key-1": [2, 3]}
    await replay(world)
    await steps(consumer, 2)
    assert world.parked() == {"key-1": [2, 3]}, "it still fails"
    world.poison = {}
    await replay(world)
    await steps(consumer, 2)
    world.publish(make_event(1, 4))
    await steps(consumer, 2)
    assert world.effects == [("key-1", sequence) for sequence in (1, 2, 3, 4)]
    assert world.parked() == {}


async def test_a_replay_that_fails_in_the_middle_has_no_effect_at_all() -> None:
    world = World()
    world.poison = {("key-1", 1): MalformedEvent("bad"), ("key-1", 2): MalformedEvent("bad too")}
    world.publish(*[make_event(1, sequence) for sequence in (1, 2, 3)])
    consumer = await world.consumer()
    await steps(consumer, 3)
    del world.poison[("key-1", 1)]
    await replay(world)
    await steps(consumer, 2)
    assert world.effects == []
    assert world.parked() == {"key-1": [1, 2, 3]}
    (row,) = await overview(world)
    assert row["error"] == "event_malformed: bad too"
    assert row["replay_requested"] is False


async def replay(world: World) -> None:
    async with world.unit_of_work.begin() as transaction:
        assert await transaction.dead_letters.request_replay("readers", None) == 1


async def overview(world: World) -> list[dict[str, object]]:
    async with world.unit_of_work.begin() as transaction:
        return await transaction.dead_letters.overview()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    keys=st.integers(1, 6),
    per_key=st.integers(1, 8),
    max_events=st.integers(1, 40),
    poison=st.sets(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=6),
    outages=st.lists(st.sampled_from([ServiceUnavailable("away"), ConnectionResetError()]), max_size=5),
    faults=st.builds(Faults, *[st.floats(0, 0.6)] * 3),
    members=st.integers(1, 3),
)
async def test_whatever_the_bus_does_each_event_takes_effect_once_and_in_order_or_is_parked(
    seed: int,
    keys: int,
    per_key: int,
    max_events: int,
    poison: set[tuple[int, int]],
    outages: list[Exception],
    faults: Faults,
    members: int,
) -> None:
    world = World(seed=seed, faults=faults, max_events=max_events)
    world.poison = {(f"key-{key}", sequence): MalformedEvent("bad") for key, sequence in poison}
    world.away = list(outages)
    consumers = [await world.consumer(f"member-{number}") for number in range(members)]
    for sequence in range(1, per_key + 1):
        world.publish(*[make_event(key, sequence) for key in range(keys)])
        await steps(consumers[sequence % members], 1)

    expected = {(f"key-{key}", sequence) for key in range(keys) for sequence in range(1, per_key + 1)}
    first_poison = {f"key-{key}": min(n for k, n in poison if k == key) for key, _ in poison}
    free = {place for place in expected if place[1] < first_poison.get(place[0], per_key + 1)}
    await settle(world, consumers, lambda: len(world.effects) + sum(map(len, world.parked().values())) >= len(expected))
    assert sorted(world.effects) == sorted(free)
    assert all(found == sorted(found) for found in world.per_key().values())
    assert {(key, sequence) for key, found in world.parked().items() for sequence in found} == expected - free
    assert all(found == sorted(found) for found in world.parked().values())

    world.poison = {}
    async with world.unit_of_work.begin() as transaction:
        await transaction.dead_letters.request_replay(None, None)
    await settle(world, consumers, lambda: not world.parked())
    assert sorted(world.effects) == sorted(expected)
    assert all(found == sorted(found) for found in world.per_key().values())


async def settle(world: World, consumers: Sequence[Consumer[Any]], done: Any) -> None:
    for _ in range(3000):
        if done():
            break
        for consumer in consumers:
            await world.runtime.sleep(await consumer.step())
    for consumer in consumers:  # and nothing more happens after it
        await steps(consumer, 2)


async def test_events_of_other_shards_leave_no_trace_and_are_handled_once_their_shard_comes_here() -> None:
    world = World()
    events = [make_event(key, sequence) for key in range(12) for sequence in (1, 2)]
    ours = frozenset(event.shard for event in events[:10])
    world.publish(*events)
    first = await world.consumer(shards=ours)
    await steps(first, 5)
    await first.close()
    kept = [(event.key, event.sequence) for event in events if event.shard in ours]
    assert sorted(world.effects) == sorted(kept)
    assert len(kept) < len(events)
    await world.bus.rewind("readers", [FRAUD])
    await steps(await world.consumer("two"), 5)
    assert sorted(world.effects) == sorted((event.key, event.sequence) for event in events)
