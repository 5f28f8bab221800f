"""The gateway and the ledger in this process, on a real PostgreSQL; a test turns the time and plays the others.

Fraud, compliance and the chain-bridge only speak through events, which a test sends itself.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg
import httpx
import orjson
from prometheus_client import CollectorRegistry

from rialto_common import ids
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool, open_pool
from rialto_common.events import compliance, fraud, settlements
from rialto_common.events.envelope import Event, EventData, compose
from rialto_common.http import RequestFrame
from rialto_common.metrics import HttpMetrics
from rialto_common.runtime import Step, SystemRuntime
from rialto_common.service import Service
from rialto_common.settings import ServiceSettings
from rialto_gateway.attempts.ports import Connectors
from rialto_gateway.connectors.disputes import DisputeConnector
from rialto_gateway.main import build as build_gateway
from rialto_gateway.settings import GatewaySettings
from rialto_ledger.main import build as build_ledger
from rialto_ledger.settings import LedgerSettings

ADMIN_KEY = "sk_admin_of_the_tests"
TOKEN_SECRET = "a secret of thirty-two characters"
MASTER_KEY = b64encode(bytes(range(32))).decode()
LEDGER_URL = "http://ledger"
NOTHING_TO_HEAR_SECONDS = 0.02


class Died(BaseException):
    """A process died at a crash point: nothing of ours may catch it."""


class TestRuntime(SystemRuntime):
    """The real runtime, except that time can be turned on and that the ledger is reached without a socket."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta()
        self.apps: dict[str, Any] = {}
        self.dies_at: str | None = None

    def crash_point(self, name: str) -> None:
        """Die here, once, if a test said so: what is in memory is lost, and what is not committed rolls back."""
        if name == self.dies_at:
            self.dies_at = None
            raise Died(name)

    def now(self) -> datetime:
        """Return the present, turned on."""
        return super().now() + self.ahead

    def monotonic(self) -> float:
        """Return the seconds of a clock that is turned on as well."""
        return super().monotonic() + self.ahead.total_seconds()

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return a client; in-process for the services of this process."""
        app = self.apps.get(str(options.get("base_url")))
        if app is not None:
            options["transport"] = httpx.ASGITransport(app)
        return super().http_client(**options)


class Line:
    """The way to a service of this process, which can be cut: before a request arrives, or before its answer does."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.cuts: list[Literal["request", "answer"]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        cut = self.cuts.pop(0) if self.cuts else None
        if cut == "request":
            raise httpx.ConnectError("nobody listens")
        await self._app(scope, receive, send)
        if cut == "answer":
            raise httpx.ReadError("the connection broke")


class Stepped(Service[Any]):
    """A service whose loops a test turns by hand."""

    def __init__(self, name: str, settings: ServiceSettings, runtime: TestRuntime) -> None:
        super().__init__(name, settings, runtime)
        self.steps: dict[str, Step] = {}

    def add_loop(self, name: str, step: Step) -> None:
        self.steps[name] = step
        consumer = getattr(step, "__self__", None)
        if isinstance(consumer, Consumer):
            # A test knows when there is nothing to hear, and should not wait for it as a service does.
            consumer._wait_seconds = NOTHING_TO_HEAR_SECONDS

    async def close(self) -> None:
        for closer in reversed(self._closers):
            await closer()


@dataclass
class Merchant:
    """A merchant with its keys and a funded wallet."""

    id: str
    test_key: str
    live_key: str
    wallet_id: str = ""


