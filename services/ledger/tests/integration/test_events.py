"""Events in, events out: the consumer on the bus, through the frame's own consumer loop."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.postgres import PostgresBus, PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Pool, open_pool
from rialto_common.events import Event, EventData
from rialto_common.events import ledger as told
from rialto_common.events.common import LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.metrics import BusMetrics
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.application.sweeper import Sweeper
from rialto_ledger.domain.commands import Command
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES, LedgerConsumer
from rialto_ledger.testing import Payment, Sender, open_wallet, top_up, wallet

LedgerOf = Callable[[PostgresTransaction], PostgresLedger]
MODELS: dict[str, type[EventData]] = {model.type: model for model in told.MODELS}


class World:
    """The ledger's worker, and the two services that send to it."""

    def __init__(
        self,
        pool: Pool,
        unit_of_work: PostgresUnitOfWork,
        outside: PostgresUnitOfWork,
        consumer: Consumer[PostgresTransaction],
    ) -> None:
        self.pool = pool
        self.unit_of_work = unit_of_work
        self.outside = outside
        self.consumer = consumer
        self.sender = Sender(SystemRuntime().now())

    async def fund(self, amount_minor: int, number: int = 0) -> None:
        async with self.unit_of_work.begin() as transaction:
            commands: list[Command] = [open_wallet(number), top_up(number, amount_minor, entry=number)]
            await post(PostgresLedger(transaction.connection), commands, SystemRuntime().now())

    async def send(self, *events: Event) -> list[EventData]:
        """Publish events as another service, let the worker handle them, and return what it then says."""
        before = await self.said()
        async with self.outside.begin() as transaction:
            transaction.publish(*events)
        await self.consumer.step()
        return [data for _, data in (await self.said())[len(before) :]]

    async def said(self) -> list[tuple[Any, EventData]]:
        """Return every event that the ledger has published, with its row."""
        rows = await self.pool.fetch("SELECT * FROM bus.log WHERE topic = $1 ORDER BY position", LEDGER)
        return [(row, MODELS[row["type"]].model_validate_json(row["data"])) for row in rows]

    async def balances(self, number: int = 0) -> tuple[int, int]:
        row = await self.pool.fetchrow(
            "SELECT ledger_balance_minor, available_balance_minor FROM ledger.account_balances WHERE id = $1",
            wallet(number).id,
        )
        assert row is not None
        return int(row["ledger_balance_minor"]), int(row["available_balance_minor"])


@pytest.fixture
async def world(
    database: Database, pool: Pool, unit_of_work: PostgresUnitOfWork, ledger_of: LedgerOf
) -> AsyncIterator[World]:
    runtime = SystemRuntime()
    bus = PostgresBus(database.dsn("ledger"), runtime)
    consumer: Consumer[PostgresTransaction] = Consumer(
        group="ledger",
        types=HANDLED_TYPES,
        subscription=await bus.subscribe("ledger", [PAYMENTS, SETTLEMENTS], member="test"),
        unit_of_work=unit_of_work,
        handler=LedgerConsumer(ledger_of, runtime).handle,
        runtime=runtime,
        metrics=BusMetrics(CollectorRegistry()),
        wait_seconds=0.05,
    )
    outside_pool = await open_pool(database.dsn("gateway"), application="test", max_size=2)
    outside = PostgresUnitOfWork(outside_pool, schema="gateway", runtime=runtime)
    yield World(pool, unit_of_work, outside, consumer)
    await consumer.close()
    outside_pool.terminate()


def kinds(said: Sequence[EventData]) -> list[str]:
    return [type(data).__name__ for data in said]


