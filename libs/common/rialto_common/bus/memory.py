"""The seeded in-memory bus: delays, duplicates, reorders across keys, lost acknowledgements, all from one seed.

For tests and simulation. Order per key is kept, as on every bus; everything else that a real bus may do to a consumer,
this one does on purpose, and does the same again for the same seed. So does the unit of work with what a database may
do to whoever commits.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rialto_common.bus.memory_store import MemoryDeadLetters, MemoryInbox, MemoryStore, MemoryTransaction
from rialto_common.bus.port import Delivery
from rialto_common.errors import CommitUnknown, ServiceUnavailable
from rialto_common.events.envelope import Event
from rialto_common.runtime import Runtime

__all__ = [
    "Faults",
    "MemoryBus",
    "MemoryDeadLetters",
    "MemoryInbox",
    "MemoryStore",
    "MemorySubscription",
    "MemoryTransaction",
    "MemoryUnitOfWork",
    "StoreFaults",
]

GiveWay = Callable[[], Awaitable[None]]
"""Awaited where a real adapter would wait for the network: a simulation lets others run there."""

LEASE_SECONDS = 5.0
"""After how long without a poll a member's partitions go to the others."""


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


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """How often, 0..1, a transaction meets what callers must cope with.

    `away`: the database is not there when it begins. `refused`: the commit is rolled back, as after a deadlock.
    `unknown_committed`, `unknown_lost`: the commit's answer is lost, though it happened, or because it did not.
    """

    away: float = 0.0
    refused: float = 0.0
    unknown_committed: float = 0.0
    unknown_lost: float = 0.0


class MemoryUnitOfWork:
    """Opens transactions of one service against the in-memory bus; processes of one service share a `store`."""

    def __init__(
        self,
        bus: "MemoryBus",
        runtime: Runtime,
        *,
        name: str = "memory",
        store: MemoryStore | None = None,
        give_way: GiveWay | None = None,
    ) -> None:
        self.store = MemoryStore() if store is None else store
        self.bus = bus
        self.runtime = runtime
        self.before_commit = f"{name}.before_commit"
        self.after_commit = f"{name}.after_commit"
        self.give_way = give_way

    def begin(self, *, admitting: bool = False) -> "_Begun":
        """Open a transaction; its effects appear together when the block ends.

        Raises: ConnectionError: the database is away. On leaving, ServiceUnavailable: rolled back; CommitUnknown.
        """
        return _Begun(self)


class _Begun:
    """A transaction from begin to commit. (A class, as a generator would cost more than all that it does.)"""

    __slots__ = ("_transaction", "_work")

    def __init__(self, work: MemoryUnitOfWork) -> None:
        self._work = work

    async def __aenter__(self) -> MemoryTransaction:
        work = self._work
        if work.give_way is not None:
            await work.give_way()
        if work.bus.strikes("database_away", work.bus.store_faults.away):
            raise ConnectionError("the database is away")
        await work.store.turn.acquire()
        self._transaction = MemoryTransaction(work.store)
        return self._transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        work, transaction = self._work, self._transaction
        try:
            if error is not None:
                return
            work.runtime.crash_point(work.before_commit)
            answer = self._commit(transaction)
        finally:
            work.store.turn.release()
        work.runtime.crash_point(work.after_commit)
        if work.give_way is not None:
            await work.give_way()
        if answer is not None:
            raise answer

    def _commit(self, transaction: MemoryTransaction) -> CommitUnknown | None:
        """Commit, or not; return the error by which the caller does not learn which.

        Raises: ServiceUnavailable: rolled back.
        """
        bus, store, faults = self._work.bus, self._work.store, self._work.bus.store_faults
        unknown = CommitUnknown("the database went away during a commit; ask again by the same identity")
        if not transaction.changes_something:
            return None
        if bus.strikes("commit_refused", faults.refused):
            raise ServiceUnavailable("the database rolled the transaction back; try again")
        if bus.strikes("commit_unknown_lost", faults.unknown_lost):
            return unknown
        transaction.apply()
        store.commits += 1
        bus.append(transaction.outgoing)
        if bus.on_commit is not None:
            bus.on_commit(transaction.outgoing)
        return unknown if bus.strikes("commit_unknown_committed", faults.unknown_committed) else None


@dataclass
class _Group:
    """Where a group stands, and when each member was last heard of."""

    reached: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    members: dict[str, float] = field(default_factory=dict)


