"""Writers that meet at the same chain heads: every place of every chain is taken once, and nobody waits in a circle."""

import asyncio
from collections.abc import Callable
from typing import Any

from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.domain.chain import GENESIS, link
from rialto_ledger.domain.commands import Command, Linked, PostEntry, ReverseEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.domain.outcomes import OutcomeStatus
from rialto_ledger.testing import NOW, Payment, number_id, open_wallet, top_up, wallet

from .test_concurrency import post_until_committed

WALLETS = 6
POSTERS = 3
ROUNDS = 12


def transfer(number: int) -> PostEntry:
    """Return an entry between two wallets; its shard is the first one's, so that batches meet on few heads."""
    source, target = wallet(number % WALLETS).id, wallet((number * 5 + 1) % WALLETS).id
    postings = (debit(source, 1, "USD"), credit(target, 1, "USD"))
    return PostEntry(number_id("entry", number), "transfer", source, "test", None, None, postings, (), NOW)


async def test_writers_on_the_same_shards_leave_chains_without_gap(
    unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: Callable[[], Any]
) -> None:
    runtime = SystemRuntime()
    posters = [
        CoalescingPoster(unit_of_work.begin, lambda transaction: PostgresLedger(transaction.connection), runtime)
        for _ in range(POSTERS)
    ]
    await post_until_committed(unit_of_work, [open_wallet(n) for n in range(WALLETS)])
    await post_until_committed(unit_of_work, [top_up(n, 100_000, entry=n) for n in range(WALLETS)])

    async def ask(poster: int) -> list[OutcomeStatus]:
        """Post singles, linked entries and reversals as HTTP does; every other request is another poster's too."""
        statuses = []
        for turn in range(ROUNDS):
            own = 1_000 * (poster + 1) + 10 * turn
            shared: list[Command] = [transfer(n) for n in (turn, turn + 1, turn + 2)]
            linked = Linked(tuple(transfer(own + n) for n in range(3, 6)))
            requests = [transfer(own), transfer(own + 1), linked, *(shared if poster % 2 else reversed(shared))]
            answers = await asyncio.gather(*(posters[poster].post(command) for command in requests))
            answers.append(await posters[poster].post(ReverseEntry(transfer(own).entry_id, "test", NOW)))
            statuses += [answer.outcome.status for answer in answers]
        return statuses

    async def consume(nth: int) -> list[OutcomeStatus]:
        """Post batches of payments as the consumer does, the wallets and merchants in another order each time."""
        statuses = []
        for turn in range(ROUNDS):
            numbers = range(1_000 * nth + 10 * turn, 1_000 * nth + 10 * turn + 10)
            payments = [Payment(n, 5, (n * (nth + 1)) % WALLETS, n % 3) for n in numbers]
            lives: list[Command] = [command for p in payments for command in (p.place(), p.capture(), p.confirm())]
            statuses += [outcome.status for outcome in await post_until_committed(unit_of_work, lives)]
        return statuses

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    async with asyncio.timeout(90):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(n)) for n in range(POSTERS)]
            tasks += [group.create_task(consume(n)) for n in range(2)]
    assert await pool.fetchval(deadlocks) == 0
    told = [task.result() for task in tasks]
    statuses = [status for each in told for status in each]
    assert OutcomeStatus.REFUSED not in statuses
    singles, shared, payments = POSTERS * ROUNDS, ROUNDS + 2, 2 * ROUNDS * 10
    # Two singles, three linked and a reversal a turn; the shared ones once, whoever came first.
    entries = WALLETS + 6 * singles + shared + 2 * payments
    assert await check_books() == entries
    await check_chains(pool, entries)


async def check_chains(pool: Pool, entries: int) -> None:
    """Every link is of the one before it in its shard, from the genesis to the head."""
    rows = await pool.fetch(
        "SELECT id, shard, chain_position, hash FROM ledger.journal_entries ORDER BY shard, chain_position"
    )
    assert len(rows) == entries
    reader = PostgresReader(pool)
    ends = {row["shard"]: (0, GENESIS[row["shard"]]) for row in rows}
    for row in rows:
        position, previous = ends[row["shard"]]
        entry = await reader.entry(row["id"])
        assert entry is not None
        assert (row["chain_position"], row["hash"]) == (position + 1, link(previous, entry))
        ends[row["shard"]] = position + 1, row["hash"]
    heads = await pool.fetch("SELECT shard, position, hash FROM ledger.chain_heads WHERE position > 0")
    assert {row["shard"]: (row["position"], row["hash"]) for row in heads} == ends
