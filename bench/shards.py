"""`make bench-shards`: what one ledger database posts, what two do at the same time, and transfers between the two.

Two PostgreSQL servers, durable, and a process of the ledger's code for each. *One* and *two*: batches from the bytes of
their bodies to the commit over 10,000 accounts a database, as in `bench-ledger`. *Transfers*: each sends to the other
all the time, and one counts when its sender has recorded its end, its third commit; what is told goes through a pipe
instead of Kafka, whose share `bench-bus` measures. The three take turns; a figure is the median of the rounds.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import cast
from uuid import UUID

import uvloop
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.ledger import fill
from bench.ledger.loads import MANY, wallet
from bench.ledger.ours import Ours
from rialto_cli.testing import Database, PostgresServer
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.events import Event
from rialto_common.events.ledger import TransferSent
from rialto_common.telemetry import configure_logs
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.adapters.postgres_transfers import PostgresTransfers
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.transfers import HANDLED_TYPES, SendingLedger, TransferHandler
from rialto_ledger.domain import transfer as transfers
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.shards import Shards, parse
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState

ROUNDS = 3
SECONDS = 5.0
BATCH = 500
UNDER_WAY = 3_000
"""Transfers that a side has sent and not seen ended, at most: about what a second brings."""
MAP = "a=0-31;b=32-63"
DONE = Event(UUID(int=0), "bench", "done", "", "", 0, datetime(1970, 1, 1, tzinfo=UTC), 1, "", None, None, b"")
"""Tells the other side that no more comes."""
WHAT = {"one": "one database", "two": "two databases at once", "transfers": "transfers between the two"}


@dataclass(frozen=True)
class Reach:
    """A database of a server that the parent process runs."""

    url: str

    def dsn(self, _role: str) -> str:
        """The only role that is asked for: the ledger's."""
        return self.url