class MemoryBus:
    """Topics as lists, partitions by shard, groups by position."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        faults: Faults | None = None,
        store_faults: StoreFaults | None = None,
        partitions: int = 4,
    ) -> None:
        self.runtime = runtime
        self.random = runtime.random
        self.faults = faults or Faults()
        self.store_faults = store_faults or StoreFaults()
        self.partitions = partitions
        self.log: list[Event] = []
        """Every event, in the order of the commits."""

        self.logs: dict[tuple[str, int], list[Event]] = defaultdict(list)
        self.groups: dict[str, _Group] = defaultdict(_Group)
        self.withheld: dict[tuple[str, int], float] = {}
        """Until when (monotonic seconds) a partition gives nothing."""

        self.struck: Counter[str] = Counter()
        """How often which fault struck."""

        self.on_commit: Callable[[Sequence[Event]], None] | None = None
        """Hears of every commit that changed something, with the events that it published."""

    def strikes(self, fault: str, probability: float) -> bool:
        """Say whether a fault strikes now, and count it."""
        if probability <= 0.0 or self.random.random() >= probability:
            return False
        self.struck[fault] += 1
        return True

    def append(self, events: Sequence[Event]) -> None:
        """Put committed events into their partitions."""
        for event in events:
            self.logs[(event.topic, event.shard % self.partitions)].append(event)
        self.log.extend(events)

    def lag(self, group: str, topics: Sequence[str]) -> int:
        """Return how many events of these topics the group has not acknowledged."""
        reached = self.groups[group].reached
        return sum(len(log) - reached[place] for place, log in self.logs.items() if place[0] in topics)

    async def subscribe(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        give_way: GiveWay | None = None,
        wait: "Wait | None" = None,
    ) -> "MemorySubscription":
        """Join a group. `wait` returns when there may be events; without it the clock moves on by itself."""
        self.groups[group].members[member] = self.runtime.monotonic()
        return MemorySubscription(self, group, list(topics), member, give_way, wait)

    def fall_silent(self, member: str) -> None:
        """Hear no more of a member, though it has not left: its partitions go to the others a lease later."""
        for group in self.groups.values():
            if member in group.members:
                group.members[member] = min(group.members[member], self.runtime.monotonic())

    async def rewind(self, group: str, topics: Sequence[str]) -> None:
        """Let the group see every event of these topics again."""
        for topic, partition in list(self.groups[group].reached):
            if topic in topics:
                self.groups[group].reached[(topic, partition)] = 0


class MemorySubscription:
    """One member of a group; shares the partitions with the others that are heard of by turn."""

    def __init__(
        self,
        bus: MemoryBus,
        group: str,
        topics: list[str],
        member: str,
        give_way: GiveWay | None = None,
        wait: "Wait | None" = None,
    ) -> None:
        self.topics = topics
        self._bus = bus
        self._group = bus.groups[group]
        self._member = member
        self._give_way = give_way
        self._wait = wait
        self._shares: dict[tuple[int, int], list[tuple[str, int]]] = {}
        """Partitions by (place among the members, members)."""

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        """Return some of the next events: fewer than there are, some of them again, partitions in any order."""
        if self._give_way is not None:
            await self._give_way()
        deliveries = self._take(max_events)
        if not deliveries:
            if self._member in self._group.members:
                # A real member polls on while there is nothing: it is there.
                self._group.members[self._member] = math.inf
            await (self._bus.runtime.sleep(wait_seconds) if self._wait is None else self._wait(self, wait_seconds))
            deliveries = self._take(max_events)
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Move the group on, unless the seed says that this acknowledgement is lost."""
        if self._give_way is not None:
            await self._give_way()
        if self._bus.strikes("acknowledgement_lost", self._bus.faults.lose_acknowledgement):
            return
        held = set(self._held())
        for delivery in deliveries:
            place = (delivery.event.topic, delivery.partition)
            if place in held:
                self._group.reached[place] = max(self._group.reached[place], delivery.position)

    async def close(self) -> None:
        """Leave the group."""
        self._group.members.pop(self._member, None)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to read, if only the bus gave it."""
        reached, logs = self._group.reached, self._bus.logs
        return any(len(logs[place]) > reached[place] for place in self._held())

    def holds(self, event: Event) -> bool:
        """Say whether the event lies in one of this member's partitions."""
        return len(self._group.members) == 1 or (event.topic, event.shard % self._bus.partitions) in self._held()

    def _take(self, max_events: int) -> list[Delivery]:
        if self._member not in self._group.members:
            return []
        bus, group, now = self._bus, self._group, self._bus.runtime.monotonic()
        group.members[self._member] = now
        held = self._held()
        pending = [place for place in held if len(bus.logs[place]) > group.reached[place]]
        bus.random.shuffle(pending)
        starts = {place: group.reached[place] for place in pending}
        if held and bus.strikes("redelivered", bus.faults.redeliver):
            # Now and then a partition starts a little earlier, which delivers events again.
            place = held[bus.random.randrange(len(held))]
            if reached := group.reached[place]:
                starts[place] = reached - bus.random.randint(1, min(reached, 3))
        deliveries: list[Delivery] = []
        for place, start in starts.items():
            if bus.withheld and bus.withheld.get(place, 0.0) > now:
                continue
            log = bus.logs[place]
            end = min(len(log), start + max_events - len(deliveries))
            if end > start and bus.strikes("held_back", bus.faults.hold_back):
                end = bus.random.randint(start, end)
            deliveries.extend(Delivery(log[index], place[1], index + 1) for index in range(start, end))
        return deliveries

    def _held(self) -> list[tuple[str, int]]:
        """Return this member's partitions; none for one that has not been heard of for the length of a lease."""
        oldest = self._bus.runtime.monotonic() - LEASE_SECONDS
        present = [member for member, seen in self._group.members.items() if seen >= oldest]
        if self._member not in present:
            return []
        share = (present.index(self._member), len(present))
        if share not in self._shares:
            self._shares[share] = [
                (topic, partition)
                for topic in self.topics
                for partition in range(self._bus.partitions)
                if partition % share[1] == share[0]
            ]
        return self._shares[share]


Wait = Callable[[MemorySubscription, float], Awaitable[None]]
"""Waits for events of a subscription, at most so many seconds."""
