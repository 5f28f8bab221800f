"""One suite for prices and fees, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from rialto_cli.testing import Database
from rialto_common.database import open_pool
from rialto_gateway.pricing.memory import MemoryFees
from rialto_gateway.pricing.ports import FeeReader
from rialto_gateway.pricing.price import FREE, Fee, Price, Rate
from rialto_gateway.pricing.store import PostgresFees

from .test_payments import MERCHANT, NOW, REFUSALS, InMemory, InPostgres, World, number_id, payment

PRICES = [
    Price(Rate(10)),
    Price(Rate(20, 7), None, "EUR"),
    Price(Rate(290, 30), "card", "USD"),
    Price(Rate(30), "wallet"),
]
CARD = '{"fingerprint": "f"}'


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[tuple[World, FeeReader]]:
    if request.param == "memory":
        memory = InMemory()
        yield memory, MemoryFees(memory.store.pricing)
        return
    database: Database = request.getfixturevalue("database")
    async with await open_pool(database.dsn("gateway"), application="test") as pool:
        postgres = InPostgres(pool)
        await postgres._merchant(MERCHANT)
        yield postgres, PostgresFees(pool)


async def set_prices(world: World, *prices: Price, mode: str = "test") -> list[Price]:
    async with world.units.begin() as unit:
        await unit.pricing.set_prices(MERCHANT, mode, prices, NOW)
    async with world.units.begin() as unit:
        return await unit.pricing.prices(MERCHANT, mode)


async def test_prices_take_the_place_of_those_before(world: tuple[World, FeeReader]) -> None:
    found = await set_prices(world[0], *PRICES)
    assert found == sorted(PRICES, key=lambda each: (each.method or "any", each.currency or "any"))
    assert await set_prices(world[0], Price(Rate(1)), mode="live") == [Price(Rate(1))]
    assert await set_prices(world[0], Price(Rate(5), "card")) == [Price(Rate(5), "card")]
    assert await set_prices(world[0]) == []
    with pytest.raises(REFUSALS):
        await set_prices(world[0], Price(Rate(1)), Price(Rate(2)))


async def test_a_payment_keeps_the_price_that_was_in_force_when_it_was_accepted(
    world: tuple[World, FeeReader],
) -> None:
    tables = world[0]
    free = payment(1)
    await tables.accept(free)
    await set_prices(tables, *PRICES)
    dollars, euros = payment(2), payment(3, currency="EUR")
    card, yen = payment(4, wallet_id=None, card=CARD), payment(5, wallet_id=None, card=CARD, currency="JPY")
    live = payment(6, mode="live")
    await tables.accept(dollars, euros, card, yen, live)
    await set_prices(tables, Price(Rate(9_999)))
    await tables.accept(replace(dollars, idempotency_key="key-2"))
    rates = [(await tables.load(each.payment_id)).rate for each in (free, dollars, euros, card, yen, live)]
    assert rates == [FREE, Rate(30), Rate(30), Rate(290, 30), Rate(10), FREE]


async def test_what_a_payment_is_charged_is_saved_within_what_is_captured(world: tuple[World, FeeReader]) -> None:
    tables = world[0]
    await set_prices(tables, *PRICES)
    await tables.accept(payment())
    loaded = await tables.load(payment().payment_id)
    charged = replace(loaded, amount_captured_minor=500, fee_basis_minor=700, fee_pending_minor=3, fee_minor=4)
    await tables.save(charged)
    assert await tables.load(loaded.id) == charged
    for wrong in (
        replace(charged, fee_minor=501),
        replace(charged, fee_minor=-1),
        replace(charged, fee_pending_minor=-1),
        replace(charged, fee_basis_minor=-1),
    ):
        with pytest.raises(REFUSALS):
            await tables.save(wrong)


async def test_a_capture_or_dispute_is_charged_for_once_and_read_in_order(world: tuple[World, FeeReader]) -> None:
    tables, reader = world
    new = payment()
    await tables.accept(new)
    first = Fee(number_id("capture", 1), new.payment_id, MERCHANT, "test", "USD", "processing", 5, Rate(290, 30))
    second = replace(first, id=number_id("dispute", 1), kind="dispute", amount_minor=1500, rate=Rate(0, 1500))

    async def charge(fee: Fee, minutes: int) -> None:
        async with tables.units.begin() as unit:
            await unit.pricing.charge([fee], NOW + timedelta(minutes=minutes))

    await charge(second, 1)
    await charge(first, 0)
    rows = await reader.of_payment(new.payment_id)
    assert [(row["fee_id"], row["kind"], int(row["amount_minor"])) for row in rows] == [
        (first.id, "processing", 5),
        (second.id, "dispute", 1500),
    ]
    assert [(row["bps"], int(row["fixed_minor"]), row["charged_at"]) for row in rows] == [
        (290, 30, NOW),
        (0, 1500, NOW + timedelta(minutes=1)),
    ]
    assert await reader.of_payment(number_id("payment", 9)) == []
    for again in (first, replace(first, id=number_id("capture", 2), amount_minor=0)):
        with pytest.raises(REFUSALS):
            await charge(again, 2)
