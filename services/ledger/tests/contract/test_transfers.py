"""One suite for transfers on record, in memory and in PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.money import MAX_MINOR
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import MemoryLedgers
from rialto_ledger.adapters.memory_transfers import MemoryTransferReader, MemoryTransfers, TransferRows
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.adapters.postgres_transfers import PostgresTransferReader, PostgresTransfers
from rialto_ledger.application.ports import ConcurrentPosting, Ledger
from rialto_ledger.application.transfers import TransferReader, Transfers
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState
from rialto_ledger.testing import NOW, merchant_id
from rialto_ledger.transfer_testing import EAST, WEST, transfer, wallet_in

SOURCE, TARGET = wallet_in(EAST), wallet_in(WEST)
LATER = NOW + timedelta(minutes=1)
Begin = Callable[[], AbstractAsyncContextManager[tuple[Transfers, Ledger]]]


class World:
    """Transfers behind a transaction, whichever kind they are."""

    def __init__(self, reader: TransferReader, begin: Begin) -> None:
        self.reader = reader
        self.begin = begin

    async def add(self, *new: Transfer) -> None:
        async with self.begin() as (records, _):
            await records.add(new)

    async def end(self, *ended: Transfer) -> None:
        async with self.begin() as (records, _):
            await records.end(ended)

    async def find(self, side: TransferSide, *wanted: Transfer) -> list[Transfer]:
        async with self.begin() as (records, _):
            found = await records.find(side, {each.id for each in wanted})
        return [found[each.id] for each in wanted if each.id in found]


def in_memory() -> World:
    ledgers, rows, runtime = MemoryLedgers(), TransferRows({}), SimulatedRuntime(1)
    unit_of_work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)

    @asynccontextmanager
    async def begin() -> AsyncIterator[tuple[Transfers, Ledger]]:
        async with unit_of_work.begin() as transaction:
            ledger = ledgers.of(transaction)
            yield MemoryTransfers(rows, transaction), ledger

    return World(MemoryTransferReader(rows), begin)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())

    @asynccontextmanager
    async def begin() -> AsyncIterator[tuple[Transfers, Ledger]]:
        async with unit_of_work.begin() as transaction:
            yield PostgresTransfers(transaction.connection), PostgresLedger(transaction.connection)

    yield World(PostgresTransferReader(pool), begin)
    await pool.close()


def told(number: int, code: str | None = None) -> Transfer:
    """Return a transfer as its receiver keeps it."""
    state = TransferState.REFUSED if code else TransferState.RECEIVED
    asked = transfer(number, SOURCE, TARGET, 10)
    return replace(asked, side=TransferSide.RECEIVER, state=state, ended_at=LATER, refusal_code=code)


async def test_a_transfer_reads_back_as_it_was_kept(world: World) -> None:
    rent = transfer(0, SOURCE, TARGET, MAX_MINOR, merchant_id=merchant_id())
    booked = replace(transfer(1, SOURCE, TARGET, 1), state=TransferState.RECEIVED, ended_at=NOW)
    await world.add(rent, booked)
    await world.add(told(2), told(3, "account_closed"))
    assert await world.find(TransferSide.SENDER, rent, booked, told(2)) == [rent, booked]
    assert await world.find(TransferSide.RECEIVER, rent, told(2), told(3)) == [told(2), told(3, "account_closed")]
    assert await world.reader.transfer(rent.id) == rent
    assert await world.reader.transfer(told(3).id) == told(3, "account_closed")
    assert await world.reader.transfer(merchant_id()) is None


async def test_both_sides_of_a_transfer_may_be_in_one_ledger_and_the_senders_is_read(world: World) -> None:
    asked = transfer(0, SOURCE, TARGET, 10)
    await world.add(asked)
    await world.add(told(0))
    assert await world.reader.transfer(asked.id) == asked
    assert await world.find(TransferSide.RECEIVER, asked) == [told(0)]


async def test_an_end_is_written_once_and_for_good(world: World) -> None:
    first, second = (transfer(number, SOURCE, TARGET, 10) for number in range(2))
    await world.add(first, second)
    received, returned = first.received(LATER), second.returned("account_not_found", LATER)
    await world.end(received, returned)
    assert await world.find(TransferSide.SENDER, first, second) == [received, returned]
    await world.end(first.returned("account_closed", LATER), second.received(LATER))
    assert await world.find(TransferSide.SENDER, first, second) == [received, returned]


async def test_a_transfer_is_kept_once(world: World) -> None:
    asked = transfer(0, SOURCE, TARGET, 10)
    await world.add(asked)
    with pytest.raises(ConcurrentPosting):
        await world.add(replace(asked, amount_minor=11))
    assert await world.reader.transfer(asked.id) == asked


async def test_what_a_transaction_kept_is_seen_later_in_it_and_gone_when_it_fails(world: World) -> None:
    asked = transfer(0, SOURCE, TARGET, 10)

    async def fail() -> None:
        async with world.begin() as (records, _):
            await records.add([asked])
            assert await records.find(TransferSide.SENDER, {asked.id}) == {asked.id: asked}
            raise RuntimeError("the transaction fails")

    with pytest.raises(RuntimeError):
        await fail()
    assert await world.reader.transfer(asked.id) is None
