"""One service's inbox and dead letters in memory, and the transactions that change them and whatever else it keeps."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from rialto_common.bus.port import DeadLetter, check_size
from rialto_common.events.envelope import Event

View = TypeVar("View")


@dataclass
class MemoryStore:
    """One service's inbox and dead letters, and whose turn it is: transactions run one after another."""

    handled: set[tuple[str, object]] = field(default_factory=set)
    parked: dict[tuple[str, str], list[DeadLetter]] = field(default_factory=dict)
    replay_requested: set[tuple[str, str]] = field(default_factory=set)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    commits: int = 0
    """How many transactions that changed something have committed."""


class MemoryTransaction:
    """Collects effects and applies them all at commit, or none."""

    def __init__(self, store: MemoryStore) -> None:
        self.inbox = MemoryInbox(store, self)
        self.dead_letters = MemoryDeadLetters(store, self)
        self.outgoing: list[Event] = []
        self._effects: list[tuple[Callable[[], None], Callable[[], bool] | None]] = []
        self._views: dict[object, object] = {}

    def publish(self, *events: Event) -> None:
        """Put events on the bus when this transaction commits. Raises: EventTooLarge."""
        check_size(events)
        self.outgoing.extend(events)

    def on_commit(self, effect: Callable[[], None], *, unless: Callable[[], bool] | None = None) -> None:
        """Have a change applied at commit; it must not fail. `unless` says then that there is nothing to apply."""
        self._effects.append((effect, unless))

    def view(self, name: object, make: Callable[[], View]) -> View:
        """Return this transaction's one view of some tables, made when first asked for."""
        if name not in self._views:
            self._views[name] = make()
        return cast(View, self._views[name])

    @property
    def changes_something(self) -> bool:
        """Whether its commit would do anything."""
        return bool(self.outgoing) or any(unless is None or not unless() for _, unless in self._effects)

    def apply(self) -> None:
        """Apply every change, in the order in which they were made."""
        for effect, _ in self._effects:
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
                if not self._taken:
                    self._transaction.on_commit(lambda: self._store.handled.update(self._taken))
                self._taken.add(identity)
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
