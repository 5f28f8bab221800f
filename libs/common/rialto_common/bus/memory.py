"""The seeded in-memory bus: delays, duplicates, reorders across keys, lost acknowledgements, all from one seed.

For tests and simulation. Order per key is kept, as on every bus; everything else that a real bus may do to a consumer,
this one does on purpose, and does the same again for the same seed.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rialto_common.bus.port import DeadLetter, Delivery, check_size
from rialto_common.events.envelope import Event
from rialto_common.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Faults:
    """How often, 0..1, the bus does what consumers must cope with."""

    redeliver: float = 0.1
    lose_acknowledgement: float = 0.05
    hold_back: float = 0.2

    @classmethod
    def none(cls) -> "Faults":
        """A bus that behaves."""
        return cls(0.0, 0.0, 0.0)


@dataclass
class MemoryStore:
    """One service's inbox and dead letters."""

    handled: set[tuple[str, object]] = field(default_factory=set)
    parked: dict[tuple[str, str], list[DeadLetter]] = field(default_factory=dict)
    replay_requested: set[tuple[str, str]] = field(default_factory=set)


class MemoryTransaction:
    """Collects effects and applies them all at commit, or none."""

    def __init__(self, store: MemoryStore) -> None:
        self.inbox = MemoryInbox(store, self)
        self.dead_letters = MemoryDeadLetters(store, self)
        self.outgoing: list[Event] = []
        self._effects: list[Callable[[], None]] = []

    def publish(self, *events: Event) -> None:
        """Put events on the bus when this transaction commits. Raises: EventTooLarge."""
        check_size(events)
        self.outgoing.extend(events)

    def on_commit(self, effect: Callable[[], None]) -> None:
        """Have a change applied at commit; it must not fail."""
        self._effects.append(effect)

    def apply(self) -> None:
        """Apply every change, in the order in which they were made."""
        for effect in self._effects:
            effect()


