"""`make bench-ledger`: transfers a second, beside a ledger that does one transfer a transaction, on the same server.

Ours: batches as the bytes of HTTP bodies are read, checked, decided, hashed, written and told in events, up to the
durable commit; over 100 accounts, 10,000, and with one hot account on which every transfer lands. The other:
`ledger_baseline.sql`, driven by pgbench with 32 clients and prepared statements; single transfers, and its own call of
100. Both take turns; a figure is the median of the rounds. PostgreSQL is durable (fsync and synchronous_commit on).
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time
from uuid import UUID

import orjson
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from bench import machine
from rialto_cli.embedded import postgres
from rialto_cli.testing import Database, PostgresServer
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller
from rialto_common.telemetry import configure_logs
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.posting import post
from rialto_ledger.domain import chart
from rialto_ledger.domain.commands import OpenAccount, PostEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.entrypoints.entries_http import EntryDesk

ROUNDS = 3
SECONDS = 5.0
CLIENTS = 32
BATCHES = (100, 500)
UNDER_WAY = 3
"""Batches in the hands of the service at a time, so that the next is read while one commits."""
FUNDS = 10**15
OPERATOR = Caller("bench", None, "test")
BASELINE = Path(__file__).with_name("ledger_baseline.sql")


@dataclass(frozen=True)
class Load:
    """Over how many accounts transfers go; `hot`: all of them to one."""

    name: str
    accounts: int
    hot: bool = False

    def pair(self, draw: random.Random) -> tuple[int, int]:
        """Return the numbers of a transfer's two accounts, from 1."""
        if self.hot:
            return draw.randint(2, self.accounts), 1
        source = draw.randint(1, self.accounts)
        target = draw.randint(1, self.accounts - 1)
        return source, target + (target >= source)


LOADS = (Load("100", 100), Load("10k", 10_000), Load("hot", 10_000, hot=True))


@dataclass
class Figures:
    """Rates by name, a round each."""

    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def median(self, name: str) -> float:
        """Return a rate's median."""
        return statistics.median(self.rates[name])


def wallet_id(number: int) -> str:
    """Return the nth account's id as text."""
    return ids.to_text("wal", _wallet(number))


def _wallet(number: int) -> UUID:
    return ids.derive(chart.NAMESPACE, "bench wallet", number)


class Ours:
    """The service's own way from the bytes of a body to the commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._minted = 0

    async def open(self, accounts: int) -> None:
        """Make the accounts, each with funds."""
        self.runtime = SystemRuntime()
        self.pool = await open_pool(self._database.dsn("ledger"), application="bench", max_size=8)
        self.unit_of_work = PostgresUnitOfWork(self.pool, schema="ledger", runtime=self.runtime)
        poster = CoalescingPoster(self.unit_of_work.begin, lambda tx: PostgresLedger(tx.connection), self.runtime)
        self.desk = EntryDesk(poster, PostgresReader(self.pool), self.runtime)
        acquirer, now = chart.test_acquirer("USD"), self.runtime.now()
        for first in range(1, accounts + 1, 1000):
            specs = [
                chart.wallet(_wallet(number), "USD", None, "test")
                for number in range(first, min(first + 1000, accounts + 1))
            ]
            fund = [
                PostEntry(
                    entry_id=ids.uuid7(int(time() * 1000), number + first),
                    kind="top_up",
                    about=spec.id,
                    mode="test",
                    shard=None,
                    merchant_id=None,
                    postings=(debit(acquirer.id, FUNDS, "USD"), credit(spec.id, FUNDS, "USD")),
                    opens=(acquirer,),
                    effective_at=now,
                )
                for number, spec in enumerate(specs)
            ]
            async with self.unit_of_work.begin() as transaction:
                await post(PostgresLedger(transaction.connection), [*map(OpenAccount, specs), *fund], now)

    def bodies(self, load: Load, batch: int, count: int, draw: random.Random) -> list[bytes]:
        """Return batches as they come over HTTP, each entry with an id of now."""
        return [orjson.dumps({"entries": [self._entry(load, draw) for _ in range(batch)]}) for _ in range(count)]

    def _entry(self, load: Load, draw: random.Random) -> dict[str, object]:
        source, target = load.pair(draw)
        return {
            "id": ids.to_text("je", self.runtime.ids.mint()),
            "kind": "transfer",
            "postings": [
                {"account_id": wallet_id(source), "side": "debit", "amount_minor": "10", "currency": "USD"},
                {"account_id": wallet_id(target), "side": "credit", "amount_minor": "10", "currency": "USD"},
            ],
        }

    async def run(self, load: Load, batch: int, seconds: float, draw: random.Random) -> tuple[float, list[float]]:
        """Return transfers a second, and each batch's seconds from its bytes to its commit."""
        bodies = self.bodies(load, batch, int(seconds * 60_000 / batch), draw)
        took: list[float] = []
        started = perf_counter()

        async def feed() -> None:
            while bodies and perf_counter() - started < seconds:
                body, began = bodies.pop(), perf_counter()
                results = await self.desk.post_batch(body, OPERATOR, dry_run=False)
                took.append(perf_counter() - began)
                if results.count(b'"applied"') != batch:
                    raise SystemExit(f"a transfer was refused: {results[:500]!r}")

        await asyncio.gather(*(feed() for _ in range(UNDER_WAY)))
        return len(took) * batch / (perf_counter() - started), took

    async def close(self) -> None:
        """Give the connections back."""
        self.pool.terminate()


