"""`make bench-ledger`: transfers a second, beside a ledger that does one transfer a transaction, on the same server.

bulk   ours: batches as the bytes of HTTP bodies are read, checked, decided, hashed, written and told in events, up to
       the durable commit; over 100 accounts, 10,000, and with one hot account on which every transfer lands. The other:
       single transfers of 32 clients, and its own call of 100. Also the p99 of a batch of 100 that has no company.
http   the service as a process, 64 connections: single transfers, batches of 100, and into a hot account.
rows   ours with 10 million entries in the journal beside ours with none, and over a million accounts.

What is compared takes turns; a figure is the median of the rounds. PostgreSQL is durable (fsync and synchronous_commit
on).
"""

import argparse
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from bench import load, machine
from bench.ledger import report
from bench.ledger.figures import Figures
from bench.ledger.stages import STAGES, Bench
from rialto_cli.testing import PostgresServer
from rialto_common.telemetry import configure_logs

ROUNDS = 3
SECONDS = 5.0
ROWS = 10_000_000
ACCOUNTS = 1_000_000


async def measure(bench: Bench, stages: Sequence[str]) -> None:
    """Run the stages. Raises: SystemExit: an answer was not what was asked for."""
    for name in stages:
        try:
            await STAGES[name](bench)
        except load.Refused as error:
            raise SystemExit(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench.ledger")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each turn")
    parser.add_argument("--rows", type=int, default=ROWS, help="entries in the journal of stage rows")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="accounts of stage rows")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="all, unless named")
    options = parser.parse_args(arguments)
    configure_logs("bench", "WARNING")
    console, progress = Console(), Console(stderr=True)
    figures = Figures()
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as directory:
        Path(directory).chmod(0o755)  # the server may run under another account
        server = PostgresServer(Path(directory), durable=True)
        server.start()
        bench = Bench(
            server,
            figures,
            progress.print,
            options.rounds,
            options.seconds,
            options.rows,
            options.accounts,
            random.Random(1),
        )
        try:
            uvloop.run(measure(bench, options.stages))
        finally:
            server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    console.print(report.rates_table(figures), report.budget_table(figures), about)
    found = report.as_json(figures) | {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "load_average": os.getloadavg(),
        "fsync": "on",
        "synchronous_commit": "on",
    }
    console.print(f"written to {machine.write('ledger', report.ratios_of(figures), found, about)}")


if __name__ == "__main__":
    main()
