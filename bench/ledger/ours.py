"""Our ledger in this process: the service's own way from the bytes of a batch's body to the commit."""

import asyncio
import random
from collections.abc import Sequence
from time import perf_counter

from bench.ledger import loads
from bench.ledger.loads import Load
from rialto_cli.testing import Database
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.service import settle_collector
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.entrypoints.entries_http import EntryDesk

BATCHES = (100, 500)
UNDER_WAY = 3
"""Batches in the hands of the service at a time, so that the next is read while one commits."""
TRANSFERS_A_SECOND = 60_000
"""For how many there are bodies; they are made before the clock runs."""
OPERATOR = Caller("bench", None, "test")


class Ours:
    """The service's parts, over a database whose accounts are open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.runtime = SystemRuntime()

    async def open(self) -> None:
        """Put the parts together as the service's main does."""
        self._pool = await open_pool(self._database.dsn("ledger"), application="bench", max_size=8)
        self.unit_of_work = PostgresUnitOfWork(self._pool, schema="ledger", runtime=self.runtime)
        poster = CoalescingPoster(self.unit_of_work.begin, lambda tx: PostgresLedger(tx.connection), self.runtime)
        self._desk = EntryDesk(poster, PostgresReader(self._pool), self.runtime)

    async def run(
        self, load: Load, batch: int, seconds: float, draw: random.Random, *, under_way: int = UNDER_WAY
    ) -> tuple[float, Sequence[float]]:
        """Return transfers a second, and each batch's seconds from its bytes to its commit."""
        bodies = loads.batches(load, batch, int(seconds * TRANSFERS_A_SECOND / batch), self.runtime.ids.mint, draw)
        took: list[float] = []
        settle_collector()  # as the service does; the bodies live as long as the run
        started = perf_counter()

        async def feed() -> None:
            while bodies and perf_counter() - started < seconds:
                body, began = bodies.pop(), perf_counter()
                results = await self._desk.post_batch(body, OPERATOR, dry_run=False)
                took.append(perf_counter() - began)
                if results.count(b'"applied"') != batch:
                    raise SystemExit(f"a transfer was refused: {results[:500]!r}")

        await asyncio.gather(*(feed() for _ in range(under_way)))
        return len(took) * batch / (perf_counter() - started), took

    async def close(self) -> None:
        """Cut the connections."""
        self._pool.terminate()
