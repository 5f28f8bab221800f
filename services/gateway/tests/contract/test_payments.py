"""One suite for the payments' tables, the reads and the messages, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.errors import IdempotencyKeyReused, InvariantViolated
from rialto_common.events.envelope import Event, EventData, compose
from rialto_common.events.payments import PaymentCaptured, PaymentVoided
from rialto_common.keyring import Keyring
from rialto_common.memory_keyring import KeyStore, MemoryKeyring
from rialto_common.simulation import SimulatedRuntime
from rialto_gateway.payments.machine import CaptureChange, IncrementChange
from rialto_gateway.payments.memory import GatewayStore, MemoryUnits
from rialto_gateway.payments.memory_reader import MemoryPaymentReader, MemoryWallets
from rialto_gateway.payments.ports import NewPayment, PaymentReader, TimelineLine, Unit, Units
from rialto_gateway.payments.states import Payment, Settlement
from rialto_gateway.payments.store import PostgresPaymentReader, PostgresUnits
from rialto_gateway.wallets.directory import PostgresWallets, Wallet, Wallets
from rialto_gateway.webhooks.memory import Endpoint
from rialto_gateway.webhooks.messages import Message

NOW = datetime(2026, 4, 5, 6, 7, 8, 9, tzinfo=UTC)
DUE = NOW + timedelta(seconds=30)
MASTER_KEY = bytes(range(32))
REFUSALS = (InvariantViolated, asyncpg.IntegrityConstraintViolationError)
"""A broken constraint, as each adapter says it."""


class World:
    """The gateway's tables, whichever kind they are."""

    def __init__(self, units: Units, reader: PaymentReader, wallets: Wallets) -> None:
        self.units = units
        self.reader = reader
        self.wallets = wallets

    async def listen(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    async def queued(self) -> list[tuple[UUID, str]]:
        """Return endpoint and name of every message in line."""
        raise NotImplementedError

    async def told(self) -> list[tuple[UUID, str]]:
        """Return merchant and name of every event."""
        raise NotImplementedError

    async def add_wallet(self, wallet: Wallet) -> None:
        raise NotImplementedError

    async def accept(self, *new: NewPayment, at: datetime = NOW) -> set[UUID]:
        """Accept payments as the acceptor does; return those that were new."""
        async with self.units.begin() as unit:
            inserted = await unit.payments.insert(new, at, DUE)
            fresh = [item for item in new if item.payment_id in inserted]
            if fresh:
                await unit.payments.start_timeline(fresh, at, DUE)
        return inserted

    async def load(self, payment_id: UUID) -> Payment:
        async with self.units.begin() as unit:
            return (await unit.payments.lock([payment_id]))[payment_id]

    async def save(self, payment: Payment, at: datetime = NOW) -> None:
        async with self.units.begin() as unit:
            await unit.payments.save([payment], at)


class InMemory(World):
    def __init__(self) -> None:
        runtime = SimulatedRuntime(3)
        self.store, self.known = GatewayStore(), dict[UUID, Wallet]()
        work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)
        units = MemoryUnits(work, self.store, MemoryKeyring(MASTER_KEY, KeyStore(), runtime))
        super().__init__(units, MemoryPaymentReader(self.store), MemoryWallets(self.known))

    async def listen(self, endpoint: Endpoint) -> None:
        self.store.deliveries.endpoints.append(endpoint)

    async def queued(self) -> list[tuple[UUID, str]]:
        rows = self.store.deliveries.queued.values()
        return sorted((row.endpoint_id, row.event) for row in rows)

    async def told(self) -> list[tuple[UUID, str]]:
        return sorted(self.store.deliveries.told.values())

    async def add_wallet(self, wallet: Wallet) -> None:
        self.known[wallet.wallet_id] = wallet