async def test_a_payments_way_through_the_ledger_is_told_step_by_step(
    world: World, check_books: Callable[[], Any]
) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.fund(5000)
    (placed,) = await world.send(sender.approved(payment))
    assert isinstance(placed, told.HoldPlaced)
    assert (placed.payment_id, placed.hold_id, placed.amount_minor) == (payment.id, payment.hold_id, 1000)
    assert await world.balances() == (5000, 4000)

    posted, captured = await world.send(sender.capture(payment, 400, final=False))
    assert isinstance(posted, told.JournalEntryPosted)
    assert isinstance(captured, told.HoldCaptured)
    assert captured.entry_id == posted.entry_id
    assert (captured.amount_minor, captured.remaining_minor, captured.final) == (400, 600, False)
    assert [(line.account, line.side, line.amount_minor) for line in posted.postings] == [
        (wallet().code, "debit", 400),
        (payment.payable.code, "credit", 400),
    ]

    (voided,) = await world.send(sender.void(payment))
    assert isinstance(voided, told.HoldVoided)
    assert voided.amount_released_minor == 600
    assert await world.balances() == (4600, 4600)

    (settled,) = await world.send(sender.confirmed(payment))
    assert isinstance(settled, told.JournalEntryPosted)
    assert settled.kind == "chain_settlement"
    assert {line.currency for line in settled.postings} == {"USD", "RUSD"}
    assert await check_books() == 3


async def test_a_raised_hold_is_told_and_so_is_why_one_was_not(world: World, check_books: Callable[[], Any]) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.fund(2000)
    await world.send(sender.approved(payment))
    (raised,) = await world.send(sender.increase(payment, 1600))
    assert isinstance(raised, told.HoldIncreased)
    assert (raised.hold_id, raised.amount_minor) == (payment.hold_id, 1600)
    (refused,) = await world.send(sender.increase(payment, 2001, ordinal=2))
    assert isinstance(refused, told.HoldIncreaseRefused)
    assert (refused.amount_minor, refused.code) == (2001, "insufficient_funds")
    assert await world.balances() == (2000, 400)
    (voided,) = await world.send(sender.void(payment))
    assert isinstance(voided, told.HoldVoided)
    assert voided.amount_released_minor == 1600
    await check_books()


async def test_one_batch_of_many_payments_tells_each_its_own_outcome(
    world: World, check_books: Callable[[], Any]
) -> None:
    payments = [Payment(n, amount_minor=1000, merchant_number=n % 3) for n in range(20)]
    await world.fund(10_000)
    said = await world.send(*(world.sender.approved(payment) for payment in payments))
    assert sorted(kinds(said)) == ["HoldPlaced"] * 10 + ["PostingRefused"] * 10
    refused = [data for data in said if isinstance(data, told.PostingRefused)]
    assert {(data.step, data.code) for data in refused} == {("authorise", "insufficient_funds")}
    assert await world.balances() == (10_000, 0)
    await check_books()


async def test_duplicates_in_one_batch_and_later_move_money_once(world: World, check_books: Callable[[], Any]) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.fund(5000)
    approved, capture = sender.approved(payment), sender.capture(payment)
    await world.send(approved, approved, capture, capture)
    await world.send(approved, capture)
    assert await world.balances() == (4000, 4000)
    assert await check_books() == 2


async def test_a_resolver_that_voids_an_unknown_authorisation_gets_its_answer_each_time_it_asks(world: World) -> None:
    payment, sender = Payment(), world.sender
    await world.fund(5000)
    for _ in range(2):
        (voided,) = await world.send(sender.void(payment))
        assert isinstance(voided, told.HoldVoided)
        assert voided.amount_released_minor == 0
    (refused,) = await world.send(sender.approved(payment))
    assert isinstance(refused, told.PostingRefused)
    assert (refused.step, refused.code) == ("authorise", "hold_already_voided")
    ids_told = [row["event_id"] for row, data in await world.said() if isinstance(data, told.HoldVoided)]
    assert len(ids_told) == 2
    assert len(set(ids_told)) == 1, "the same answer is the same event, so that consumers drop the second"
    assert await world.balances() == (5000, 5000)


