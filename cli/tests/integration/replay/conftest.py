"""A small gateway on loopback that keeps the API's promises and nothing else, and can be made to misbehave.

It keeps what it accepted while it is "down", as the real one does in its database. `faults` decides, per request,
whether it answers 503, breaks the connection before doing the work, or after it: the answer is lost, the work is done.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

ADMIN_KEY = "ak_test"
STAGES = ("created", "approved", "authorised", "captured", "settled")


@dataclass
class Faults:
    """Shares of the requests that go wrong, drawn from a seed."""

    unavailable: float = 0.0
    broken_before: float = 0.0
    broken_after: float = 0.0
    draw: random.Random = field(default_factory=lambda: random.Random(7))

    def next(self) -> str | None:
        drawn = self.draw.random()
        for name in ("unavailable", "broken_before", "broken_after"):
            share = getattr(self, name)
            if drawn < share:
                return name
            drawn -= share
        return None


class FakeGateway:
    """The gateway's promises over plain dictionaries."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.answers: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        self.merchants: dict[str, str] = {}
        self.wallets: dict[str, int] = {}
        self.payments: list[dict[str, Any]] = []
        self.requests: Counter[str] = Counter()
        self.paid_rows: Counter[str] = Counter()
        self.order: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.stuck: Callable[[dict[str, Any]], bool] = lambda payment: False
        self.refuse: Callable[[dict[str, Any]], str | None] = lambda body: None
        self._awaited: list[tuple[int, asyncio.Event]] = []
        self._clock = datetime(2026, 1, 1, tzinfo=UTC)
        self._ids = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/merchants", self._guarded(self._open_merchant))
        app.router.add_post("/v1/wallets", self._guarded(self._open_wallet))
        app.router.add_post("/v1/wallets/{id}/top_ups", self._guarded(self._top_up))
        app.router.add_post("/v1/payments", self._guarded(self._pay))
        app.router.add_get("/v1/payments", self._list)
        app.router.add_get("/v1/payments/{id}", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def until_accepted(self, count: int) -> None:
        """Return when so many payments were accepted."""
        event = asyncio.Event()
        self._awaited.append((count, event))
        await event.wait()

    def _guarded(
        self, work: Callable[[web.Request, dict[str, Any]], web.Response | dict[str, Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Idempotency as the API promises it: the stored answer, or 422 for another body under the same key."""

        async def handle(request: web.Request) -> web.Response:
            self.requests[request.path.split("/")[2]] += 1
            key, body = request.headers["Authorization"].removeprefix("Bearer "), await request.json()
            if key != ADMIN_KEY and key not in self.merchants:
                return _problem(401, "unauthenticated")
            fault = self.faults.next()
            if fault == "unavailable":
                return _problem(503, "service_unavailable", {"Retry-After": "0"})
            if fault == "broken_before":
                _break(request)
            identity = (key, request.headers["Idempotency-Key"])
            if identity in self.answers:
                stored, answer = self.answers[identity]
                if stored != body:
                    return _problem(422, "idempotency_key_reused")
            else:
                made = work(request, body)
                if isinstance(made, web.Response):
                    return made
                answer = made
                self.answers[identity] = (body, dict(answer))
            if fault == "broken_after":
                _break(request)
            return web.json_response(self.answers[identity][1], status=202)

        return handle

    def _open_merchant(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.merchants) + 1
        self.merchants[f"sk_test_{number}"] = f"mer_{number}"
        return {"id": f"mer_{number}", "keys": {"test": f"sk_test_{number}", "live": f"sk_live_{number}"}}

    def _open_wallet(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        wallet = f"wal_{len(self.wallets) + 1}"
        self.wallets[wallet] = 0
        return {"id": wallet}

    def _top_up(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        self.wallets[request.match_info["id"]] += int(body["amount_minor"])
        return {"ok": True}

    def _pay(self, request: web.Request, body: dict[str, Any]) -> web.Response | dict[str, Any]:
        if code := self.refuse(body):
            return _problem(400, code)
        now = self._tick()
        self.paid_rows[body["metadata"]["row"]] += 1
        self.order.append((body["payment_method"]["wallet_id"], body["metadata"]["row"]))
        self.bodies.append(body)
        payment = {
            "id": f"pay_{next(self._ids):026d}",
            "status": "created",
            "metadata": body["metadata"],
            "amount_minor": body["amount_minor"],
            "wallet_id": body["payment_method"]["wallet_id"],
            "decline_code": None,
            "settlement": None,
            "created_at": now,
            "updated_at": now,
            "authorised_at": None,
        }
        self.payments.append(payment)
        for count, event in self._awaited:
            if len(self.payments) >= count:
                event.set()
        return payment

    def _advance(self) -> None:
        """Every payment under way goes one state on; the wallet decides at authorisation."""
        for payment in self.payments:
            if payment["status"] not in STAGES[:-1] or self.stuck(payment):
                continue
            payment["status"] = STAGES[STAGES.index(payment["status"]) + 1]
            payment["updated_at"] = self._tick()
            if payment["status"] == "authorised":
                payment["authorised_at"] = payment["updated_at"]
                self.wallets[payment["wallet_id"]] -= int(payment["amount_minor"])
                if self.wallets[payment["wallet_id"]] < 0:
                    self.wallets[payment["wallet_id"]] += int(payment["amount_minor"])
                    payment |= {"status": "declined", "decline_code": "insufficient_funds", "authorised_at": None}
            if payment["status"] == "settled":
                payment["settlement"] = {"tx_hash": f"0x{len(self.payments):064x}"}

    async def _list(self, request: web.Request) -> web.Response:
        """By time of the last change, from `updated_since` on, or after the cursor's place."""
        self._advance()
        size = int(request.query["limit"])
        after = tuple(request.query.get("cursor", f"{request.query['updated_since']}|").split("|"))
        changed = sorted(
            ((each["updated_at"], each["id"], each) for each in self.payments), key=lambda change: change[:2]
        )
        found = [payment for at, payment_id, payment in changed if (at, payment_id) > after]
        page = found[:size]
        last = f"{page[-1]['updated_at']}|{page[-1]['id']}" if page else "|".join(after)
        return web.json_response({"data": page, "has_more": len(found) > size, "next_cursor": last})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(next(each for each in self.payments if each["id"] == request.match_info["id"]))

    def _tick(self) -> str:
        self._clock += timedelta(milliseconds=1)
        return self._clock.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _problem(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"code": code, "status": status, "detail": code, "retryable": status == 503}
    return web.json_response(body, status=status, headers=headers)


def _break(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.abort()
    raise asyncio.CancelledError


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A fake gateway on a free port."""
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()