class InPostgres(World):
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        runtime = SimulatedRuntime(3)
        self.pool = pool
        work = PostgresUnitOfWork(pool, schema="gateway", runtime=runtime)
        units = PostgresUnits(work, Keyring(MASTER_KEY, runtime))
        super().__init__(units, PostgresPaymentReader(pool), PostgresWallets(pool))

    async def listen(self, endpoint: Endpoint) -> None:
        await self._merchant(endpoint.merchant_id)
        await self.pool.execute(
            "INSERT INTO gateway.webhook_endpoints VALUES ($1, $2, $3, 'https://shop.example', $4, '\\x00', $5)",
            endpoint.endpoint_id,
            endpoint.merchant_id,
            endpoint.mode,
            list(endpoint.events),
            NOW,
        )
        await self.pool.execute("INSERT INTO gateway.webhook_breakers VALUES ($1)", endpoint.endpoint_id)

    async def queued(self) -> list[tuple[UUID, str]]:
        rows = await self.pool.fetch("SELECT endpoint_id, event FROM gateway.webhook_deliveries")
        return sorted((row["endpoint_id"], row["event"]) for row in rows)

    async def told(self) -> list[tuple[UUID, str]]:
        rows = await self.pool.fetch("SELECT merchant_id, type FROM gateway.merchant_events")
        return sorted((row["merchant_id"], row["type"]) for row in rows)

    async def add_wallet(self, wallet: Wallet) -> None:
        await self.pool.execute(
            "INSERT INTO gateway.wallets VALUES ($1, $2, $3, $4, '{}', $5)",
            wallet.wallet_id,
            wallet.merchant_id,
            wallet.mode,
            wallet.currency,
            NOW,
        )

    async def _merchant(self, merchant_id: UUID) -> None:
        await self.pool.execute(
            "INSERT INTO gateway.merchants VALUES ($1, 'Shop', NULL, '0x', $2) ON CONFLICT DO NOTHING", merchant_id, NOW
        )


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("gateway"), application="test", max_size=3) as pool:
        yield InPostgres(pool)


def number_id(kind: str, number: int) -> UUID:
    return ids.derive(ids.uuid7(int(NOW.timestamp() * 1000), 0), kind, number)


MERCHANT = number_id("merchant", 1)


def payment(number: int = 1, **changes: object) -> NewPayment:
    new = NewPayment(
        payment_id=ids.uuid7(int(NOW.timestamp() * 1000) + number, number),
        merchant_id=MERCHANT,
        mode="test",
        shard=ids.shard_of(MERCHANT),
        idempotency_key=f"key-{number}",
        request_hash=b"hash-%d" % number,
        amount_minor=1000,
        currency="USD",
        wallet_id=number_id("wallet", 1),
        capture_method="manual",
        terminal_id="T1",
        description=None,
        metadata='{"order":"7"}',
        payer='{"party_id":"p"}',
        payee=None,
        payee_address="0xabc",
        occurred_at=NOW,
        traceparent=None,
    )
    return replace(new, **changes)  # type: ignore[arg-type]


def capture(number: int, amount_minor: int = 400, *, state: str = "pending") -> CaptureChange:
    ordinal = number if state == "pending" else None
    return CaptureChange(number_id("capture", number), ordinal, amount_minor, False, state)  # type: ignore[arg-type]


def line(number: int, nth: int, state: str = "review") -> TimelineLine:
    return TimelineLine(
        payment(number).payment_id, nth, state, "fraud.assessed", "cause", "fraud", {"outcome": "review"}
    )


async def test_a_payment_is_loaded_as_it_was_accepted(world: World) -> None:
    new = payment()
    assert await world.accept(new) == {new.payment_id}
    loaded = await world.load(new.payment_id)
    assert (loaded.state, loaded.deadline_at, loaded.sequence) == ("created", DUE, 1)
    assert (loaded.amount_minor, loaded.amount_captured_minor, loaded.captures, loaded.asked) == (1000, 0, 0, 0)
    assert (loaded.merchant_id, loaded.mode, loaded.shard, loaded.wallet_id) == (
        new.merchant_id,
        "test",
        new.shard,
        new.wallet_id,
    )


async def test_an_idempotency_key_makes_one_payment_and_the_second_request_finds_it(world: World) -> None:
    first, again = payment(1), payment(2, idempotency_key="key-1")
    other_mode, other_merchant = payment(3, idempotency_key="key-1", mode="live"), payment(4, merchant_id=UUID(int=4))
    assert await world.accept(first, other_mode) == {first.payment_id, other_mode.payment_id}
    assert await world.accept(again, replace(other_merchant, idempotency_key="key-1")) == {other_merchant.payment_id}
    async with world.units.begin() as unit:
        found = await unit.payments.by_idempotency_key([(MERCHANT, "test", "key-1"), (MERCHANT, "test", "key-9")])
    assert found == {(MERCHANT, "test", "key-1"): (first.payment_id, b"hash-1")}