class Side:
    """One ledger: posts for itself, and exchanges transfers with the other."""

    def __init__(self, shards: Shards, url: str, peer: Connection) -> None:
        self._shards = shards
        self._ours = Ours(cast(Database, Reach(url)))
        self._peer = peer
        self._heard: deque[list[Event]] = deque()
        self._draw = random.Random(shards.name)

    async def open(self) -> None:
        """Put the ledger together, and listen."""
        await self._ours.open()
        self._poster = CoalescingPoster(self._begin, self._ledger_of, self._ours.runtime)
        self._handler: TransferHandler[PostgresTransaction] = TransferHandler(
            lambda tx: PostgresLedger(tx.connection), lambda tx: PostgresTransfers(tx.connection), self._ours.runtime
        )
        threading.Thread(target=self._listen, daemon=True).start()

    async def post(self, seconds: float) -> float:
        """Return entries a second."""
        rate, _ = await self._ours.run(MANY, BATCH, seconds, self._draw)
        return rate

    async def transfer(self, seconds: float) -> float:
        """Return transfers a second that this side has sent and seen ended, while it receives as many."""
        started, sent, ended, rate = perf_counter(), 0, 0, 0.0
        other_is_done = False
        while not (rate and other_is_done):
            heard = self._take()
            events = [event for event in heard if event.type in HANDLED_TYPES]
            other_is_done = other_is_done or len(events) < len(heard)
            if events:
                async with self._begin() as transaction:
                    await self._handler.handle(transaction, await transaction.inbox.take(events))
                ended += sum(event.type != TransferSent.type for event in events)
            is_over = perf_counter() - started >= seconds
            if not is_over and sent - ended <= UNDER_WAY - BATCH:
                for answer in await self._poster.post_all([self._send() for _ in range(BATCH)]):
                    if answer.outcome.error is not None:
                        raise SystemExit(f"a transfer was refused: {answer.outcome.error}")
                sent += BATCH
            elif is_over and ended == sent and not rate:
                rate = ended / (perf_counter() - started)
                self._peer.send([DONE])
            elif not events:
                await asyncio.sleep(0.001)
        return rate

    def _send(self) -> PostEntry:
        runtime = self._ours.runtime
        source, target = (wallet(number) for number in MANY.pair(self._draw))
        now, here = runtime.now(), min(self._shards.kept)
        asked = Transfer(
            id=runtime.ids.mint(),
            side=TransferSide.SENDER,
            merchant_id=None,
            mode="test",
            from_account_id=source,
            from_shard=here,
            to_account_id=target,
            to_shard=32 - here,
            amount_minor=10,
            currency="USD",
            state=TransferState.SENT,
            asked_at=now,
        )
        return transfers.send(asked, {}, now)

    def _ledger_of(self, transaction: PostgresTransaction) -> Ledger:
        books, records = PostgresLedger(transaction.connection), PostgresTransfers(transaction.connection)
        return SendingLedger(books, records, transaction.publish, self._shards)

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction; what it tells the other side goes there once it is committed."""
        async with self._ours.unit_of_work.begin() as transaction:
            yield transaction
        told = [event for event in transaction.outgoing if event.type in HANDLED_TYPES]
        if told:
            self._peer.send(told)

    def _listen(self) -> None:
        while True:
            try:
                self._heard.append(self._peer.recv())
            except EOFError:
                return

    def _take(self) -> list[Event]:
        taken: list[Event] = []
        while self._heard and len(taken) < 2 * BATCH:
            taken += self._heard.popleft()
        return taken


def side(name: str, url: str, peer: Connection, orders: Connection) -> None:
    """Do what the parent orders, as a process of its own."""

    async def obey() -> None:
        it = Side(parse(MAP, name), url, peer)
        await it.open()
        orders.send(0.0)
        while (order := await asyncio.to_thread(orders.recv)) is not None:
            what, seconds = order
            orders.send(await (it.post(seconds) if what == "post" else it.transfer(seconds)))

    configure_logs("bench", "WARNING")
    uvloop.run(obey())


def measure(urls: Sequence[str], console: Console, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Measure the three in turns."""
    context = multiprocessing.get_context("spawn")
    peers = context.Pipe()
    orders, processes = [], []
    for name, url, peer in zip(("a", "b"), urls, peers, strict=True):
        ours, theirs = context.Pipe()
        process = context.Process(target=side, args=(name, url, peer, theirs), daemon=True)
        process.start()
        theirs.close()
        orders.append(ours)
        processes.append(process)
    for each in orders:
        each.recv()
    rates: dict[str, list[float]] = {name: [] for name in WHAT}

    def order(sides: Sequence[Connection], what: str) -> float:
        for each in sides:
            each.send((what, seconds))
        return float(sum(each.recv() for each in sides))

    for number in range(rounds):
        console.print(f"· round {number + 1} of {rounds}")
        # By turns the one database is the first and the second.
        rates["one"].append(order([orders[number % 2]], "post"))
        rates["two"].append(order(orders, "post"))
        rates["transfers"].append(order(orders, "transfer"))
    for each, process in zip(orders, processes, strict=True):
        each.send(None)
        process.join(5)
    return rates


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench.shards")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    configure_logs("bench", "WARNING")
    console = Console(stderr=True)
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    servers: list[PostgresServer] = []
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as directory:
        Path(directory).chmod(0o755)  # the servers may run under another account
        try:
            for name in ("a", "b"):
                (folder := Path(directory) / name).mkdir()
                servers.append(PostgresServer(folder, durable=True))
                servers[-1].start()
            databases = [server.create_database() for server in servers]
            console.print(f"· opening {MANY.accounts} accounts on both")
            for database in databases:
                fill.open_accounts(database, MANY.accounts)
                fill.prepare_months(database)
            rates = measure(
                [database.dsn("ledger") for database in databases], console, options.rounds, options.seconds
            )
        finally:
            for server in servers:
                server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    medians = {name: statistics.median(each) for name, each in rates.items()}
    ratios = {
        "two_over_one": round(medians["two"] / medians["one"], 2),
        "transfers_over_one": round(medians["transfers"] / medians["one"], 2),
    }
    table = Table("what", "a second", "rounds")
    for name, each in rates.items():
        table.add_row(WHAT[name], f"{medians[name]:,.0f}", " ".join(f"{rate:,.0f}" for rate in each))
    Console().print(table, ratios, about)
    found = {"rates": rates, "load_average": os.getloadavg(), "fsync": "on", "synchronous_commit": "on"}
    Console().print(f"written to {machine.write('shards', ratios, found, about)}")


if __name__ == "__main__":
    main()
