"""What each service's role may not do to the bus and to the others' tables: only what the frame needs is granted."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.bus.postgres import PostgresBus, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events.common import FRAUD
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import make_event

SERVICES = ("gateway", "ledger", "fraud", "compliance", "chain_bridge")
TABLES = "CREATE SCHEMA mine; GRANT USAGE ON SCHEMA mine TO rialto_{role}, rialto_auditor"

FORBIDDEN = {
    "change an event": "UPDATE bus.log SET data = '{}'",
    "take an event away": "DELETE FROM bus.log",
    "empty the log": "TRUNCATE bus.log",
    "empty a partition": "TRUNCATE bus.log_default",
    "write past the log": "INSERT INTO bus.log_default SELECT * FROM bus.log",
    "drop the log": "DROP TABLE bus.log",
    "add a topic": "INSERT INTO bus.topics (topic) VALUES ('mine')",
    "remove a topic": "DELETE FROM bus.topics",
    "move keys to other partitions": "UPDATE bus.topics SET partitions = 1",
    "forget a group": "DELETE FROM bus.cursors",
    "add a table to the bus": "CREATE TABLE bus.mine (x INT)",
    "make a schema": "CREATE SCHEMA other",
    "maintain one table by itself": "SELECT bus.maintain_table('bus', 'log', '2026-01-01', 0)",
    "forget what was handled": "DELETE FROM mine.inbox",
    "change what was handled": "UPDATE mine.inbox SET source = ''",
    "forget a migration": "DELETE FROM migrations.applied",
}


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_may_do_its_work_on_the_bus_and_nothing_more(database: Database, role: str) -> None:
    owner = await asyncpg.connect(database.dsn("owner"))
    await owner.execute(TABLES.format(role=role))
    await owner.execute("SELECT bus.create_consumer_tables('mine', $1)", f"rialto_{role}")
    await owner.close()
    runtime = SystemRuntime()
    async with await open_pool(database.dsn(role), application="grants") as pool:
        async with PostgresUnitOfWork(pool, schema="mine", runtime=runtime).begin() as transaction:
            assert await transaction.inbox.take([make_event(1, 1)]) == [make_event(1, 1)]
            await transaction.dead_letters.park("readers", make_event(1, 1), "why")
            assert await transaction.dead_letters.parked("readers", ["key-1"]) == {"key-1"}
            await transaction.dead_letters.release("readers", "key-1")
            transaction.publish(make_event(1, 1))
        bus = PostgresBus(database.dsn(role), runtime)
        reader = await bus.subscribe(f"{role}-readers", [FRAUD], member="one")
        deliveries = await reader.poll(max_events=10, wait_seconds=5)
        assert [delivery.event for delivery in deliveries] == [make_event(1, 1)]
        await reader.acknowledge(deliveries)
        await reader.close()
        await bus.rewind(f"{role}-readers", [FRAUD])
        await bus.maintain()

        allowed = []
        for deed, statement in FORBIDDEN.items():
            try:
                await pool.execute(statement)
                allowed.append(deed)
            except asyncpg.InsufficientPrivilegeError:
                continue
        assert allowed == []


@pytest.fixture
async def auditor(database: Database) -> AsyncIterator[asyncpg.Pool]:
    owner = await asyncpg.connect(database.dsn("owner"))
    await owner.execute(TABLES.format(role="fraud"))
    await owner.execute("SELECT bus.create_consumer_tables('mine', 'rialto_fraud')")
    await owner.close()
    async with await open_pool(database.dsn("auditor"), application="grants") as pool:
        yield pool


async def test_the_auditor_reads_the_bus_and_the_dead_letters(auditor: asyncpg.Pool) -> None:
    for table in ("bus.log", "bus.topics", "bus.cursors", "bus.members", "mine.inbox", "mine.dead_letters"):
        await auditor.fetch(f"SELECT * FROM {table} LIMIT 1")


AUDITOR_FORBIDDEN = {
    **FORBIDDEN,
    "handle an event": "INSERT INTO mine.inbox SELECT * FROM mine.inbox",
    "move the log on": "UPDATE bus.topics SET next_position = 1",
    "move a group": "UPDATE bus.cursors SET position = 0",
    "throw a member out": "DELETE FROM bus.members",
    "join a group": "SELECT bus.claim('g', ARRAY['rialto.fraud.v1'], 'm', '2026-01-01', '2026-01-02')",
    "publish": """
        SELECT bus.append('2026-01-01', ARRAY['rialto.fraud.v1'], ARRAY[NULL::UUID], ARRAY['s'], ARRAY['t'], ARRAY['k'],
            ARRAY[1::SMALLINT], ARRAY['2026-01-01'::TIMESTAMPTZ], ARRAY[1::BIGINT], ARRAY['c'], ARRAY['c'], ARRAY['t'],
            ARRAY['{}'])
    """,
    "maintain": "SELECT bus.maintain('2026-01-01', 14, 120)",
    "read keys": "SELECT * FROM keyring.keys",
}


async def test_the_auditor_changes_nothing_even_where_it_lifts_its_own_read_only_default(auditor: asyncpg.Pool) -> None:
    allowed = []
    async with auditor.acquire() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        for deed, statement in AUDITOR_FORBIDDEN.items():
            try:
                await connection.execute(statement)
                allowed.append(deed)
            except asyncpg.InsufficientPrivilegeError:
                continue
    assert allowed == []


@pytest.mark.parametrize("role", SERVICES)
async def test_no_service_reads_another_ones_tables(module_database: Database, role: str) -> None:
    async with await open_pool(module_database.dsn(role), application="grants") as pool:
        tables = await pool.fetch(
            """
            SELECT n.nspname || '.' || c.relname AS name, has_schema_privilege(n.oid, 'USAGE')
                AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') AS reachable
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname = ANY ($1) AND n.nspname <> $2
            """,
            list(SERVICES),
            role,
        )
    assert len(tables) > 10
    assert [row["name"] for row in tables if row["reachable"]] == []
