"""The bank's rates over HTTP, from a server on loopback that answers whatever it is told."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.ecb import EcbRates
from rialto_ledger.adapters.ecb_xml import MAX_BYTES
from rialto_ledger.application.rates import RateSheet, RatesUnavailable
from rialto_ledger.fx_testing import ecb_page, euro_rate

PAGE = ecb_page(USD="1.0800", GBP="0.8640")


class Bank:
    """A server that sends `chunks` to whoever asks, and keeps what was asked. Then it closes, or waits."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.endless: bytes = b""
        self.hangs = False
        self.asked: list[str] = []
        self.sent_bytes = 0
        self.url = ""

    def answers(self, status: str, body: bytes = b"", **headers: str) -> None:
        """Answer every question like this."""
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.chunks = [f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question."""
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        with suppress(ConnectionError):
            for chunk in self.chunks:
                writer.write(chunk)
                await writer.drain()
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
                self.sent_bytes += len(self.endless)
            if self.hangs:
                await reader.read()
        writer.close()


@asynccontextmanager
async def serving(bank: Bank) -> AsyncIterator[str]:
    server = await asyncio.start_server(bank.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rates.xml"
    finally:
        server.close()


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    async with serving(bank) as bank.url:
        yield bank


@asynccontextmanager
async def asking(bank: Bank, *, timeout_seconds: float = 5.0) -> AsyncIterator[EcbRates]:
    rates = EcbRates(SystemRuntime(), url=bank.url, timeout_seconds=timeout_seconds)
    yield rates
    await rates.close()


async def refusal(bank: Bank, *, timeout_seconds: float = 5.0) -> str:
    """Return why there are no rates."""
    async with asking(bank, timeout_seconds=timeout_seconds) as rates:
        with pytest.raises(RatesUnavailable) as refused:
            await rates.fetch('"old"')
    return refused.value.detail


async def test_the_rates_come_with_their_etag(bank: Bank) -> None:
    bank.answers("200 OK", PAGE, ETag='"today"')
    async with asking(bank) as rates:
        assert await rates.fetch(None) == RateSheet([euro_rate("USD", "1.0800"), euro_rate("GBP", "0.8640")], '"today"')
    assert "get /rates.xml" in bank.asked[0]
    assert "accept-encoding: identity" in bank.asked[0]
    assert "if-none-match" not in bank.asked[0]


async def test_unchanged_rates_are_none(bank: Bank) -> None:
    bank.answers("304 Not Modified", ETag='"today"')
    async with asking(bank) as rates:
        assert await rates.fetch('"today"') is None
    assert 'if-none-match: "today"' in bank.asked[0]


async def test_rates_without_an_etag_have_no_version(bank: Bank) -> None:
    bank.answers("200 OK", PAGE)
    async with asking(bank) as rates:
        sheet = await rates.fetch(None)
    assert sheet is not None
    assert sheet.version is None


async def test_not_modified_without_having_asked_is_no_answer(bank: Bank) -> None:
    bank.answers("304 Not Modified")
    async with asking(bank) as rates:
        with pytest.raises(RatesUnavailable, match="304"):
            await rates.fetch(None)


async def test_a_redirect_is_not_followed(bank: Bank) -> None:
    elsewhere = Bank()
    elsewhere.answers("200 OK", PAGE)
    async with serving(elsewhere) as url:
        bank.answers("302 Found", Location=url)
        assert "302" in await refusal(bank)
    assert elsewhere.asked == []


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "204 No Content"])
async def test_any_other_status_is_no_answer(bank: Bank, status: str) -> None:
    bank.answers(status, b"" if status.startswith("204") else PAGE)
    assert status[:3] in await refusal(bank)


async def test_what_cannot_be_read_is_no_answer(bank: Bank) -> None:
    bank.answers("200 OK", PAGE[:-30])
    assert "cannot be read" in await refusal(bank)


async def test_a_body_without_end_is_left_at_the_limit(bank: Bank) -> None:
    bank.chunks, bank.endless = [b"HTTP/1.1 200 OK\r\n\r\n"], b" " * 16_384
    assert str(MAX_BYTES) in await refusal(bank)
    assert bank.sent_bytes < 100 * MAX_BYTES


async def test_a_compressed_body_is_not_unpacked(bank: Bank) -> None:
    bank.answers("200 OK", gzip.compress(b" " * 10_000_000), Content_Encoding="gzip")
    assert "cannot be read" in await refusal(bank)


async def test_a_body_that_ends_early_is_no_answer(bank: Bank) -> None:
    bank.chunks = [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + PAGE]
    assert "RemoteProtocolError" in await refusal(bank)


@pytest.mark.parametrize("chunks", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", PAGE]])
async def test_a_bank_that_stops_answering_is_left_after_the_timeout(bank: Bank, chunks: list[bytes]) -> None:
    bank.chunks, bank.hangs = chunks, True
    assert "Timeout" in await refusal(bank, timeout_seconds=0.3)


async def test_a_bank_that_drips_is_left_after_the_timeout(bank: Bank) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    bank.serve = drip  # type: ignore[method-assign]
    async with serving(bank) as bank.url:
        assert "TimeoutError" in await refusal(bank, timeout_seconds=0.4)


async def test_a_bank_that_is_not_there_is_no_answer() -> None:
    bank = Bank()
    async with serving(bank) as bank.url:
        pass
    assert "ConnectError" in await refusal(bank)