async def test_refusals_name_step_code_and_capture(world: World) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.fund(5000)
    said = await world.send(sender.capture(payment), sender.approved(payment), sender.capture(payment, 1001, ordinal=1))
    refused = [data for data in said if isinstance(data, told.PostingRefused)]
    assert [(data.step, data.code, data.capture_id) for data in refused] == [
        ("capture", "hold_not_found", ids.derive(payment.id, "capture", 0)),
        ("capture", "capture_above_hold", ids.derive(payment.id, "capture", 1)),
    ]
    (ghost,) = await world.send(sender.approved(Payment(2, wallet_number=99)))
    assert isinstance(ghost, told.PostingRefused)
    assert ghost.code == "account_not_found"


async def test_what_an_acquirer_captured_is_booked_and_told_under_the_captures_own_key(
    world: World, check_books: Callable[[], Any]
) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    (suspended,) = await world.send(sender.unknown_capture(payment, acquirer="harbour"))
    assert isinstance(suspended, told.JournalEntryPosted)
    assert [(line.account, line.side) for line in suspended.postings] == [
        ("acquirer:harbour:receivable", "debit"),
        ("suspense:unknown", "credit"),
    ]
    posted, booked = await world.send(sender.capture(payment, acquirer="harbour"))
    assert isinstance(posted, told.JournalEntryPosted)
    assert (posted.kind, [line.account for line in posted.postings]) == (
        "capture",
        ["suspense:unknown", payment.payable.code],
    )
    assert isinstance(booked, told.CaptureBooked)
    assert (booked.entry_id, booked.amount_minor, booked.final, booked.acquirer) == (
        posted.entry_id,
        1000,
        True,
        "harbour",
    )
    keys = [(row["key"], row["sequence"]) for row, _ in await world.said()]
    capture = ids.to_text("cap", ids.derive(payment.id, "capture", 0))
    assert keys == [(capture, 1), (capture, 5), (capture, 6)]
    assert await world.send(sender.failed_capture(payment, acquirer="harbour")) == []
    assert await check_books() == 2


async def test_a_refund_is_booked_or_refused_and_told_under_its_own_key(
    world: World, check_books: Callable[[], Any]
) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.send(sender.capture(payment, acquirer="harbour"))
    posted, booked = await world.send(sender.refund(payment, 400, acquirer="harbour"))
    assert isinstance(posted, told.JournalEntryPosted)
    assert posted.kind == "suspended"
    assert isinstance(booked, told.RefundBooked)
    assert (booked.amount_minor, booked.entry_id) == (400, posted.entry_id)
    (finished,) = await world.send(sender.refunded(payment, 400, acquirer="harbour"))
    assert isinstance(finished, told.JournalEntryPosted)
    assert (finished.kind, [line.account for line in finished.postings]) == (
        "refund",
        ["suspense:unknown", "acquirer:harbour:receivable"],
    )
    (refused,) = await world.send(sender.refund(payment, 601, ordinal=1, acquirer="harbour"))
    assert isinstance(refused, told.RefundRefused)
    assert (refused.code, refused.amount_minor) == ("insufficient_merchant_balance", 601)
    await world.fund(5000)
    _, to_wallet = await world.send(sender.refund(payment, 600, ordinal=2))
    assert isinstance(to_wallet, told.RefundBooked)
    assert (await world.balances())[0] == 5600
    await check_books()


async def test_a_reorg_is_told_as_a_reversal_and_the_next_confirmation_posts_again(
    world: World, check_books: Callable[[], Any]
) -> None:
    payment, sender = Payment(), world.sender
    said = []
    for event in (
        sender.confirmed(payment, block=100),
        sender.reorged(payment, block=100),
        sender.confirmed(payment, block=105),
    ):
        said += await world.send(event)
    entries = [data for data in said if isinstance(data, told.JournalEntryPosted)]
    assert [data.kind for data in entries] == [
        "chain_settlement",
        "chain_settlement_reversal",
        "chain_settlement",
    ]
    assert len({data.entry_id for data in entries}) == 3
    assert await check_books() == 3


