"""Any interleaving of all that can be asked: a naive model, the books in memory and PostgreSQL agree at each step."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.money import MAX_MINOR
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.memory import Books, MemoryLedger
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.posting import Posted, post, rehearse
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import AccountSpec, AccountStatus, AccountType, Mode, Side
from rialto_ledger.domain.chain import GENESIS, link
from rialto_ledger.domain.commands import (
    CaptureHold,
    ChangeAccountStatus,
    Command,
    ExpireHold,
    ExtendHold,
    HoldCommand,
    IncreaseHold,
    Linked,
    OpenAccount,
    PlaceHold,
    PostEntry,
    ReverseEntry,
    VoidHold,
)
from rialto_ledger.domain.journal import Posting, reversal_id
from rialto_ledger.domain.outcomes import Outcome
from rialto_ledger.domain.settlement import settlement_entry_id
from rialto_ledger.testing import CHAIN_ID, NOW, STABLECOIN, Payment, merchant_id, number_id, wallet

from .naive_model import Model, ModelSettlement

EXAMPLES = 80
STEPS = 25


# What can be asked


def coded(code: str, kind: AccountType, minimum: int | None = None, maximum: int | None = None) -> AccountSpec:
    """Return an account as the operator opens one."""
    opened_as = chart.account_id("test", code, "USD")
    shard = ids.shard_of(opened_as)
    return AccountSpec(opened_as, code, kind, "USD", None, "test", shard, minimum, maximum, metadata={"by": "test"})


ACCOUNTS = (
    wallet(0),
    replace(wallet(1), maximum_balance_minor=1_000, owner="party_1"),
    wallet(2, owner=merchant_id(0)),
    wallet(3, currency="EUR"),
    coded("test:cash", AccountType.ASSET),
    coded("test:vault", AccountType.ASSET, 0, 2_000),
    coded("test:costs", AccountType.EXPENSE, maximum=500),
    coded("test:equity", AccountType.EQUITY, -300),
    coded("test:income", AccountType.INCOME),
    wallet(9),  # never opened
)
IDS = st.sampled_from([spec.id for spec in ACCOUNTS])
AMOUNTS = st.sampled_from([1, 100, 100, 200, 400, 400, 700, 1_000, MAX_MINOR])
NUMBERS = st.integers(0, 5)
MODES: st.SearchStrategy[Mode] = st.sampled_from(["test"] * 9 + ["live"])
MERCHANTS = st.sampled_from([None, None, merchant_id(0), merchant_id(1)])
DEADLINES = st.integers(-1, 40).map(lambda minutes: NOW + timedelta(minutes=minutes))

openings = st.builds(
    lambda spec, other: OpenAccount(replace(spec, owner="another") if other else spec),
    st.sampled_from(ACCOUNTS[:-1]),
    st.integers(0, 4).map(lambda n: n == 0),
)
status_changes = st.builds(
    ChangeAccountStatus,
    IDS,
    st.sampled_from([*AccountStatus, AccountStatus.OPEN, AccountStatus.FROZEN]),
    MODES,
    st.sampled_from(["lost phone", "court order"]),
)
deposits = st.builds(
    lambda number, amount: PostEntry(
        entry_id=number_id("deposit", number),
        kind="deposit",
        about=chart.chain_treasury(CHAIN_ID, STABLECOIN, "test").id,
        mode="test",
        shard=0,
        merchant_id=None,
        postings=posting_rules.treasury_deposit(*deposit_accounts(), amount),
        opens=deposit_accounts(),
        effective_at=NOW,
        fact=True,
    ),
    NUMBERS,
    AMOUNTS,
)
reversals = st.builds(
    ReverseEntry,
    st.one_of(
        NUMBERS.map(lambda n: number_id("entry", n)),
        NUMBERS.map(lambda n: reversal_id(number_id("entry", n))),
        NUMBERS.map(lambda n: settlement_entry_id(Payment(n).id, 0)),
    ),
    MODES,
    st.just(NOW),
)


def deposit_accounts() -> tuple[AccountSpec, AccountSpec]:
    return chart.chain_treasury(CHAIN_ID, STABLECOIN, "test"), chart.chain_issuer(CHAIN_ID, STABLECOIN, "test")


@st.composite
def entries(draw: st.DrawFn) -> PostEntry:
    """Draw an entry of two postings, seldom of one, three or four, or unbalanced; few ids, so that they come again."""
    debited, credited, amount = draw(IDS), draw(IDS), draw(AMOUNTS)
    currency = "EUR" if debited == ACCOUNTS[3].id else "USD"
    lines = [Posting(debited, Side.DEBIT, amount, currency), Posting(credited, Side.CREDIT, amount, currency)]
    match draw(st.integers(0, 15)):
        case 0:
            lines[1] = lines[1]._replace(amount_minor=draw(AMOUNTS))
        case 1:
            del lines[1]
        case 2:
            lines += [Posting(draw(IDS), Side.CREDIT, 50, "USD"), Posting(draw(IDS), Side.DEBIT, 50, "USD")]
        case 3:
            lines[0] = lines[0]._replace(amount_minor=max(1, amount // 2))
            lines.append(lines[0]._replace(account_id=draw(IDS), amount_minor=amount - lines[0].amount_minor or 1))
    return PostEntry(
        entry_id=number_id("entry", draw(NUMBERS)),
        kind="transfer",
        about=debited,
        mode=draw(MODES),
        shard=draw(st.sampled_from([None, None, 7])),
        merchant_id=draw(MERCHANTS),
        postings=tuple(lines),
        opens=(),
        effective_at=NOW,
        metadata=draw(st.sampled_from([{}, {"note": "x"}])),
    )


@st.composite
def of_holds(draw: st.DrawFn) -> HoldCommand:
    """Draw a command about a hold of the API's; its captures take their ids from where entries take theirs."""
    number = draw(st.integers(0, 3))
    named = (None, draw(MERCHANTS), draw(MODES), 3, number_id("hold", number))
    match draw(st.sampled_from(["place", "place", "capture", "capture", "void", "extend", "expire"])):
        case "place":
            return PlaceHold(
                *named, draw(IDS), draw(st.sampled_from(["USD", "USD", "EUR"])), draw(AMOUNTS), draw(DEADLINES)
            )
        case "capture":
            entry_id = number_id("entry", draw(NUMBERS))
            payee = draw(st.sampled_from(ACCOUNTS[:-1]))
            capture_id = ids.derive(entry_id, "capture")
            return CaptureHold(*named, capture_id, entry_id, payee, draw(AMOUNTS), draw(st.booleans()), NOW)
        case "void":
            return VoidHold(*named)
        case "extend":
            return ExtendHold(*named, draw(DEADLINES))
        case _:
            return ExpireHold(*named)


