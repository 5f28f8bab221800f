"""The parts of a run. In each, all that is compared takes turns, round by round, on one server."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.ledger import fill, http
from bench.ledger.baseline import Baseline
from bench.ledger.figures import Figures, Say
from bench.ledger.loads import ACCOUNTS, FEW, HOT, LOADS, MANY, Load
from bench.ledger.ours import BATCHES, Ours
from rialto_cli.testing import Database, PostgresServer

CALL = 100


@dataclass(frozen=True)
class Bench:
    """What every stage works with."""

    server: PostgresServer
    figures: Figures
    say: Say
    rounds: int
    seconds: float
    rows: int
    accounts: int
    draw: random.Random

    def database(self, accounts: int, *, rows: int | None = None) -> Database:
        """Return a new database of ours with open accounts, and perhaps with entries."""
        database = self.server.create_database()
        fill.open_accounts(database, accounts)
        if rows is None:
            fill.prepare_months(database)
        else:
            self.say(f"· writing {rows:,} entries")
            fill.add_entries(database, rows, self.say)
        return database

    def baseline(self) -> Baseline:
        """Return the other ledger, with open accounts."""
        other = Baseline(self.server.create_database())
        other.open(ACCOUNTS, fill.FUNDS)
        return other

    async def ours(self, ledger: Ours, load: Load, name: str) -> None:
        """Measure ours with each size of a batch."""
        for batch in BATCHES:
            self.figures.add(f"ours_{name}_{batch}", *await ledger.run(load, batch, self.seconds, self.draw))


async def bulk(bench: Bench) -> None:
    """Ours in batches beside the other's single transfers and its call of a hundred; and a batch alone."""
    ledger, other = Ours(bench.database(ACCOUNTS)), bench.baseline()
    await ledger.open()
    for number in range(bench.rounds):
        bench.say(f"· in bulk: round {number + 1} of {bench.rounds}")
        for load in LOADS:
            bench.figures.add(f"baseline_{load.name}", other.run(load, bench.seconds))
            await bench.ours(ledger, load, load.name)
        bench.figures.add("baseline_call", other.run(FEW, bench.seconds, many=CALL))
        bench.figures.add("ours_alone_100", *await ledger.run(MANY, 100, bench.seconds, bench.draw, under_way=1))
    await ledger.close()


async def over_http(bench: Bench) -> None:
    """The service over HTTP beside the other's single transfers."""
    runs = (("http_single", FEW, 1), (f"http_bulk_{http.BATCH}", FEW, http.BATCH), ("http_hot", HOT, 1))
    ledger, other = http.HttpLedger(bench.database(ACCOUNTS)), bench.baseline()
    try:
        ledger.wait()
        for _, load, batch in runs:
            await ledger.run(load, batch, 1.0, bench.draw)  # warms up
        for number in range(bench.rounds):
            ledger.settle()
            bench.say(f"· over HTTP: round {number + 1} of {bench.rounds}")
            for load in (FEW, HOT):
                bench.figures.add(f"http_baseline_{load.name}", other.run(load, bench.seconds))
            for name, load, batch in runs:
                run = await ledger.run(load, batch, bench.seconds, bench.draw)
                bench.figures.add(name, run.rate, run.took, run.cpu_us)
    finally:
        ledger.stop()


async def rows(bench: Bench) -> None:
    """Ours over many entries beside ours over none; and over many accounts."""
    empty = Ours(bench.database(ACCOUNTS))
    full = Ours(bench.database(ACCOUNTS, rows=bench.rows))
    bench.say(f"· opening {bench.accounts:,} accounts")
    wide = Ours(bench.database(bench.accounts))
    for ledger in (empty, full, wide):
        await ledger.open()
    many = Load(_short(bench.accounts), bench.accounts)
    for number in range(bench.rounds):
        bench.say(f"· over many rows: round {number + 1} of {bench.rounds}")
        await bench.ours(empty, MANY, "empty")
        await bench.ours(full, MANY, f"rows_{_short(bench.rows)}")
        await bench.ours(wide, many, f"accounts_{many.name}")
    for ledger in (empty, full, wide):
        await ledger.close()


def _short(count: int) -> str:
    for unit, size in (("m", 1_000_000), ("k", 1_000)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


STAGES: dict[str, Callable[[Bench], Awaitable[None]]] = {"bulk": bulk, "http": over_http, "rows": rows}
