"""The ledger on a real PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Pool, open_pool
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger

from .api_world import World, running

CheckBooks = Callable[[], Awaitable[int]]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the service's own role."""
    opened = await open_pool(database.dsn("ledger"), application="test", max_size=8)
    yield opened
    opened.terminate()


@pytest.fixture
def unit_of_work(pool: Pool) -> PostgresUnitOfWork:
    """Transactions as the service's own role."""
    return PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())


@pytest.fixture
def ledger_of() -> Callable[[PostgresTransaction], PostgresLedger]:
    """How main.py joins the books to a transaction."""
    return lambda transaction: PostgresLedger(transaction.connection)


@pytest.fixture
def check_books(database: Database) -> CheckBooks:
    """Compare accounts, journal and holds as an auditor would; return how many entries there are."""

    async def check() -> int:
        connection = await asyncpg.connect(database.dsn("auditor"))
        try:
            unbalanced = await connection.fetch("""
                SELECT entry_id FROM ledger.postings GROUP BY entry_id, currency
                HAVING sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0
            """)
            wrong_totals = await connection.fetch("""
                SELECT a.code FROM ledger.accounts AS a
                LEFT JOIN (
                    SELECT account_id, sum(amount_minor) FILTER (WHERE side = 'debit') AS debits,
                        sum(amount_minor) FILTER (WHERE side = 'credit') AS credits
                    FROM ledger.postings GROUP BY account_id
                ) AS p ON p.account_id = a.id
                LEFT JOIN (
                    SELECT account_id, sum(amount_minor - captured_minor - released_minor) AS held
                    FROM ledger.holds WHERE status = 'pending' GROUP BY account_id
                ) AS h ON h.account_id = a.id
                WHERE (a.debits_minor, a.credits_minor, a.held_minor)
                    IS DISTINCT FROM (coalesce(p.debits, 0), coalesce(p.credits, 0), coalesce(h.held, 0))
            """)
            not_zero = await connection.fetch("""
                SELECT currency FROM ledger.accounts GROUP BY currency HAVING sum(debits_minor - credits_minor) <> 0
            """)
            over_captured = await connection.fetch("""
                SELECT h.id FROM ledger.holds AS h
                LEFT JOIN (
                    SELECT e.payment_id, sum(p.amount_minor) AS captured
                    FROM ledger.journal_entries AS e
                    JOIN ledger.postings AS p ON p.entry_id = e.id AND p.side = 'debit'
                    WHERE e.kind = 'capture' GROUP BY e.payment_id
                ) AS c ON c.payment_id = h.payment_id
                WHERE h.captured_minor <> coalesce(c.captured, 0)
            """)
            assert (unbalanced, wrong_totals, not_zero, over_captured) == ([], [], [], [])
            return int(await connection.fetchval("SELECT count(*) FROM ledger.journal_entries"))
        finally:
            await connection.close()

    return check


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """The API on books of its own."""
    async with running(database) as world:
        yield world
