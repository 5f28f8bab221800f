"""For tests: the bridge in this process on a real database and a real node, taken step by step."""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.crypto import keccak

from rialto_chain_bridge.domain.token import payment_bytes
from rialto_chain_bridge.main import build
from rialto_chain_bridge.settings import ChainBridgeSettings
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events import MODELS, Event, EventData, compose
from rialto_common.events.payments import SettlementRequested
from rialto_common.runtime import Step, SystemRuntime
from rialto_common.service import Service
from rialto_common.simulation import Crashed

# Account 0 of the mnemonic "test test test test test test test test test test test junk", which anvil funds by default.
OPERATOR_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OPERATOR = str(Account.from_key(OPERATOR_KEY).address)
SECRET = "a secret of the tests, long enough for HS256"  # noqa: S105 - not one of any installation
MODELS_BY_TYPE: dict[str, type[EventData]] = {model.type: model for model in MODELS}


class StoppableRuntime(SystemRuntime):
    """The real runtime, with a clock that can be moved on and crash points that end the turn, not the process."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_in: str | None = None
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the moved instant."""
        return super().now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._ahead += timedelta(seconds=seconds)

    def crash_point(self, name: str) -> None:
        """Raises: Crashed: at the point that `crash_in` names, once."""
        if name == self.crash_in:
            self.crash_in = None
            raise Crashed(name)


class SteppedService(Service[ChainBridgeSettings]):
    """A service whose loops the test steps itself."""

    def __init__(self, settings: ChainBridgeSettings, runtime: StoppableRuntime) -> None:
        super().__init__("chain_bridge", settings, runtime)
        self.steps: dict[str, Step] = {}

    def add_loop(self, name: str, step: Step) -> None:
        """Keep the step."""
        self.steps[name] = step

    async def close(self) -> None:
        """End it as SIGTERM would."""
        for closer in reversed(self._closers):
            await closer()


