"""The service and PostgreSQL are killed again and again while clients post through HTTP and insist on an answer.

Each client sends its request under one id until it is answered. Then the journal must have what was answered, exactly
once and as it was sent, and linked entries whole (I1, I2, I4, I5, I10).
"""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import Database, PostgresServer, end_process
from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.adapters.postgres import PostgresReader
from rialto_ledger.domain.chain import GENESIS, link
from rialto_ledger.testing import number_id, wallet

from .api_world import top_up_body, wallet_body

SECRET = "a secret of thirty-two characters"
KILLS = ("service", "postgres", "service", "both", "postgres")
ROUNDS_BETWEEN_KILLS = 8
CLIENTS = 2
"""Of each kind of work."""
WALLETS = 6
FUNDS = 1_000_000


class Killable:
    """A service process with a PostgreSQL of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.database: Database = server.create_database()
        self.url = f"http://127.0.0.1:{(port := free_ports(1)[0])}"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "RIALTO_LEDGER_DATABASE_URL": self.database.dsn("ledger"),
            "RIALTO_LEDGER_HTTP_PORT": str(port),
            "RIALTO_SERVICE_TOKEN_SECRET": SECRET,
            "RIALTO_LOG_LEVEL": "ERROR",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the service (again)."""
        command = [sys.executable, "-m", "rialto_ledger", "--role", "api"]
        self._process = subprocess.Popen(command, env=self._environment)

    def kill(self, what: str) -> None:
        """`kill -9` the service, PostgreSQL or both, and start them again."""
        if what != "postgres":
            end_process(self._process, signal.SIGKILL)
        if what != "service":
            self.server.kill()
            self.server.start()
        if what != "postgres":
            self.start()

    def end(self) -> None:
        end_process(self._process, signal.SIGKILL)


@pytest.fixture
def killable(postgres_factory: Callable[..., PostgresServer]) -> Iterator[Killable]:
    running = Killable(postgres_factory(durable=True))
    yield running
    running.end()


