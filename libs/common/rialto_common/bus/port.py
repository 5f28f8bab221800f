"""The bus as services see it.

Publishing is part of a unit of work; consuming is by group, in batches, with acknowledgement.

What every adapter promises (held by `tests/contract`):

- Events of one key are delivered in the order in which their transactions committed.
- An event is delivered to each group at least once; a crash between handling and acknowledging delivers it again.
- The members of a group share the partitions; when one leaves or stalls, the others take its partitions over.
- A group can be rewound and sees the events again.
- Memory stays bounded however large the backlog is.
- What a transaction published is delivered if and only if it commits.

Exactly-once *effects* come from the inbox, which commits with the handler's work.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rialto_common.errors import EventTooLarge
from rialto_common.events.envelope import Event

DEAD_LETTER_SUFFIX = ".dlq"

MAX_EVENT_BYTES = 512 * 1024
"""The largest payload a unit of work may publish, on any bus: half of what a Kafka topic takes, headers come on top."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event and where it lies: `position` grows within a topic's partition."""

    event: Event
    partition: int
    position: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was set aside: the poison itself (with its error), or one that queues behind it."""

    event: Event
    sequence: int
    error: str | None


class Subscription(Protocol):
    """One member of a consumer group. Not to be used by two tasks at once."""

    async def poll(self, *, max_events: int, wait_seconds: float) -> Sequence[Delivery]:
        """Return the next events of the member's partitions, in order per partition; empty after `wait_seconds`.

        Events returned but not acknowledged are returned again to whoever holds the partition after this member.
        `max_events` bounds memory; an adapter may return fewer.
        """
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Mark everything up to these deliveries as handled by the group; ignored where the partition was lost."""
        ...

    async def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        ...


class Bus(Protocol):
    """Where subscriptions come from."""

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str) -> Subscription:
        """Join a group. A group that is new starts at the beginning of the topics."""
        ...

    async def rewind(self, group: str, topics: Sequence[str]) -> None:
        """Let the group see every retained event of these topics again."""
        ...


class Inbox(Protocol):
    """Which events this service has handled; part of the transaction."""

    async def take(self, events: Sequence[Event]) -> list[Event]:
        """Record the events and return those that had not been recorded before, each once, in order."""
        ...


class DeadLetters(Protocol):
    """Events set aside per group, with their keys parked; part of the transaction."""

    async def parked(self, group: str, keys: Sequence[str]) -> set[str]:
        """Return which of these keys are parked, and keep that so until the transaction ends."""
        ...

    async def park(self, group: str, event: Event, error: str | None) -> None:
        """Set an event aside and park its key; `error` is None for one that only queues behind."""
        ...

    async def to_replay(self, group: str) -> str | None:
        """Return a parked key whose replay was asked for, locked for this transaction, or None."""
        ...

    async def of_key(self, group: str, key: str) -> list[DeadLetter]:
        """Return what is parked under a key, in order."""
        ...

    async def release(self, group: str, key: str) -> None:
        """Forget the key and what was parked under it, after it was handled."""
        ...

    async def fail_again(self, group: str, key: str, error: str) -> None:
        """Keep the key parked after a replay that failed, with the new error on its first event."""
        ...

    async def request_replay(self, group: str | None, key: str | None) -> int:
        """Ask for the replay of one key, or of all (None); return how many keys that is."""
        ...

    async def overview(self) -> list[dict[str, object]]:
        """Return one row a parked key: group, key, topic, first error, events, parked since, replay asked for."""
        ...


class Transaction(Protocol):
    """One unit of work: state, outgoing events, inbox and dead letters commit together or not at all."""

    @property
    def inbox(self) -> Inbox: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    def publish(self, *events: Event) -> None:
        """Put events on the bus when this transaction commits, in this order.

        Raises: EventTooLarge: one of them is larger than `MAX_EVENT_BYTES`.
        """
        ...


def check_size(events: Sequence[Event]) -> None:
    """Refuse what some bus could not carry, before anything is written.

    Raises: EventTooLarge.
    """
    for event in events:
        if len(event.data) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"{event.type} {event.id}: {len(event.data)} bytes of data, at most {MAX_EVENT_BYTES}")


Tx_co = TypeVar("Tx_co", bound=Transaction, covariant=True)


class UnitOfWork(Protocol[Tx_co]):
    """Opens transactions."""

    def begin(self, *, admitting: bool = False) -> AbstractAsyncContextManager[Tx_co]:
        """Open a transaction: it commits when the block ends and rolls back when the block raises.

        `admitting`: it takes in new work, and is refused when too much waits for the bus already.

        Raises on leaving: CommitUnknown: the commit's answer was lost. BusBacklogFull: refused, nothing is written.
        """
        ...
