"""One suite for the books' history in memory and in PostgreSQL, against a model that looks at every posting."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import MemoryLedgers
from rialto_ledger.adapters.memory_books import MemoryBooks
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.adapters.postgres_books import PostgresBooks
from rialto_ledger.application.books import BookReader
from rialto_ledger.application.posting import post
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec, AccountType, Side
from rialto_ledger.domain.commands import Command, OpenAccount, PostEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.domain.statement import AsOf, Cursor, Line, Period, Position, Statement, Turnover, page
from rialto_ledger.testing import NOW, merchant_id, number_id, wallet

FAR = NOW + timedelta(days=400)
"""Seen from here everything lies in the first half of an account's life, seen from NOW in the second."""


@dataclass
class Store:
    """Books that can be posted to, and read as they were."""

    do: Callable[..., Awaitable[None]]
    reader: BookReader


@dataclass(frozen=True)
class Known:
    """One posting, as the model keeps it."""

    account: AccountSpec
    position: Position
    effective_at: datetime
    side: Side
    amount_minor: int


@dataclass
class Model:
    """Every posting there is."""

    known: list[Known] = field(default_factory=list)

    def turnover(self, account: AccountSpec, counts: Callable[[Known], bool]) -> Turnover:
        sums = {Side.DEBIT: 0, Side.CREDIT: 0}
        for each in self.known:
            if each.account == account and counts(each):
                sums[each.side] += each.amount_minor
        return Turnover(sums[Side.DEBIT], sums[Side.CREDIT])

    def positions(self, account: AccountSpec, period: Period) -> list[Position]:
        return sorted(
            each.position
            for each in self.known
            if each.account == account and period.start <= each.position.recorded_at < period.end
        )


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        ledgers, runtime = MemoryLedgers(), SimulatedRuntime(1)
        in_memory = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)

        async def do(commands: Sequence[Command], at: datetime) -> None:
            async with in_memory.begin() as transaction:
                applied(await post(ledgers.of(transaction), commands, at))

        yield Store(do, MemoryBooks(ledgers.books))
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())

    async def do_there(commands: Sequence[Command], at: datetime) -> None:
        async with unit_of_work.begin() as transaction:
            applied(await post(PostgresLedger(transaction.connection), commands, at))

    yield Store(do_there, PostgresBooks(pool))
    await pool.close()


def applied(posted: object) -> None:
    assert {outcome.status.value for outcome in posted.decision.outcomes} == {"applied"}  # type: ignore[attr-defined]


NUMBERS = count()


def accounts_of(example: int) -> list[AccountSpec]:
    """Return accounts of both normal sides, of a merchant, of the platform and of another currency, without limits."""
    code = f"desk:{example}:float"
    asset = replace(
        wallet(0),
        id=chart.account_id("test", code, "USD"),
        code=code,
        type=AccountType.ASSET,
        minimum_available_minor=None,
    )
    payable = chart.merchant_payable(merchant_id(example), "USD", "test")
    own = replace(wallet(2 * example, owner=merchant_id(example)), minimum_available_minor=None)
    token = replace(wallet(2 * example + 1, currency="RUSD"), minimum_available_minor=None)
    return [asset, payable, own, token]


@dataclass(frozen=True)
class Draft:
    """An entry to be: `between` two of the accounts, `ahead` of its recording by seconds."""

    between: tuple[int, int]
    amount_minor: int
    ahead: int


drafts = st.builds(
    Draft,
    between=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    amount_minor=st.sampled_from([1, 250, 10**30]),
    ahead=st.sampled_from([-86_400, -90, -1, 0, 1, 45, 300]),
)
seconds = st.integers(0, 180)
histories = st.lists(st.tuples(seconds, st.lists(drafts, min_size=1, max_size=4)), max_size=6)
"""Batches, each with its clock: two posters' clocks need not agree, so they may go backwards."""
instants = st.none() | st.integers(-90, 500).map(lambda second: NOW + timedelta(seconds=second))


def entry(draft: Draft, accounts: Sequence[AccountSpec], at: datetime, number: int) -> PostEntry:
    first, second = (accounts[index] for index in draft.between)
    lines = (debit(first.id, draft.amount_minor, "USD"), credit(second.id, draft.amount_minor, "USD"))
    return PostEntry(
        entry_id=number_id("entry", number),
        kind="transfer",
        about=first.id,
        mode="test",
        shard=0,
        merchant_id=None,
        postings=lines,
        opens=(),
        effective_at=at + timedelta(seconds=draft.ahead),
    )


async def write(
    store: Store, model: Model, accounts: Sequence[AccountSpec], history: Iterable[tuple[int, list[Draft]]]
) -> None:
    by_id = {account.id: account for account in accounts}
    await store.do([OpenAccount(account) for account in accounts], NOW)
    for second, batch in history:
        at = NOW + timedelta(seconds=second)
        entries = [entry(draft, accounts, at, next(NUMBERS)) for draft in batch]
        await store.do(entries, at)
        for posted in entries:
            for line, posting in enumerate(posted.postings):
                position = Position(at, posted.entry_id, line)
                account = by_id[posting.account_id]
                model.known.append(Known(account, position, posted.effective_at, posting.side, posting.amount_minor))


@pytest.fixture
def model() -> Model:
    """Shared by a test's examples, as its store is."""
    return Model()


