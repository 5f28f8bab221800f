"""A small platform in this process: the five real services on a real database and a real chain, run as a test likes."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpx

from rialto_chain_bridge.main import build as build_chain_bridge
from rialto_chain_bridge.settings import ChainBridgeSettings
from rialto_cli.testing import AnvilNode, Database
from rialto_common.events import MODELS
from rialto_common.events.common import COMPLIANCE, FRAUD, LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.runtime import Step, SystemRuntime
from rialto_common.service import Service
from rialto_common.service_tokens import Caller
from rialto_compliance.main import build as build_compliance
from rialto_compliance.settings import ComplianceSettings
from rialto_fraud.main import build as build_fraud
from rialto_fraud.settings import FraudSettings
from rialto_gateway.main import build as build_gateway
from rialto_gateway.settings import GatewaySettings
from rialto_ledger.main import build as build_ledger
from rialto_ledger.settings import LedgerSettings

# Account 0 of anvil's own mnemonic, which it funds.
OPERATOR_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADMIN_KEY = "an admin key of the tests, long enough for anything"
SECRET = "a secret of the tests, long enough for HS256"
LEDGER_URL = "http://ledger"
SETTLED_WITHIN_SECONDS = 60.0

_SERVICES: dict[str, tuple[type[Any], Callable[..., Awaitable[None]], str]] = {
    "gateway": (GatewaySettings, build_gateway, PAYMENTS),
    "ledger": (LedgerSettings, build_ledger, LEDGER),
    "fraud": (FraudSettings, build_fraud, FRAUD),
    "compliance": (ComplianceSettings, build_compliance, COMPLIANCE),
    "chain_bridge": (ChainBridgeSettings, build_chain_bridge, SETTLEMENTS),
}


class InProcess(SystemRuntime):
    """The real runtime, with HTTP to the ledger going to the ledger in this process."""

    ledger: Any = None

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return a client; the ledger's address is its application."""
        if options.get("base_url") == LEDGER_URL:
            options["transport"] = httpx.ASGITransport(self._to_ledger)
        return super().http_client(**options)

    async def _to_ledger(self, scope: Any, receive: Any, send: Any) -> None:
        await self.ledger(scope, receive, send)


