"""A bus as a reader sees it who takes no part in it: partitions with positions, read without a group.

What every adapter promises (held by `tests/integration/events/test_logs.py`):

- Only what is committed is read, and each partition in its order, each event once.
- Nothing on the bus changes by reading: no group, no cursor, no right to write.
- Memory stays bounded however long the log is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rialto_common.events import Event

Positions = Mapping["Place", int]
"""The position that is to be read next, per partition."""


class LogUnreadable(Exception):
    """The bus does not answer, or may not be read; the text says why, in one line without a full stop."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds: positions from `first` up to, and without, `end`; some may be empty."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at a position: an event, or something that is none (`fault` says why) and when the bus took it."""

    place: Place
    position: int
    time: datetime
    event: Event | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in their order, and the positions reached: of the partitions that were read, where to go on."""

    entries: Sequence[Entry]
    reached: Positions


@dataclass(frozen=True, slots=True)
class Want:
    """Which events are asked for; None where anything goes.

    `story`: a payment's id as text: its own events, and those that its first event led to. `merchant`: as text, with
    its shard.
    """

    types: frozenset[str] | None = None
    story: str | None = None
    merchant: str | None = None
    shard: int | None = None

    def takes(self, entry: Entry) -> bool:
        """Whether the entry is one of them. What is no event is shown to whoever asks for everything."""
        event = entry.event
        if event is None:
            return self == Want()
        return (
            (self.types is None or event.type in self.types)
            and (self.story is None or self.story in (event.key, event.correlation_id))
            # Ids cannot occur within other words of a payload, so it need not be parsed.
            and (self.merchant is None or (self.shard == event.shard and self.merchant.encode() in event.data))
        )


class EventLog(Protocol):
    """Every method raises LogUnreadable. Not to be used by two tasks at once."""

    async def spans(self, topics: Collection[str]) -> Mapping[Place, Span]:
        """Return what the partitions of these topics hold now; a topic that is not there has none."""
        ...

    async def since(self, spans: Mapping[Place, Span], instant: datetime) -> Positions:
        """Return the first position in each partition that the bus took at that instant or later, else its end."""
        ...

    async def read(self, place: Place, start: int, end: int, want: Want, *, limit: int) -> Page:
        """Return up to `limit` wanted entries from `start` up to, and without, `end`.

        A page without entries has still got further, unless the bus was too slow to tell: ask again from where it is.
        """
        ...

    async def follow(self, positions: Positions, want: Want, *, wait_seconds: float) -> Page:
        """Return the wanted entries from these positions on; wait that long at most for one to come."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