some_examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@some_examples
@given(history=histories, effective_at=instants, recorded_at=instants)
async def test_a_balance_as_of_an_instant_counts_what_was_known_then_of_what_had_happened(
    store: Store,
    model: Model,
    history: list[tuple[int, list[Draft]]],
    effective_at: datetime | None,
    recorded_at: datetime | None,
) -> None:
    accounts = accounts_of(next(NUMBERS))
    await write(store, model, accounts, history)

    def counts(known: Known) -> bool:
        return (effective_at is None or known.effective_at <= effective_at) and (
            recorded_at is None or known.position.recorded_at <= recorded_at
        )

    for account in accounts:
        expected = model.turnover(account, counts)
        for now in (NOW, FAR):
            assert await store.reader.turnover(account.id, AsOf(effective_at, recorded_at), now) == expected


@some_examples
@given(history=histories, bounds=st.lists(instants, min_size=2, max_size=2), limit=st.integers(1, 4))
async def test_pages_of_a_statement_are_its_lines_in_order_and_lead_from_opening_to_closing(
    store: Store, model: Model, history: list[tuple[int, list[Draft]]], bounds: list[datetime | None], limit: int
) -> None:
    accounts = accounts_of(next(NUMBERS))
    await write(store, model, accounts, history)
    start, end = sorted(bound or NOW for bound in bounds)
    period = Period(start, end + timedelta(seconds=1))
    for account in accounts:
        side = account.type.normal_side
        lines, statement = await all_pages(store.reader, account, period, limit)
        assert [line.position for line, _ in lines] == model.positions(account, period)
        opening = model.turnover(account, lambda known: known.position.recorded_at < period.start).balance(side)
        closing = model.turnover(account, lambda known: known.position.recorded_at < period.end).balance(side)
        assert (statement.opening_minor, statement.closing_minor) == (opening, closing)
        assert opening + sum(line.turnover.balance(side) for line, _ in lines) == closing
        assert [balance for _, balance in lines][-1:] in ([], [closing])


async def all_pages(
    reader: BookReader, account: AccountSpec, period: Period, limit: int
) -> tuple[list[tuple[Line, int]], Statement]:
    """Read a statement as a client does: page by page, with the cursor as text in between."""
    side = account.type.normal_side
    before, within, found = await reader.opening(account.id, period, limit + 1, FAR)
    opening = before.balance(side)
    statement = Statement(account.id, period, opening, opening + within.balance(side))
    shown = page(Cursor.first(statement), found, limit, side)
    lines = [*shown.lines]
    while shown.next is not None:
        assert len(shown.lines) == limit
        cursor = Cursor.from_text(shown.next.to_text(), account.id)
        found = await reader.lines(account.id, cursor.after, cursor.statement.period.end, limit + 1)
        shown = page(cursor, found, limit, side)
        assert shown.statement == statement
        lines += shown.lines
    return lines, statement


@some_examples
@given(history=histories, recorded_at=instants)
async def test_the_trial_balance_sums_all_accounts_by_code_and_each_currency_comes_to_zero(
    store: Store, model: Model, history: list[tuple[int, list[Draft]]], recorded_at: datetime | None
) -> None:
    accounts = accounts_of(next(NUMBERS))
    await write(store, model, accounts, history)
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for known in model.known:
        code = known.account.code
        name = {"customer": "customer:*:wallet", "merchant": "merchant:*:payable"}.get(code.split(":")[0], code)
        if recorded_at is None or known.position.recorded_at <= recorded_at:
            signed = known.amount_minor if known.side is Side.DEBIT else -known.amount_minor
            expected[name, known.account.currency] += signed
    for now in (NOW, FAR):
        lines = await store.reader.trial_balance("test", recorded_at, now)
        assert [(line.currency, line.account) for line in lines] == sorted({(x.currency, x.account) for x in lines})
        signed_lines = {(line.account, line.currency): line.turnover.balance(Side.DEBIT) for line in lines}
        assert {key: value for key, value in signed_lines.items() if value} == {
            key: value for key, value in expected.items() if value
        }
        assert {line.currency for line in lines} == {"USD", "RUSD"}
        assert sum(line.turnover.balance(Side.DEBIT) for line in lines) == 0
        assert await store.reader.trial_balance("live", recorded_at, now) == []


async def test_lines_tell_their_entry(store: Store) -> None:
    accounts = accounts_of(next(NUMBERS))
    await write(store, Model(), accounts, [(5, [Draft((0, 1), 7, -60)])])
    [line] = await store.reader.lines(accounts[1].id, Position.before(NOW), FAR, 10)
    assert (line.side, line.amount_minor, line.kind, line.payment_id) == (Side.CREDIT, 7, "transfer", None)
    assert (line.position.recorded_at, line.effective_at) == (
        NOW + timedelta(seconds=5),
        NOW - timedelta(seconds=55),
    )
    assert line.position.line == 1


async def test_the_last_microsecond_before_an_end_is_in_the_period_and_the_end_is_not(store: Store) -> None:
    accounts = accounts_of(next(NUMBERS))
    end = NOW + timedelta(seconds=9)
    await store.do([OpenAccount(account) for account in accounts], NOW)
    for at in (end - timedelta(microseconds=1), end):
        await store.do([entry(Draft((0, 1), 10, 0), accounts, at, next(NUMBERS))], at)
    before, within, lines = await store.reader.opening(accounts[1].id, Period(NOW, end), 10, FAR)
    assert (before, within, len(lines)) == (Turnover(), Turnover(0, 10), 1)
    before, within, lines = await store.reader.opening(accounts[1].id, Period(end, FAR), 10, FAR)
    assert (before, within, len(lines)) == (Turnover(0, 10), Turnover(0, 10), 1)


async def test_an_account_that_is_not_there_is_none(store: Store) -> None:
    assert await store.reader.account(wallet(999).id) is None
