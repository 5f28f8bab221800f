"""One suite for the books in memory and in PostgreSQL: what a batch leaves behind, read back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.money import MAX_MINOR
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import MemoryLedgers, MemoryReader
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.ports import Known, Ledger, Reader
from rialto_ledger.application.posting import post, rehearse
from rialto_ledger.domain import chain
from rialto_ledger.domain.account import AccountStatus
from rialto_ledger.domain.balance import available_balance, ledger_balance, signed_balance
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.chain import ChainHead
from rialto_ledger.domain.commands import ChangeAccountStatus, Command, OpenAccount
from rialto_ledger.domain.outcomes import EntryPosted, HoldCaptured, HoldReleased, Outcome, SettlementPosted
from rialto_ledger.testing import NOW, Payment, merchant_id, number_id, open_wallet, top_up, wallet

NOTHING = Decision([], [], [], [], [], {})


class World:
    """Books behind a transaction, whichever kind they are."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Ledger]:
        raise NotImplementedError
        yield

    async def do(self, *commands: Command, at: datetime = NOW) -> Sequence[Outcome]:
        """Post one batch in one transaction."""
        async with self.begin() as ledger:
            return (await post(ledger, commands, at)).decision.outcomes

    async def balances(self, number: int = 0) -> tuple[int, int]:
        """Return ledger and available balance of the nth wallet."""
        account = await self.reader.account(wallet(number).id)
        assert account is not None
        return ledger_balance(account), available_balance(account)


class MemoryWorld(World):
    def __init__(self) -> None:
        self.ledgers = MemoryLedgers()
        runtime = SimulatedRuntime(1)
        self.unit_of_work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)
        super().__init__(MemoryReader(self.ledgers.books))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Ledger]:
        async with self.unit_of_work.begin() as transaction:
            yield self.ledgers.of(transaction)


class PostgresWorld(World):
    def __init__(self, unit_of_work: PostgresUnitOfWork, reader: Reader) -> None:
        self.unit_of_work = unit_of_work
        super().__init__(reader)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Ledger]:
        async with self.unit_of_work.begin() as transaction:
            yield PostgresLedger(transaction.connection)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())
    yield PostgresWorld(unit_of_work, PostgresReader(pool))
    await pool.close()


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.error.stable_code if outcome.error else outcome.status.value for outcome in outcomes]


async def test_a_payments_whole_life_leaves_the_right_balances_and_entries(world: World) -> None:
    payment = Payment(amount_minor=1000)
    await world.do(open_wallet(), top_up(0, 5000))
    await world.do(payment.place())
    assert await world.balances() == (5000, 4000)
    await world.do(payment.capture(300, final=False))
    assert await world.balances() == (4700, 4000)
    await world.do(payment.capture(600, ordinal=1, final=True))
    assert await world.balances() == (4100, 4100)
    await world.do(payment.confirm(amount_minor=900))
    entries = await world.reader.entries_of_payment(payment.id)
    assert sorted(entry.kind for entry in entries) == ["capture", "capture", "chain_settlement"]
    payable = await world.reader.account(payment.payable.id)
    treasury = await world.reader.account(payment.settlement_accounts.treasury.id)
    assert payable is not None
    assert treasury is not None
    assert (ledger_balance(payable), ledger_balance(treasury)) == (0, -9_000_000)


async def test_an_account_reads_back_as_it_was_opened(world: World) -> None:
    spec = wallet(3, currency="EUR", owner=merchant_id(4))
    assert codes(await world.do(OpenAccount(spec))) == ["applied"]
    account = await world.reader.account(spec.id)
    assert account is not None
    assert (account.spec, account.debits_minor, account.credits_minor, account.held_minor) == (spec, 0, 0, 0)
    assert await world.reader.accounts_by_code(spec.code, "test") == [account]
    assert await world.reader.accounts_by_code(spec.code, "live") == []
    assert await world.reader.account(wallet(99).id) is None
    assert codes(await world.do(OpenAccount(spec), OpenAccount(replace(spec, currency="USD")))) == [
        "duplicate",
        "account_id_reused_with_other_content",
    ]


async def test_an_entry_reads_back_as_it_was_posted(world: World) -> None:
    (_, posted) = await world.do(open_wallet(), top_up(0, MAX_MINOR, metadata={"note": "largest"}))
    assert isinstance(posted.result, EntryPosted)
    entry = posted.result.entry
    assert await world.reader.entry(entry.id) == entry
    assert await world.reader.entry(Payment().id) is None