class Kept(Service[Any]):
    """A service whose loops run when the test says so."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.loops: dict[str, Step] = {}
        self.subscriptions: set[tuple[str, str, str]] = set()
        self.front = self.frame()

    def add_loop(self, name: str, step: Step) -> None:
        """Keep the loop."""
        self.loops[name] = step

    async def consume(
        self,
        group: str,
        topics: Sequence[str],
        types: frozenset[str],
        handler: Any,
        *,
        shards: frozenset[int] | None = None,
    ) -> None:
        """Subscribe, and keep (group, topic, type) of what is handled."""
        handled = [model for model in MODELS if model.type in types and model.topic in topics]
        assert {model.type for model in handled} == types
        self.subscriptions |= {(group, model.topic, model.type) for model in handled}
        await super().consume(group, topics, types, handler, shards=shards)

    async def close(self) -> None:
        """End it as SIGTERM would."""
        for closer in reversed(self._closers):
            await closer()


class World:
    """The services, and a merchant's view of them."""

    def __init__(self, database: Database, anvil: AnvilNode, bus_url: str = "postgres") -> None:
        self._bus_url = bus_url
        self._database = database
        self._anvil = anvil
        self.runtime = InProcess()
        self.services: dict[str, Kept] = {}

    async def start(self) -> None:
        """Build the services."""
        settings = {
            "service_token_secret": SECRET,
            "keyring_master_key": b64encode(bytes(32)).decode(),
            "admin_key": ADMIN_KEY,
            "api_key_pepper": SECRET,
            "ledger_url": LEDGER_URL,
            "rpc_url": self._anvil.url,
            "operator_key": OPERATOR_KEY,
            "deploy": True,
            "batch_age_seconds": 0.0,
            "RIALTO_BUS_URL": self._bus_url,
        }
        for name, (kind, build, topic) in _SERVICES.items():
            own = {**settings, "database_url": self._database.dsn(name)}
            service = Kept(name, kind.model_validate(own), self.runtime, publishes=[topic])
            await service.open()
            await build(service)
            self.services[name] = service
        self.runtime.ledger = self.services["ledger"].front
        self.api = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.services["gateway"].front), base_url="http://gateway"
        )

    async def close(self) -> None:
        """End the services."""
        await self.api.aclose()
        for service in self.services.values():
            await service.close()

    @contextlib.asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """Run these services' loops, or all, with blocks coming quickly."""
        stopping = asyncio.Event()

        async def keep(step: Step) -> None:
            while not stopping.is_set():
                pause = await step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await stopping.wait()

        async def mine() -> float:
            await self.ask_chain("anvil_mine", "0x1")
            return 0.25

        chosen = [self.services[name] for name in names or _SERVICES]
        steps = [step for service in chosen for step in service.loops.values()]
        async with asyncio.TaskGroup() as group:
            for step in [*steps, mine]:
                group.create_task(keep(step))
            try:
                yield
            finally:
                stopping.set()

    async def ask_chain(self, method: str, *params: object) -> Any:
        """Ask the node."""
        async with httpx.AsyncClient() as client:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            answer = (await client.post(self._anvil.url, json=body)).json()
        assert "error" not in answer, answer
        return answer["result"]

    async def post(self, path: str, body: dict[str, Any], *, key: str, name: str) -> dict[str, Any]:
        """Ask the public API for something, under an idempotency key."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
        answer = await self.api.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def merchant(self, name: str) -> str:
        """Make a merchant and return its key."""
        made = await self.post("/v1/merchants", {"name": name, "country": "US"}, key=ADMIN_KEY, name=name)
        return str(made["keys"]["test"])

    async def set_payouts(self, key: str, schedule: str) -> None:
        """Say when a merchant is paid."""
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.api.patch("/v1/payout_settings", json={"schedule": schedule}, headers=headers)
        assert answer.is_success, answer.text

    async def wallet(self, name: str, amount_minor: int) -> str:
        """Open a wallet with some money in it."""
        made = await self.post("/v1/wallets", {"currency": "USD"}, key=ADMIN_KEY, name=name)
        await self.post(
            f"/v1/wallets/{made['id']}/top_ups", {"amount_minor": amount_minor}, key=ADMIN_KEY, name=f"top up {name}"
        )
        return str(made["id"])

    async def pay(self, key: str, wallet: str, name: str, amount_minor: int, **more: Any) -> str:
        """Make a payment."""
        body = {
            "amount_minor": amount_minor,
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": wallet},
            "payer": {"name": "Flora Hazelbrook", "country": "US"},
            **more,
        }
        return str((await self.post("/v1/payments", body, key=key, name=name))["id"])

    async def ask_ledger(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the ledger's own API, as the operator."""
        ledger = self.services["ledger"]
        token = ledger.tokens.issue(Caller("operator", None, "test"), audience="ledger")
        transport = httpx.ASGITransport(ledger.front)
        async with httpx.AsyncClient(transport=transport, base_url=LEDGER_URL) as client:
            answer = await client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def status(self, payment_id: str) -> str:
        """Return a payment's state."""
        answer = await self.api.get(f"/v1/payments/{payment_id}", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        return str(answer.json()["status"])

    async def until_captured(self, payment_id: str, key: str, amount_minor: int) -> None:
        """Wait until so much of a payment is booked."""
        async with asyncio.timeout(SETTLED_WITHIN_SECONDS):
            while True:
                answer = await self.api.get(f"/v1/payments/{payment_id}", headers={"Authorization": f"Bearer {key}"})
                if int(answer.json()["amount_captured_minor"]) == amount_minor:
                    return
                await asyncio.sleep(0.05)

    async def until(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Wait until payments have reached their states."""
        async with asyncio.timeout(SETTLED_WITHIN_SECONDS):
            for payment_id, state in wanted:
                while (found := await self.status(payment_id)) != state:
                    assert found not in {"failed", "expired"}, found
                    await asyncio.sleep(0.05)