class Baseline:
    """The other ledger, driven by pgbench."""

    def __init__(self, server: PostgresServer, database: Database) -> None:
        self._server = server
        self._database = database

    def open(self, accounts: int) -> None:
        """Make the accounts, each with funds."""
        with psycopg.connect(self._database.superuser_dsn(), autocommit=True) as connection:
            connection.execute(BASELINE.read_text())
            connection.execute(
                "INSERT INTO baseline.accounts (id, balance) SELECT n, %s FROM generate_series(1, %s) AS n",
                [FUNDS, accounts],
            )
            connection.execute("ANALYZE")

    def run(self, load: Load, seconds: float, *, many: int = 1) -> float:
        """Return transfers a second."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(_script(load, many))
            script.flush()
            out = subprocess.run(
                [
                    str(postgres.programs() / "pgbench"),
                    *("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(int(seconds))),
                    *("-f", script.name, "--max-tries", "100", self._database.superuser_dsn()),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        [rate] = [line.split()[2] for line in out.splitlines() if line.startswith("tps")]
        return float(rate) * many


def _script(load: Load, many: int) -> str:
    if many == 1:
        target = "1" if load.hot else f"1 + (:from - 1 + random(1, {load.accounts - 1})) % {load.accounts}"
        first = 2 if load.hot else 1
        return (
            f"\\set from random({first}, {load.accounts})\n\\set to {target}\n"
            "SELECT baseline.transfer(gen_random_uuid(), :from, :to, 10);\n"
        )
    # The pairs are drawn by the server: as parameters they would be 200 a call.
    return (
        "SELECT baseline.transfer_many(array_agg(f), array_agg(1 + (f - 1 + s) % "
        f"{load.accounts}), 10) FROM (SELECT 1 + floor(random() * {load.accounts})::BIGINT AS f, "
        f"1 + floor(random() * {load.accounts - 1})::BIGINT AS s FROM generate_series(1, {many})) AS drawn;\n"
    )


async def measure(server: PostgresServer, console: Console, rounds: int, seconds: float) -> Figures:
    """Measure both in turns."""
    accounts = max(load.accounts for load in LOADS)
    ours_database, other_database = server.create_database(), server.create_database()
    ours, other = Ours(ours_database), Baseline(server, other_database)
    console.print(f"· opening {accounts} accounts on both")
    await ours.open(accounts)
    other.open(accounts)
    figures, draw = Figures(), random.Random(1)
    for number in range(rounds):
        console.print(f"· round {number + 1} of {rounds}")
        for load in LOADS:
            figures.rates[f"baseline_{load.name}"].append(other.run(load, seconds))
            for batch in BATCHES:
                rate, took = await ours.run(load, batch, seconds, draw)
                figures.rates[f"ours_{load.name}_{batch}"].append(rate)
                figures.latencies[f"ours_{load.name}_{batch}"] += took
        figures.rates["baseline_call"].append(other.run(LOADS[0], seconds, many=100))
    await ours.close()
    return figures


def ratios_of(figures: Figures) -> dict[str, float]:
    """Return ours over the other's, with the better of the two batch sizes named by the budget (100 to 500)."""

    def ours(load: str) -> float:
        return max(figures.median(f"ours_{load}_{batch}") for batch in BATCHES)

    return {
        "single_100": round(ours("100") / figures.median("baseline_100"), 2),
        "single_10k": round(ours("10k") / figures.median("baseline_10k"), 2),
        "call_100": round(ours("100") / figures.median("baseline_call"), 2),
        "hot": round(ours("hot") / figures.median("baseline_hot"), 2),
    }


def table_of(figures: Figures) -> Table:
    """Return the rates as a table."""
    table = Table("what", "transfers/s", "rounds", "p50 of a batch", "p99")
    for name, rates in figures.rates.items():
        took = sorted(figures.latencies.get(name, ()))
        table.add_row(
            name,
            f"{figures.median(name):,.0f}",
            " ".join(f"{rate:,.0f}" for rate in rates),
            f"{took[len(took) // 2] * 1000:.1f} ms" if took else "",
            f"{took[int(len(took) * 0.99)] * 1000:.1f} ms" if took else "",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench.ledger")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    configure_logs("bench", "WARNING")
    console = Console(stderr=True)
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as directory:
        Path(directory).chmod(0o755)  # the server may run under another account
        server = PostgresServer(Path(directory), durable=True)
        server.start()
        try:
            figures = uvloop.run(measure(server, console, options.rounds, options.seconds))
        finally:
            server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    ratios = ratios_of(figures)
    Console().print(table_of(figures), ratios, about)
    found = {"rates": dict(figures.rates), "load_average": os.getloadavg(), "fsync": "on", "synchronous_commit": "on"}
    Console().print(f"written to {machine.write('ledger', ratios, found, about)}")


if __name__ == "__main__":
    main()
