"""One suite for sealing in memory and in PostgreSQL: every entry comes under one block, and every block holds."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import MemoryLedgers, MemoryReader
from rialto_ledger.adapters.memory_chain import MemoryChainReader, MemoryChains
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.adapters.postgres_chain import PostgresChainReader, PostgresChains
from rialto_ledger.application import sealer as sealing
from rialto_ledger.application.ports import ChainReader, Chains, ConcurrentPosting, Ledger, Reader
from rialto_ledger.application.posting import post
from rialto_ledger.application.sealer import PAUSE_SECONDS, SEAL_AFTER, Sealer
from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, Block, InclusionProof, check, seal
from rialto_ledger.domain.commands import Command
from rialto_ledger.domain.errors import EntryNotSealedYet
from rialto_ledger.entrypoints.proofs_http import ProofDesk
from rialto_ledger.testing import NOW, number_id, open_wallet, top_up, wallet

OPERATOR = Caller("test", None, "test")
WALLETS = 6


@dataclass
class Told:
    """What a sealer told."""

    waiting_: list[tuple[int, float]] = field(default_factory=list)
    sealed_: list[int] = field(default_factory=list)

    def waiting(self, entries: int, oldest_seconds: float) -> None:
        self.waiting_.append((entries, oldest_seconds))

    def sealed(self, entries: int) -> None:
        self.sealed_.append(entries)


@dataclass
class World:
    """Books whose clock stands until it is moved."""

    unit_of_work: Any
    ledger_of: Callable[[Any], Ledger]
    chains_of: Callable[[Any], Chains]
    reader: Reader
    chains: ChainReader
    clock: SimulatedRuntime
    told: Told = field(default_factory=Told)

    async def do(self, *commands: Command) -> None:
        """Post a batch now."""
        async with self.unit_of_work.begin() as transaction:
            await post(self.ledger_of(transaction), commands, self.clock.now())

    async def top_up(self, *numbers: int) -> None:
        """Post the nth top-ups, each to one of some wallets, and so to their shards."""
        await self.do(*(top_up(number % WALLETS, 100, entry=number) for number in numbers))

    async def step(self) -> float:
        """Take a sealer's step."""
        return await Sealer(self.unit_of_work.begin, self.chains_of, self.clock, self.told).step()

    async def wait(self, seconds: float = SEAL_AFTER.total_seconds()) -> None:
        """Let time pass."""
        await self.clock.sleep(seconds)

    async def blocks(self) -> list[Block]:
        """Return every block."""
        return list(await self.chains.blocks(0, 100))


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    clock = SimulatedRuntime(1, start=NOW)
    if request.param == "memory":
        ledgers = MemoryLedgers()
        made = World(
            MemoryUnitOfWork(MemoryBus(clock, faults=Faults.none()), clock),
            ledgers.of,
            lambda transaction: MemoryChains(ledgers.of(transaction)),
            MemoryReader(ledgers.books),
            MemoryChainReader(ledgers.books),
            clock,
        )
        await made.do(*(open_wallet(number) for number in range(WALLETS)))
        yield made
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    made = World(
        PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime()),
        lambda transaction: PostgresLedger(transaction.connection),
        lambda transaction: PostgresChains(transaction.connection),
        PostgresReader(pool),
        PostgresChainReader(pool),
        clock,
    )
    await made.do(*(open_wallet(number) for number in range(WALLETS)))
    yield made
    await pool.close()


async def test_nothing_is_sealed_before_its_time_and_all_of_it_then(world: World) -> None:
    await world.top_up(*range(10))
    await world.wait(SEAL_AFTER.total_seconds() - 1)
    assert await world.step() == PAUSE_SECONDS
    assert await world.blocks() == []
    await world.top_up(10)
    await world.wait(1)
    await world.step()
    [block] = await world.blocks()
    assert (block.number, block.previous, sum(map(len, block.shards))) == (1, BEFORE_THE_FIRST, 11)
    assert world.told.waiting_ == [(10, 4.0), (11, 5.0)]
    assert world.told.sealed_ == [11]


async def test_blocks_follow_each_other_and_seal_each_entry_once(world: World) -> None:
    for first in (0, 7, 20):
        await world.top_up(*range(first, first + 7))
        await world.wait()
        await world.step()
    blocks = await world.blocks()
    assert [block.number for block in blocks] == [1, 2, 3]
    assert [block.previous for block in blocks] == [BEFORE_THE_FIRST, blocks[0].super_root, blocks[1].super_root]
    assert all(seal(b.number, b.sealed_at, b.previous, b.shards) == b for b in blocks)
    for shard in {wallet(number).shard for number in range(WALLETS)}:
        reached = 0
        for span in [span for block in blocks for span in block.shards if span.shard == shard]:
            assert span.first_position == reached + 1
            reached = span.last_position
    assert sum(len(span) for block in blocks for span in block.shards) == 21


async def test_what_is_sealed_is_not_sealed_again(world: World) -> None:
    await world.top_up(*range(5))
    await world.wait()
    for _ in range(3):
        await world.step()
        await world.wait()
    assert world.told.sealed_ == [5]
    assert world.told.waiting_[1:] == [(0, 0.0), (0, 0.0)]


async def test_entries_from_a_clock_that_was_ahead_are_sealed_all_the_same(world: World) -> None:
    ahead = replace(world, clock=SimulatedRuntime(1, start=NOW + timedelta(days=8)))
    await ahead.top_up(*range(5))
    await world.step()
    assert world.told.sealed_ == [5]
    assert world.told.waiting_ == [(5, 0.0)]


async def test_many_entries_are_sealed_at_once_in_bounded_blocks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_ENTRIES", 8)
    await world.top_up(*range(20))
    assert [await world.step() for _ in range(3)] == [0.0, 0.0, PAUSE_SECONDS]
    assert world.told.sealed_ == [8, 8]
    await world.wait()
    await world.step()
    assert world.told.sealed_ == [8, 8, 4]


async def test_every_entry_can_be_proved_once_it_is_sealed(world: World) -> None:
    desk = ProofDesk(world.reader, world.chains)
    await world.top_up(*range(9))
    await world.wait()
    await world.step()
    await world.top_up(*range(9, 15))
    with pytest.raises(EntryNotSealedYet):
        await desk.proof(number_id("top_up", 12), OPERATOR)
    await world.wait()
    await world.step()
    super_roots = {block.number: block.super_root for block in await world.blocks()}
    for number in range(15):
        entry = await world.reader.entry(number_id("top_up", number))
        proof = InclusionProof.from_json((await desk.proof(number_id("top_up", number), OPERATOR)).proof)
        assert entry is not None
        assert check(proof, entry, super_roots[proof.block_number])


async def test_a_block_that_was_sealed_meanwhile_is_not_sealed_over(world: World) -> None:
    await world.top_up(0)
    await world.wait()
    await world.step()
    [block] = await world.blocks()
    with pytest.raises(ConcurrentPosting):
        async with world.unit_of_work.begin() as transaction:
            await world.chains_of(transaction).add_block(block)
    assert await world.blocks() == [block]


async def test_blocks_are_listed_after_a_number(world: World) -> None:
    for number in range(3):
        await world.top_up(number)
        await world.wait()
        await world.step()
    first, second, third = await world.blocks()
    assert await world.chains.blocks(1, 1) == [second]
    assert await world.chains.blocks(1, 9) == [second, third]
    assert await world.chains.block_of(first.shards[0].shard, 1) == first
    assert await world.chains.block_of(first.shards[0].shard, 99) is None
    assert timedelta(0) < second.sealed_at - first.sealed_at
