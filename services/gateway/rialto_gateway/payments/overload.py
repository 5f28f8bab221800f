"""Overload: no new payments while those accepted already wait too long to be handled.

The age of the oldest is looked at beside the requests, at most once LOOK_EVERY_SECONDS, so that refusing one costs
neither a body nor the database, and admitting one costs a comparison. What was accepted is never dropped, and reads,
captures and voids are not held up.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg

from rialto_common.database import Pool
from rialto_common.errors import ServiceUnavailable
from rialto_common.runtime import Runtime
from rialto_gateway.payments.store import QUERIES

LOOK_EVERY_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5
_UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Oldest = Callable[[datetime], Awaitable[datetime | None]]
"""Returns when the oldest unhandled payment of before a time was accepted; None where there is none."""


class Overloaded(ServiceUnavailable):
    """Payments accepted before wait too long already; send it again, with its key, after Retry-After seconds."""

    code = "overloaded"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.retry_after_seconds = RETRY_AFTER_SECONDS


class Admission:
    """Says whether a new payment may come in."""

    def __init__(self, oldest: Oldest, runtime: Runtime, *, limit: timedelta) -> None:
        self._oldest = oldest
        self._runtime = runtime
        self._limit = limit
        self._overloaded = False
        self._look_at = 0.0
        self._looking = False

    def check(self) -> None:
        """Raises: Overloaded."""
        if self._runtime.monotonic() >= self._look_at and not self._looking:
            self._looking = True
            self._runtime.spawn(self._look(), name="backlog-age")
        if self._overloaded:
            raise Overloaded("too many payments wait to be handled just now; send it again with its Idempotency-Key")

    async def _look(self) -> None:
        try:
            self._overloaded = await self._oldest(self._runtime.now() - self._limit) is not None
        except _UNAVAILABLE:
            pass  # then accepting fails by itself, and says why
        finally:
            self._look_at = self._runtime.monotonic() + LOOK_EVERY_SECONDS
            self._looking = False


def oldest_unhandled(pool: Pool, within: timedelta) -> Oldest:
    """Return the look at the database; `within`: how long a payment may stay undecided, which bounds what is read."""

    async def look(before: datetime) -> datetime | None:
        found: datetime | None = await pool.fetchval(QUERIES["unhandled"], before, before + within)
        return found

    return look