async def test_first_answers_are_repeated_in_later_transactions(world: World) -> None:
    payment, refused = Payment(1, amount_minor=1000), Payment(2, amount_minor=9000)
    await world.do(open_wallet(), top_up(0, 2000))
    first = payment.capture(400, final=False)
    await world.do(payment.place(), refused.place(), first, payment.capture(100, ordinal=1, final=True))
    await world.do(top_up(0, 50_000, entry=1))
    outcomes = await world.do(top_up(0, 2000), payment.place(), refused.place(), first)
    assert codes(outcomes) == ["duplicate", "duplicate", "insufficient_funds", "duplicate"]
    answer = outcomes[-1].result
    assert isinstance(answer, HoldCaptured)
    assert (answer.amount_minor, answer.remaining_minor, answer.final) == (400, 600, False)
    assert await world.balances() == (51_500, 51_500)


async def test_a_raised_hold_reads_back_in_later_transactions(world: World) -> None:
    payment = Payment(1, amount_minor=1000)
    await world.do(open_wallet(), top_up(0, 2000), payment.place())
    assert codes(await world.do(payment.increase(1500))) == ["applied"]
    assert await world.balances() == (2000, 500)
    hold = await world.reader.hold(payment.hold_id)
    assert hold is not None
    assert (hold.amount_minor, hold.placed_minor, hold.version) == (1500, 1000, 2)
    assert codes(await world.do(payment.increase(1500), payment.place(), payment.increase(2001, ordinal=2))) == [
        "duplicate",
        "duplicate",
        "insufficient_funds",
    ]
    assert codes(await world.do(payment.capture(1500))) == ["applied"]
    assert await world.balances() == (500, 500)


async def test_the_same_ids_with_other_content_are_refused_in_later_transactions(world: World) -> None:
    payment = Payment(1, amount_minor=1000)
    await world.do(open_wallet(), top_up(0, 2000))
    await world.do(payment.place(), payment.capture(400, final=False), payment.confirm())
    outcomes = await world.do(
        top_up(0, 2001),
        top_up(0, 2000, metadata={"note": "other"}),
        replace(payment, amount_minor=999).place(),
        payment.capture(401, final=False),
        payment.confirm(sequence=9, amount_minor=1),
    )
    assert codes(outcomes) == [
        "entry_id_reused_with_other_content",
        "entry_id_reused_with_other_content",
        "hold_id_reused_with_other_content",
        "entry_id_reused_with_other_content",
        "entry_id_reused_with_other_content",
    ]


async def test_an_early_void_is_remembered(world: World) -> None:
    payment = Payment()
    await world.do(open_wallet(), top_up(0, 2000))
    (voided,) = await world.do(payment.void())
    assert isinstance(voided.result, HoldReleased)
    assert voided.result.released_minor == 0
    assert codes(await world.do(payment.place(), payment.capture(), payment.void())) == [
        "hold_already_voided",
        "hold_already_voided",
        "duplicate",
    ]
    assert await world.balances() == (2000, 2000)


async def test_refusals_of_unknown_accounts_and_currencies_leave_nothing(world: World) -> None:
    ghost = Payment(currency="ZZZ")
    outcomes = await world.do(
        Payment(1, wallet_number=77).place(), top_up(77, 5), ghost.confirm(), Payment(2).capture()
    )
    assert codes(outcomes) == ["account_not_found", "account_not_found", "account_not_found", "hold_not_found"]
    assert await world.reader.account(ghost.payable.id) is None


async def test_a_reorganised_settlement_nets_to_one_payment(world: World) -> None:
    payment = Payment()
    await world.do(payment.confirm(sequence=1))
    await world.do(payment.reorg(sequence=2))
    await world.do(payment.reorg(sequence=2))
    (again,) = await world.do(payment.confirm(sequence=3))
    assert isinstance(again.result, SettlementPosted)
    assert again.result.ordinal == 1
    assert codes(await world.do(payment.confirm(sequence=1), payment.reorg(sequence=2))) == ["duplicate"] * 2
    entries = await world.reader.entries_of_payment(payment.id)
    assert len(entries) == 3
    assert [entry.reverses for entry in entries if entry.kind == "chain_settlement_reversal"] == [
        next(e.id for e in entries if e.kind == "chain_settlement" and e.metadata["block_number"] == "101")
    ]
    treasury = await world.reader.account(payment.settlement_accounts.treasury.id)
    assert treasury is not None
    assert ledger_balance(treasury) == -10_000_000


async def test_only_holds_past_their_deadline_are_due_the_longest_overdue_first(world: World) -> None:
    await world.do(open_wallet(), top_up(0, 10_000))
    hours = [3, 1, 2, 5]
    payments = [Payment(number, amount_minor=100) for number in range(4)]
    await world.do(*(p.place(expires_at=NOW + timedelta(hours=h)) for p, h in zip(payments, hours, strict=True)))
    await world.do(payments[2].capture())
    now = NOW + timedelta(hours=3)
    async with world.begin() as ledger:
        due = await ledger.due_holds(now, 10)
        assert [command.hold_id for command in due] == [payments[1].hold_id, payments[0].hold_id]
        await post(ledger, due, now)
    async with world.begin() as ledger:
        assert await ledger.due_holds(now, 10) == []
    assert await world.balances() == (9900, 9800)