async def test_a_deposit_is_booked_once(world: World, check_books: Callable[[], Any]) -> None:
    event = world.sender.deposited(1, 5_000_000)
    (posted,) = await world.send(event, event)
    assert isinstance(posted, told.JournalEntryPosted)
    assert [(line.account, line.side) for line in posted.postings] == [
        ("chain:31337:RUSD:treasury", "debit"),
        ("chain:31337:RUSD:issuer", "credit"),
    ]
    assert await check_books() == 1


async def test_what_an_acquirer_settles_is_booked_once_with_its_cost(
    world: World, check_books: Callable[[], Any]
) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    settled = sender.settled(payment, 12, acquirer="harbour")
    await world.send(sender.capture(payment, acquirer="harbour"))
    (posted,) = await world.send(settled, settled)
    assert isinstance(posted, told.JournalEntryPosted)
    assert posted.kind == "acquirer_settlement"
    assert [(line.account, line.side, line.amount_minor) for line in posted.postings] == [
        ("bank:house:cash", "debit", 988),
        ("acquirer:harbour:costs", "debit", 12),
        ("acquirer:harbour:receivable", "credit", 1000),
    ]
    row = (await world.said())[-1][0]
    assert (row["key"], row["shard"]) == (settled.key, payment.shard), "in the shard of its merchant, not the account's"
    (returned,) = await world.send(sender.settled(payment, -3, acquirer="harbour", step="refund"))
    assert isinstance(returned, told.JournalEntryPosted)
    assert [(line.side, line.amount_minor) for line in returned.postings] == [
        ("credit", 997),
        ("credit", 3),
        ("debit", 1000),
    ]
    assert await check_books() == 3


async def test_a_deposit_of_an_unknown_token_is_parked_for_a_person_and_the_others_flow(world: World) -> None:
    await world.fund(5000)
    said = await world.send(
        world.sender.deposited(1, 5, token="ZZZ"), world.sender.approved(Payment()), world.sender.deposited(2, 7)
    )
    assert sorted(kinds(said)) == ["HoldPlaced", "JournalEntryPosted"]
    parked = await world.pool.fetch("SELECT error FROM ledger.dead_letters")
    assert len(parked) == 1
    assert "account_not_found" in parked[0]["error"]


async def test_sequences_grow_within_a_payment(world: World) -> None:
    payment, sender = Payment(amount_minor=1000), world.sender
    await world.fund(5000)
    await world.send(
        sender.approved(payment),
        sender.capture(payment, 400, final=False),
        sender.capture(payment, 100, ordinal=1, final=False),
        sender.void(payment),
    )
    await world.send(sender.confirmed(payment, block=1))
    await world.send(sender.reorged(payment, block=1))
    await world.send(sender.confirmed(payment, block=2))
    key = ids.to_text("pay", payment.id)
    sequences = [row["sequence"] for row, _ in await world.said() if row["key"] == key]
    assert len(sequences) == 9
    assert sequences == sorted(set(sequences))


async def test_due_holds_expire_are_told_and_leave_locked_accounts_for_later(
    world: World, ledger_of: LedgerOf, check_books: Callable[[], Any]
) -> None:
    runtime, sender = SystemRuntime(), world.sender
    await world.fund(5000, 0)
    await world.fund(5000, 1)
    soon = runtime.now() + timedelta(seconds=0.3)
    await world.send(*(sender.approved(Payment(n, wallet_number=n % 2), expires_at=soon) for n in range(4)))
    sweeper = Sweeper(world.unit_of_work.begin, ledger_of, runtime)
    while runtime.now() < soon:
        assert await sweeper.step() > 0
        await runtime.sleep(0.05)
    before = len(await world.said())
    async with world.pool.acquire() as other, other.transaction():
        await other.execute("SELECT 1 FROM ledger.accounts WHERE id = $1 FOR UPDATE", wallet(1).id)
        await sweeper.step()
        assert await world.balances(0) == (5000, 5000)
        assert await world.balances(1) == (5000, 3000), "its account was locked by somebody else"
    await sweeper.step()
    said = [data for _, data in (await world.said())[before:]]
    assert kinds(said) == ["HoldExpired"] * 4
    assert await world.balances(1) == (5000, 5000)
    await check_books()