async def test_one_batch_with_the_same_key_twice_makes_one_payment(world: World) -> None:
    first, again = payment(1), payment(2, idempotency_key="key-1")
    assert await world.accept(first, again) == {first.payment_id}


async def test_what_is_rolled_back_was_never_there(world: World) -> None:
    new = payment()

    async def accept_and_fail() -> None:
        async with world.units.begin() as unit:
            await unit.payments.insert([new], NOW, DUE)
            await unit.payments.start_timeline([new], NOW, DUE)
            assert await unit.payments.lock([new.payment_id]) != {}
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await accept_and_fail()
    assert await world.reader.row(new.payment_id, None, None) is None
    assert await world.reader.due(DUE, 10) == []
    assert await world.accept(new) == {new.payment_id}


async def test_a_transaction_sees_its_own_changes(world: World) -> None:
    new = payment()
    await world.accept(new)
    async with world.units.begin() as unit:
        held = (await unit.payments.lock([new.payment_id]))[new.payment_id]
        await unit.payments.save([replace(held, fraud="allow", sequence=2)], NOW)
        again = (await unit.payments.lock([new.payment_id]))[new.payment_id]
        assert (again.fraud, again.sequence) == ("allow", 2)


async def test_everything_of_a_payment_is_saved(world: World) -> None:
    new = payment()
    await world.accept(new)
    settlement = Settlement(number_id("batch", 1), 31337, "0xfeed", "RUSD", 4_000_000, 17)
    changed = replace(
        await world.load(new.payment_id),
        state="captured",
        reason="settlement_overdue",
        decline_code="none",
        fraud="allow",
        compliance="clear",
        amount_captured_minor=400,
        capture_pending_minor=100,
        captures=2,
        void_reason="requested",
        asked=3,
        settlement=settlement,
        authorised_at=NOW,
        deadline_at=DUE + timedelta(hours=1),
        sequence=9,
    )
    await world.save(changed, NOW + timedelta(seconds=1))
    assert await world.load(new.payment_id) == changed
    row = await world.reader.row(new.payment_id, MERCHANT, "test")
    assert row is not None
    assert (row["created_at"], row["updated_at"]) == (NOW, NOW + timedelta(seconds=1))
    assert (row["state"], row["idempotency_key"], row["terminal_id"]) == ("captured", "key-1", "T1")
    assert "0xfeed" in row["settlement"]


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline_at": None},
        {"state": "voided"},
        {"amount_captured_minor": 600, "capture_pending_minor": 401},
        {"capture_pending_minor": -1},
    ],
)
async def test_a_payment_that_breaks_a_promise_is_not_saved(world: World, changes: dict[str, object]) -> None:
    new = payment()
    await world.accept(new)
    loaded = await world.load(new.payment_id)
    with pytest.raises(REFUSALS):
        await world.save(replace(loaded, **changes))  # type: ignore[arg-type]
    assert await world.load(new.payment_id) == loaded


async def test_deadlines_are_found_when_due_move_with_the_payment_and_end_with_it(world: World) -> None:
    first, second = payment(1), payment(2)
    await world.accept(first, second)
    assert await world.reader.due(DUE - timedelta(microseconds=1), 10) == []
    await world.save(replace(await world.load(first.payment_id), deadline_at=DUE + timedelta(seconds=9)))
    assert await world.reader.due(DUE, 10) == [second.payment_id]
    assert await world.reader.due(DUE + timedelta(seconds=9), 10) == [second.payment_id, first.payment_id]
    assert await world.reader.due(DUE + timedelta(seconds=9), 1) == [second.payment_id]
    await world.save(replace(await world.load(second.payment_id), state="declined", deadline_at=None))
    assert await world.reader.due(DUE + timedelta(seconds=9), 10) == [first.payment_id]


