"""The circuit breaker of an endpoint: how many calls it may have under way, and when it is left alone; pure.

Closed, an endpoint may have `width` calls at once: one at first and after a failure, twice as many after each success,
up to WIDEST. OPENS_AFTER failures in a row open it: nothing is sent, everything stays in line. When `probe_at` comes,
one due message goes as a probe (half-open): taken, the breaker closes; not taken, it opens for twice as long.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

OPENS_AFTER = 5
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
PAUSE_JITTER = 0.2
WIDEST = 8

CircuitState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """How an endpoint fares: failures in a row, openings in a row, and until when it is left alone."""

    state: CircuitState = "closed"
    failures: int = 0
    trips: int = 0
    width: int = 1
    opened_at: datetime | None = None
    probe_at: datetime | None = None

    def room(self, now: datetime) -> int:
        """Return how many calls it may have under way at once."""
        if self.probe_at is None:
            return self.width
        return 1 if self.probe_at <= now else 0

    def probing(self, until: datetime) -> "Breaker":
        """Return it with a probe under way, of which at this instant at the latest no more is expected."""
        return replace(self, state="half_open", probe_at=until)

    def after(self, taken: bool, now: datetime, draw: float) -> "Breaker":
        """Return it after an attempt; `draw` in [0, 1) places the next probe within its jitter."""
        if taken:
            return Breaker(width=min(self.width * 2, WIDEST))
        failures = self.failures + 1
        if self.state == "open" or (self.state == "closed" and failures < OPENS_AFTER):
            return replace(self, failures=failures, width=1)
        pause = min(FIRST_PAUSE * (1 << min(self.trips, 16)), LONGEST_PAUSE) * (1 - PAUSE_JITTER * draw)
        return Breaker(
            state="open",
            failures=failures,
            trips=self.trips + 1,
            width=1,
            opened_at=self.opened_at or now,
            probe_at=now + pause,
        )


def share(slots: int, rooms: list[int]) -> list[int]:
    """Return how many of the slots each endpoint gets: in turns, one each, until they or its room are used up."""
    shares = [0] * len(rooms)
    for turn in range(max(rooms, default=0)):
        for nth, room in enumerate(rooms):
            if slots == 0:
                return shares
            if room > turn:
                shares[nth] += 1
                slots -= 1
    return shares