@st.composite
def of_payments(draw: st.DrawFn) -> Command:
    """Draw a command about a payment, as an event brings it."""
    payment = Payment(
        number=draw(st.integers(0, 2)),
        amount_minor=draw(st.sampled_from([400, 400, 900])),
        wallet_number=draw(st.sampled_from([0, 0, 1, 2, 9])),
        merchant_number=draw(st.sampled_from([0, 0, 1])),
    )
    match draw(
        st.sampled_from(["place", "place", "capture", "capture", "increase", "void", "expire", "confirm", "reorg"])
    ):
        case "place":
            return payment.place(expires_at=draw(DEADLINES))
        case "capture":
            amount = draw(st.sampled_from([100, 400, 901]))
            return payment.capture(amount, ordinal=draw(st.integers(0, 2)), final=draw(st.booleans()))
        case "increase":
            return payment.increase(draw(st.sampled_from([300, 500, 900, 2_000])), ordinal=draw(st.integers(1, 3)))
        case "void":
            return payment.void()
        case "expire":
            return payment.expire()
        case "confirm":
            return payment.confirm(sequence=draw(NUMBERS))
        case _:
            return payment.reorg(sequence=draw(NUMBERS))


commands: st.SearchStrategy[Command] = st.one_of(
    openings,
    status_changes,
    entries(),
    entries(),
    of_holds(),
    of_holds(),
    of_payments(),
    of_payments(),
    deposits,
    reversals,
)
linked = st.lists(st.one_of(entries(), reversals), min_size=1, max_size=4).map(lambda each: Linked(tuple(each)))