@dataclass
class Platform:
    """What a test works with."""

    runtime: TestRuntime
    gateway: Stepped
    ledger: Stepped
    line_to_ledger: Line
    http: httpx.AsyncClient
    pool: Pool
    _sequence: dict[tuple[str, UUID], int] = field(default_factory=dict)
    _keys: int = 0

    def new_key(self) -> str:
        """Return an idempotency key nobody has used."""
        self._keys += 1
        return f"key-of-{id(self)}-{self._keys}"

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = ADMIN_KEY, **headers: str
    ) -> httpx.Response:
        """Send a request as the holder of a key; header names with underscores for dashes. A POST gets a new key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            named.setdefault("Idempotency-Key", self.new_key())
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        return await self.http.request(
            method, path, content=content, headers={"Authorization": f"Bearer {key}", **named}
        )

    async def merchant(self, name: str = "Harbour Books", *, funds: int = 1_000_000) -> Merchant:
        """Open a merchant with a wallet of its own."""
        made = (await self.call("POST", "/v1/merchants", {"name": name})).json()
        merchant = Merchant(made["id"], made["keys"]["test"], made["keys"]["live"])
        merchant.wallet_id = await self.wallet(merchant.test_key, funds=funds)
        return merchant

    async def wallet(self, key: str, *, funds: int = 0) -> str:
        """Open a wallet and fill it."""
        answer = await self.call("POST", "/v1/wallets", {"currency": "USD"}, key=key)
        assert answer.status_code == 201, answer.text
        wallet_id: str = answer.json()["id"]
        if funds:
            path = f"/v1/wallets/{wallet_id}/top_ups"
            answer = await self.call("POST", path, {"amount_minor": funds}, key=key, Idempotency_Key=self.new_key())
            assert answer.status_code == 201, answer.text
        return wallet_id

    async def pay(self, merchant: Merchant, amount_minor: int = 1250, **fields: Any) -> dict[str, Any]:
        """Have a payment accepted."""
        answer = await self.send_payment(merchant, self.new_key(), amount_minor=amount_minor, **fields)
        assert answer.status_code == 202, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def send_payment(self, merchant: Merchant, idempotency_key: str, **fields: Any) -> httpx.Response:
        """Send a payment request; `headers` among the fields are headers."""
        headers = fields.pop("headers", {})
        api_key = fields.pop("key", merchant.test_key)
        body = payment_body(merchant.wallet_id) | fields
        return await self.call("POST", "/v1/payments", body, key=api_key, Idempotency_Key=idempotency_key, **headers)

    async def get(self, merchant: Merchant, payment_id: str) -> dict[str, Any]:
        """Return a payment."""
        answer = await self.call("GET", f"/v1/payments/{payment_id}", key=merchant.test_key)
        assert answer.status_code == 200, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    def say(self, source: str, data: EventData, *, ordinal: int = 0, sequence: int | None = None) -> Event:
        """Return an event of another service about a payment."""
        payment_id: UUID = data.payment_id  # type: ignore[attr-defined]
        sender = (source, payment_id)
        self._sequence[sender] = self._sequence.get(sender, 0) + 1
        return compose(
            data,
            source=f"rialto.{source}",
            root=payment_id,
            key=ids.to_text("pay", payment_id),
            shard=ids.shard_of(data.merchant_id),  # type: ignore[attr-defined]
            time=self.runtime.now(),
            sequence=sequence or self._sequence[sender],
            ordinal=ordinal,
        )

    def assessed(self, payment: dict[str, Any], outcome: str = "allow") -> Event:
        """Return fraud's verdict."""
        return self.say("fraud", fraud.FraudAssessed.model_validate(facts_of(payment) | FRAUD | {"outcome": outcome}))

    def screened(self, payment: dict[str, Any], outcome: str = "clear") -> Event:
        """Return compliance's verdict."""
        fields = {"outcome": outcome, "hits": [], "rules": []}
        return self.say("compliance", compliance.ComplianceScreened.model_validate(facts_of(payment) | fields))

    def confirmed(self, payment: dict[str, Any]) -> Event:
        """Return the chain's confirmation."""
        fields = {
            "settlement_id": settlement_of(payment),
            "batch_id": ids.to_text("bat", ids.from_text("pay", payment["id"])),
            "amount_minor": payment["amount_minor"],
            "currency": "USD",
            "chain_id": 31337,
            "token": "RUSD",
            "token_amount": str(int(payment["amount_minor"]) * 10_000),
            "tx_hash": "0x" + "ab" * 32,
            "block_number": 7,
            "block_hash": "0x" + "cd" * 32,
        }
        return self.say("chain_bridge", settlements.SettlementConfirmed.model_validate(facts_of(payment) | fields))

    async def publish(self, *events: Event) -> None:
        """Put events on the bus."""
        async with PostgresUnitOfWork(self.pool, schema="gateway", runtime=self.runtime).begin() as transaction:
            transaction.publish(*events)

    async def hear(self, *events: Event) -> None:
        """Publish events and let the gateway handle them."""
        await self.publish(*events)
        await self.gateway.steps["consumer-gateway"]()

    async def decide(self, payment: dict[str, Any]) -> None:
        """Let fraud and compliance clear it, the ledger place the hold, and the gateway hear of it."""
        await self.hear(self.assessed(payment), self.screened(payment))
        await self.ask_ledger()

    async def ask_ledger(self) -> None:
        """Let the ledger handle what it was asked, and the gateway hear of it."""
        await self.ledger.steps["consumer-ledger"]()
        await self.gateway.steps["consumer-gateway"]()

    async def ask_acquirers(self) -> None:
        """Let what is due at the acquirers be asked, and wait for the answers."""
        step = self.gateway.steps["attempts"]
        await step()
        await step.__self__.settle()  # type: ignore[attr-defined]

    async def send_webhooks(self) -> None:
        """Send what is due, until nothing is due or under way."""
        while await self.gateway.steps["webhooks"]() == 0.0:
            pass

    async def sweep(self) -> None:
        """Let passed deadlines take effect."""
        await self.gateway.steps["deadlines"]()


