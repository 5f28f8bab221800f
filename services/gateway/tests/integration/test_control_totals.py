"""The gateway's and the ledger's totals of one day, told by the two real services and compared."""

from datetime import UTC, timedelta
from typing import Any

import asyncpg

from rialto_common.events.payments import PaymentTotalsReported

from .platform_in_process import Merchant, Platform
from .test_cards import Shop
from .test_cards import shop as shop  # the fixture


async def capture(platform: Platform, merchant: Merchant, amount_minor: int) -> None:
    """Have a payment accepted, authorised and captured."""
    await platform.decide(await platform.pay(merchant, amount_minor))
    await platform.ask_ledger()


async def next_day(platform: Platform, *, hours: int = 3) -> None:
    """Turn the time on to so many hours after the next midnight, on which both days are closed."""
    now = platform.runtime.now()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    platform.runtime.ahead += midnight + timedelta(hours=hours) - now


async def look(platform: Platform) -> None:
    """Let both tell all closed days anew, and the ledger hear of it and compare."""
    for _ in range(31):
        await platform.gateway.steps["control-totals"]()
    await platform.ledger.steps["consumer-ledger"]()
    for _ in range(31):
        await platform.ledger.steps["reconciliation"]()


async def told(platform: Platform) -> list[tuple[int, int, int]]:
    """Return what the gateway has told: revision, amount and count of what was captured."""
    rows = await platform.pool.fetch(
        "SELECT data FROM bus.log WHERE type = $1 ORDER BY position", PaymentTotalsReported.type
    )
    read = [PaymentTotalsReported.model_validate_json(row["data"]) for row in rows]
    return [(data.revision, data.totals[0].amount_minor, data.totals[0].count) for data in read]


async def differences(superuser: "asyncpg.Connection[Any]") -> list[tuple[str, str]]:
    return [
        (row["reason"], row["state"])
        for row in await superuser.fetch("SELECT reason, state FROM ledger.differences ORDER BY first_seen_at")
    ]


async def test_the_two_agree_on_every_capture_to_the_microsecond_of_its_time(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    for amount in (1000, 250, 1):
        await capture(platform, merchant, amount)
    apart = await superuser.fetch("""
        SELECT FROM gateway.captures AS c JOIN ledger.journal_entries AS e
        ON e.payment_id = c.payment_id AND e.kind = 'capture' AND e.effective_at <> c.created_at
    """)
    assert apart == []
    await next_day(platform)
    await look(platform)
    platform.runtime.ahead += timedelta(hours=1)
    await look(platform)
    assert await told(platform) == [(1, 1251, 3)]
    assert await differences(superuser) == []


async def test_the_two_agree_on_cards_and_refunds_that_midnight_parts_from_their_answers(shop: Shop) -> None:
    platform = shop.platform
    payment = await shop.pay(None, "lost_after")
    await shop.all_goes_on()  # the capture's outcome is unknown; the ledger has suspended it
    await next_day(platform)
    await shop.later(3)
    assert (await shop.get(payment))["status"] == "captured"
    assert (await shop.refund(payment, amount_minor="400")).status_code == 202
    shop.harbour.fail("lost_after")
    await shop.all_goes_on()
    await next_day(platform)
    await shop.later(3)
    assert (await shop.get(payment))["amount_refunded_minor"] == "400"
    for _ in range(2):
        await look(platform)
        platform.runtime.ahead += timedelta(hours=1)
    days: dict[Any, dict[str, int]] = {}
    for row in await platform.pool.fetch("SELECT data FROM bus.log WHERE type = $1", PaymentTotalsReported.type):
        data = PaymentTotalsReported.model_validate_json(row["data"])
        days[data.day] = {total.kind: total.amount_minor for total in data.totals}
    assert [days[day] for day in sorted(days)] == [{"captured": 1250}, {"refunded": 400}]
    apart = await shop.superuser.fetch("""
        SELECT FROM ledger.journal_entries AS e
        LEFT JOIN gateway.captures AS c ON c.payment_id = e.payment_id AND e.kind = 'capture'
        LEFT JOIN gateway.refunds AS r ON r.payment_id = e.payment_id AND e.kind = 'refund'
        WHERE e.kind IN ('capture', 'refund') AND e.effective_at <> coalesce(c.created_at, r.created_at)
    """)
    assert apart == []
    assert await differences(shop.superuser) == []


async def test_a_capture_that_someone_changed_is_a_difference_until_it_is_put_right(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    await capture(platform, merchant, 1000)
    await next_day(platform)
    await look(platform)
    await superuser.execute("UPDATE gateway.captures SET amount_minor = 1001")
    for _ in range(2):
        await look(platform)
        platform.runtime.ahead += timedelta(hours=1)
    assert await differences(superuser) == [("amount_differs", "open")]
    await superuser.execute("UPDATE gateway.captures SET amount_minor = 1000")
    await look(platform)
    assert await differences(superuser) == [("amount_differs", "resolved")]
    assert await told(platform) == [(1, 1000, 1), (2, 1001, 1), (3, 1000, 1)]


async def test_an_answer_that_comes_the_day_after_is_a_new_revision_of_the_day_the_capture_was_asked_for(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    payment = await platform.pay(merchant, 1000)
    await platform.hear(platform.assessed(payment), platform.screened(payment))
    await platform.ledger.steps["consumer-ledger"]()
    await platform.gateway.steps["consumer-gateway"]()  # asks for the capture; the ledger is not there to answer
    await next_day(platform)
    for _ in range(31):
        await platform.gateway.steps["control-totals"]()
    await platform.ask_ledger()
    for _ in range(2):
        await look(platform)
        platform.runtime.ahead += timedelta(hours=1)
    assert await told(platform) == [(1, 0, 0), (2, 1000, 1)]
    assert await differences(superuser) == []


async def test_a_gateway_that_tells_nothing_is_not_reported(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    await capture(platform, merchant, 1000)
    await next_day(platform)
    for _ in range(2 * 31):
        await platform.ledger.steps["reconciliation"]()
        platform.runtime.ahead += timedelta(minutes=1)
    assert await differences(superuser) == [("not_reported", "open")]
    await look(platform)
    assert await differences(superuser) == [("not_reported", "resolved")]
