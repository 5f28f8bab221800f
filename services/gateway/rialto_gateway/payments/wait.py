"""`Prefer: wait=N`: hold the answer until the payment is decided, or the time is over."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg

from rialto_common.runtime import Runtime

MAX_WAIT_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.02

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\"?)([0-9]{1,9})\1(?=$|[,;\s])", re.IGNORECASE)


def wait_of(prefer: str | None) -> float:
    """Return the seconds a Prefer header (RFC 7240) asks to wait, at most 30; 0 without one."""
    found = _WAIT.search(prefer or "")
    return 0.0 if found is None else min(float(found[2]), MAX_WAIT_SECONDS)


class Waiters:
    """All waiting requests of this process share one look at the database at a time.

    Looking, rather than being told, works however many gateways there are and whichever of them decides.
    """

    def __init__(self, question: Callable[[Sequence[UUID]], Awaitable[list[UUID]]], runtime: Runtime) -> None:
        """`question` returns those of some payments whose wait is over."""
        self._question = question
        self._runtime = runtime
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._looking = False

    async def wait(self, payment_id: UUID, seconds: float) -> None:
        """Return when the payment is decided or the time is over."""
        decided = asyncio.Event()
        self._waiting[payment_id].add(decided)
        if not self._looking:
            self._looking = True
            self._runtime.spawn(self._look(), name="wait-for-decisions")
        try:
            async with asyncio.timeout(seconds):
                await decided.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[payment_id].discard(decided)
            if not self._waiting[payment_id]:
                del self._waiting[payment_id]

    async def _look(self) -> None:
        try:
            while self._waiting:
                for payment_id in await self._decided():
                    for event in self._waiting.get(payment_id, ()):
                        event.set()
                await self._runtime.sleep(LOOK_EVERY_SECONDS)
        finally:
            self._looking = False

    async def _decided(self) -> list[UUID]:
        """Return which are decided; none while the database is away, as the requests have an answer (202) anyway."""
        try:
            return await self._question(list(self._waiting))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return []