FRAUD = {"score": 0.1, "reasons": [], "model_version": "1", "policy_version": "1"}


def facts_of(payment: dict[str, Any]) -> dict[str, Any]:
    """Return what every event about a payment names."""
    return {"payment_id": payment["id"], "merchant_id": payment["merchant_id"], "mode": payment["mode"]}


def settlement_of(payment: dict[str, Any]) -> str:
    """Return the id of a payment's settlement."""
    return ids.to_text("set", ids.derive(ids.from_text("pay", payment["id"]), "settlement"))


def payment_body(wallet_id: str) -> dict[str, Any]:
    """Return a request that is accepted."""
    return {
        "amount_minor": "1250",
        "currency": "USD",
        "payment_method": {"type": "wallet", "wallet_id": wallet_id},
        "payer": {"name": "Ada Example", "country": "GB"},
    }


def gateway_settings(dsn: str, **changes: Any) -> GatewaySettings:
    """Return the gateway's settings for tests."""
    return GatewaySettings(
        **{
            "database_url": dsn,
            "service_token_secret": TOKEN_SECRET,
            "keyring_master_key": MASTER_KEY,
            "admin_key": ADMIN_KEY,
            "api_key_pepper": "pepper",
            "ledger_url": LEDGER_URL,
            "webhook_allow_private": True,
            **changes,
        }
    )


@asynccontextmanager
async def started(
    dsn_of: Callable[[str], str],
    *,
    connectors: Connectors | None = None,
    disputed: Mapping[str, DisputeConnector] | None = None,
    **changes: Any,
) -> AsyncIterator[Platform]:
    """Start gateway and ledger on a database."""
    runtime = TestRuntime()
    ledger = Stepped(
        "ledger", LedgerSettings(database_url=dsn_of("ledger"), service_token_secret=TOKEN_SECRET), runtime
    )
    await ledger.open()
    await build_ledger(ledger)
    line = runtime.apps[LEDGER_URL] = Line(ledger.app)
    gateway = Stepped("gateway", gateway_settings(dsn_of("gateway"), **changes), runtime)
    await gateway.open()
    await build_gateway(gateway, connectors, disputed)
    frame = RequestFrame(gateway.app, runtime=runtime, metrics=HttpMetrics(CollectorRegistry()))
    pool = await open_pool(dsn_of("gateway"), application="test")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(frame), base_url="http://gateway") as http:
        yield Platform(runtime, gateway, ledger, line, http, pool)
    await gateway.close()
    await ledger.close()
    pool.terminate()


async def plant_dispute(platform: Platform, payment: dict[str, Any], reference: str) -> str:
    """Have a dispute of a payment on record, as far as whose it is matters; return its id."""
    dispute_id, now = platform.runtime.ids.mint(), platform.runtime.now()
    await platform.pool.execute(
        """
        INSERT INTO gateway.disputes (
            dispute_id, payment_id, merchant_id, mode, currency, connector, reference, amount_minor, fee_minor, reason,
            state, asks, respond_by, opened_at, due_at, created_at, updated_at
        ) VALUES ($1, $2, $3, $4, 'USD', 'sim', $5, 1, 0, 'other', 'needs_response', 0, $6, $7, $6, $7, $7)
        """,
        dispute_id,
        ids.from_text("pay", payment["id"]),
        ids.from_text("mer", payment["merchant_id"]),
        payment["mode"],
        reference,
        now + timedelta(days=7),
        now,
    )
    return ids.to_text("dp", dispute_id)


async def row_counts(connection: "asyncpg.Connection[Any]") -> dict[str, int]:
    """Return the number of rows of every table that a request may write to."""
    tables = await connection.fetch("""
        SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname IN ('gateway', 'ledger', 'keyring') OR (schemaname = 'bus' AND tablename LIKE 'log%')
    """)
    return {row["name"]: await connection.fetchval(f"SELECT count(*) FROM {row['name']}") for row in tables}
