"""When an attempt that was not taken is made again; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 57600, 86400)
)
"""At most how long after each failed attempt the next one comes: twelve retries within three days."""
JITTER = 0.2
"""By how much of it, at most, each of these is shortened: what failed together does not come back together."""

AttemptState = Literal["succeeded", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt; unknown when the request may have arrived but no answer did."""

    state: AttemptState
    status: int | None = None
    error: str | None = None
    response: bytes = b""
    duration_ms: int | None = None

    @property
    def taken(self) -> bool:
        """Whether the endpoint has the message."""
        return self.state == "succeeded"


def next_attempt(tries: int, now: datetime, draw: float) -> datetime | None:
    """Return when to try again after `tries` tries that were not taken; None to give up.

    Args: draw: in [0, 1), which places the retry within its jitter.
    """
    if tries > len(RETRY_AFTER):
        return None
    return now + RETRY_AFTER[tries - 1] * (1 - JITTER * draw)
