"""Every statement of a batch goes by index, also on tables that have grown before their first ANALYZE."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.database import Pool, load_queries
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.testing import number_id

QUERIES = load_queries("rialto_ledger.adapters")
AT = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 30_000


def some_ids(kind: str, count: int = 100) -> list[UUID]:
    """Return every 37th of the ids that `fill` makes for a kind of row."""
    return [UUID(f"019c0000-0000-7000-{kind}000-{37 * n + 1:012x}") for n in range(count)]


async def fill(database: Database, *, analysed: bool) -> None:
    """Put rows in bulk into every table, with or without statistics."""

    def uuid(kind: str, number: str = "n") -> str:
        return f"('019c0000-0000-7000-{kind}000-' || lpad(to_hex({number}), 12, '0'))::UUID"

    connection = await asyncpg.connect(database.superuser_dsn())
    await connection.execute("SET session_replication_role = replica")
    series = f"generate_series(1, {ROWS}) AS n"
    for statement in (
        f"""INSERT INTO ledger.accounts (id, code, type, normal_side, currency, mode, shard, opened_at)
            SELECT {uuid("8")}, 'c' || n, 'liability', 'credit', 'USD', 'test', 0, '2026-01-01' FROM {series}""",
        f"""INSERT INTO ledger.journal_entries
            SELECT {uuid("9")}, 'capture', 'test', 0, NULL, {uuid("a")}, NULL, '2026-01-01', '2026-01-01', '{{}}', n,
                sha256('') FROM {series}""",
        f"""INSERT INTO ledger.postings SELECT {uuid("9")}, line, {uuid("8")}, 'debit', 5, 'USD', '2026-01-01'
            FROM {series}, generate_series(0, 1) AS line""",
        f"""INSERT INTO ledger.holds
            SELECT {uuid("b")}, {uuid("a")}, {uuid("8")}, {uuid("8")}, 'test', 0, 'USD', 10, 0, 0, 'pending', NULL,
                '2026-01-01', '2026-02-01', NULL, 1 FROM {series}""",
        f"INSERT INTO ledger.settlements SELECT {uuid('a')}, {uuid('a')}, 0, 'posted', {uuid('9')}, 1 FROM {series}",
    ):
        await connection.execute(statement)
    if analysed:
        await connection.execute("ANALYZE")
    await connection.close()


HUNDRED: dict[str, list[Any]] = {"zero": ["0"] * 100, "status": ["pending"] * 100, "none": [None] * 100}
STATEMENTS: list[tuple[str, tuple[Any, ...]]] = [
    (
        "lock_accounts",
        (
            some_ids("8"),
            some_ids("b"),
            some_ids("a"),
            some_ids("9"),
            some_ids("9"),
            some_ids("9")[0],
            some_ids("9")[-1],
        ),
    ),
    ("holds", (some_ids("b"),)),
    ("accounts", (some_ids("8"),)),
    ("entries", (some_ids("9"), some_ids("9")[0], some_ids("9")[-1])),
    ("settlements", (some_ids("a"),)),
    (
        "change_holds",
        (
            some_ids("b"),
            HUNDRED["zero"],
            HUNDRED["zero"],
            HUNDRED["status"],
            [AT] * 100,
            HUNDRED["none"],
            [2] * 100,
            ["1000"] * 100,
            HUNDRED["zero"],
        ),
    ),
    ("change_accounts", (some_ids("8"), HUNDRED["zero"], HUNDRED["zero"], HUNDRED["zero"])),
    ("due_holds", (AT, 200)),
    ("entries_of_payment", (some_ids("a")[0],)),
]


def transfer(number: int) -> PostEntry:
    source, target = some_ids("8")[number], some_ids("8")[(number + 1) % 100]
    postings = (debit(source, 1, "USD"), credit(target, 1, "USD"))
    return PostEntry(number_id("entry", number), "transfer", source, "test", None, None, postings, (), AT)


@pytest.mark.parametrize("analysed", [False, True])
async def test_no_statement_of_a_batch_scans_a_whole_table(database: Database, pool: Pool, analysed: bool) -> None:
    await fill(database, analysed=analysed)
    scanning = {}
    for name, arguments in STATEMENTS:
        plan = [row[0] for row in await pool.fetch(f"EXPLAIN (COSTS OFF) {QUERIES[name]}", *arguments)]
        assert any("Index" in line for line in plan), plan
        # A row a month: reading it whole costs nothing.
        if any("Seq Scan" in line and "archived_months" not in line for line in plan):
            scanning[name] = plan
    assert not scanning


@pytest.mark.parametrize("analysed", [False, True])
async def test_what_the_database_checks_by_itself_scans_no_table(
    database: Database, pool: Pool, analysed: bool
) -> None:
    """The trigger's and the function's plans are not shown; how many rows were read in sequence is."""
    await fill(database, analysed=analysed)
    commands = [transfer(number) for number in range(100)]
    new = sorted(command.entry_id for command in commands)
    async with pool.acquire() as connection, connection.transaction():
        known = (some_ids("8"), [0] * 100, new, new[0], new[-1], [0])
        [head] = await connection.fetch("SELECT stands FROM ledger.lock_as_known($1, $2, $3, $4, $5, $6)", *known)
        assert head["stands"]
        posted = await post(PostgresLedger(connection), commands, AT)
        assert len(posted.decision.entries) == 100
        read = await connection.fetch(
            "SELECT relname FROM pg_stat_xact_user_tables WHERE schemaname = 'ledger' AND seq_tup_read > 999"
        )
    assert not read
