"""A TCP proxy whose network can be made bad: connections cut, refused, slow, or silent."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

CHUNK_BYTES = 16_384
BUFFER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Weather:
    """The state of a link. `bytes_a_second` None: as fast as it goes; `silent`: nothing comes through, none is cut."""

    refuses: bool = False
    silent: bool = False
    delay_seconds: float = 0.0
    bytes_a_second: float | None = None


FAIR = Weather()


class Proxy:
    """One link: listens on a port of the loopback and passes everything on to another."""

    def __init__(self, target_port: int, port: int) -> None:
        self.port = port
        self.connections = 0
        """How many there have been."""
        self._target_port = target_port
        self._weather = FAIR
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=BUFFER_BYTES)

    async def close(self) -> None:
        """Stop listening, and cut what is open."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def set(self, weather: Weather) -> None:
        """Let the link be so from now on, for what is open too."""
        self._weather = weather
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def cut(self) -> int:
        """Reset every open connection; returns how many there were."""
        count = len(self._open) // 2
        for writer in list(self._open):
            writer.transport.abort()
        return count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather.refuses:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._fair_enough()
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port, limit=BUFFER_BYTES)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self.connections += 1
        self._open.add(back)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            for end in (writer, back):
                self._open.discard(end)
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on until one side ends; a side that is done sending may still be answered."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._travel(len(data))
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            return
        # A reset: the other side shall hear of it at once.
        for end in (writer,):
            end.transport.abort()

    async def _travel(self, nbytes: int) -> None:
        await self._fair_enough()
        weather = self._weather
        wait = weather.delay_seconds
        if weather.bytes_a_second is not None:
            wait += nbytes / weather.bytes_a_second
        if wait > 0:
            changed = self._changed
            with suppress(TimeoutError):  # what is under way when the weather changes arrives at once
                async with asyncio.timeout(wait):
                    await changed.wait()
            await self._fair_enough()

    async def _fair_enough(self) -> None:
        """Return as soon as anything comes through."""
        while self._weather.silent:
            await self._changed.wait()