# The three, side by side


class Laws(RuleBasedStateMachine):
    """Drives the model, the books in memory and PostgreSQL through the same history."""

    sent: Bundle[Command] = Bundle("sent")

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], books: "PostgresBooks") -> None:
        super().__init__()
        self.run = run
        self.postgres = books
        self.memory = Books()
        self.model = Model()
        self.now = NOW
        run(books.empty())

    @initialize(target=sent, amounts=st.lists(st.sampled_from([0, 400, 1_000]), min_size=4, max_size=4))
    def begin_with_some_money_and_holds(self, amounts: list[int]) -> Any:
        self.do([OpenAccount(spec) for spec in ACCOUNTS[:-1]])
        cash, begun = ACCOUNTS[4].id, []
        for number, amount in enumerate(amounts):
            account = ACCOUNTS[number if number < 3 else 8]
            if amount:
                lines = (Posting(cash, Side.DEBIT, amount, "USD"), Posting(account.id, Side.CREDIT, amount, "USD"))
                begun.append(PostEntry(number_id("first", number), "x", cash, "test", None, None, lines, (), NOW))
        late = NOW + timedelta(minutes=30)
        holds: list[Command] = [Payment(amount_minor=400).place(expires_at=late)]
        for number in range(2):
            held = ACCOUNTS[1].id, "USD", 400, late
            holds.append(PlaceHold(None, None, "test", 3, number_id("hold", number), *held))
        self.do([*begun, *holds])
        return multiple(*begun, *holds)

    @rule(target=sent, batch=st.lists(commands, min_size=1, max_size=4))
    def post(self, batch: list[Command]) -> Any:
        self.do(batch)
        return multiple(*batch)

    @rule(target=sent, command=linked)
    def link(self, command: Linked) -> Command:
        self.do([command])
        return command

    @rule(batch=st.lists(sent, min_size=1, max_size=3))
    def ask_again(self, batch: list[Command]) -> None:
        self.do(batch)

    @precondition(lambda self: self.placed)
    @rule(
        target=sent,
        nth=st.integers(0, 9),
        step=st.sampled_from(["place", "capture", "capture", "extend", "increase", "void"]),
        entry=st.integers(0, 2),
        payee=st.sampled_from(ACCOUNTS[:3]),
        amount=st.sampled_from([100, 400]),
        final=st.booleans(),
        deadline=DEADLINES,
    )
    def go_on_with_a_hold(
        self, nth: int, step: str, entry: int, payee: AccountSpec, amount: int, final: bool, deadline: datetime
    ) -> Command:
        placed = self.placed[nth % len(self.placed)]
        named = (placed.payment_id, placed.merchant_id, placed.mode, placed.shard, placed.hold_id)
        entry_id = number_id("entry", entry)
        steps: dict[str, Command] = {
            "place": placed,
            "capture": CaptureHold(*named, ids.derive(entry_id, "capture"), entry_id, payee, amount, final, NOW),
            "extend": ExtendHold(*named, deadline),
            "increase": IncreaseHold(*named, number_id("increment", entry), placed.currency, 2 * amount + entry),
            "void": VoidHold(*named),
        }
        self.do([steps[step]])
        return steps[step]

    @precondition(lambda self: self.model.entries)
    @rule(target=sent, nth=st.integers(0, 20))
    def reverse(self, nth: int) -> Command:
        posted = sorted(self.model.entries)
        command = ReverseEntry(posted[nth % len(posted)], "test", NOW)
        self.do([command])
        return command

    @rule(target=sent, number=st.integers(0, 1), ahead=st.sampled_from([-1, 0, 1, 1, 1]))
    def let_the_chain_go_on(self, number: int, ahead: int) -> Command:
        payment = Payment(number, amount_minor=400)
        known = self.model.settlements.get(payment.id, ModelSettlement(0, False, 10))
        sequence = known.sequence + ahead
        command = payment.reorg(sequence=sequence) if known.stands else payment.confirm(sequence=sequence)
        self.do([command])
        return command

    @rule(batch=st.lists(st.one_of(commands, linked), min_size=1, max_size=3))
    def rehearse(self, batch: list[Command]) -> None:
        expected = deepcopy(self.model).do_all(batch, self.now)
        in_memory = self.run(rehearse(MemoryLedger(self.memory), batch, self.now))
        self.compare(expected, in_memory, self.run(self.postgres.rehearse(batch, self.now)))
        self.compare_books()

    @rule(minutes=st.integers(1, 20))
    def let_time_pass(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def sweep(self) -> None:
        due = sorted(hold_id for hold_id, hold in self.model.holds.items() if hold.is_due(self.now))
        in_memory = self.run(MemoryLedger(self.memory).due_holds(self.now, 100))
        in_postgres = self.run(self.postgres.due_holds(self.now))
        assert [sorted(command.hold_id for command in found) for found in (in_memory, in_postgres)] == [due, due]
        self.do(in_postgres)

    @property
    def placed(self) -> list[PlaceHold]:
        holds = (hold.command for _, hold in sorted(self.model.holds.items()) if hold.status != "refused")
        return [command for command in holds if isinstance(command, PlaceHold)]

    def teardown(self) -> None:
        self.run(self.postgres.check_journal(self.model, self.memory))

    def do(self, batch: Sequence[Command]) -> None:
        """Post a batch everywhere, and compare what was answered and what is on the accounts."""
        expected = self.model.do_all(batch, self.now)
        ledger = MemoryLedger(self.memory)
        in_memory = self.run(post(ledger, batch, self.now))
        self.memory.update(ledger.changes)
        self.compare(expected, in_memory, self.run(self.postgres.post(batch, self.now)))
        self.compare_books()

    def compare(self, expected: list[str], in_memory: Posted, in_postgres: Posted) -> None:
        assert [code_of(outcome) for outcome in in_postgres.decision.outcomes] == expected
        assert told(in_memory) == told(in_postgres)

    def compare_books(self) -> None:
        expected = {
            account_id: (a.status, a.debits, a.credits, a.held, a.ledger, a.available)
            for account_id, a in self.model.accounts.items()
        }
        assert self.run(self.postgres.balances()) == expected
        in_memory = {
            account_id: (a.status, a.debits_minor, a.credits_minor, a.held_minor)
            for account_id, a in self.memory.accounts.items()
        }
        assert in_memory == {account_id: known[:4] for account_id, known in expected.items()}
        for account in self.model.accounts.values():
            pending = [
                hold.remaining
                for hold in self.model.holds.values()
                if isinstance(hold.command, PlaceHold) and hold.command.account_id == account.spec.id
            ]
            assert account.held == sum(pending)


def told(posted: Posted) -> tuple[object, ...]:
    """Return all of a decision; errors, which are equal only to themselves, by what they say."""
    outcomes = posted.decision.outcomes
    errors = [outcome.error and (outcome.error.stable_code, outcome.error.detail) for outcome in outcomes]
    return replace(posted.decision, outcomes=[outcome._replace(error=None) for outcome in outcomes]), errors


def code_of(outcome: Outcome) -> str:
    return outcome.status.value if outcome.error is None else outcome.error.stable_code


class Rehearsed(Exception):
    """Rolls a transaction back."""


class PostgresBooks:
    """The books in PostgreSQL, as the service's role writes them."""

    def __init__(self, unit_of_work: PostgresUnitOfWork, reader: PostgresReader, superuser: Any) -> None:
        self.unit_of_work = unit_of_work
        self.reader = reader
        self.superuser = superuser

    async def empty(self) -> None:
        """Begin anew; only a superuser may."""
        await self.superuser.execute("""
            DELETE FROM ledger.settlements; DELETE FROM ledger.holds; DELETE FROM ledger.account_status_changes;
            DELETE FROM ledger.postings; DELETE FROM ledger.journal_entries; DELETE FROM ledger.accounts;
            UPDATE ledger.chain_heads SET position = 0, hash = NULL WHERE position > 0;
        """)

    async def post(self, batch: Sequence[Command], now: datetime) -> Posted:
        async with self.unit_of_work.begin() as transaction:
            return await post(PostgresLedger(transaction.connection), batch, now)

    async def rehearse(self, batch: Sequence[Command], now: datetime) -> Posted:
        posted = None
        try:
            async with self.unit_of_work.begin() as transaction:
                posted = await rehearse(PostgresLedger(transaction.connection), batch, now)
                raise Rehearsed
        except Rehearsed:
            assert posted is not None
            return posted

    async def due_holds(self, now: datetime) -> Sequence[ExpireHold]:
        async with self.unit_of_work.begin() as transaction:
            ledger: Ledger = PostgresLedger(transaction.connection)
            return await ledger.due_holds(now, 100)

    async def balances(self) -> dict[UUID, tuple[Any, ...]]:
        rows = await self.superuser.fetch(
            "SELECT id, status, debits_minor, credits_minor, held_minor, ledger_balance_minor, available_balance_minor"
            " FROM ledger.account_balances"
        )
        return {row["id"]: (row["status"], *(int(total) for total in tuple(row)[2:])) for row in rows}

    async def check_journal(self, model: Model, memory: Books) -> None:
        """I1, I2, I5, each account's totals, each hold, and every link of every chain, from what is in the tables."""
        links = await self.superuser.fetch(
            "SELECT id, shard, chain_position, hash FROM ledger.journal_entries ORDER BY shard, chain_position"
        )
        assert {row["id"] for row in links} == model.entries.keys()
        ends = {row["shard"]: (0, GENESIS[row["shard"]]) for row in links}
        debits: dict[UUID, int] = {}
        credits: dict[UUID, int] = {}
        for row in links:
            entry = await self.reader.entry(row["id"])
            assert entry is not None
            assert entry.postings == model.entries[row["id"]].postings
            position, previous = ends[entry.shard]
            assert (row["chain_position"], row["hash"]) == (position + 1, link(previous, entry))
            assert memory.links[row["id"]][1:] == (entry.shard, row["chain_position"], row["hash"])
            ends[entry.shard] = row["chain_position"], row["hash"]
            for currency in {posting.currency for posting in entry.postings}:
                lines = [p for p in entry.postings if p.currency == currency]
                assert sum(p.amount_minor if p.side is Side.DEBIT else -p.amount_minor for p in lines) == 0
            for posting in entry.postings:
                side = debits if posting.side is Side.DEBIT else credits
                side[posting.account_id] = side.get(posting.account_id, 0) + posting.amount_minor
        heads = await self.superuser.fetch("SELECT shard, position, hash FROM ledger.chain_heads WHERE position > 0")
        assert {row["shard"]: (row["position"], row["hash"]) for row in heads} == ends
        sums: dict[str, int] = {}
        for account_id, (_, debited, credited, _, ledger, available) in (await self.balances()).items():
            spec = model.accounts[account_id].spec
            assert (debited, credited) == (debits.get(account_id, 0), credits.get(account_id, 0))
            assert spec.minimum_available_minor is None or available >= spec.minimum_available_minor
            assert spec.maximum_balance_minor is None or ledger <= spec.maximum_balance_minor
            sums[spec.currency] = sums.get(spec.currency, 0) + debited - credited
        assert set(sums.values()) <= {0}
        holds = await self.superuser.fetch(
            "SELECT id, status, CASE status WHEN 'pending' THEN amount_minor - captured_minor - released_minor"
            " ELSE 0 END AS remaining FROM ledger.holds"
        )
        assert {row["id"]: (row["status"], int(row["remaining"])) for row in holds} == {
            hold_id: (hold.status, hold.remaining) for hold_id, hold in model.holds.items()
        }


# Running all examples takes half a minute at most; making a failure small may take ten times that.
@pytest.mark.timeout(900)
def test_any_history_comes_to_the_same_in_the_model_in_memory_and_in_postgresql(database: Database) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database.dsn("ledger"), application="test", max_size=2))
        superuser = runner.run(asyncpg.connect(database.superuser_dsn()))
        books = PostgresBooks(
            PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime()), PostgresReader(pool), superuser
        )
        try:
            run_state_machine_as_test(
                lambda: Laws(runner.run, books),  # type: ignore[arg-type]  # any factory will do
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(superuser.close())
            pool.terminate()
