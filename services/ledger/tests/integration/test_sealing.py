"""Sealing with several workers, killed at its worst moments; proofs and blocks over HTTP; months ahead of the time."""

import asyncio
import hashlib
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Pool
from rialto_common.errors import InvariantViolated
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.adapters.postgres_chain import PostgresChainReader, PostgresChains
from rialto_ledger.application.keeper import DAY_SECONDS, PAUSE_SECONDS, Keeper
from rialto_ledger.application.posting import post
from rialto_ledger.application.sealer import SEAL_AFTER, Sealer
from rialto_ledger.chain_metrics import ChainMetrics
from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, InclusionProof, check, seal
from rialto_ledger.testing import NOW, number_id, open_wallet, top_up

from .api_world import MERCHANT, STRANGER, World, top_up_body, wallet_body
from .test_process import Start, start, until

__all__ = ["start"]
ALL_SEALED = "SELECT count(*) FROM ledger.chain_growth WHERE position > 0 AND position = sealed_position"
WALLETS = 5


def chains_of(transaction: PostgresTransaction) -> PostgresChains:
    return PostgresChains(transaction.connection)


def sealer(unit_of_work: PostgresUnitOfWork, at: datetime, registry: CollectorRegistry | None = None) -> Sealer:  # type: ignore[type-arg]
    metrics = ChainMetrics(registry or CollectorRegistry())
    return Sealer(unit_of_work.begin, chains_of, SimulatedRuntime(1, start=at), metrics)


async def fill(unit_of_work: PostgresUnitOfWork, first: int, count: int, at: datetime) -> None:
    async with unit_of_work.begin() as transaction:
        commands = [open_wallet(n) for n in range(WALLETS)] + [
            top_up(n % WALLETS, 100, entry=n) for n in range(first, first + count)
        ]
        await post(PostgresLedger(transaction.connection), commands, at)


async def check_blocks(pool: Pool) -> int:
    """Check that the blocks follow each other and seal every link once; return how many they are."""
    reader = PostgresChainReader(pool)
    blocks = await reader.blocks(0, 10_000)
    assert [block.number for block in blocks] == list(range(1, len(blocks) + 1))
    assert [block.previous for block in blocks[:1]] == [BEFORE_THE_FIRST] * len(blocks[:1])
    assert all(later.previous == earlier.super_root for earlier, later in pairwise(blocks))
    assert all(seal(b.number, b.sealed_at, b.previous, b.shards) == b for b in blocks)
    sealed = [
        (s.shard, position)
        for b in blocks
        for s in b.shards
        for position in range(s.first_position, s.last_position + 1)
    ]
    entries = await pool.fetch("SELECT shard, chain_position FROM ledger.journal_entries")
    assert sorted(sealed) == sorted((row["shard"], row["chain_position"]) for row in entries)
    return len(blocks)


@pytest.mark.parametrize("crash_point", ["ledger.sealer.before_commit", "ledger.sealer.after_commit"])
async def test_a_worker_killed_while_it_seals_leaves_each_entry_sealed_once(
    crash_point: str, pool: Pool, unit_of_work: PostgresUnitOfWork, start: Start
) -> None:
    await fill(unit_of_work, 0, 20, datetime.now(UTC) - timedelta(minutes=1))
    shards = await pool.fetchval("SELECT count(*) FROM ledger.chain_heads WHERE position > 0")
    doomed: subprocess.Popen[bytes] = start(crash_point)
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    assert await pool.fetchval("SELECT count(*) FROM ledger.blocks") == (crash_point.endswith("after_commit"))
    await fill(unit_of_work, 20, 20, datetime.now(UTC) - timedelta(minutes=1))
    start(None)
    await until(pool, ALL_SEALED, shards)
    await check_blocks(pool)


async def test_many_sealers_at_once_seal_each_entry_once(pool: Pool, unit_of_work: PostgresUnitOfWork) -> None:
    sealers = [sealer(unit_of_work, NOW + timedelta(minutes=1)) for _ in range(6)]
    for first in range(0, 200, 20):
        await asyncio.gather(fill(unit_of_work, first, 20, NOW), *(each.step() for each in sealers))
    for each in sealers:
        await each.step()
    assert 1 < await check_blocks(pool) <= 20