async def test_what_a_transaction_did_is_seen_later_in_it_and_gone_when_it_fails(world: World) -> None:
    await world.do(open_wallet(), top_up(0, 1000))

    async def twice_and_fail() -> None:
        async with world.begin() as ledger:
            await post(ledger, [Payment(1).place()], NOW)
            second = await post(ledger, [Payment(2).place(), Payment(1).capture()], NOW)
            assert codes(second.decision.outcomes) == ["insufficient_funds", "applied"]
            raise RuntimeError("the transaction fails")

    with pytest.raises(RuntimeError):
        await twice_and_fail()
    assert await world.balances() == (1000, 1000)
    assert codes(await world.do(Payment(2).place())) == ["applied"]


async def test_all_accounts_sum_to_zero_per_currency(world: World) -> None:
    payments = [Payment(n, amount_minor=100 + n, merchant_number=n % 2) for n in range(10)]
    await world.do(open_wallet(), top_up(0, 50_000))
    await world.do(*(p.place() for p in payments))
    await world.do(*(p.capture() for p in payments))
    await world.do(*(p.confirm() for p in payments))
    accounts = payments[0].settlement_accounts
    totals = {"USD": 0, "RUSD": 0}
    for code in {
        accounts.position.code,
        accounts.treasury.code,
        payments[0].payable.code,
        payments[1].payable.code,
        wallet().code,
        "acquirer:test:receivable",
    }:
        for account in await world.reader.accounts_by_code(code, "test"):
            totals[account.spec.currency] += signed_balance(account)
    assert totals == {"USD": 0, "RUSD": 0}


async def test_a_batch_decided_before_stands_while_its_accounts_and_entries_are_as_they_were(world: World) -> None:
    await world.do(open_wallet(), top_up(0, 100))
    account = await world.reader.account(wallet(0).id)
    assert account is not None
    account_id = account.id

    async def stands(version: int, *entry_ids: UUID) -> bool:
        async with world.begin() as ledger:
            unknown = {shard: ChainHead(shard, -1, b"") for shard in ([1, 5] if entry_ids else [])}
            ends = await ledger.save_as_known(Known({account_id: version}, entry_ids, unknown), NOTHING, [], NOW)
            assert ends is None or ends == await ledger.lock_heads(unknown.keys())
            return ends is not None

    assert await stands(account.version, number_id("entry", 1), number_id("entry", 2))
    assert await stands(account.version)
    assert not await stands(account.version - 1, number_id("entry", 1))
    assert not await stands(account.version, number_id("entry", 1), top_up(0, 100).entry_id)
    await world.do(ChangeAccountStatus(account_id, AccountStatus.FROZEN, "test", "a test"))
    assert not await stands(account.version, number_id("entry", 1))
    await world.do(top_up(0, 1, entry=1))
    changed = await world.reader.account(account_id)
    assert changed is not None
    assert changed.version == account.version + 2
    assert await stands(changed.version)


async def test_a_batch_decided_before_is_written_only_on_the_ends_of_the_chains_that_it_was_linked_to(
    world: World,
) -> None:
    await world.do(open_wallet(), open_wallet(1), top_up(0, 100), top_up(0, 1, entry=1))
    account = await world.reader.account(wallet(0).id)
    assert account is not None

    async def write(ends: Mapping[int, ChainHead] | None = None) -> bool:
        async with world.begin() as ledger:
            posted = await rehearse(ledger, [top_up(0, 7, entry=2)], NOW)
            shards = {entry.shard for entry in posted.decision.entries}
            ends = await ledger.lock_heads(shards) if ends is None else ends
            links, _ = chain.extend(ends, posted.decision.entries)
            versions = {account_id: posted.accounts[account_id].version for account_id in posted.decision.deltas}
            asked = [entry.id for entry in posted.decision.entries]
            found = await ledger.save_as_known(Known(versions, asked, ends), posted.decision, links, NOW)
            assert found == await ledger.lock_heads(shards) or found == ends
            return found == ends

    shard = account.spec.shard
    assert not await write({shard: ChainHead.genesis(shard)})
    assert await world.reader.account(account.id) == account
    assert await write()
    changed = await world.reader.account(account.id)
    assert changed is not None
    assert (changed.credits_minor, changed.version) == (account.credits_minor + 7, account.version + 1)
    assert await world.reader.entry(top_up(0, 7, entry=2).entry_id) is not None


async def test_accounts_are_read_as_far_as_they_are_open(world: World) -> None:
    await world.do(open_wallet(), top_up(0, 100))
    async with world.begin() as ledger:
        found = await ledger.accounts({wallet(0).id, wallet(1).id})
    assert found == {wallet(0).id: await world.reader.account(wallet(0).id)}
