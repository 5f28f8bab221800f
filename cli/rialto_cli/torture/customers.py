"""The load: merchants whose customers pay, whose back offices capture and void, and whose servers take webhooks.

Every call is repeated under its own idempotency key until it is answered, as a careful client does, and what was
answered 2xx goes into the book. What each client does next comes from the run's seed; when, from the platform.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aiohttp import web

from rialto_cli.errors import OperatorError
from rialto_cli.replay.api import Answer, Api
from rialto_cli.torture.book import Asked, Book, Captured

FINAL = frozenset({"settled", "declined", "voided", "expired", "failed"})
AUTHORISED = frozenset({"authorised"})
CAPTURED = frozenset({"captured", "settled"})
DECIDED = frozenset({"authorised", "captured", "settled", "declined", "review"})
WALLET_MINOR = 50_000_000
UNDECIDED_SECONDS = 60.0
LOOK_SECONDS = 0.5
REFUSED_WEBHOOKS = 0.05


@dataclass(slots=True)
class Merchant:
    """One merchant with its test key and its customers' wallets."""

    name: str
    id: str
    key: str
    address: str
    wallets: list[str] = field(default_factory=list)


class Receiver:
    """The merchants' web server: takes webhooks, refuses a few, remembers the ids of those it took."""

    def __init__(self, book: Book, draw: random.Random) -> None:
        self._book, self._draw = book, draw
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def open(self) -> None:
        """Listen on a free port of the loopback."""
        app = web.Application()
        app.router.add_post("/webhooks", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        _, port = self._runner.addresses[0][:2]
        self.url = f"http://127.0.0.1:{port}/webhooks"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        await request.read()
        if self._draw.random() < REFUSED_WEBHOOKS:
            return web.Response(status=500)
        self._book.webhooks[request.headers["webhook-id"]] += 1
        return web.Response(status=204)


class Customers:
    """Clients of one platform, each a loop of its own."""

    def __init__(self, api: Api, book: Book, admin_key: str, *, seed: int, tag: str) -> None:
        """`tag` keeps the idempotency keys of two runs on one data directory apart."""
        self.merchants: list[Merchant] = []
        self._opened: list[Merchant] = []
        self._api, self._book, self._admin_key, self._tag = api, book, admin_key, tag
        self.draw = random.Random(f"{seed}/customers")  # noqa: S311 - reproducible on purpose
        self._number = 0
        self._began = time.monotonic()

    def start_clock(self) -> None:
        """Let the run begin now."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """The time since the start of the run."""
        return time.monotonic() - self._began

    async def open(self, merchants: int, wallets: int, webhook_url: str | None) -> None:
        """Open merchants with wallets of test money. Raises: OperatorError: the platform refuses."""
        await asyncio.gather(*(self.open_merchant(f"shop-{nth}", wallets, webhook_url) for nth in range(merchants)))

    async def open_merchant(
        self, name: str, wallets: int, webhook_url: str | None = None, *, trades: bool = True
    ) -> Merchant:
        """Open one merchant, with whom customers trade or not. Raises: OperatorError: the platform refuses."""
        address = "0x" + sha256(f"{self._tag}/{name}".encode()).hexdigest()[:40]
        body = {"name": name, "country": "US", "settlement_address": address}
        made = _made(await self._post("/v1/merchants", body, self._admin_key, f"merchant-{name}"))
        merchant = Merchant(name, str(made["id"]), str(made["keys"]["test"]), address)
        if webhook_url is not None:
            _made(await self._post("/v1/webhook_endpoints", {"url": webhook_url}, merchant.key, f"hook-{name}"))
        for _ in range(wallets):
            await self.open_wallet(merchant)
        self._opened.append(merchant)
        if trades:
            self.merchants.append(merchant)
        return merchant

    async def open_wallet(self, merchant: Merchant) -> str:
        """Open a wallet with money in it."""
        key = self._next("wallet")
        wallet = str(_made(await self._post("/v1/wallets", {"currency": "USD"}, merchant.key, key))["id"])
        await self.top_up(merchant, wallet, WALLET_MINOR)
        merchant.wallets.append(wallet)
        return wallet

    async def top_up(self, merchant: Merchant, wallet: str, amount_minor: int) -> None:
        """Put test money into a wallet."""
        key = self._next("top-up")
        _made(await self._post(f"/v1/wallets/{wallet}/top_ups", {"amount_minor": str(amount_minor)}, merchant.key, key))
        self._book.top_ups[wallet] += amount_minor

    # What goes on -------------------------------------------------------------------------------------------------

    async def trade(self, stop: asyncio.Event, *, clients: int, pause_seconds: float) -> None:
        """Trade with so many clients at once until told to stop; each pauses between two pieces of business."""
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(stop, pause_seconds))

    async def _client(self, stop: asyncio.Event, pause_seconds: float) -> None:
        while not stop.is_set():
            await self._business(stop)
            try:
                async with asyncio.timeout(pause_seconds * self.draw.uniform(0.5, 1.5)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def pulse(self, stop: asyncio.Event, *, every_seconds: float) -> None:
        """Pay on and on, and note when each payment was sent and when it was decided: what recovery is measured by."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self._beat(self.draw.choice(self.merchants), stop))
                await asyncio.sleep(every_seconds)

    async def _beat(self, merchant: Merchant, stop: asyncio.Event) -> None:
        sent_at = self.seconds()
        asked = await self.pay(merchant, amount_minor=self.draw.randrange(200, 6_000))
        if await self._until(merchant, asked, DECIDED, stop):
            self._book.decided.append((sent_at, self.seconds()))

    async def _business(self, stop: asyncio.Event) -> None:
        merchant = self.draw.choice(self.merchants)
        chance = self.draw.random()
        deeds: list[tuple[float, Callable[[], Awaitable[object]]]] = [
            (0.50, lambda: self.pay(merchant)),
            (0.68, lambda: self._pay_and_capture(merchant, stop)),
            (0.78, lambda: self._pay_and_void(merchant, stop)),
            (0.84, lambda: self._ask_again(merchant)),
            (0.90, lambda: self.top_up(merchant, self.draw.choice(merchant.wallets), self.draw.randrange(1, 5_000))),
            (0.93, lambda: self.open_wallet(merchant)),
            (1.00, lambda: self.review(stop)),
        ]
        await next(deed for below, deed in deeds if chance < below)()

    async def pay(self, merchant: Merchant, *, manual: bool = False, amount_minor: int | None = None) -> Asked:
        """Make a payment; one in forty is large enough for a person to look at it."""
        large = self.draw.random() < 0.025
        amount = amount_minor or (1_000_000 if large else self.draw.randrange(200, 6_000))
        asked = Asked(self._next("payment"), merchant.name, self.draw.choice(merchant.wallets), amount, manual)
        self._book.payments[asked.key] = asked
        await self._send(merchant, asked)
        return asked

    async def _send(self, merchant: Merchant, asked: Asked) -> dict[str, Any]:
        body = {
            "amount_minor": str(asked.amount_minor),
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": asked.wallet},
            "payer": {"name": f"Payer {sha256(asked.wallet.encode()).hexdigest()[:8]}", "country": "GB"},
            "capture_method": "manual" if asked.manual else "automatic",
        }
        answer = await self._api.post("/v1/payments", body, key=merchant.key, idempotency_key=asked.key)
        if not answer.ok:
            self._refused("payment", answer)
            return {}
        self._book.answered(asked, str(answer.body["id"]), self.seconds())
        return answer.body

    async def _pay_and_capture(self, merchant: Merchant, stop: asyncio.Event) -> None:
        asked = await self.pay(merchant, manual=True)
        if not await self._until(merchant, asked, AUTHORISED, stop):
            return
        parts = self.draw.choice([[1.0], [0.4, 0.6], [0.3, 0.3], [0.5]])
        amounts = [max(1, int(asked.amount_minor * part)) for part in parts]
        for nth, amount in enumerate(amounts, 1):
            await self.capture(merchant, asked, amount, final=nth == len(amounts) and self.draw.random() < 0.5)
        if self.draw.random() < 0.5:
            await self.void(merchant, asked)
        if self.draw.random() < 0.5 and await self._until(merchant, asked, CAPTURED, stop):
            await self.refund(merchant, asked, max(1, amounts[0] // 2))

    async def _pay_and_void(self, merchant: Merchant, stop: asyncio.Event) -> None:
        asked = await self.pay(merchant, manual=True)
        if await self._until(merchant, asked, AUTHORISED, stop):
            await self.void(merchant, asked)

    async def authorised(self, merchant: Merchant) -> Asked:
        """Have a payment authorised that nobody captures or voids."""
        while True:
            asked = await self.pay(merchant, manual=True, amount_minor=1_000)
            if await self._until(merchant, asked, AUTHORISED, asyncio.Event()):
                return asked

    async def _ask_again(self, merchant: Merchant) -> None:
        """Send an earlier request once more, as a client does that has lost its memory of the answer."""
        earlier = [asked for asked in self._book.payments.values() if asked.merchant == merchant.name]
        if earlier:
            await self._send(merchant, self.draw.choice(earlier[-200:]))

    async def capture(self, merchant: Merchant, asked: Asked, amount_minor: int, *, final: bool) -> None:
        """Capture, and remember what was said of it."""
        key = self._next("capture")
        path = f"/v1/payments/{asked.payment_id}/capture"
        body = {"amount_minor": str(amount_minor), "final": final}
        answer = await self._api.post(path, body, key=merchant.key, idempotency_key=key)
        if not answer.ok:
            self._refused("capture", answer)
            return
        made = Captured(str(asked.payment_id), key, amount_minor)
        self._book.captures[(made.payment_id, key)] = made

    async def refund(self, merchant: Merchant, asked: Asked, amount_minor: int) -> None:
        """Give back a part of what was captured, once something was; the ledger may refuse, if too little is owed."""
        path = f"/v1/payments/{asked.payment_id}/refunds"
        answer = await self._api.post(
            path, {"amount_minor": str(amount_minor)}, key=merchant.key, idempotency_key=self._next("refund")
        )
        if not answer.ok:
            self._refused("refund", answer)

    async def void(self, merchant: Merchant, asked: Asked) -> None:
        """Give back what is not captured. Repeated after a lost answer it may be refused, being done already."""
        answer = await self._post(f"/v1/payments/{asked.payment_id}/void", {}, merchant.key, self._next("void"))
        if answer.ok:
            self._book.voids.add(str(asked.payment_id))
        else:
            self._refused("void", answer)

    async def review(self, stop: asyncio.Event | None = None) -> int:
        """Decide what waits for a person; returns how many there were."""
        query = {"status": "review", "limit": "20", "mode": "test"}
        waiting = (await self._api.get("/v1/payments", key=self._admin_key, query=query)).body.get("data", [])
        for payment in waiting:
            body = {"decision": "approve" if self.draw.random() < 0.7 else "decline"}
            path = f"/v1/payments/{payment['id']}/review"
            answer = await self._api.post(path, body, key=self._admin_key, idempotency_key=self._next("review"))
            if not answer.ok:
                self._refused("review", answer)
        return len(waiting)

    async def release(self) -> int:
        """Void everything that is authorised and waits for its merchant; returns how many there were."""
        query = {"status": "authorised", "limit": "100", "mode": "test"}
        waiting = (await self._api.get("/v1/payments", key=self._admin_key, query=query)).body.get("data", [])
        keys = {merchant.id: merchant.key for merchant in self._opened}
        for payment in waiting:
            if payment["merchant_id"] in keys and payment["amount_capturable_minor"] != "0":
                path = f"/v1/payments/{payment['id']}/void"
                await self._api.post(path, {}, key=keys[payment["merchant_id"]], idempotency_key=self._next("void"))
        return len(waiting)

    async def confirm_captures(self) -> None:
        """Ask once more after every capture: what is said to have succeeded must be in the books."""
        keys = {merchant.name: merchant.key for merchant in self._opened}
        asked = {one.payment_id: one for one in self._book.accepted}
        for payment_id in {made.payment_id for made in self._book.captures.values()}:
            answer = await self._api.get(f"/v1/payments/{payment_id}", key=keys[asked[payment_id].merchant])
            self._note_captures(payment_id, answer.body.get("captures", []))

    def _note_captures(self, payment_id: str, captures: list[dict[str, Any]]) -> None:
        ours = [made for made in self._book.captures.values() if made.payment_id == payment_id]
        if len(captures) < len(ours):
            self._book.wrong.append(f"{payment_id} has {len(captures)} captures; {len(ours)} were answered 2xx")
        left = [each for each in captures if each["status"] == "succeeded"]
        for made in ours:
            booked = next((each for each in left if int(each["amount_minor"]) == made.amount_minor), None)
            if booked is not None:
                left.remove(booked)
                made.succeeded = True

    async def _until(self, merchant: Merchant, asked: Asked, states: frozenset[str], stop: asyncio.Event) -> bool:
        """Whether the payment gets into one of the states before it ends otherwise, or the run or patience does."""
        deadline = time.monotonic() + UNDECIDED_SECONDS
        while asked.payment_id is not None and time.monotonic() < deadline and not stop.is_set():
            answer = await self._api.get(f"/v1/payments/{asked.payment_id}", key=merchant.key)
            if answer.status == 404:
                self._book.wrong.append(f"{asked.payment_id} was answered 2xx, and is not there")
                return False
            if answer.body.get("status") in states:
                return True
            if answer.body.get("status") in FINAL:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _refused(self, what: str, answer: Answer) -> None:
        self._book.refusals[f"{what}: {answer.code}"] += 1

    async def _post(self, path: str, body: dict[str, Any], key: str, idempotency_key: str) -> Answer:
        return await self._api.post(path, body, key=key, idempotency_key=f"{self._tag}-{idempotency_key}")

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{self._tag}-{kind}-{self._number}"


def _made(answer: Answer) -> dict[str, Any]:
    if not answer.ok:
        raise OperatorError(
            "The platform refuses what a client may ask",
            f"{answer.status} {answer.code}: {answer.detail}",
            "check that the command and the platform are of the same version",
        )
    return answer.body
