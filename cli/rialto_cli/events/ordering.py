"""Entries of many partitions as one story in time order; each partition stays in its own order."""

import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime

from rialto_cli.events.port import Entry, EventLog, LogUnreadable, Place, Span, Want

PAGE = 200
"""Entries of a partition at a time: with about 80 partitions, what is held stays in the tens of megabytes."""
PATIENCE = 20
"""How often in a row a page may bring nothing and get no further, a second each."""
FIRST_WINDOW = 64
WIDEN = 8

Say = Callable[[int], None]
"""Hears how many positions were looked at since it last heard."""


def in_time_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries, which come in each partition's order, merged by their time."""
    by_place: dict[Place, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_place[entry.place].append(entry)
    return list(heapq.merge(*by_place.values(), key=_time))


def _time(entry: Entry) -> datetime:
    return entry.time


class _Cursor:
    """Reads one partition's span page by page."""

    def __init__(self, log: EventLog, place: Place, span: Span, want: Want, say: Say) -> None:
        self._log = log
        self.place = place
        self._next = span.first
        self._end = span.end
        self._want = want
        self._say = say
        self._page: list[Entry] = []

    async def take(self) -> Entry | None:
        """Return the next wanted entry; None at the end.

        Raises: LogUnreadable: it cannot be read, or nothing comes for too long.
        """
        idle = 0
        while not self._page and self._next < self._end:
            page = await self._log.read(self.place, self._next, self._end, self._want, limit=PAGE)
            reached = page.reached[self.place]
            idle = idle + 1 if reached == self._next else 0
            if idle == PATIENCE:
                raise LogUnreadable(f"{self.place.topic}, partition {self.place.partition}, gives nothing")
            self._say(reached - self._next)
            self._page, self._next = list(reversed(page.entries)), reached
        return self._page.pop() if self._page else None


async def merged(
    log: EventLog, spans: Mapping[Place, Span], want: Want, say: Say = lambda _: None
) -> AsyncIterator[Entry]:
    """Yield the wanted entries of these spans in time order, holding a page of each partition.

    Raises: LogUnreadable.
    """
    cursors = [_Cursor(log, place, span, want, say) for place, span in sorted(spans.items())]
    heap: list[tuple[datetime, int, Entry]] = []
    for number, cursor in enumerate(cursors):
        if (entry := await cursor.take()) is not None:
            heapq.heappush(heap, (entry.time, number, entry))
    while heap:
        _, number, entry = heap[0]
        yield entry
        following = await cursors[number].take()
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.time, number, following))


async def last(
    log: EventLog, spans: Mapping[Place, Span], want: Want, count: int, say: Say = lambda _: None
) -> Sequence[Entry]:
    """Return the last `count` wanted entries of these spans, in time order.

    Each partition is read backwards in windows that grow, until it has given that many or has no more.

    Raises: LogUnreadable.
    """
    found: list[Entry] = []
    for place, span in sorted(spans.items()):
        of_place: list[Entry] = []
        end, width = span.end, max(count, FIRST_WINDOW)
        while end > span.first and len(of_place) < count:
            start = max(span.first, end - width)
            cursor = _Cursor(log, place, Span(start, end), want, say)
            window = []
            while (entry := await cursor.take()) is not None:
                window.append(entry)
            of_place = [*window, *of_place]
            end, width = start, width * WIDEN
        found += of_place[-count:]
    return in_time_order(found)[-count:]