@dataclass
class Clients:
    """What was sent and answered: entries by id with their postings, linked ones by batch, holds by id."""

    http: httpx.AsyncClient
    tokens: ServiceTokens
    runtime: SystemRuntime
    numbers: Iterator[int] = field(default_factory=itertools.count)
    stopping: bool = False
    rounds: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    entries: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    batches: list[list[str]] = field(default_factory=list)
    holds: dict[str, dict[str, str]] = field(default_factory=dict)

    async def insist(self, path: str, body: dict[str, Any]) -> Any:
        """Send a request until it is answered."""
        while True:
            token = self.tokens.issue(Caller("operator", None, "test"), audience="ledger")
            try:
                answer = await self.http.post(f"/v1/{path}", json=body, headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                return answer.json()
            assert answer is None or answer.status_code == 503, answer.text
            self.retries += 1
            await self.runtime.sleep(0.02)

    def transfer(self, amount: int = 1) -> dict[str, Any]:
        number = next(self.numbers)
        pair = wallet_id(number % WALLETS), wallet_id((number * 7 + 1) % WALLETS)
        lines = [
            {"account_id": account, "side": side, "amount_minor": str(amount), "currency": "USD"}
            for account, side in zip(pair, ("debit", "credit"), strict=True)
        ]
        return {"id": ids.to_text("je", number_id("load", number)), "kind": "load", "postings": lines}

    def keep(self, body: dict[str, Any]) -> None:
        assert body["id"] not in self.entries
        self.entries[body["id"]] = body["postings"]

    async def single(self) -> None:
        body = self.transfer()
        assert (await self.insist("journal_entries", body))["id"] == body["id"]
        self.keep(body)

    async def batch(self, *, linked: bool = False) -> None:
        bodies = [self.transfer() for _ in range(10)]
        answered = await self.insist("journal_entries/batch", {"linked": linked, "entries": bodies})
        assert {result["status"] for result in answered["data"]} <= {"applied", "duplicate"}
        for body in bodies:
            self.keep(body)
        if linked:
            self.batches.append([body["id"] for body in bodies])

    async def linked(self) -> None:
        await self.batch(linked=True)

    async def reversal(self) -> None:
        body = self.transfer(3)
        await self.insist("journal_entries", body)
        undone = await self.insist(f"journal_entries/{body['id']}/reversal", {})
        assert undone["reverses"] == body["id"]
        self.keep(body)
        sides = {"debit": "credit", "credit": "debit"}
        postings = [{**line, "side": sides[line["side"]]} for line in body["postings"]]
        self.keep({"id": undone["id"], "postings": postings})

    async def hold(self) -> None:
        body = self.transfer(20)
        source, target = (line["account_id"] for line in body["postings"])
        hold_id = ids.to_text("hold", number_id("load hold", next(self.numbers)))
        named = {"id": hold_id, "account_id": source, "amount_minor": "50", "currency": "USD"}
        await self.insist("holds", {**named, "expires_at": "2099-01-01T00:00:00Z"})
        part = {"id": body["id"], "to_account_id": target, "amount_minor": "20", "final": False}
        await self.insist(f"holds/{hold_id}/capture", part)
        self.keep(body)
        self.holds[hold_id] = await self.insist(f"holds/{hold_id}/void", {})

    async def work(self, kind: str) -> None:
        """Do one kind of work until told to stop."""
        do = getattr(self, kind)
        while not self.stopping:
            await do()
            self.rounds[kind] += 1


def wallet_id(number: int) -> str:
    return ids.to_text("wal", wallet(number).id)


@pytest.fixture
async def clients(killable: Killable) -> AsyncIterator[Clients]:
    runtime = SystemRuntime()
    async with httpx.AsyncClient(base_url=killable.url, timeout=20) as http:
        clients = Clients(http, ServiceTokens(SECRET, runtime), runtime)
        async with asyncio.timeout(60):
            for number in range(WALLETS):
                await clients.insist("accounts", wallet_body(number))
                await clients.insist("journal_entries", top_up_body(number, number, FUNDS))
        yield clients


async def test_what_was_answered_is_in_the_journal_once_after_any_kill(killable: Killable, clients: Clients) -> None:
    kinds = ("single", "batch", "linked", "reversal", "hold")
    working = [asyncio.ensure_future(clients.work(kind)) for kind in kinds for _ in range(CLIENTS)]
    async with asyncio.timeout(120):
        try:
            for what in (*KILLS, None):
                seen = clients.rounds.copy()
                while min(clients.rounds[kind] - seen[kind] for kind in kinds) < ROUNDS_BETWEEN_KILLS:
                    await clients.runtime.sleep(0.01)
                    for task in working:
                        if task.done():
                            task.result()
                if what is not None:
                    await asyncio.to_thread(killable.kill, what)
        finally:
            clients.stopping = True
            await asyncio.gather(*working)
    assert clients.retries > 0
    await check(killable.database, clients)


async def check(database: Database, clients: Clients) -> None:
    """Compare the tables with what was answered."""
    pool = await asyncpg.create_pool(database.dsn("auditor"), min_size=1, max_size=1)
    posted = await pool.fetch(
        "SELECT e.id, e.kind, e.shard, e.chain_position, e.hash FROM ledger.journal_entries AS e"
        " ORDER BY e.shard, e.chain_position"
    )
    # Each client ended with an answer, so nothing else may be there.
    loaded = [ids.to_text("je", row["id"]) for row in posted if row["kind"] != "top_up"]
    assert len(posted) == len(loaded) + WALLETS
    assert sorted(loaded) == sorted(clients.entries)
    assert all(set(batch) <= set(loaded) for batch in clients.batches)
    lines: dict[str, list[tuple[str, str, str, str]]] = {}
    for row in await pool.fetch("SELECT * FROM ledger.postings ORDER BY entry_id, line"):
        line = (ids.to_text("wal", row["account_id"]), row["side"], str(int(row["amount_minor"])), row["currency"])
        lines.setdefault(ids.to_text("je", row["entry_id"]), []).append(line)
    for entry_id, postings in clients.entries.items():
        sent = [(p["account_id"], p["side"], p["amount_minor"], p["currency"]) for p in postings]
        assert lines[entry_id] == sent
    holds = await pool.fetch("SELECT id, status, captured_minor, released_minor FROM ledger.holds")
    assert {ids.to_text("hold", row["id"]): tuple(row)[1:] for row in holds} == dict.fromkeys(
        clients.holds, ("voided", 20, 30)
    )
    totals: Counter[tuple[str, str]] = Counter()
    for account_id, side, amount, _ in itertools.chain(*lines.values()):
        totals[account_id, side] += int(amount)
    accounts: list[Any] = await pool.fetch("SELECT * FROM ledger.account_balances")
    for account in accounts:
        key = ids.to_text("wal", account["id"])
        assert (account["debits_minor"], account["credits_minor"]) == (totals[key, "debit"], totals[key, "credit"])
        assert account["held_minor"] == 0
        assert account["minimum_available_minor"] is None or account["available_balance_minor"] >= 0
    assert sum(account["debits_minor"] - account["credits_minor"] for account in accounts) == 0
    await check_chains(pool, posted)
    told = await pool.fetch(
        "SELECT data ->> 'entry_id' AS id FROM bus.log WHERE type = 'rialto.journal_entry.posted.v1'"
    )
    assert sorted(row["id"] for row in told) == sorted(ids.to_text("je", row["id"]) for row in posted)
    await pool.close()


async def check_chains(pool: Any, posted: list[Any]) -> None:
    """Compute each link anew; the heads are the last ones."""
    reader = PostgresReader(pool)
    ends = {row["shard"]: (0, GENESIS[row["shard"]]) for row in posted}
    for row in posted:
        entry = await reader.entry(row["id"])
        assert entry is not None
        position, previous = ends[row["shard"]]
        assert (row["chain_position"], row["hash"]) == (position + 1, link(previous, entry))
        ends[row["shard"]] = position + 1, row["hash"]
    heads = await pool.fetch("SELECT shard, position, hash FROM ledger.chain_heads WHERE position > 0")
    assert {row["shard"]: (row["position"], row["hash"]) for row in heads} == ends
