"""Word between gateways that an API key was changed: a hint by NOTIFY, for the others to look sooner.

Nothing rests on it: a gateway that hears nothing looks its keys up again anyway (`keys.STALE_SECONDS`).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from rialto_common.bus.postgres import connect
from rialto_common.database import Pool
from rialto_common.runtime import Runtime

CHANNEL = "rialto_api_keys"
AGAIN_SECONDS = 5.0
_UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class KeyNews:
    """Tells and hears."""

    def __init__(self, dsn: str, pool: Pool, runtime: Runtime, heard: Callable[[], None]) -> None:
        self._dsn = dsn
        self._pool = pool
        self._runtime = runtime
        self._heard = heard
        self._listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to listen, from a task of its own."""
        if self._listening is None:
            self._listening = self._runtime.spawn(self._listen(), name="api-key-news")

    def tell(self) -> None:
        """Say that keys were changed."""
        self._heard()
        self._runtime.spawn(self._tell(), name="tell-api-keys")

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _tell(self) -> None:
        try:
            await self._pool.execute("SELECT pg_notify($1, '')", CHANNEL)
        except _UNAVAILABLE:
            return

    async def _listen(self) -> None:
        while True:
            try:
                connection = await connect(self._dsn, "rialto-gateway-key-news")
            except _UNAVAILABLE:
                await self._runtime.sleep(AGAIN_SECONDS)
                continue
            gone = asyncio.Event()

            def hear(*_: Any) -> None:
                self._heard()

            def lost(*_: Any, gone: asyncio.Event = gone) -> None:
                gone.set()

            try:
                connection.add_termination_listener(lost)
                await connection.add_listener(CHANNEL, hear)
                self._heard()  # whatever was said before
                await gone.wait()
            except _UNAVAILABLE:
                await self._runtime.sleep(AGAIN_SECONDS)
            finally:
                connection.terminate()
