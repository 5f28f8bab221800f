"""One suite for the bridge's tables, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from rialto_chain_bridge.adapters.memory import BridgeStore, MemoryUnits
from rialto_chain_bridge.adapters.postgres import PostgresUnits
from rialto_chain_bridge.application.ports import Attempt, Sent, Units
from rialto_chain_bridge.application.records import Deployment, Intent, NewTransaction, Tracked
from rialto_chain_bridge.domain.confirmation import Block, Inclusion, Standing, TransactionState
from rialto_chain_bridge.domain.settlement import LONGEST_DELAY_SECONDS
from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.errors import InvariantViolated
from rialto_common.simulation import SimulatedRuntime

NOW = datetime(2026, 4, 5, 6, 7, 8, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CHAIN = 31337
SENDER = "0x" + "0e" * 20
PENDING = Standing(TransactionState.PENDING)
REFUSALS = (InvariantViolated, asyncpg.IntegrityConstraintViolationError)


@pytest.fixture(params=["memory", "postgres"])
async def units(request: pytest.FixtureRequest) -> AsyncIterator[Units]:
    runtime = SimulatedRuntime(3)
    if request.param == "memory":
        work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)
        yield MemoryUnits(work, BridgeStore(), CHAIN, SENDER)
        return
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("chain_bridge"), application="test", max_size=3) as pool:
        yield PostgresUnits(PostgresUnitOfWork(pool, schema="chain_bridge", runtime=runtime), CHAIN, SENDER)


def number_id(kind: str, number: int) -> UUID:
    return ids.derive(ids.uuid7(int(NOW.timestamp() * 1000), 0), kind, number)


def intent(number: int, **changes: object) -> Intent:
    made = Intent(
        payment_id=ids.uuid7(int(NOW.timestamp() * 1000), number),
        settlement_id=number_id("settlement", number),
        merchant_id=number_id("merchant", 1),
        mode="test",
        shard=3,
        amount_minor=1250,
        currency="USD",
        payee_address="0x" + "ab" * 20,
        token_amount=12_500_000,
        failure_code=None,
        failure_detail=None,
        cause_id=number_id("cause", number),
        traceparent=None,
        requested_at=NOW,
        deadline_at=NOW + timedelta(days=1),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def transaction(nonce: int, *intents: Intent) -> NewTransaction:
    return NewTransaction(
        id=number_id("transaction", nonce),
        nonce=nonce,
        kind="settle",
        tx_hash=f"0x{nonce:064x}",
        raw=b"raw-%d" % nonce,
        payment_ids=tuple(item.payment_id for item in intents),
        recorded_at=NOW,
        deadline_at=NOW + timedelta(days=1),
    )


def in_block(number: int, state: TransactionState = TransactionState.MINED, *, succeeded: bool = True) -> Standing:
    return Standing(state, Inclusion(Block(number, f"0xb{number}"), succeeded, 21_000))


async def record(units: Units, *transactions: NewTransaction, intents: tuple[Intent, ...] = ()) -> None:
    """Save intents and put them into transactions, as the loop does."""
    async with units.begin() as unit:
        await unit.store.save_intents(intents)
        await unit.store.lock_sender(SENDER, 0)
        await unit.store.save_transactions(transactions, max(item.nonce for item in transactions) + 1)


async def send(units: Units, attempt: Attempt, *, at: datetime = NOW) -> list[Tracked]:
    """Hand over what is due; return what was accepted for the first time."""
    async with units.begin() as unit:
        due = await unit.store.due(at, 10)
        outcomes = [Sent(attempt, None)] * len(due)
        return await unit.store.record_attempts(due, outcomes, at, [at + 5 * SECOND] * len(due))


async def tracked(units: Units) -> list[Tracked]:
    async with units.begin() as unit:
        return await unit.store.tracked()


async def move(units: Units, *changes: tuple[Tracked, Standing, int]) -> list[tuple[Tracked, Standing]]:
    async with units.begin() as unit:
        return await unit.store.record_standings(changes, NOW + SECOND)


async def test_a_chain_has_one_deployment(units: Units) -> None:
    first = Deployment(CHAIN, SENDER, "RUSD", 6, "0xt", "0xs", "test", 10**30, number_id("deposit", 1), NOW)
    async with units.begin() as unit:
        assert await unit.store.deployment() is None
        assert await unit.store.save_deployment(first)
        assert await unit.store.deployment() == first
    async with units.begin() as unit:
        assert not await unit.store.save_deployment(replace(first, token_address="0xother"))
        assert await unit.store.deployment() == first


async def test_a_payment_has_one_intent_and_a_repetition_is_compared_with_it(units: Units) -> None:
    first = intent(1)
    async with units.begin() as unit:
        assert await unit.store.save_intents([first]) == {first.payment_id}
    async with units.begin() as unit:
        again = replace(first, amount_minor=9, requested_at=NOW + SECOND)
        assert await unit.store.save_intents([again, intent(2)]) == {intent(2).payment_id}
        contents = await unit.store.intent_contents([first.payment_id, intent(3).payment_id])
    assert contents == {first.payment_id: first.content()}


async def test_the_longest_waiting_settlements_come_first_and_failed_ones_never(units: Units) -> None:
    late, early = intent(1, requested_at=NOW + SECOND), intent(2)
    refused = intent(3, token_amount=None, failure_code="payee_address_invalid", failure_detail="no address")
    async with units.begin() as unit:
        await unit.store.save_intents([late, early, refused])
        assert [item.payment_id for item in await unit.store.waiting(NOW, 10)] == [early.payment_id]
        both = await unit.store.waiting(NOW + SECOND, 10)
        assert [item.payment_id for item in both] == [early.payment_id, late.payment_id]
        assert (both[0].token_amount, both[0].submissions, both[0].due_at) == (12_500_000, 0, NOW)
        assert len(await unit.store.waiting(NOW + SECOND, 1)) == 1


async def test_nonces_start_where_the_chain_stands_and_only_go_up(units: Units) -> None:
    async with units.begin() as unit:
        assert await unit.store.lock_sender(SENDER, 7) == 7
    async with units.begin() as unit:
        assert await unit.store.lock_sender(SENDER, 99) == 7
        await unit.store.skip_nonces(9)
        await unit.store.skip_nonces(8)
    async with units.begin() as unit:
        assert await unit.store.lock_sender(SENDER, 0) == 9


async def test_a_recorded_transaction_holds_its_settlements_and_is_due_at_once(units: Units) -> None:
    one, two = intent(1), intent(2)
    await record(units, transaction(4, one, two), intents=(one, two))
    async with units.begin() as unit:
        assert await unit.store.waiting(NOW, 10) == []
        assert await unit.store.lock_sender(SENDER, 0) == 5
        assert await unit.store.under_way() == 1
        [due] = await unit.store.due(NOW, 10)
        assert (due.raw, due.attempts) == (b"raw-4", 0)
        [known] = await unit.store.tracked()
        assert (known.nonce, known.standing, known.submitted, known.reorgs) == (4, PENDING, False, 0)
        assigned = await unit.store.assigned([known])
        assert [(item.payment_id, item.submissions, item.token_amount) for item in assigned] == [
            (one.payment_id, 1, 12_500_000),
            (two.payment_id, 1, 12_500_000),
        ]


async def test_a_nonce_is_used_once(units: Units) -> None:
    await record(units, transaction(4))
    with pytest.raises(REFUSALS):
        await record(units, replace(transaction(4), id=number_id("other", 1), tx_hash="0xother"))


async def test_what_is_rolled_back_was_never_there(units: Units) -> None:
    async def save_and_fail() -> None:
        async with units.begin() as unit:
            await unit.store.save_intents([intent(1)])
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await save_and_fail()
    async with units.begin() as unit:
        assert await unit.store.waiting(NOW, 10) == []


async def test_a_sending_is_told_when_it_first_succeeds_and_comes_due_again(units: Units) -> None:
    await record(units, transaction(1), transaction(2))
    assert await send(units, Attempt.UNKNOWN) == []
    async with units.begin() as unit:
        assert await unit.store.due(NOW, 10) == []
    first = await send(units, Attempt.SUCCEEDED, at=NOW + 5 * SECOND)
    assert [item.nonce for item in first] == [1, 2]
    assert await send(units, Attempt.SUCCEEDED, at=NOW + 10 * SECOND) == []
    async with units.begin() as unit:
        assert [item.attempts for item in await unit.store.due(NOW + 15 * SECOND, 10)] == [3, 3]


async def test_what_a_clock_that_was_ahead_has_put_off_is_due_at_once(units: Units) -> None:
    ahead = intent(1, requested_at=NOW + timedelta(minutes=10))
    soon = intent(2, requested_at=NOW + timedelta(seconds=LONGEST_DELAY_SECONDS))
    async with units.begin() as unit:
        await unit.store.save_intents([ahead, soon])
        assert [item.payment_id for item in await unit.store.waiting(NOW, 10)] == [ahead.payment_id]


async def test_hurry_makes_what_is_pending_due(units: Units) -> None:
    await record(units, transaction(1))
    await send(units, Attempt.SUCCEEDED)
    async with units.begin() as unit:
        await unit.store.hurry(NOW + SECOND)
        assert len(await unit.store.due(NOW + SECOND, 10)) == 1


async def test_standings_are_recorded_only_over_what_was_seen(units: Units) -> None:
    await record(units, transaction(1), transaction(2))
    one, two = await tracked(units)
    moved = await move(units, (one, in_block(5), 0), (two, in_block(5), 0))
    assert [standing for _, standing in moved] == [in_block(5), in_block(5)]
    assert await move(units, (one, in_block(6), 0)) == []
    one, _ = await tracked(units)
    assert (one.standing, one.submitted) == (in_block(5), True)
    final = in_block(5, TransactionState.CONFIRMED)
    assert len(await move(units, (one, final, 0))) == 1
    async with units.begin() as unit:
        assert [item.nonce for item in await unit.store.tracked()] == [2]
        [confirmed] = await unit.store.newest_final(5)
        assert (confirmed.standing, confirmed.confirmed_before) == (final, True)
        assert await unit.store.under_way() == 0
    assert len(await move(units, (confirmed, PENDING, 1))) == 1
    back, _ = await tracked(units)
    assert (back.standing, back.reorgs, back.confirmed_before, back.submitted) == (PENDING, 1, True, True)


async def test_a_standing_tells_of_a_sending_that_another_worker_recorded_meanwhile(units: Units) -> None:
    await record(units, transaction(1))
    [before] = await tracked(units)
    assert not before.submitted
    assert len(await send(units, Attempt.SUCCEEDED)) == 1  # tells `settlement.submitted`
    [(known, standing)] = await move(units, (before, in_block(5), 0))
    assert standing == in_block(5)
    assert known.submitted, "the submission would be told a second time"


async def test_settlements_of_a_void_transaction_wait_again_or_are_given_up(units: Units) -> None:
    one, two = intent(1), intent(2)
    await record(units, transaction(1, one, two), intents=(one, two))
    [known] = await tracked(units)
    await move(units, (known, in_block(5, TransactionState.REVERTED, succeeded=False), 0))
    async with units.begin() as unit:
        await unit.store.send_again([one.payment_id], [NOW + 3 * SECOND])
        await unit.store.fail([two.payment_id], ["settlement_invalid"], ["the contract refuses it"])
    async with units.begin() as unit:
        assert await unit.store.waiting(NOW + 2 * SECOND, 10) == []
        [again] = await unit.store.waiting(NOW + 3 * SECOND, 10)
        assert (again.payment_id, again.submissions) == (one.payment_id, 1)
        assert await unit.store.assigned([known]) == []
        await unit.store.lock_sender(SENDER, 0)
        await unit.store.save_transactions([transaction(2, one)], 3)
        [_, second] = [item for item in (known, *await unit.store.tracked())]
        [assigned] = await unit.store.assigned([second])
        assert (assigned.payment_id, assigned.submissions) == (one.payment_id, 2)