async def test_a_postponed_payment_is_looked_at_later_and_keeps_its_deadline(world: World) -> None:
    new = payment()
    await world.accept(new)
    await world.reader.postpone(new.payment_id, DUE + timedelta(minutes=1))
    assert await world.reader.due(DUE, 10) == []
    assert await world.reader.due(DUE + timedelta(minutes=1), 10) == [new.payment_id]
    assert (await world.load(new.payment_id)).deadline_at == DUE


async def test_a_timeline_is_read_in_order_and_has_each_number_once(world: World) -> None:
    new = payment()
    await world.accept(new)
    async with world.units.begin() as unit:
        await unit.payments.add_timeline([line(1, 5), line(1, 2)], NOW + timedelta(seconds=1))
    rows = await world.reader.timeline(new.payment_id)
    assert [(row["state"], row["event"], row["actor"]) for row in rows] == [
        ("created", "payment.created", "merchant"),
        ("review", "fraud.assessed", "fraud"),
        ("review", "fraud.assessed", "fraud"),
    ]
    assert rows[1]["cause"] == "cause"
    assert rows[1]["detail"].replace(" ", "") == '{"outcome":"review"}'

    async def write_again() -> None:
        async with world.units.begin() as unit:
            await unit.payments.add_timeline([line(1, 5)], NOW)

    with pytest.raises(REFUSALS):
        await write_again()


async def test_captures_are_asked_for_once_and_resolved(world: World) -> None:
    new = payment()
    await world.accept(new)
    async with world.units.begin() as unit:
        await unit.payments.record_captures([(new.payment_id, capture(1)), (new.payment_id, capture(2, 600))], NOW)
        await unit.payments.record_captures([(new.payment_id, capture(1, state="succeeded"))], NOW)
    rows = await world.reader.captures(new.payment_id)
    assert [(row["ordinal"], int(row["amount_minor"]), row["state"]) for row in rows] == [
        (1, 400, "succeeded"),
        (2, 600, "pending"),
    ]

    async def ask_again() -> None:
        async with world.units.begin() as unit:
            await unit.payments.record_captures([(new.payment_id, replace(capture(9), ordinal=2))], NOW)

    with pytest.raises(REFUSALS):
        await ask_again()


async def test_a_key_stands_for_one_capture(world: World) -> None:
    new = payment()
    await world.accept(new)
    async with world.units.begin() as unit:
        assert not await unit.payments.captured_under(new.payment_id, "k", b"body")
        await unit.payments.record_captures([(new.payment_id, capture(1))], NOW)
        await unit.payments.name_capture(new.payment_id, "k", b"body")
    async with world.units.begin() as unit:
        assert await unit.payments.captured_under(new.payment_id, "k", b"body")
        assert not await unit.payments.captured_under(new.payment_id, "other", b"body")
        with pytest.raises(IdempotencyKeyReused):
            await unit.payments.captured_under(new.payment_id, "k", b"other body")

    async def name_another() -> None:
        async with world.units.begin() as unit:
            await unit.payments.record_captures([(new.payment_id, capture(2))], NOW)
            await unit.payments.name_capture(new.payment_id, "k", b"body")

    with pytest.raises(REFUSALS):
        await name_another()


async def test_a_caller_reads_only_its_own_payments(world: World) -> None:
    new = payment()
    await world.accept(new)
    for merchant_id, mode, visible in (
        (MERCHANT, "test", True),
        (None, None, True),
        (UUID(int=9), "test", False),
        (MERCHANT, "live", False),
    ):
        assert (await world.reader.row(new.payment_id, merchant_id, mode) is not None) == visible