class MemoryInbox:
    """Remembers handled events by source and id."""

    def __init__(self, store: MemoryStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._transaction = transaction
        self._taken: set[tuple[str, object]] = set()

    async def take(self, events: Sequence[Event]) -> list[Event]:
        """Record the events and return those that are new, each once, in order."""
        fresh = []
        for event in events:
            identity = (event.source, event.id)
            if identity not in self._store.handled and identity not in self._taken:
                self._taken.add(identity)
                self._transaction.on_commit(lambda identity=identity: self._store.handled.add(identity))  # type: ignore[misc]
                fresh.append(event)
        return fresh


class MemoryDeadLetters:
    """Events set aside, under their parked keys."""

    def __init__(self, store: MemoryStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._transaction = transaction

    async def parked(self, group: str, keys: Sequence[str]) -> set[str]:
        """Return which of these keys are parked."""
        return {key for key in keys if (group, key) in self._store.parked}

    async def park(self, group: str, event: Event, error: str | None) -> None:
        """Set an event aside and park its key."""

        def effect() -> None:
            letters = self._store.parked.setdefault((group, event.key), [])
            letters.append(DeadLetter(event, letters[-1].sequence + 1 if letters else 1, error))

        self._transaction.on_commit(effect)

    async def to_replay(self, group: str) -> str | None:
        """Return a parked key whose replay was asked for."""
        return min((key for asked, key in self._store.replay_requested if asked == group), default=None)

    async def of_key(self, group: str, key: str) -> list[DeadLetter]:
        """Return what is parked under a key, in order."""
        return list(self._store.parked.get((group, key), ()))

    async def release(self, group: str, key: str) -> None:
        """Forget the key and its events."""

        def effect() -> None:
            self._store.parked.pop((group, key), None)
            self._store.replay_requested.discard((group, key))

        self._transaction.on_commit(effect)

    async def fail_again(self, group: str, key: str, error: str) -> None:
        """Keep the key parked with a new error."""

        def effect() -> None:
            letters = self._store.parked[(group, key)]
            letters[0] = DeadLetter(letters[0].event, letters[0].sequence, error)
            self._store.replay_requested.discard((group, key))

        self._transaction.on_commit(effect)

    async def request_replay(self, group: str | None, key: str | None) -> int:
        """Ask for the replay of one key, or of all."""
        chosen = {
            identity for identity in self._store.parked if group in (None, identity[0]) and key in (None, identity[1])
        }
        self._transaction.on_commit(lambda: self._store.replay_requested.update(chosen))
        return len(chosen)

    async def overview(self) -> list[dict[str, object]]:
        """Return one row a parked key."""
        return [
            {
                "consumer_group": group,
                "key": key,
                "topic": letters[0].event.topic,
                "type": letters[0].event.type,
                "event_id": letters[0].event.id,
                "error": letters[0].error,
                "events": len(letters),
                "replay_requested": (group, key) in self._store.replay_requested,
            }
            for (group, key), letters in sorted(self._store.parked.items())
        ]


class MemoryUnitOfWork:
    """Opens transactions of one service against the in-memory bus."""

    def __init__(self, bus: "MemoryBus", runtime: Runtime, *, name: str = "memory") -> None:
        self.store = MemoryStore()
        self._bus = bus
        self._runtime = runtime
        self._name = name

    @asynccontextmanager
    async def begin(self, *, admitting: bool = False) -> AsyncIterator[MemoryTransaction]:
        """Open a transaction; its effects appear together when the block ends."""
        transaction = MemoryTransaction(self.store)
        yield transaction
        self._runtime.crash_point(f"{self._name}.before_commit")
        transaction.apply()
        self._bus.append(transaction.outgoing)
        self._runtime.crash_point(f"{self._name}.after_commit")


@dataclass
class _Group:
    reached: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    members: list[str] = field(default_factory=list)


class MemoryBus:
    """Topics as lists, partitions by shard, groups by position."""

    def __init__(self, runtime: Runtime, *, faults: Faults | None = None, partitions: int = 4) -> None:
        self.runtime = runtime
        self.random = runtime.random
        self.faults = faults or Faults()
        self.partitions = partitions
        self.logs: dict[tuple[str, int], list[Event]] = defaultdict(list)
        self.groups: dict[str, _Group] = defaultdict(_Group)

    def append(self, events: Sequence[Event]) -> None:
        """Put committed events into their partitions."""
        for event in events:
            self.logs[(event.topic, event.shard % self.partitions)].append(event)

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str) -> "MemorySubscription":
        """Join a group."""
        self.groups[group].members.append(member)
        return MemorySubscription(self, group, list(topics), member)

    async def rewind(self, group: str, topics: Sequence[str]) -> None:
        """Let the group see every event of these topics again."""
        for topic, partition in list(self.groups[group].reached):
            if topic in topics:
                self.groups[group].reached[(topic, partition)] = 0


class MemorySubscription:
    """One member of a group; shares the partitions with the others by turn."""

    def __init__(self, bus: MemoryBus, group: str, topics: list[str], member: str) -> None:
        self._bus = bus
        self._group = bus.groups[group]
        self._topics = topics
        self._member = member

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        """Return some of the next events: fewer than there are, some of them again, partitions in any order."""
        deliveries: list[Delivery] = []
        partitions = self._held()
        self._bus.random.shuffle(partitions)
        for topic, partition in partitions:
            deliveries.extend(self._from_partition(topic, partition, max_events - len(deliveries)))
        if not deliveries:
            await self._bus.runtime.sleep(wait_seconds)
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Move the group on, unless the seed says that this acknowledgement is lost."""
        if self._bus.random.random() < self._bus.faults.lose_acknowledgement:
            return
        held = set(self._held())
        for delivery in deliveries:
            place = (delivery.event.topic, delivery.partition)
            if place in held:
                self._group.reached[place] = max(self._group.reached[place], delivery.position)

    async def close(self) -> None:
        """Leave the group."""
        if self._member in self._group.members:
            self._group.members.remove(self._member)

    def _held(self) -> list[tuple[str, int]]:
        if self._member not in self._group.members:
            return []
        index, count = self._group.members.index(self._member), len(self._group.members)
        return [
            (topic, partition)
            for topic in self._topics
            for partition in range(self._bus.partitions)
            if partition % count == index
        ]

    def _from_partition(self, topic: str, partition: int, room: int) -> list[Delivery]:
        """Return a prefix of what is left; now and then starting a little earlier, which delivers events again."""
        log = self._bus.logs[(topic, partition)]
        start = self._group.reached[(topic, partition)]
        chance, faults = self._bus.random, self._bus.faults
        if start > 0 and chance.random() < faults.redeliver:
            start -= chance.randint(1, min(start, 3))
        end = min(len(log), start + room)
        if end > start and chance.random() < faults.hold_back:
            end = chance.randint(start, end)
        return [Delivery(log[index], partition, index + 1) for index in range(start, end)]
