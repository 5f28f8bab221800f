"""A merchant's events as they come, each once and none left out. Pure.

The list of events is ordered by the time at which they happened, and one may become visible after a later one: its
transaction took longer. So each look goes back OVERLAP before the newest event there was, and what was seen is left
out. A look that fails changes nothing: the next one begins where that one did.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

OVERLAP = timedelta(seconds=30)
"""Longer than a transaction of the gateway takes."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Event = dict[str, Any]


class Feed:
    """What was seen, and from when on to look."""

    def __init__(self, since: datetime | None) -> None:
        """Begin with what happened since an instant; None: with what comes after `begin_after` was told."""
        self._begin = since or BEGINNING
        self._newest = self._begin
        self._seen: dict[str, datetime] = {}
        self._skip = False
        self.knows_where = since is not None

    @property
    def since(self) -> datetime:
        """From when on to look."""
        return max(self._begin, self._newest - OVERLAP) if self._newest > self._begin else self._begin

    def begin_after(self, newest: Event | None) -> None:
        """Begin with what comes after the newest event there is; None: there is none yet."""
        self.knows_where = True
        if newest is not None:
            self._newest = _at(newest)
            self._begin = self._newest - OVERLAP
            self._skip = True

    def take(self, found: Iterable[Event]) -> list[Event]:
        """Return what is new of all that a look found, the oldest first; call it once the whole look has succeeded."""
        new = [event for event in found if event["id"] not in self._seen]
        new.sort(key=lambda event: (_at(event), event["data"].get("sequence") or 0))
        if self._skip:
            # What came between the question for the newest and this look is new.
            new, old = [each for each in new if _at(each) > self._newest], new
            self._seen |= {event["id"]: _at(event) for event in old}
            self._skip = False
        for event in new:
            self._seen[event["id"]] = _at(event)
            self._newest = max(self._newest, _at(event))
        horizon = self.since
        self._seen = {event_id: at for event_id, at in self._seen.items() if at >= horizon}
        return new


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event["created_at"])
