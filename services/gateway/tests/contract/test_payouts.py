"""One suite for the payouts' tables, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from rialto_cli.testing import Database
from rialto_common.database import open_pool
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.payouts.payout import Line, Payout, Waiting
from rialto_gateway.payouts.ports import Named, Settings
from rialto_gateway.payouts.schedule import Terms

from .test_payments import MERCHANT, NOW, REFUSALS, InMemory, InPostgres, World, number_id, payment

PAYMENTS = [payment(number) for number in (1, 2, 3)]
WAITING = [Waiting(each.payment_id, 1000) for each in PAYMENTS]
SETTINGS = Settings(MERCHANT, "test", Terms("daily", 17, 500, 30), NOW, 3)
NAMED = Named("key", b"hash")


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Three payments of a merchant, of which the first two wait for a payout."""
    found: World = InMemory()
    if request.param == "postgres":
        database: Database = request.getfixturevalue("database")
        async with await open_pool(database.dsn("gateway"), application="test") as pool:
            postgres = InPostgres(pool)
            await postgres._merchant(MERCHANT)
            yield await filled(postgres)
        return
    yield await filled(found)


async def filled(world: World) -> World:
    await world.accept(*PAYMENTS)
    for each in PAYMENTS:
        accepted = await world.load(each.payment_id)
        captured = replace(accepted, state="captured", amount_captured_minor=1000, deadline_at=NOW)
        await world.save(replace(captured, waits_for_payout=each is not PAYMENTS[2]))
    return world


def payout(number: int = 1, payments: int = 2) -> Payout:
    return Payout(
        id=number_id("payout", number),
        merchant_id=MERCHANT,
        mode="test",
        currency="USD",
        amount_minor=1000 * payments,
        payments=payments,
        asked_by="merchant",
        created_at=NOW,
        deadline_at=NOW,
    )


async def add(world: World, made: Payout, payments: list[Waiting], named: Named | None = None) -> None:
    async with world.units.begin() as unit:
        await unit.payouts.add(made, payments, named)


async def move(world: World, *lines: Line, recount: tuple[UUID, ...] = ()) -> list[tuple[Payout, Payout]]:
    async with world.units.begin() as unit:
        return await unit.payouts.move(lines, recount, NOW)


async def test_settings_are_read_back_as_they_were_saved_and_count_for_payments_from_then_on(world: World) -> None:
    async with world.units.begin() as unit:
        assert await unit.payouts.lock_settings(MERCHANT, "test") is None
        await unit.payouts.save_settings(SETTINGS, NOW)
    loaded = await world.load(PAYMENTS[0].payment_id)
    assert (loaded.payout_schedule, loaded.reserve_bps) == ("daily", 500)
    changed = replace(SETTINGS, terms=Terms("manual", 0), next_at=None, payouts=4)
    async with world.units.begin() as unit:
        assert await unit.payouts.lock_settings(MERCHANT, "test") == SETTINGS
        assert await unit.payouts.lock_settings(MERCHANT, "live") is None
        await unit.payouts.save_settings(changed, NOW + timedelta(seconds=1))
    async with world.units.begin() as unit:
        assert await unit.payouts.lock_settings(MERCHANT, "test") == changed


async def test_those_that_wait_are_found_the_oldest_first(world: World) -> None:
    async with world.units.begin() as unit:
        assert await unit.payouts.waiting(MERCHANT, "test", "USD", 10) == WAITING[:2]
        assert await unit.payouts.waiting(MERCHANT, "test", "USD", 1) == WAITING[:1]
        assert await unit.payouts.waiting(MERCHANT, "live", "USD", 10) == []
        assert await unit.payouts.waiting(MERCHANT, "test", "EUR", 10) == []
    waiting = await world.load(PAYMENTS[0].payment_id)
    taken = replace(waiting, waits_for_payout=False, payout_id=payout().id)
    await world.save(taken)
    assert await world.load(waiting.id) == taken
    async with world.units.begin() as unit:
        assert await unit.payouts.waiting(MERCHANT, "test", "USD", 10) == WAITING[1:2]


async def test_a_payment_is_in_one_payout_at_most_and_a_payout_is_made_once(world: World) -> None:
    await add(world, payout(), WAITING[:2], NAMED)
    for again, payments in ((payout(), WAITING[2:]), (payout(2), WAITING[1:])):
        with pytest.raises(REFUSALS):
            await add(world, again, payments)


async def test_a_payout_is_found_by_the_key_it_was_asked_for_under(world: World) -> None:
    await add(world, payout(), WAITING[:2], NAMED)
    async with world.units.begin() as unit:
        assert await unit.payouts.made_under(MERCHANT, "test", NAMED) == payout().id
        assert await unit.payouts.made_under(MERCHANT, "live", NAMED) is None
        assert await unit.payouts.made_under(MERCHANT, "test", Named("other", b"hash")) is None
        with pytest.raises(IdempotencyKeyReused):
            await unit.payouts.made_under(MERCHANT, "test", Named("key", b"another"))


async def test_a_payout_goes_on_as_its_payments_do(world: World) -> None:
    await add(world, payout(), WAITING[:2])
    first, second = (Line(payout().id, each.payment_id, "in_transit") for each in WAITING[:2])
    [(before, after)] = await move(world, first)
    assert before == payout()
    assert (after.state, after.in_transit, after.sequence) == ("in_transit", 1, before.sequence)
    [(_, after)] = await move(world, second, replace(first, state="paid"), replace(second, state="paid"))
    assert (after.state, after.paid, after.sequence, after.deadline_at) == ("paid", 2, before.sequence + 1, None)
    assert await move(world, recount=(payout().id,)) == [(after, after)]


async def test_a_payout_that_has_failed_names_why_and_is_paid_should_its_payments_be(world: World) -> None:
    await add(world, payout(), WAITING[:2])
    lines = [Line(payout().id, each.payment_id, "paid") for each in WAITING[:2]]
    [(_, after)] = await move(world, lines[0], replace(lines[1], state="failed", code="payee_refused"))
    assert (after.state, after.failure_code, after.failed) == ("failed", "payee_refused", 1)
    [(_, after)] = await move(world, lines[1])
    assert (after.state, after.failure_code, after.sequence) == ("paid", None, 3)
