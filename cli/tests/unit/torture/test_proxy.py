"""The proxy's weather: what goes through it, and what does not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from rialto_cli.embedded.processes import free_ports
from rialto_cli.torture.proxy import FAIR, Proxy, Weather

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PATIENCE_SECONDS = 10.0


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], free_ports(1)[0])
    await proxy.open()
    yield proxy
    await proxy.close()
    server.close()


async def connect(proxy: Proxy) -> Connection:
    """A connection through the proxy."""
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said_back(connection: Connection, text: bytes) -> float:
    """Send something, see it come back; return the seconds that took."""
    reader, writer = connection
    began = time.monotonic()
    writer.write(text)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await reader.readexactly(len(text)) == text
    return time.monotonic() - began


async def is_cut(connection: Connection) -> bool:
    """Whether the other end has gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await connection[0].read(1) == b""
        except ConnectionError:
            return True


async def test_in_fair_weather_everything_passes_both_ways(proxy: Proxy) -> None:
    connection = await connect(proxy)
    await said_back(connection, b"hello" * 10_000)
    assert proxy.connections == 1


async def test_cut_connections_are_gone_and_new_ones_work(proxy: Proxy) -> None:
    old = await connect(proxy)
    await said_back(old, b"hello")
    assert proxy.cut() == 1
    assert await is_cut(old)
    await said_back(await connect(proxy), b"again")


async def test_refusing_leaves_open_connections_alone(proxy: Proxy) -> None:
    old = await connect(proxy)
    await said_back(old, b"hello")
    proxy.set(Weather(refuses=True))
    assert await is_cut(await connect(proxy))
    await said_back(old, b"still here")
    proxy.set(FAIR)
    await said_back(await connect(proxy), b"again")


async def test_delay_and_throttle_slow_both_directions(proxy: Proxy) -> None:
    connection = await connect(proxy)
    await said_back(connection, b"first")
    proxy.set(Weather(delay_seconds=0.1))
    assert await said_back(connection, b"slow") >= 0.2
    proxy.set(Weather(bytes_a_second=10_000))
    assert await said_back(connection, b"x" * 2_000) >= 0.4


async def test_silence_holds_everything_back_and_cuts_nothing(proxy: Proxy) -> None:
    connection = await connect(proxy)
    await said_back(connection, b"hello")
    proxy.set(Weather(silent=True))
    waiting = asyncio.create_task(said_back(connection, b"anyone?"))
    newcomer = asyncio.create_task(said_back(await connect(proxy), b"and me?"))
    done, _ = await asyncio.wait({waiting, newcomer}, timeout=0.3)
    assert not done
    proxy.set(FAIR)
    await asyncio.gather(waiting, newcomer)


async def test_a_server_that_is_away_shows_as_a_cut_connection() -> None:
    away, port = free_ports(2)
    proxy = Proxy(away, port)
    await proxy.open()
    try:
        assert await is_cut(await connect(proxy))
    finally:
        await proxy.close()
