"""A runtime of virtual time and one seed, for tests and simulation: the same seed gives the same history."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251 - a simulation's randomness must be reproducible from its seed
from typing import Any

import httpx

from rialto_common.ids import Ids


class Crashed(BaseException):
    """The process died here; nothing may catch this but whoever runs the simulation."""


class SimulatedRuntime:
    """A clock that moves only when someone sleeps, and randomness from one seed."""

    def __init__(self, seed: int, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.random = Random(seed)  # noqa: S311 - see the import
        self.ids = Ids(lambda: int(self._now.timestamp() * 1000), self.random.getrandbits)
        self.crash_at: str | None = None
        self._start = start
        self._now = start
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        """Return the virtual instant."""
        return self._now

    def monotonic(self) -> float:
        """Return the virtual seconds since the start."""
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Move the clock and let others run."""
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)  # noqa: TID251 - yields to the loop; the virtual clock has moved already

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run work beside the caller."""
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - this is the seam
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def crash_point(self, name: str) -> None:
        """Die here if this is where the simulation wants it.

        Raises: Crashed.
        """
        if self.crash_at == name:
            self.crash_at = None
            raise Crashed(name)

    def token(self, nbytes: int) -> str:
        """Return reproducible text."""
        return self.random.randbytes(nbytes).hex()

    def random_bytes(self, nbytes: int) -> bytes:
        """Return reproducible bytes."""
        return self.random.randbytes(nbytes)

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return a client that reaches nothing unless given a transport."""
        options.setdefault("transport", httpx.MockTransport(lambda request: httpx.Response(503)))
        return httpx.AsyncClient(**options)
