"""One suite for the attempts' and refunds' tables, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from rialto_cli.testing import Database
from rialto_common.database import open_pool
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.attempts.attempt import Attempt, heard, started
from rialto_gateway.attempts.memory import MemoryAttemptReader
from rialto_gateway.attempts.ports import AttemptReader
from rialto_gateway.attempts.store import PostgresAttemptReader
from rialto_gateway.connectors.port import Step, Succeeded, Unknown
from rialto_gateway.payments.machine import AttemptChange, RefundChange
from rialto_gateway.refunds.memory import MemoryRefundReader
from rialto_gateway.refunds.ports import RefundReader
from rialto_gateway.refunds.store import PostgresRefundReader

from .test_payments import MERCHANT, NOW, REFUSALS, InMemory, InPostgres, World, number_id, payment

LEASE = timedelta(seconds=60)
PAYMENT = payment(1, wallet_id=None, card='{"token":"sealed"}')
OTHER = payment(2, wallet_id=None, card='{"token":"other"}')


class Tables:
    """The two tables, whichever kind they are, with two payments by card."""

    def __init__(self, world: World, attempts: AttemptReader, refunds: RefundReader) -> None:
        self.world = world
        self.attempts = attempts
        self.refunds = refunds

    async def queue(self, *changes: AttemptChange, payment_id: UUID = PAYMENT.payment_id, at: datetime = NOW) -> None:
        async with self.world.units.begin() as unit:
            await unit.attempts.queue([(payment_id, change) for change in changes], at)

    async def save(self, attempt: Attempt) -> None:
        async with self.world.units.begin() as unit:
            assert await unit.attempts.lock(attempt.id) is not None
            await unit.attempts.save(attempt)

    async def record(self, *changes: RefundChange, at: datetime = NOW) -> None:
        async with self.world.units.begin() as unit:
            await unit.refunds.record([(PAYMENT.payment_id, change) for change in changes], at)

    async def claimed(self, at: datetime = NOW, limit: int = 10) -> list[UUID]:
        return [attempt.id for attempt in await self.attempts.claim(at, at + LEASE, limit)]


@pytest.fixture(params=["memory", "postgres"])
async def tables(request: pytest.FixtureRequest) -> AsyncIterator[Tables]:
    if request.param == "memory":
        memory = InMemory()
        reader = MemoryAttemptReader(memory.store.attempts, memory.store.card_of)
        await memory.accept(PAYMENT, OTHER)
        yield Tables(memory, reader, MemoryRefundReader(memory.store.refunds))
        return
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("gateway"), application="test") as pool:
        postgres = InPostgres(pool)
        await postgres.accept(PAYMENT, OTHER)
        yield Tables(postgres, PostgresAttemptReader(pool), PostgresRefundReader(pool))


def attempt(number: int, step: Step = "authorise", **changes: object) -> AttemptChange:
    connector = None if step == "authorise" else "harbour"
    change = AttemptChange(
        number_id("attempt", number), step, number, 1000, NOW, connector=connector, authorisation="auth_1"
    )
    return replace(change, **changes)  # type: ignore[arg-type]


def refund(number: int, **changes: object) -> RefundChange:
    return replace(RefundChange(number_id("refund", number), number, 300, "pending"), **changes)  # type: ignore[arg-type]


async def test_an_attempt_is_read_back_as_it_was_queued_with_what_its_payment_is(tables: Tables) -> None:
    change = attempt(1, "capture", subject_id=number_id("capture", 1), final=True)
    await tables.queue(change)
    found = await tables.attempts.find(change.attempt_id)
    assert found is not None
    assert (found.payment_id, found.merchant_id, found.mode, found.currency) == (
        PAYMENT.payment_id,
        MERCHANT,
        "test",
        "USD",
    )
    assert (found.step, found.subject_id, found.connector, found.authorisation, found.final) == (
        "capture",
        change.subject_id,
        "harbour",
        "auth_1",
        True,
    )
    assert (found.state, found.asks, found.due_at, found.asked_at, found.created_at) == ("queued", 0, NOW, NOW, NOW)
    assert await tables.attempts.find(number_id("attempt", 9)) is None
    assert await tables.attempts.card(PAYMENT.payment_id) == PAYMENT.card


async def test_the_same_attempt_is_not_recorded_twice(tables: Tables) -> None:
    await tables.queue(attempt(1))
    with pytest.raises(REFUSALS):
        await tables.queue(attempt(1))


async def test_a_claim_is_a_lease(tables: Tables) -> None:
    await tables.queue(attempt(1))
    assert await tables.claimed() == [number_id("attempt", 1)]
    assert await tables.claimed() == []
    assert await tables.claimed(NOW + LEASE) == [number_id("attempt", 1)]


async def test_what_a_clock_that_was_ahead_put_off_is_brought_back_and_nothing_else(tables: Tables) -> None:
    await tables.queue(attempt(1))
    await tables.queue(attempt(2), payment_id=OTHER.payment_id)
    assert len(await tables.claimed(NOW + timedelta(days=8), limit=1)) == 1
    assert len(await tables.claimed(limit=1)) == 1
    assert await tables.attempts.bring_back(NOW, NOW + timedelta(hours=1)) == 1
    assert len(await tables.claimed()) == 1, "the other is somebody's for the lease"
    assert await tables.attempts.bring_back(NOW, NOW + timedelta(hours=1)) == 0


async def test_the_longest_overdue_is_claimed_first_and_no_more_than_asked_for(tables: Tables) -> None:
    await tables.queue(attempt(1), at=NOW + timedelta(seconds=5))
    await tables.queue(attempt(2), payment_id=OTHER.payment_id)
    later = NOW + timedelta(seconds=9)
    assert await tables.claimed(later, limit=1) == [number_id("attempt", 2)]
    assert await tables.claimed(later, limit=1) == [number_id("attempt", 1)]


async def test_captures_and_voids_of_a_payment_wait_for_each_other_and_refunds_for_nobody(tables: Tables) -> None:
    await tables.queue(attempt(1, "capture"))
    later = NOW + timedelta(seconds=1)
    await tables.queue(attempt(2, "capture"), attempt(3, "void"), attempt(4, "refund"), at=later)
    await tables.queue(attempt(5, "capture"), payment_id=OTHER.payment_id, at=later)
    taken = await tables.claimed(later)
    assert taken[0] == number_id("attempt", 1)
    assert set(taken[1:]) == {number_id("attempt", 4), number_id("attempt", 5)}
    first = await tables.attempts.find(number_id("attempt", 1))
    assert first is not None
    unknown = heard(started(first, "harbour", later, LEASE), Unknown("timed_out"), later)
    await tables.save(unknown)
    assert await tables.claimed(later + timedelta(seconds=1)) == []
    await tables.save(heard(unknown, Succeeded("cap_1", 1000), later))
    assert await tables.claimed(later + timedelta(seconds=1)) == [number_id("attempt", 2)]


async def test_an_attempt_is_written_back_whole_and_unknown_ones_are_counted(tables: Tables) -> None:
    await tables.queue(attempt(1))
    queued = await tables.attempts.find(number_id("attempt", 1))
    assert queued is not None
    unknown = heard(started(queued, "harbour", NOW, LEASE), Unknown("timed_out"), NOW)
    await tables.save(unknown)
    assert await tables.attempts.find(unknown.id) == unknown
    (standing,) = await tables.attempts.standing()
    assert (standing.step, standing.connector, standing.count, standing.since, standing.overdue) == (
        "authorise",
        "harbour",
        1,
        NOW,
        0,
    )
    assert list(await tables.attempts.unknown(1)) == [unknown]
    ended = heard(unknown, Succeeded("auth_9", 1000), NOW)
    await tables.save(ended)
    assert [each for each in await tables.attempts.of_payment(PAYMENT.payment_id)] == [ended]
    assert await tables.attempts.standing() == []
    assert list(await tables.attempts.unknown(1)) == []


@pytest.mark.parametrize("broken", [{"due_at": None}, {"state": "unknown", "connector": None}, {"state": "failed"}])
async def test_an_open_attempt_has_a_time_and_an_acquirer_and_an_ended_one_no_time(
    tables: Tables, broken: dict[str, object]
) -> None:
    await tables.queue(attempt(1))
    found = await tables.attempts.find(number_id("attempt", 1))
    assert found is not None
    with pytest.raises(REFUSALS):
        await tables.save(replace(found, **broken))  # type: ignore[arg-type]


async def test_a_refund_is_read_back_by_its_merchant_alone_and_resolved(tables: Tables) -> None:
    await tables.record(refund(1, reason="duplicate", metadata='{"ticket":"7"}'), refund(2))
    found = await tables.refunds.get(number_id("refund", 1), MERCHANT, "test")
    assert found is not None
    assert (found["state"], int(found["amount_minor"]), found["reason"], found["metadata"]) == (
        "pending",
        300,
        "duplicate",
        '{"ticket":"7"}',
    )
    for merchant, mode in ((number_id("merchant", 2), "test"), (MERCHANT, "live")):
        assert await tables.refunds.get(number_id("refund", 1), merchant, mode) is None
    assert await tables.refunds.answered([number_id("refund", 1), number_id("refund", 2)]) == []
    later = NOW + timedelta(seconds=1)
    await tables.record(refund(1, ordinal=None, state="failed", failure_code="no"), at=later)
    rows = await tables.refunds.of_payment(PAYMENT.payment_id)
    assert [(row["ordinal"], row["state"], row["failure_code"], row["created_at"]) for row in rows] == [
        (1, "failed", "no", NOW),
        (2, "pending", None, NOW),
    ]
    assert rows[0]["updated_at"] == later
    assert await tables.refunds.answered([number_id("refund", 1), number_id("refund", 2)]) == [number_id("refund", 1)]
    with pytest.raises(REFUSALS):
        await tables.record(refund(2))


async def test_a_refunds_key_stands_for_one_request(tables: Tables) -> None:
    await tables.record(refund(1))
    async with tables.world.units.begin() as unit:
        assert await unit.refunds.made_under(PAYMENT.payment_id, "key", b"hash") is None
        await unit.refunds.name(number_id("refund", 1), "key", b"hash")
    async with tables.world.units.begin() as unit:
        assert await unit.refunds.made_under(PAYMENT.payment_id, "key", b"hash") == number_id("refund", 1)
        assert await unit.refunds.made_under(OTHER.payment_id, "key", b"hash") is None
        with pytest.raises(IdempotencyKeyReused):
            await unit.refunds.made_under(PAYMENT.payment_id, "key", b"other")


async def test_what_a_card_and_refunds_make_of_a_payment_is_kept(tables: Tables) -> None:
    loaded = await tables.world.load(PAYMENT.payment_id)
    assert (loaded.method, loaded.wallet_id) == ("card", None)
    changed = replace(
        loaded,
        state="authorised",
        authorised_at=NOW,
        connector="harbour",
        authorisation="auth_1",
        authorisations=2,
        voids=1,
        next_action_url="https://a.example",
        amount_captured_minor=900,
        amount_refunded_minor=400,
        refund_pending_minor=500,
        refunds=3,
    )
    await tables.world.save(changed)
    assert await tables.world.load(PAYMENT.payment_id) == changed
    with pytest.raises(REFUSALS):
        await tables.world.save(replace(changed, refund_pending_minor=501))
