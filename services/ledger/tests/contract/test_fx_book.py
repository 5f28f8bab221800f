"""One suite for rates, quotes and their uses in memory and in PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool, open_pool
from rialto_common.money import MAX_MINOR
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import MemoryLedgers
from rialto_ledger.adapters.memory_fx import FxTables, MemoryFxBook, MemoryQuoteUses
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.adapters.postgres_fx import PostgresFxBook, PostgresQuoteUses
from rialto_ledger.application.posting import post
from rialto_ledger.application.quotes import ClaimingLedger, FxBook
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.commands import Command, OpenAccount, PostEntry, ReverseEntry
from rialto_ledger.domain.fx import Quote
from rialto_ledger.domain.fx_errors import QuoteNotFound, QuoteUsed
from rialto_ledger.domain.fx_positions import Trade
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import EntryPosted, Outcome
from rialto_ledger.fx_testing import OBSERVED, convert, euro_rate, quote, wallet_in
from rialto_ledger.testing import NOW, merchant_id, number_id

DAY = timedelta(days=1)


class World:
    """Books that are joined to quotes, whichever kind they are."""

    def __init__(self, fx: FxBook, begin: Callable[[], AbstractAsyncContextManager[ClaimingLedger]]) -> None:
        self.fx = fx
        self.begin = begin

    async def do(self, *commands: Command, at: datetime = NOW) -> Sequence[Outcome]:
        """Post one batch in one transaction."""
        async with self.begin() as ledger:
            return (await post(ledger, commands, at)).decision.outcomes

    async def fund(self) -> None:
        """Open a wallet in each currency and put money into them, by an entry that is no conversion."""
        for number, currency in enumerate(("EUR", "USD", "GBP")):
            spec = wallet_in(currency)
            money = top_up_in(currency)._replace(entry_id=number_id("funding", number))
            await self.do(OpenAccount(spec), money)

    async def hold(self, *quotes: Quote) -> None:
        """Keep quotes."""
        for made in quotes:
            await self.fx.add_quote(made)

    async def trades(self) -> list[Trade]:
        """Return the trades in test mode."""
        return [trade async for trade in self.fx.trades("test")]


def in_memory() -> World:
    ledgers, tables, runtime = MemoryLedgers(), FxTables(), SimulatedRuntime(1)
    unit_of_work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)

    @asynccontextmanager
    async def begin() -> AsyncIterator[ClaimingLedger]:
        async with unit_of_work.begin() as transaction:
            yield ClaimingLedger(ledgers.of(transaction), MemoryQuoteUses(tables, transaction))

    return World(MemoryFxBook(tables, ledgers.books), begin)


def in_postgres(pool: Pool) -> World:
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())

    @asynccontextmanager
    async def begin() -> AsyncIterator[ClaimingLedger]:
        async with unit_of_work.begin() as transaction:
            yield ClaimingLedger(PostgresLedger(transaction.connection), PostgresQuoteUses(transaction.connection))

    return World(PostgresFxBook(pool), begin)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    yield in_postgres(pool)
    await pool.close()


def top_up_in(currency: str) -> PostEntry:
    """Return a command that pays 1000.00 into the first wallet of a currency."""
    spec, acquirer = wallet_in(currency), chart.test_acquirer(currency)
    postings = posting_rules.top_up(spec.id, acquirer, 100_000)
    return PostEntry(number_id("funding", 0), "top_up", spec.id, "test", 0, None, postings, (acquirer,), NOW)


def entry_of(outcome: Outcome) -> JournalEntry:
    assert outcome.error is None
    assert isinstance(outcome.result, EntryPosted)
    return outcome.result.entry


async def test_the_newest_rate_of_a_source_counts(world: World) -> None:
    old, new = euro_rate("USD", "1.0700", observed_at=OBSERVED - DAY), euro_rate("USD", "1.0800")
    other = euro_rate("USD", "9.9999", source="sample", observed_at=OBSERVED + DAY)
    assert await world.fx.add_rates([new, euro_rate("GBP", "0.864")], NOW) == 2
    assert await world.fx.add_rates([old, other], NOW + DAY) == 2
    assert await world.fx.latest_rates("ecb", ["USD", "GBP", "JPY"]) == {
        "USD": new,
        "GBP": euro_rate("GBP", "0.864"),
    }
    assert await world.fx.latest_rates("sample", ["USD"]) == {"USD": other}
    assert await world.fx.latest_rates("ecb", []) == {}


async def test_a_rate_is_kept_once_and_its_correction_counts(world: World) -> None:
    wrong, right = euro_rate("USD", "10.800"), euro_rate("USD", "1.0800")
    assert await world.fx.add_rates([wrong], NOW) == 1
    assert await world.fx.add_rates([wrong], NOW + DAY) == 0
    assert await world.fx.add_rates([wrong, right], NOW + DAY) == 1
    assert await world.fx.latest_rates("ecb", ["USD"]) == {"USD": right}
    assert await world.fx.add_rates([], NOW) == 0


@pytest.mark.parametrize("per_euro", ["0.000000000001", "999999999999.999999999999"])
async def test_a_rate_reads_back_to_its_last_digit(world: World, per_euro: str) -> None:
    await world.fx.add_rates([euro_rate("USD", per_euro)], NOW)
    assert await world.fx.latest_rates("ecb", ["USD"]) == {"USD": euro_rate("USD", per_euro)}


@pytest.mark.parametrize(("sell", "buy"), [("EUR", "USD"), ("USD", "EUR"), ("USD", "GBP")])
async def test_a_quote_reads_back_as_it_was_made(world: World, sell: str, buy: str) -> None:
    made = quote(sell=sell, buy=buy, merchant_id=merchant_id())
    largest = replace(made, id=number_id("fx_quote", 1), merchant_id=None, mode="live", sell_amount_minor=MAX_MINOR)
    await world.hold(made, largest)
    assert await world.fx.quote(made.id) == made
    assert await world.fx.quote(largest.id) == largest
    assert await world.fx.quote(number_id("fx_quote", 2)) is None


async def test_a_quote_is_used_with_its_entry_and_told_so(world: World) -> None:
    made = quote()
    await world.fund()
    await world.hold(made)
    (posted,) = await world.do(convert(made))
    entry = entry_of(posted)
    used = await world.fx.quote(made.id)
    assert used == replace(made, used_by=entry.id)
    (again,) = await world.do(convert(made), at=NOW + DAY)
    assert entry_of(again) == entry
    assert await world.trades() == [Trade("EUR", 10_000, "USD", 10_746)]


async def test_a_second_entry_at_one_quote_is_refused_and_posts_nothing(world: World) -> None:
    made = quote()
    await world.fund()
    await world.hold(made)
    await world.do(convert(made))
    with pytest.raises(QuoteUsed) as refused:
        await world.do(convert(made, entry=1))
    assert refused.value.quote_id == made.id
    (again,) = await world.do(convert(made))
    assert entry_of(again).id == number_id("conversion", 0)
    assert len(await world.trades()) == 1


async def test_two_entries_at_one_quote_in_one_batch_are_refused_together(world: World) -> None:
    made = quote()
    await world.fund()
    await world.hold(made)
    with pytest.raises(QuoteUsed):
        await world.do(convert(made), convert(made, entry=1))
    assert await world.fx.quote(made.id) == made
    assert await world.trades() == []


async def test_a_refused_conversion_leaves_its_quote_unused(world: World) -> None:
    large = quote(amount_minor=100_001)
    await world.fund()
    await world.hold(large)
    (refused,) = await world.do(convert(large))
    assert refused.error is not None
    assert refused.error.stable_code == "insufficient_funds"
    assert await world.fx.quote(large.id) == large


async def test_a_conversion_at_a_quote_that_is_not_on_record_is_refused(world: World) -> None:
    await world.fund()
    with pytest.raises(QuoteNotFound):
        await world.do(convert(quote(7)))
    with pytest.raises(QuoteNotFound):
        await world.do(convert(quote(7))._replace(metadata={}))
    assert await world.trades() == []


async def test_a_rolled_back_use_is_none(world: World) -> None:
    made = quote()
    await world.fund()
    await world.hold(made)

    async def use_and_fail() -> None:
        async with world.begin() as ledger:
            await post(ledger, [convert(made)], NOW)
            raise RuntimeError("the transaction fails")

    with pytest.raises(RuntimeError):
        await use_and_fail()
    assert await world.fx.quote(made.id) == made
    (posted,) = await world.do(convert(made, entry=1))
    assert entry_of(posted).id == number_id("conversion", 1)


async def test_trades_come_in_the_order_of_their_posting_and_reversals_backwards(world: World) -> None:
    quotes = [quote(0, 5_000), quote(1, 3_000, sell="USD", buy="EUR"), quote(2, 2_000, sell="GBP", buy="USD")]
    await world.fund()
    await world.hold(*quotes)
    for number in (2, 0, 1):
        await world.do(convert(quotes[number], entry=number), at=NOW + timedelta(seconds=3 - number))
    first = entry_of((await world.do(convert(quotes[1], entry=1)))[0])
    later = NOW + timedelta(hours=1)
    await world.do(ReverseEntry(first.id, "test", later), at=later)
    trades = await world.trades()
    assert [(t.sell_currency, t.sell_amount_minor, t.buy_currency) for t in trades] == [
        ("GBP", 2_000, "USD"),
        ("USD", 3_000, "EUR"),
        ("EUR", 5_000, "USD"),
        ("EUR", quotes[1].buy_amount_minor, "USD"),
    ]
    assert trades[3] == trades[1].backwards()
    assert [trade async for trade in world.fx.trades("live")] == []
