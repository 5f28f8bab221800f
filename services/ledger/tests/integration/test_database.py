"""The database holds the invariants by itself: what a bug in the service would write, it refuses."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool
from rialto_common.errors import InvariantViolated
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountDelta
from rialto_ledger.domain.batch import Decision
from rialto_ledger.testing import NOW, Payment, number_id, open_wallet, top_up, wallet

AT = datetime(2026, 3, 1, tzinfo=UTC)
WALLET, ACQUIRER = wallet().id, chart.test_acquirer("USD").id


@pytest.fixture
async def connection(pool: Pool, unit_of_work: PostgresUnitOfWork) -> AsyncIterator[Any]:
    """A connection as the service's role, to books with one wallet of 1000 and one hold of 600."""
    async with unit_of_work.begin() as transaction:
        ledger = PostgresLedger(transaction.connection)
        await post(ledger, [open_wallet(), top_up(0, 1000), Payment(amount_minor=600).place()], NOW)
    async with pool.acquire() as acquired:
        yield acquired


async def add_entry(connection: Any, *lines: tuple[int, UUID, str, int, str], mode: str = "test") -> None:
    """Insert an entry with postings (line, account, side, amount, currency), past all of the service's checks."""
    entry_id = number_id("raw entry", 1)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO ledger.journal_entries (id, kind, mode, shard, effective_at, recorded_at, metadata,"
            " chain_position, hash) VALUES ($1, 'raw', $2, 0, $3, $3, '{}', 1, sha256('raw'))",
            entry_id,
            mode,
            AT,
        )
        await connection.execute(
            "INSERT INTO ledger.postings (entry_id, recorded_at, line, account_id, side, amount_minor, currency)"
            " SELECT $1, $2, * FROM unnest($3::SMALLINT[], $4::UUID[], $5::TEXT[], $6::NUMERIC[], $7::TEXT[])",
            entry_id,
            AT,
            *(list(column) for column in zip(*lines, strict=True)),
        )


async def refusal(statement: Any) -> str | None:
    """Return the constraint by which the database refuses, or the SQLSTATE."""
    try:
        await statement
    except asyncpg.PostgresError as error:
        return error.constraint_name or error.sqlstate
    return None


async def test_a_balanced_entry_is_accepted_raw(connection: Any) -> None:
    entry = add_entry(connection, (0, ACQUIRER, "debit", 5, "USD"), (1, WALLET, "credit", 5, "USD"))
    assert await refusal(entry) is None


@pytest.mark.parametrize(
    ("lines", "constraint"),
    [
        ([(0, ACQUIRER, "debit", 5, "USD"), (1, WALLET, "credit", 4, "USD")], "postings_balanced"),
        ([(0, ACQUIRER, "debit", 5, "USD"), (1, WALLET, "debit", 5, "USD")], "postings_balanced"),
        ([(0, ACQUIRER, "debit", 0, "USD"), (1, WALLET, "credit", 0, "USD")], "postings_amount_positive"),
        ([(0, ACQUIRER, "debit", -5, "USD"), (1, WALLET, "credit", -5, "USD")], "postings_amount_positive"),
        ([(1, ACQUIRER, "debit", 5, "USD"), (2, WALLET, "credit", 5, "USD")], "postings_whole_entry"),
        (
            [(0, number_id("nobody", 1), "debit", 5, "USD"), (1, WALLET, "credit", 5, "USD")],
            "postings_entry_and_account_exist",
        ),
        (
            [(0, ACQUIRER, "debit", 5, "EUR"), (1, WALLET, "credit", 5, "EUR")],
            "postings_entry_and_account_exist",
        ),
    ],
)
async def test_the_database_refuses_a_wrong_entry(
    connection: Any, lines: list[tuple[int, UUID, str, int, str]], constraint: str
) -> None:
    assert await refusal(add_entry(connection, *lines)) == constraint
    assert await connection.fetchval("SELECT count(*) FROM ledger.journal_entries WHERE kind = 'raw'") == 0


async def test_the_database_refuses_an_entry_across_modes(connection: Any) -> None:
    lines = [(0, ACQUIRER, "debit", 5, "USD"), (1, WALLET, "credit", 5, "USD")]
    assert await refusal(add_entry(connection, *lines, mode="live")) == "postings_entry_and_account_exist"