async def test_a_sealer_passes_while_another_is_sealing(pool: Pool, unit_of_work: PostgresUnitOfWork) -> None:
    await fill(unit_of_work, 0, 5, NOW)
    async with unit_of_work.begin() as transaction:
        assert await chains_of(transaction).try_to_seal()
        await sealer(unit_of_work, NOW + SEAL_AFTER).step()
        assert await pool.fetchval("SELECT count(*) FROM ledger.blocks") == 0
    await sealer(unit_of_work, NOW + SEAL_AFTER).step()
    assert await check_blocks(pool) == 1


async def test_what_waits_and_what_is_sealed_is_told(unit_of_work: PostgresUnitOfWork) -> None:
    registry = CollectorRegistry()
    await fill(unit_of_work, 0, 7, NOW)
    clock = SimulatedRuntime(1, start=NOW + timedelta(seconds=3))
    watched = Sealer(unit_of_work.begin, chains_of, clock, ChainMetrics(registry))

    def told() -> list[float | None]:
        names = ("entries_unsealed", "oldest_unsealed_seconds", "blocks_sealed_total", "entries_sealed_total")
        return [registry.get_sample_value(f"rialto_ledger_{name}") for name in names]

    await watched.step()
    assert told() == [7, 3, 0, 0]
    await clock.sleep(2)
    await watched.step()
    assert told() == [7, 5, 1, 7]
    await watched.step()
    assert told() == [0, 0, 1, 7]


async def test_a_deleted_link_stops_the_sealing_loudly(
    database: Database, pool: Pool, unit_of_work: PostgresUnitOfWork
) -> None:
    await fill(unit_of_work, 0, 9, NOW)
    for position in (2, 1):
        with psycopg.connect(database.superuser_dsn()) as connection:
            connection.execute("DELETE FROM ledger.journal_entries WHERE chain_position = %s", [position])
        with pytest.raises(InvariantViolated):
            await sealer(unit_of_work, NOW + SEAL_AFTER).step()
    assert await pool.fetchval("SELECT count(*) FROM ledger.blocks") == 0


# Over HTTP ----------------------------------------------------------------------------------------------------------