async def test_lists_are_newest_first_from_a_cursor_on_and_by_state(world: World) -> None:
    mine = [payment(number) for number in (1, 2, 3)]
    await world.accept(*mine, payment(4, merchant_id=UUID(int=9)), payment(5, mode="live"))
    await world.save(replace(await world.load(mine[1].payment_id), state="review", reason="fraud_review"))

    async def listed(merchant_id: UUID | None, **query: object) -> Sequence[UUID]:
        options: dict[str, object] = {"before": UUID(int=(1 << 128) - 1), "state": None, "limit": 10} | query
        rows = await world.reader.newest(merchant_id, "test", **options)  # type: ignore[arg-type]
        return [row["payment_id"] for row in rows]

    one, two, three = (item.payment_id for item in mine)
    assert await listed(MERCHANT) == [three, two, one]
    assert await listed(MERCHANT, limit=2) == [three, two]
    assert await listed(MERCHANT, before=three) == [two, one]
    assert await listed(None) == [payment(4).payment_id, three, two, one]
    assert await listed(None, state="review") == [two]
    assert await listed(MERCHANT, down_to=two) == [three, two]
    last = UUID(int=(1 << 128) - 1)
    floors = [await world.reader.floor(MERCHANT, "test", before=last, depth=depth) for depth in (1, 3, 4)]
    assert floors == [three, one, None]
    assert await world.reader.floor(MERCHANT, "test", before=three, depth=1) == two
    assert await world.reader.floor(None, "test", before=last, depth=1) == payment(5, mode="live").payment_id
    found = await world.reader.rows([one, payment(4).payment_id, UUID(int=1)])
    assert {row["payment_id"] for row in found} == {one, payment(4).payment_id}


async def test_changes_are_listed_in_the_order_of_time(world: World) -> None:
    first, second = payment(1), payment(2)
    await world.accept(first, second)
    later = NOW + timedelta(seconds=5)
    async with world.units.begin() as unit:
        await unit.payments.add_timeline([line(1, 2)], later)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    changes = await world.reader.changes(MERCHANT, "test", since=start, after=UUID(int=0), limit=10)
    assert changes == [(NOW, first.payment_id), (NOW, second.payment_id), (later, first.payment_id)]
    rest = await world.reader.changes(MERCHANT, "test", since=NOW, after=first.payment_id, limit=1)
    assert rest == [(NOW, second.payment_id)]
    assert await world.reader.changes(UUID(int=9), "test", since=start, after=UUID(int=0), limit=10) == []


async def test_what_waiting_callers_ask_is_answered(world: World) -> None:
    waiting, done = payment(1), payment(2)
    await world.accept(waiting, done)
    both = [waiting.payment_id, done.payment_id]
    await world.save(replace(await world.load(done.payment_id), state="authorised"))
    assert await world.reader.decided(both) == [done.payment_id]
    await world.save(replace(await world.load(done.payment_id), capture_pending_minor=1))
    assert await world.reader.answered(both) == [waiting.payment_id]


async def test_people_are_sealed_in_the_transaction_and_named_the_same_within_a_merchant(world: World) -> None:
    ada = {"name": "Ada"}
    async with world.units.begin() as unit:
        party_id = unit.people.party_id(MERCHANT, ada)
        first, second = await unit.people.seal([(party_id, b"Ada"), (party_id, b"Ada")])
        assert unit.people.party_id(UUID(int=9), ada) != party_id
    assert first.party_id == party_id
    assert first.key_id == second.key_id
    assert first.ciphertext != second.ciphertext
    assert "Ada" not in first.ciphertext


async def test_a_message_goes_once_to_every_endpoint_that_listens(world: World) -> None:
    new = payment()
    await world.accept(new)
    every, voids, others = number_id("endpoint", 1), number_id("endpoint", 2), number_id("endpoint", 3)
    kind = number_id("endpoint", 4)
    await world.listen(Endpoint(kind, MERCHANT, "test", frozenset({"payment.*"})))
    await world.listen(Endpoint(every, MERCHANT, "test"))
    await world.listen(Endpoint(voids, MERCHANT, "test", frozenset({"payment.voided"})))
    await world.listen(Endpoint(others, MERCHANT, "live"))
    held = await world.load(new.payment_id)
    captured = Message(held, event_of(PaymentCaptured, held, amount_minor=1000), NOW)
    voided = Message(held, event_of(PaymentVoided, held, amount_released_minor=1000), NOW)

    async def enqueue(unit: Unit, *messages: Message) -> None:
        await unit.messages.enqueue(messages)

    async with world.units.begin() as unit:
        await enqueue(unit, captured, voided)
    assert await world.queued() == sorted(
        [
            *((every, "payment.captured"), (every, "payment.voided"), (voids, "payment.voided")),
            *((kind, "payment.captured"), (kind, "payment.voided")),
        ]
    )
    assert await world.told() == [(MERCHANT, "payment.captured"), (MERCHANT, "payment.voided")]

    async def tell_again() -> None:
        async with world.units.begin() as unit:
            await enqueue(unit, captured)

    with pytest.raises(REFUSALS):
        await tell_again()