async def test_an_entry_cannot_be_extended_later_even_in_balance(connection: Any) -> None:
    entry_id = await connection.fetchval("SELECT id FROM ledger.journal_entries")
    for first in (0, 2):
        added = connection.execute(
            "INSERT INTO ledger.postings VALUES ($1, $2, $3, 'debit', 5, 'USD', $5),"
            " ($1, $2 + 1, $4, 'credit', 5, 'USD', $5)",
            entry_id,
            first,
            ACQUIRER,
            WALLET,
            AT,
        )
        assert await refusal(added) == ("postings_default_pkey" if first == 0 else "postings_whole_entry")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.journal_entries SET kind = 'other'",
        "UPDATE ledger.postings SET amount_minor = amount_minor + 1",
        "DELETE FROM ledger.postings",
        "DELETE FROM ledger.journal_entries",
        "TRUNCATE ledger.postings",
        "DELETE FROM ledger.accounts",
        "DELETE FROM ledger.holds",
        "UPDATE ledger.journal_entries SET hash = sha256('other')",
        "DELETE FROM ledger.chain_heads",
        "UPDATE ledger.blocks SET sealed_at = sealed_at",
        "DELETE FROM ledger.block_shards",
        "UPDATE ledger.account_status_changes SET reason = ''",
        "DELETE FROM ledger.account_status_changes",
        "UPDATE ledger.accounts SET minimum_available_minor = -1000000",
        "INSERT INTO ledger.accounts (id, code, type, normal_side, currency, mode, shard, opened_at, credits_minor)"
        " SELECT id, 'mint', 'equity', 'credit', 'USD', 'test', 0, opened_at, 1 FROM ledger.accounts LIMIT 1",
    ],
)
async def test_the_service_has_no_right_to_rewrite_history(connection: Any, statement: str) -> None:
    assert await refusal(connection.execute(statement)) == asyncpg.InsufficientPrivilegeError.sqlstate


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE ledger.accounts SET debits_minor = debits_minor + 401", "accounts_available_above_minimum"),
        ("UPDATE ledger.accounts SET held_minor = held_minor + 401", "accounts_available_above_minimum"),
        ("UPDATE ledger.accounts SET held_minor = -1", "accounts_totals_not_negative"),
    ],
)
async def test_the_database_refuses_an_overdrawn_wallet(connection: Any, statement: str, constraint: str) -> None:
    assert await refusal(connection.execute(f"{statement} WHERE id = $1", WALLET)) == constraint


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE ledger.holds SET captured_minor = 601", "holds_never_above_amount"),
        ("UPDATE ledger.holds SET amount_minor = 1", "holds_only_raised"),
        ("UPDATE ledger.holds SET amount_minor = amount_minor + 1", "holds_only_raised"),
        ("UPDATE ledger.holds SET increased_minor = increased_minor - 1", "holds_only_raised"),
        ("UPDATE ledger.holds SET closed_at = placed_at", "holds_closed_when_not_pending"),
        ("UPDATE ledger.holds SET status = 'captured', closed_at = placed_at", "holds_closed_accounts_for_all"),
    ],
)
async def test_the_database_refuses_a_hold_that_does_not_add_up(
    connection: Any, statement: str, constraint: str
) -> None:
    assert await refusal(connection.execute(statement)) == constraint


async def test_a_decision_that_the_database_refuses_is_a_broken_invariant(unit_of_work: PostgresUnitOfWork) -> None:
    async with unit_of_work.begin() as transaction:
        await post(PostgresLedger(transaction.connection), [open_wallet(), top_up(0, 10)], NOW)
    overdraw = Decision([], [], [], [], [], {WALLET: AccountDelta(debits_minor=11)})

    async def save() -> None:
        async with unit_of_work.begin() as transaction:
            await PostgresLedger(transaction.connection).save(overdraw, [], NOW)

    with pytest.raises(InvariantViolated, match="accounts_available_above_minimum"):
        await save()


async def test_the_auditor_reads_everything_and_writes_nothing(database: Database, connection: Any) -> None:
    auditor = await asyncpg.connect(database.dsn("auditor"))
    try:
        for table in ("accounts", "account_balances", "journal_entries", "postings", "holds", "settlements", "inbox"):
            await auditor.fetchval(f"SELECT count(*) FROM ledger.{table}")
        await auditor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        assert await refusal(auditor.execute("DELETE FROM ledger.holds")) == "42501"
    finally:
        await auditor.close()