async def test_a_proof_is_served_once_the_entry_is_sealed_and_leads_to_a_listed_block(
    world: World, unit_of_work: PostgresUnitOfWork
) -> None:
    async with world.client() as operator, world.client(MERCHANT) as merchant, world.client(STRANGER) as stranger:
        await operator.post("/v1/accounts", json=wallet_body())
        assert (await merchant.post("/v1/journal_entries", json=top_up_body(1))).status_code == 201
        path = f"/v1/journal_entries/{ids.to_text('je', number_id('top_up', 1))}/proof"
        early = await merchant.get(path)
        assert (early.status_code, early.json()["code"], early.headers["Retry-After"]) == (
            409,
            "entry_not_sealed_yet",
            "5",
        )
        await sealer(unit_of_work, datetime.now(UTC) + SEAL_AFTER).step()
        served = (await merchant.get(path)).json()
        [listed] = (await stranger.get("/v1/blocks")).json()["data"]
        whole = (await stranger.get("/v1/blocks/1")).json()
        assert (await stranger.get(path)).json()["code"] == "entry_not_found"
        assert (await stranger.get("/v1/blocks?after=1")).json() == {"data": [], "has_more": False}
        assert (await stranger.get("/v1/blocks/2")).json()["code"] == "block_not_found"
    assert served["entry"]["id"] == str(number_id("top_up", 1))
    assert served["proof"]["hash"] == served["entry"]["hash"]
    assert served["proof"]["block"]["super_root"] == listed["super_root"] == whole["super_root"]
    assert {name: whole[name] for name in listed} == listed
    # The header alone gives the super-root, as docs/ledger/PROOFS.md writes it.
    sealed_at = datetime.fromisoformat(listed["sealed_at"]) - datetime(1970, 1, 1, tzinfo=UTC)
    written = (
        b"rialto.block.v1\0"
        + listed["number"].to_bytes(8, "big")
        + (sealed_at // timedelta(microseconds=1)).to_bytes(8, "big", signed=True)
        + bytes([listed["shard_count"]])
        + bytes.fromhex(listed["previous"])
        + bytes.fromhex(listed["shards_root"])
    )
    assert hashlib.sha256(written).hexdigest() == listed["super_root"]


async def test_a_proof_of_an_entry_that_was_changed_is_not_served_and_the_old_one_tells(
    world: World, database: Database, unit_of_work: PostgresUnitOfWork
) -> None:
    path = f"/v1/journal_entries/{ids.to_text('je', number_id('top_up', 1))}/proof"
    async with world.client() as operator:
        await operator.post("/v1/accounts", json=wallet_body())
        await operator.post("/v1/journal_entries", json=top_up_body(1))
        await sealer(unit_of_work, datetime.now(UTC) + SEAL_AFTER).step()
        proof = InclusionProof.from_json((await operator.get(path)).json()["proof"])
        with psycopg.connect(database.superuser_dsn()) as connection:
            connection.execute("UPDATE ledger.postings SET amount_minor = amount_minor + 1")
        assert (await operator.get(path)).status_code == 500
    changed = await PostgresReader(world.service.pool).entry(number_id("top_up", 1))
    assert changed is not None
    assert not check(proof, changed, proof.super_root)


async def test_blocks_come_in_pages(world: World, unit_of_work: PostgresUnitOfWork) -> None:
    for nth in range(3):
        await fill(unit_of_work, nth * 3, 3, NOW)
        await sealer(unit_of_work, NOW + SEAL_AFTER).step()
    async with world.client() as client, world.client(None) as nobody:
        first = (await client.get("/v1/blocks?limit=2")).json()
        assert ([block["number"] for block in first["data"]], first["has_more"]) == ([1, 2], True)
        rest = (await client.get("/v1/blocks?after=2&limit=2")).json()
        assert ([block["number"] for block in rest["data"]], rest["has_more"]) == ([3], False)
        assert (await nobody.get("/v1/blocks")).status_code == 401
        assert (await client.get("/v1/blocks/0")).status_code == 400


# Months -------------------------------------------------------------------------------------------------------------

MONTHS = """SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = ANY (ARRAY['ledger.journal_entries', 'ledger.postings']::REGCLASS[]) AND c.relname ~ '[0-9]{6}$'"""


async def test_months_are_made_ahead_of_the_time_and_once(pool: Pool, unit_of_work: PostgresUnitOfWork) -> None:
    keeper = Keeper(unit_of_work.begin, chains_of, SimulatedRuntime(1, start=NOW))
    for _ in range(2):
        assert await keeper.step() == DAY_SECONDS
        assert await pool.fetchval(MONTHS) == 2 * 3
    await fill(unit_of_work, 0, 3, NOW)
    lie_in = await pool.fetch(
        "SELECT tableoid::REGCLASS::TEXT AS name, count(*) FROM ledger.journal_entries GROUP BY 1"
    )
    assert [tuple(row) for row in lie_in] == [("ledger.journal_entries_202603", 3)]


async def test_the_keeper_gives_up_soon_where_the_journal_is_read(
    database: Database, pool: Pool, unit_of_work: PostgresUnitOfWork
) -> None:
    keeper = Keeper(unit_of_work.begin, chains_of, SimulatedRuntime(1, start=NOW))
    async with unit_of_work.begin() as reading:
        await reading.connection.fetch("SELECT count(*) FROM ledger.journal_entries")
        async with asyncio.timeout(10):
            assert await keeper.step() == PAUSE_SECONDS
    assert await keeper.step() == DAY_SECONDS
    assert await pool.fetchval(MONTHS) == 2 * 3