async def test_what_nobody_listens_to_is_an_event_all_the_same(world: World) -> None:
    new = payment()
    await world.accept(new)
    held = await world.load(new.payment_id)
    async with world.units.begin() as unit:
        await unit.messages.enqueue([Message(held, event_of(PaymentVoided, held, amount_released_minor=1000), NOW)])
    assert await world.queued() == []
    assert await world.told() == [(MERCHANT, "payment.voided")]


async def test_a_wallet_is_found_with_its_owner(world: World) -> None:
    own, shared = Wallet(number_id("wallet", 1), MERCHANT, "test", "USD"), Wallet(UUID(int=5), None, "test", "EUR")
    await world.add_wallet(shared)
    assert await world.wallets.get(shared.wallet_id) == shared
    assert await world.wallets.get(own.wallet_id) is None


def event_of(model: type[EventData], held: Payment, **fields: object) -> Event:
    data = model.model_validate(
        {"payment_id": held.id, "merchant_id": held.merchant_id, "mode": held.mode, "currency": "USD", **fields}
    )
    return compose(
        data, source="rialto.gateway", root=held.id, key=ids.to_text("pay", held.id), shard=1, time=NOW, sequence=2
    )


async def test_increments_are_asked_for_one_at_a_time_once_and_resolved(world: World) -> None:
    await world.accept(payment())
    first, second = number_id("increment", 1), number_id("increment", 2)

    async def record(change: IncrementChange, at: datetime = NOW) -> None:
        async with world.units.begin() as unit:
            await unit.increments.record([(payment().payment_id, change)], at)

    await record(IncrementChange(first, 1, 1250, 1800, "pending"))
    with pytest.raises(REFUSALS):
        await record(IncrementChange(first, 1, 1250, 1800, "pending"))
    later = NOW + timedelta(seconds=1)
    await record(IncrementChange(first, None, 1250, 1800, "failed", "insufficient_funds"), later)
    await record(IncrementChange(second, 2, 1250, 1500, "pending"))
    found = await world.reader.increments(payment().payment_id)
    assert [(row["increment_id"], int(row["amount_minor"]), row["state"], row["failure_code"]) for row in found] == [
        (first, 1800, "failed", "insufficient_funds"),
        (second, 1500, "pending", None),
    ]
    assert (found[0]["created_at"], found[0]["updated_at"]) == (NOW, later)


async def test_a_key_stands_for_one_increment(world: World) -> None:
    await world.accept(payment())
    first = number_id("increment", 1)
    async with world.units.begin() as unit:
        assert not await unit.increments.asked_under(payment().payment_id, "key", b"one")
        await unit.increments.record([(payment().payment_id, IncrementChange(first, 1, 1250, 1800, "pending"))], NOW)
        await unit.increments.name(first, "key", b"one")
    async with world.units.begin() as unit:
        assert await unit.increments.asked_under(payment().payment_id, "key", b"one")
        with pytest.raises(IdempotencyKeyReused):
            await unit.increments.asked_under(payment().payment_id, "key", b"two")


async def test_what_a_payment_is_raised_to_is_saved_and_waited_for(world: World) -> None:
    await world.accept(payment())
    async with world.units.begin() as unit:
        loaded = (await unit.payments.lock([payment().payment_id]))[payment().payment_id]
        raising = replace(
            loaded, state="authorised", increments=1, increment_to_minor=1800, amount_assessed_minor=loaded.amount_minor
        )
        await unit.payments.save([raising], NOW)
    assert await world.reader.answered([payment().payment_id]) == []
    async with world.units.begin() as unit:
        assert (await unit.payments.lock([payment().payment_id]))[payment().payment_id] == raising
        await unit.payments.save([replace(raising, amount_minor=1800, increment_to_minor=None)], NOW)
    assert await world.reader.answered([payment().payment_id]) == [payment().payment_id]
    row = await world.reader.row(payment().payment_id, None, None)
    assert row is not None
    assert (int(row["amount_minor"]), int(row["amount_assessed_minor"])) == (1800, loaded.amount_minor)
