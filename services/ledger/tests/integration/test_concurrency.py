"""Many writers at once, and a server that dies: totals must come out right and nothing twice (I2, I4, I5, I10)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from rialto_cli.testing import PostgresServer
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool, is_retryable, open_pool
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.posting import post
from rialto_ledger.domain.commands import Command, OpenAccount
from rialto_ledger.domain.outcomes import Outcome, OutcomeStatus
from rialto_ledger.testing import NOW, Payment, open_wallet, top_up, wallet

KILLS = 3


async def post_until_committed(unit_of_work: PostgresUnitOfWork, commands: Sequence[Command]) -> list[Outcome]:
    """Post a batch as the frame does: what a retry can mend is tried again."""
    while True:
        try:
            async with unit_of_work.begin() as transaction:
                posted = await post(PostgresLedger(transaction.connection), commands, NOW)
            return posted.decision.outcomes
        except Exception as error:
            if not is_retryable(error):
                raise


async def test_concurrent_holds_never_overdraw_a_wallet(
    unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: Callable[[], Any]
) -> None:
    await post_until_committed(unit_of_work, [open_wallet(), top_up(0, 10_000)])
    payments = [Payment(n, amount_minor=300) for n in range(60)]
    batches = [[payment.place() for payment in payments[n : n + 3]] for n in range(0, 60, 3)]
    outcomes = await asyncio.gather(*(post_until_committed(unit_of_work, batch) for batch in batches))
    statuses = [outcome.status for batch in outcomes for outcome in batch]
    assert statuses.count(OutcomeStatus.APPLIED) == 33
    assert statuses.count(OutcomeStatus.REFUSED) == 27
    held = await pool.fetchval("SELECT held_minor FROM ledger.accounts WHERE id = $1", wallet().id)
    assert held == 9900
    await check_books()


async def test_the_same_commands_from_many_writers_move_money_once(
    unit_of_work: PostgresUnitOfWork, check_books: Callable[[], Any]
) -> None:
    payments = [Payment(n, amount_minor=100, wallet_number=n % 3, merchant_number=n % 4) for n in range(12)]
    opening: list[Command] = [open_wallet(n) for n in range(3)]
    opening += [top_up(n, 10_000, entry=n) for n in range(3)]
    lives: list[Command] = [command for p in payments for command in (p.place(), p.capture(), p.confirm())]
    everything = opening + lives
    orders = [everything, everything, opening + lives[::1], opening + lives]
    outcomes = await asyncio.gather(*(post_until_committed(unit_of_work, order) for order in orders))
    applied = [outcome for batch in outcomes for outcome in batch if outcome.status is OutcomeStatus.APPLIED]
    assert len(applied) == len(everything)
    assert not [outcome for batch in outcomes for outcome in batch if outcome.status is OutcomeStatus.REFUSED]
    assert await check_books() == 3 + 2 * len(payments)


async def test_writers_that_touch_the_same_accounts_in_any_order_all_finish(
    unit_of_work: PostgresUnitOfWork, check_books: Callable[[], Any]
) -> None:
    wallets = 8
    await post_until_committed(unit_of_work, [open_wallet(n) for n in range(wallets)])
    await post_until_committed(unit_of_work, [top_up(n, 100_000, entry=n) for n in range(wallets)])
    batches = [
        [Payment(20 * b + n, amount_minor=10, wallet_number=(n * (b + 1)) % wallets).place() for n in range(20)]
        for b in range(8)
    ]
    async with asyncio.timeout(60):
        await asyncio.gather(*(post_until_committed(unit_of_work, batch) for batch in batches))
        captures = [
            [Payment(20 * b + n, amount_minor=10, wallet_number=(n * (b + 1)) % wallets).capture() for n in range(20)]
            for b in reversed(range(8))
        ]
        await asyncio.gather(*(post_until_committed(unit_of_work, batch) for batch in captures))
    assert await check_books() == wallets + 160


async def test_one_bad_command_among_many_callers_fails_alone(
    unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: Callable[[], Any]
) -> None:
    """A broken invariant in the shared transaction must not take the other callers' commands with it."""

    class Breaking(PostgresLedger):
        async def save(self, decision: Any, links: Any, now: Any) -> None:
            if any(entry.metadata.get("break") for entry in decision.entries):
                await self._connection.execute("UPDATE ledger.accounts SET held_minor = -1")
            await super().save(decision, links, now)

    poster = CoalescingPoster(unit_of_work.begin, lambda transaction: Breaking(transaction.connection), SystemRuntime())
    await poster.post(open_wallet())
    commands = [top_up(0, 10, entry=n, metadata={"break": "1"} if n == 5 else None) for n in range(12)]
    answers = await asyncio.gather(*(poster.post(command) for command in commands), return_exceptions=True)
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, BaseException)]
    assert failed == [5]
    assert isinstance(answers[5], asyncpg.CheckViolationError)
    assert await check_books() == 11


