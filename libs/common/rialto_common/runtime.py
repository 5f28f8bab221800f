"""The one place where effects enter: clock, randomness, ids, tasks, crash points and outgoing HTTP.

`main.py` of each service builds a `Runtime` and hands it down. The linter bans the underlying calls everywhere else, so
that a simulation can replace all of them at once.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from rialto_common.ids import Ids


class Runtime(Protocol):
    """Every effect a service may have, apart from its database and its bus."""

    ids: Ids
    random: random.Random

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes backwards, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause this task."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run work beside the caller; the runtime keeps the reference that keeps the task alive."""
        ...

    def crash_point(self, name: str) -> None:
        """Mark a place where a crash is interesting; the process dies here when it was asked to."""
        ...

    def token(self, nbytes: int) -> str:
        """Return an unguessable URL-safe text of so many random bytes."""
        ...

    def random_bytes(self, nbytes: int) -> bytes:
        """Return unguessable bytes, for keys and nonces."""
        ...

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return an HTTP client; `options` as for httpx.AsyncClient."""
        ...


class _RandomPool:
    """The system's randomness, fetched four kilobytes at a time: asking the kernel costs more than minting the id."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def bits(self, count: int) -> int:
        """Return so many random bits, each used once."""
        nbytes = (count + 7) // 8
        return int.from_bytes(self.take(nbytes), "big") >> (nbytes * 8 - count)

    def take(self, nbytes: int) -> bytes:
        """Return so many random bytes, each used once."""
        if self._used + nbytes > len(self._pool):
            self._pool, self._used = secrets.token_bytes(max(4096, nbytes)), 0
        chunk = self._pool[self._used : self._used + nbytes]
        self._used += nbytes
        return chunk


class SystemRuntime:
    """The real clock, the system's randomness, asyncio's tasks."""

    def __init__(self) -> None:
        self.random: random.Random = secrets.SystemRandom()
        self._pool = _RandomPool()
        self.ids = Ids(self.unix_ms, self._pool.bits)
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def unix_ms(self) -> int:
        """Return the milliseconds since 1970 by the clock of `now()`, as ids carry them."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def crash_point(self, name: str) -> None:
        """Nothing: only the runtimes of tests and simulation die here."""

    def token(self, nbytes: int) -> str:
        return secrets.token_urlsafe(nbytes)

    def random_bytes(self, nbytes: int) -> bytes:
        return self._pool.take(nbytes)

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(**options)


Step = Callable[[], Coroutine[Any, Any, float]]
"""One turn of a loop: does what is due and returns the seconds until it is next due (0: at once)."""