class Node:
    """Speaks to an anvil as an outsider would."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=10)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, method: str, *params: object) -> Any:
        """Return a method's result.

        Raises: AssertionError: with the node's error.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = (await self._client.post("", json=body)).json()
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    async def mine(self, blocks: int = 1) -> None:
        """Mine blocks now, beside those of the clock."""
        await self.ask("anvil_mine", hex(blocks))

    async def block_number(self) -> int:
        """Return the newest block's number."""
        return int(await self.ask("eth_blockNumber"), 16)

    async def call(self, to: str, signature: str, types: Sequence[str], values: Sequence[object]) -> bytes:
        """Return what a view returns on the newest block."""
        data = keccak(text=signature)[:4] + encode(types, values)
        return bytes.fromhex((await self.ask("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest"))[2:])

    async def token_balance(self, token: str, holder: str) -> int:
        """Return a holder's balance in the token's smallest unit."""
        [balance] = decode(["uint256"], await self.call(token, "balanceOf(address)", ["address"], [holder]))
        return int(balance)

    async def settled(self, contract: str, payment_id: UUID) -> tuple[str, int]:
        """Return what the contract says was paid for a payment."""
        answer = await self.call(contract, "settled(bytes32)", ["bytes32"], [payment_bytes(payment_id)])
        payee, amount = decode(["address", "uint256"], answer)
        return str(payee), int(amount)

    async def settled_events(self, contract: str) -> list[UUID]:
        """Return the payments of all Settled events of the chain as it is now, in order."""
        topic = "0x" + keccak(text="Settled(bytes32,address,uint256,bytes32)").hex()
        logs = await self.ask("eth_getLogs", {"fromBlock": "0x0", "address": contract, "topics": [topic]})
        return [UUID(bytes=bytes.fromhex(entry["topics"][1][2:34])) for entry in logs]

    async def send(self, to: str | None, data: bytes) -> str:
        """Send a transaction of the operator's past the bridge, at his next nonce; return its hash."""
        sender = Account.from_key(OPERATOR_KEY)
        content: dict[str, Any] = {
            "type": 2,
            "chainId": 31337,
            "nonce": int(await self.ask("eth_getTransactionCount", sender.address, "pending"), 16),
            "gas": 3_000_000,
            "maxFeePerGas": 600 * 10**9,
            "maxPriorityFeePerGas": 5 * 10**9,
            "value": 0,
            "data": data,
        }
        if to is not None:
            content["to"] = bytes.fromhex(to[2:])
        signed = sender.sign_transaction(content)
        return str(await self.ask("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()))


@dataclass(frozen=True, slots=True)
class Request:
    """A settlement that a test asks for."""

    payment_id: UUID
    payee_address: str
    amount_minor: int
    event: Event


class Bench:
    """One bridge with its database and node; `restart` makes a new one in its place."""

    def __init__(self, dsns: Callable[[str], str], node_url: str, **settings: object) -> None:
        self._dsns = dsns
        self.node = Node(node_url)
        self.runtime = StoppableRuntime()
        self.settings = ChainBridgeSettings.model_validate(
            {
                "database_url": dsns("chain_bridge"),
                "service_token_secret": SECRET,
                "rpc_url": node_url,
                "rpc_timeout_seconds": 2.0,
                "operator_key": OPERATOR_KEY,
                "deploy": True,
                "treasury_amount": 10**15,
                "batch_age_seconds": 0.0,
                "resend_seconds": 1.0,
                **settings,
            }
        )

    async def start(self) -> None:
        """Build the bridge, and the pools of the test itself."""
        self.service = await self.another_worker()
        self.owner = await asyncpg.create_pool(self._dsns("owner"), min_size=0, max_size=2)
        self._gateway_pool = await open_pool(self._dsns("gateway"), application="test-gateway", max_size=2)
        self._gateway = PostgresUnitOfWork(self._gateway_pool, schema="gateway", runtime=self.runtime)

    async def another_worker(self) -> SteppedService:
        """Return one more bridge on the same tables."""
        service = SteppedService(self.settings, self.runtime)
        await service.open()
        await build(service)
        return service

    async def close(self) -> None:
        """End everything."""
        await self.service.close()
        await self.owner.close()
        await self._gateway_pool.close()
        await self.node.close()

    async def restart(self) -> None:
        """Forget all that is in memory, as a killed process does, and start anew."""
        await self.service.close()
        self.service = await self.another_worker()

    async def turn(self) -> None:
        """Take one turn of the loop."""
        await self.service.steps["bridge"]()

    async def consume(self) -> None:
        """Let the consumer take what is on the bus."""
        await self.service.steps["consumer-chain_bridge"]()

    async def until(self, reached: Callable[[], Coroutine[Any, Any, bool]], *, seconds_a_turn: float = 0) -> None:
        """Take turns, with a new block before each, until it is reached; the clock moves on by so much each turn.

        Raises: AssertionError: not within 60 turns.
        """
        for _ in range(60):
            if await reached():
                return
            await self.node.mine()
            self.runtime.advance(seconds_a_turn)
            await self.turn()
        raise AssertionError("not reached within 60 turns")

    async def until_confirmed(self, requests: Collection[Request], *, seconds_a_turn: float = 0) -> None:
        """Take turns until all these settlements are confirmed."""

        async def reached() -> bool:
            return await self.states(requests) == {"confirmed"}

        await self.until(reached, seconds_a_turn=seconds_a_turn)

    async def states(self, requests: Collection[Request]) -> set[str]:
        """Return the states that these settlements are in."""
        rows = await self.owner.fetch(
            "SELECT state FROM chain_bridge.settlements WHERE payment_id = ANY ($1)",
            [request.payment_id for request in requests],
        )
        return {row["state"] for row in rows} if len(rows) == len(requests) else {"missing"}

    async def ask_for(self, count: int, **changes: object) -> list[Request]:
        """Publish requests for settlement as the gateway does, and let the bridge take them."""
        requests = [self.request(number, **changes) for number in range(count)]
        await self.publish([request.event for request in requests])
        for _ in range(20):
            await self.consume()
            if await self.states(requests) != {"missing"}:
                break
        return requests

    def request(self, number: int, **changes: object) -> Request:
        """Return a request; five payees take turns."""
        payment_id = self.runtime.ids.mint()
        merchant_id = ids.derive(payment_id, "test.merchant")
        content: dict[str, object] = {
            "payment_id": payment_id,
            "merchant_id": merchant_id,
            "mode": "test",
            "settlement_id": ids.derive(payment_id, "settlement.id"),
            "amount_minor": 1000 + number,
            "currency": "USD",
            "payee_address": f"0x{0xA0 + number % 5:040x}",
            **changes,
        }
        data = SettlementRequested.model_validate(content)
        event = compose(
            data,
            source="rialto.gateway",
            root=data.payment_id,
            key=ids.to_text("pay", data.payment_id),
            shard=ids.shard_of(data.merchant_id),
            time=self.runtime.now(),
            sequence=5,
            ordinal=number,
        )
        return Request(data.payment_id, data.payee_address, data.amount_minor, event)

    async def publish(self, events: Sequence[Event]) -> None:
        """Put events on the bus as the gateway."""
        async with self._gateway.begin() as transaction:
            transaction.publish(*events)

    async def events(self) -> list[tuple[str, EventData]]:
        """Return the bridge's events in order: key and payload."""
        rows = await self.owner.fetch(
            "SELECT key, type, data::TEXT FROM bus.log WHERE topic = 'rialto.settlements.v1' ORDER BY position"
        )
        return [(row["key"], MODELS_BY_TYPE[row["type"]].model_validate_json(row["data"])) for row in rows]

    async def events_of(self, request: Request) -> list[EventData]:
        """Return a payment's events, in order."""
        key = ids.to_text("pay", request.payment_id)
        return [data for owner, data in await self.events() if owner == key]

    async def contracts(self) -> tuple[str, str]:
        """Return the token's and the settlement contract's address."""
        row = await self.owner.fetchrow("SELECT token_address, settlement_address FROM chain_bridge.deployments")
        assert row is not None  # noqa: S101 - a test's own check
        return str(row["token_address"]), str(row["settlement_address"])


@asynccontextmanager
async def bench(dsns: Callable[[str], str], node_url: str, **settings: object) -> AsyncIterator[Bench]:
    """Start a bridge and end it."""
    started = Bench(dsns, node_url, **settings)
    await started.start()
    try:
        yield started
    finally:
        await started.close()