async def test_entries_about_one_account_are_numbered_upwards_however_they_share_batches(
    unit_of_work: PostgresUnitOfWork, pool: Pool
) -> None:
    poster = CoalescingPoster(
        unit_of_work.begin, lambda transaction: PostgresLedger(transaction.connection), SystemRuntime()
    )
    await poster.post(open_wallet())
    for start in (0, 15, 30):
        await asyncio.gather(*(poster.post(top_up(0, 10, entry=start + n)) for n in range(15)))
    rows = await pool.fetch("SELECT sequence FROM bus.log WHERE key LIKE 'acc\\_%' ORDER BY position")
    sequences = [row["sequence"] for row in rows]
    assert len(sequences) == 45
    assert sequences == sorted(set(sequences))


async def test_posters_that_open_accounts_crosswise_answer_every_caller(
    pool: Pool, check_books: Callable[[], Any]
) -> None:
    """Opening cannot keep to the order of ids, as it comes after the locks: whoever loses a deadlock tries again."""
    runtime = SystemRuntime()
    posters = [
        CoalescingPoster(
            PostgresUnitOfWork(pool, schema="ledger", runtime=runtime).begin,
            lambda transaction: PostgresLedger(transaction.connection),
            runtime,
        )
        for _ in range(4)
    ]
    commands: list[Command] = [command for n in range(40) for command in (open_wallet(n), top_up(n, 7, entry=n))]
    answers = await asyncio.gather(
        *(posters[n % 4].post(command) for n, command in enumerate(commands)),
        *(posters[(n + 1) % 4].post(command) for n, command in enumerate(reversed(commands))),
    )
    opened = [a for a in answers if a.outcome.error is None and isinstance(a.outcome.command, OpenAccount)]
    assert len(opened) == 80
    for command in commands:
        answer = await posters[0].post(command)
        assert answer.outcome.error is None
    assert await check_books() == 40


async def test_killing_postgresql_during_posting_loses_and_doubles_nothing(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory(durable=True)
    database = server.create_database()
    runtime = SystemRuntime()
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=runtime)
    poster = CoalescingPoster(unit_of_work.begin, lambda transaction: PostgresLedger(transaction.connection), runtime)
    await poster.post(open_wallet())
    acknowledged: set[int] = set()
    down = asyncio.Event()

    async def caller(first: int) -> None:
        """Top up again and again under the same id until it is acknowledged, as a client does."""
        number = first
        while not down.is_set():
            try:
                answer = await poster.post(top_up(0, 1, entry=number))
            except Exception as error:
                if not is_retryable(error):
                    raise
                await runtime.sleep(0.02)
                continue
            assert answer.outcome.error is None
            acknowledged.add(number)
            number += 1

    callers = [asyncio.ensure_future(caller(1_000_000 * (n + 1))) for n in range(6)]
    try:
        for _ in range(KILLS):
            seen = len(acknowledged)
            while len(acknowledged) < seen + 60:
                await runtime.sleep(0.01)
                assert not any(task.done() for task in callers)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        seen = len(acknowledged)
        while len(acknowledged) < seen + 60:
            await runtime.sleep(0.01)
    finally:
        down.set()
        await asyncio.gather(*callers)
    connection = await asyncpg.connect(database.dsn("auditor"))
    entries = {row["id"] for row in await connection.fetch("SELECT id FROM ledger.journal_entries")}
    assert {top_up(0, 1, entry=number).entry_id for number in acknowledged} == entries
    totals = await connection.fetchrow("SELECT credits_minor FROM ledger.accounts WHERE id = $1", wallet().id)
    assert totals is not None
    assert totals["credits_minor"] == len(entries) == len(acknowledged)
    assert await connection.fetchval("SELECT sum(debits_minor - credits_minor) FROM ledger.accounts") == 0
    await connection.close()
    pool.terminate()
