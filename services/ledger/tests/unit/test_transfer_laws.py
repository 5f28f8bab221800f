"""Three ledgers, and a bus that repeats, delays and reorders: whatever happens on the way, no money is lost or made.

Transactions fail before their commit, answers come twice or late, accounts are frozen and closed meanwhile. At every
moment all books add up to zero, and once all is told `in_transit` is empty and every transfer is received or returned.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_common.events import Event
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import Books, MemoryLedger
from rialto_ledger.adapters.memory_transfers import MemoryTransfers, TransferRows
from rialto_ledger.application.posting import post
from rialto_ledger.application.shards import KeepingLedger
from rialto_ledger.application.transfers import SendingLedger, TransferHandler
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain import transfer as transfers
from rialto_ledger.domain.account import AccountSpec, AccountStatus
from rialto_ledger.domain.balance import signed_balance
from rialto_ledger.domain.commands import ChangeAccountStatus, Command, OpenAccount, PostEntry
from rialto_ledger.domain.shards import Shards
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState
from rialto_ledger.testing import NOW, Payment, number_id
from rialto_ledger.transfer_testing import THREE, in_transit_codes, number_in, transfer, wallet_in

FUNDS, MAXIMUM = 1000, 1200


class Unit:
    """A transaction of one ledger."""

    def __init__(self, site: "Site") -> None:
        self.ledger = MemoryLedger(site.books)
        self.outgoing: list[Event] = []
        self.effects: list[Callable[[], None]] = []
        self.records = MemoryTransfers(site.rows, self)

    def publish(self, *events: Event) -> None:
        self.outgoing.extend(events)

    def on_commit(self, effect: Callable[[], None], *, unless: Callable[[], bool] | None = None) -> None:
        self.effects.append(effect)


class Lost(Exception):
    """The process dies before the commit."""


@dataclass
class Site:
    """One ledger."""

    shards: Shards
    books: Books = field(default_factory=Books)
    rows: TransferRows = field(default_factory=dict)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        runtime = SimulatedRuntime(1)
        self.handler: TransferHandler[Any] = TransferHandler(self.keeping, lambda unit: unit.records, runtime)

    def keeping(self, unit: Unit) -> KeepingLedger:
        return KeepingLedger(unit.ledger, self.shards)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        unit = Unit(self)
        yield unit
        self.books.update(unit.ledger.changes)
        for effect in unit.effects:
            effect()
        self.told += unit.outgoing

    async def do(self, *commands: Command, dies: bool = False) -> list[str]:
        """Post a batch; return what each came to."""
        async with self.begin() as unit:
            ledger = SendingLedger(self.keeping(unit), unit.records, unit.publish, self.shards)
            outcomes = (await post(ledger, commands, NOW)).decision.outcomes
            if dies:
                raise Lost
        return [outcome.error.stable_code if outcome.error else outcome.status.value for outcome in outcomes]

    async def hear(self, events: Sequence[Event], *, dies: bool = False) -> None:
        """Handle a batch of events."""
        async with self.begin() as unit:
            await self.handler.handle(unit, events)
            if dies:
                raise Lost


def wallets(shards: Shards) -> list[AccountSpec]:
    """Three wallets of a ledger, the last with a maximum, and one that is never opened."""
    specs = [wallet_in(shards, nth) for nth in range(4)]
    return [*specs[:2], replace(specs[2], maximum_balance_minor=MAXIMUM), specs[3]]


EAST, WEST, _ = THREE
WALLETS = {shards.name: wallets(shards) for shards in THREE}


class World:
    """The ledgers, and the bus between them."""

    def __init__(self) -> None:
        self.sites = {shards.name: Site(shards) for shards in THREE}
        self.delivered: set[UUID] = set()
        self.sent: dict[tuple[UUID, str], Transfer] = {}

    async def open(self) -> None:
        for name, site in self.sites.items():
            acquirer = chart.test_acquirer("USD")
            for number, spec in enumerate(WALLETS[name][:3]):
                postings = posting_rules.top_up(spec.id, acquirer, FUNDS)
                entry_id = number_id(f"top_up {name}", number)
                fund = PostEntry(entry_id, "top_up", spec.id, "test", None, None, postings, (acquirer,), NOW)
                assert await site.do(OpenAccount(spec), fund) == ["applied", "applied"]

    async def send(self, name: str, asked: Transfer, dies: bool) -> None:
        site = self.sites[name]
        local = site.shards.keeps(asked.to_shard)
        make = transfers.book if local else transfers.send
        try:
            [came_to] = await site.do(make(asked, {}, NOW), dies=dies)
        except Lost:
            return
        if came_to == "applied" and not local:
            self.sent[asked.id, name] = asked

    async def deliver(self, picks: Sequence[int], dies: bool) -> None:
        """Deliver some of what was ever told, again or for the first time, in any order, to who has to hear it."""
        told = self.told()
        if not told:
            return
        chosen = [told[pick % len(told)] for pick in picks]
        for site in self.sites.values():
            ours = [event for event in chosen if site.shards.keeps(event.shard)]
            if ours:
                try:
                    await site.hear(ours, dies=dies)
                except Lost:
                    continue
                self.delivered |= {event.id for event in ours}

    async def change(self, name: str, nth: int, status: AccountStatus) -> None:
        await self.sites[name].do(ChangeAccountStatus(WALLETS[name][nth].id, status, "test", "a test"))

    def told(self) -> list[Event]:
        return [
            event
            for site in self.sites.values()
            for event in site.told
            if event.type in {"rialto.transfer.sent.v1", "rialto.transfer.received.v1", "rialto.transfer.refused.v1"}
        ]

    async def settle(self) -> None:
        """Deliver what nobody has heard yet, until there is nothing."""
        while waiting := [n for n, event in enumerate(self.told()) if event.id not in self.delivered]:
            await self.deliver(waiting, dies=False)

    def sum(self, codes: set[str] | None = None) -> int:
        return sum(
            signed_balance(account)
            for site in self.sites.values()
            for account in site.books.accounts.values()
            if codes is None or account.spec.code in codes
        )

    def check(self) -> None:
        """What holds at every moment."""
        for site in self.sites.values():
            assert sum(signed_balance(account) for account in site.books.accounts.values()) == 0
            for account in site.books.accounts.values():
                assert site.shards.keeper_of(account.spec) == site.shards.name
        under_way = 0
        for (transfer_id, name), asked in self.sent.items():
            sender = self.sites[name].rows[transfer_id, TransferSide.SENDER]
            receiver = self.sites[EAST.keepers[asked.to_shard]].rows.get((transfer_id, TransferSide.RECEIVER))
            arrived = receiver is not None and receiver.is_same_movement(asked) and not receiver.refusal_code
            if not arrived and sender.state is TransferState.SENT:
                under_way += asked.amount_minor
        assert -self.sum(in_transit_codes()) == under_way

    def check_quiet(self) -> None:
        """What holds once all is told."""
        assert self.sum(in_transit_codes()) == 0
        for site in self.sites.values():
            for (transfer_id, side), row in site.rows.items():
                assert row.state is not TransferState.SENT
                entries = site.books.entries
                if side is TransferSide.RECEIVER:
                    received = row.state is TransferState.RECEIVED
                    assert (transfers.received_entry_id(transfer_id) in entries) is received
                else:
                    returned = row.state is TransferState.RETURNED
                    assert transfers.first_entry_id(transfer_id) in entries
                    assert (transfers.returned_entry_id(transfer_id) in entries) is returned
                    assert (row.refusal_code is not None) is returned


names = st.sampled_from(list(WALLETS))
amounts = st.sampled_from([1, 150, 400, FUNDS])


@st.composite
def some_transfer(draw: st.DrawFn) -> tuple[str, Transfer]:
    """Draw a transfer from any wallet to any, under one of a few ids."""
    name, other = draw(names), draw(names)
    source, target = WALLETS[name][draw(st.integers(0, 2))], WALLETS[other][draw(st.integers(0, 3))]
    return name, transfer(draw(st.integers(0, 5)), source, target, draw(amounts))


steps = st.one_of(
    st.tuples(st.just("send"), some_transfer(), st.booleans()),
    st.tuples(st.just("deliver"), st.lists(st.integers(0, 40), min_size=1, max_size=4), st.booleans()),
    st.tuples(st.just("change"), st.tuples(names, st.integers(0, 2)), st.sampled_from(list(AccountStatus))),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=25))
def test_no_money_is_lost_or_made_between_ledgers_whatever_happens_on_the_way(history: list[Any]) -> None:
    async def play() -> None:
        world = World()
        await world.open()
        for step in history:
            match step:
                case ("send", (name, asked), dies):
                    await world.send(name, asked, dies)
                case ("deliver", picks, dies):
                    await world.deliver(picks, dies)
                case ("change", (name, nth), status):
                    await world.change(name, nth, status)
            world.check()
        await world.settle()
        world.check()
        world.check_quiet()
        before = {name: (dict(site.books.entries), dict(site.rows)) for name, site in world.sites.items()}
        await world.deliver(range(len(world.told())), dies=False)
        assert before == {name: (dict(site.books.entries), dict(site.rows)) for name, site in world.sites.items()}

    asyncio.run(play())


async def _closed_meanwhile(world: World) -> UUID:
    """Send all that a wallet has to one that is not there, and close it before the answer."""
    source, target = WALLETS["east"][0], WALLETS["west"][3]
    asked = transfer(0, source, target, FUNDS)
    await world.send("east", asked, dies=False)
    await world.change("east", 0, AccountStatus.CLOSED)
    await world.settle()
    return asked.id


async def test_what_comes_back_to_an_account_that_was_closed_waits_in_suspense() -> None:
    world = World()
    await world.open()
    transfer_id = await _closed_meanwhile(world)
    east = world.sites["east"]
    suspense = east.books.accounts[chart.suspense("USD", "test").id]
    assert suspense.credits_minor - suspense.debits_minor == FUNDS
    row = east.rows[transfer_id, TransferSide.SENDER]
    assert (row.state, row.refusal_code) == (TransferState.RETURNED, "account_not_found")
    world.check_quiet()


async def test_one_id_moves_money_once_wherever_it_is_sent() -> None:
    world = World()
    await world.open()
    source = WALLETS["east"][0]
    send = transfers.send(transfer(0, source, WALLETS["west"][0], 10), {}, NOW)
    book = transfers.book(transfer(0, source, WALLETS["east"][1], 10), {}, NOW)
    assert await world.sites["east"].do(send) == ["applied"]
    assert await world.sites["east"].do(send, book) == ["duplicate", "entry_id_reused_with_other_content"]
    assert len(world.told()) == 1


@pytest.mark.parametrize("source", [None, chart.test_acquirer("USD")], ids=["wallets", "the platform's"])
async def test_of_two_senders_under_one_id_the_second_gets_its_money_back(source: AccountSpec | None) -> None:
    world = World()
    await world.open()
    for name in ("east", "west"):
        asked = transfer(0, source or WALLETS[name][0], WALLETS["north"][0], 10)
        from_shard = world.sites[name].shards.reached_by(asked.from_shard)
        await world.send(name, replace(asked, from_shard=from_shard), dies=False)
        await world.settle()
    ids_told = [event.id for event in world.told()]
    assert len(ids_told) == len(set(ids_told)) == 4, "no inbox may take one for the other"
    rows = [world.sites[name].rows[number_id("transfer", 0), TransferSide.SENDER] for name in ("east", "west")]
    assert [(row.state.value, row.refusal_code) for row in rows] == [
        ("received", None),
        ("returned", "transfer_id_reused_with_other_content"),
    ]
    world.check_quiet()


async def test_what_is_in_transit_is_no_target_of_a_merchants() -> None:
    """The receiver opens that account by receiving: it is not there when it looks whom the merchant may pay."""
    world = World()
    await world.open()
    merchants = replace(WALLETS["east"][3], merchant_id=number_id("merchant", 0))
    await world.sites["east"].do(OpenAccount(merchants))
    postings = posting_rules.top_up(merchants.id, chart.test_acquirer("USD"), FUNDS)
    fund = PostEntry(number_id("fund", 0), "top_up", merchants.id, "test", None, None, postings, (), NOW)
    await world.sites["east"].do(fund)
    shard = min(WEST.kept)
    hidden = chart.shard_in_transit(shard, "USD", "test")
    asked = transfer(0, merchants, replace(hidden, shard=shard), 500, merchant_id=merchants.merchant_id)
    await world.send("east", asked, dies=False)
    await world.settle()
    assert world.sites["east"].rows[asked.id, TransferSide.SENDER].state is TransferState.RETURNED
    world.check()
    world.check_quiet()


async def test_an_account_of_another_ledger_is_elsewhere_and_named_so() -> None:
    world = World()
    await world.open()
    spec = WALLETS["west"][0]
    postings = posting_rules.top_up(spec.id, chart.test_acquirer("USD"), 5)
    fund = PostEntry(
        number_id("x", 1), "top_up", spec.id, "test", None, None, postings, (chart.test_acquirer("USD"),), NOW
    )
    charged = Payment(wallet_number=number_in(WEST, 0), amount_minor=5)
    came_to = await world.sites["east"].do(OpenAccount(spec), fund, charged.place(), charged.place())
    assert came_to == ["account_elsewhere"] * 4
    assert spec.id not in world.sites["east"].books.accounts
