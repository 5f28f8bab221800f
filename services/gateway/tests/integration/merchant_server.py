"""A merchant's server for webhooks, which takes, refuses, stalls and talks too much; and what tests do with it."""

import asyncio
from typing import Any

from .platform_in_process import Merchant, Platform

TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Shop:
    """A merchant's server: keeps what it gets and answers from a script, `TAKEN` when that is empty."""

    def __init__(self) -> None:
        self.script: list[bytes | str] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.sent_bytes = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                headers["request"] = head[0]
                self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
                await self._answer(self.script.pop(0) if self.script else TAKEN, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, answer: bytes | str, writer: asyncio.StreamWriter) -> None:
        if answer == "stall":
            await asyncio.sleep(30)
        elif answer == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(1000):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)
        elif answer == "flood":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b"." * 0x10000 + b"\r\n")
                await writer.drain()
                self.sent_bytes += 0x10000
        elif answer == "close":
            writer.close()
        elif isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()


async def listen(platform: Platform, merchant: Merchant, url: str, *events: str) -> dict[str, Any]:
    """Register an endpoint."""
    body = {"url": url, "events": list(events)}
    answer = await platform.call("POST", "/v1/webhook_endpoints", body, key=merchant.test_key)
    assert answer.status_code == 201, answer.text
    endpoint: dict[str, Any] = answer.json()
    return endpoint


async def deliver(platform: Platform) -> None:
    """Send what is due."""
    await platform.send_webhooks()


async def deliveries(platform: Platform, merchant: Merchant, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the endpoint's deliveries as the API shows them."""
    path = f"/v1/webhook_endpoints/{endpoint['id']}/deliveries"
    data: list[dict[str, Any]] = (await platform.call("GET", path, key=merchant.test_key)).json()["data"]
    return data


async def attempts(superuser: Any) -> list[tuple[str, int | None, str | None]]:
    """Return state, status and error of every attempt."""
    rows = await superuser.fetch("SELECT state, status, error FROM gateway.webhook_attempts ORDER BY started_at, nth")
    return [(row["state"], row["status"], row["error"]) for row in rows]
