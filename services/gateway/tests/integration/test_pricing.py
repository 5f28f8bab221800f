"""What merchants pay: the operator sets it, the merchant sees it, and their payments are settled less it."""

from typing import Any

from rialto_cli.testing import Database
from rialto_common.events.payments import SettlementRequested

from .platform_in_process import Merchant, Platform
from .test_balance import check_books, transactions_of
from .test_payouts import audited

CARDS_AND_REST = [
    {"method": "card", "currency": "USD", "bps": 290, "fixed_minor": "30"},
    {"method": None, "currency": None, "bps": 50, "fixed_minor": "0"},
]


async def set_pricing(
    platform: Platform, merchant: Merchant, *prices: dict[str, Any], mode: str = "test"
) -> list[dict[str, Any]]:
    path = f"/v1/merchants/{merchant.id}/pricing?mode={mode}"
    answer = await platform.call("PUT", path, {"prices": list(prices)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["prices"]
    return found


async def acts(platform: Platform) -> list[tuple[str, str | None]]:
    log = (await platform.call("GET", "/v1/audit_log")).json()["data"]
    return [(entry["act"], entry["mode"]) for entry in log if entry["act"] == "pricing.changed"]


async def test_the_operator_sets_prices_which_the_merchant_reads_and_the_audit_log_keeps(
    platform: Platform, merchant: Merchant
) -> None:
    first = (await platform.call("GET", "/v1/pricing", key=merchant.test_key)).json()
    assert first == {"object": "pricing", "merchant_id": merchant.id, "mode": "test", "prices": []}
    prices: list[dict[str, Any]] = [{"bps": 50}, {"method": "card", "currency": "USD", "bps": 290, "fixed_minor": 30}]
    set_ = await set_pricing(platform, merchant, *prices)
    assert sorted(set_, key=lambda each: each["bps"]) == CARDS_AND_REST[::-1]
    assert (await platform.call("GET", "/v1/pricing", key=merchant.test_key)).json()["prices"] == set_
    assert (await platform.call("GET", "/v1/pricing", key=merchant.live_key)).json()["prices"] == []
    assert await acts(platform) == [("pricing.changed", "test")]
    await set_pricing(platform, merchant, *reversed(prices))
    assert await acts(platform) == [("pricing.changed", "test")], "the same prices are no change"
    assert await set_pricing(platform, merchant) == []
    assert len(await acts(platform)) == 2


async def test_prices_are_the_operators_to_set_and_of_merchants_that_there_are(
    platform: Platform, merchant: Merchant
) -> None:
    path, body = f"/v1/merchants/{merchant.id}/pricing", {"prices": [{"bps": 1}]}
    refused = await platform.call("PUT", path + "?mode=test", body, key=merchant.test_key)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    nobody = "/v1/merchants/mer_01kb6w1m8xf0gbb7n5d8jq2c4r/pricing?mode=test"
    assert (await platform.call("PUT", nobody, body)).status_code == 404
    assert (await platform.call("GET", nobody)).status_code == 404
    wrong = await platform.call("PUT", path + "?mode=test", {"prices": [{"fixed_minor": 30}]})
    assert (wrong.status_code, wrong.json()["param"]) == (400, "prices.0")
    assert (await platform.call("GET", "/v1/pricing")).status_code == 403


async def charged(platform: Platform, merchant: Merchant, *, part: int = 5_000) -> dict[str, Any]:
    """Have a payment of 10,000 captured in two parts at 2.9 % and 30."""
    await set_pricing(platform, merchant, {"method": "wallet", "currency": "USD", "bps": 290, "fixed_minor": 30})
    payment = await platform.pay(merchant, 10_000, capture_method="manual")
    await set_pricing(platform, merchant, {"bps": 9_000})
    await platform.decide(payment)
    for body in ({"amount_minor": part}, {}):
        answer = await platform.call("POST", f"/v1/payments/{payment['id']}/capture", body, key=merchant.test_key)
        assert answer.status_code == 200, answer.text
        await platform.ask_ledger()
    return await platform.get(merchant, payment["id"])


async def asked_to_pay(platform: Platform) -> list[int]:
    rows = await platform.pool.fetch(
        "SELECT data ->> 'amount_minor' AS amount FROM bus.log WHERE type = $1", SettlementRequested.type
    )
    return [int(row["amount"]) for row in rows]


async def test_a_payment_is_settled_less_the_fees_of_its_captures_by_the_price_it_was_accepted_at(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    payment = await charged(platform, merchant)
    assert (payment["status"], payment["amount_captured_minor"]) == ("captured", "10000")
    assert await asked_to_pay(platform) == [10_000 - 320]
    assert audited(platform, database.superuser_dsn()) == {}
    assert await check_books(platform, merchant) == {"available": 0, "pending": 9_680, "reserved": 0, "total": 9_680}
    lines = await transactions_of(platform, merchant, "payable")
    assert [(line["type"], line["amount_minor"]) for line in lines] == [
        *(("capture", "5000"), ("fee", "-175"), ("capture", "5000"), ("fee", "-145"))
    ]
    assert {line["payment_id"] for line in lines} == {payment["id"]}
    fees = payment["fees"]
    assert (payment["fee_minor"], fees["total_minor"]) == ("320", "320")
    assert [(line["type"], line["amount_minor"], line["for"]) for line in fees["lines"]] == [
        ("processing", amount, capture["id"])
        for amount, capture in zip(("175", "145"), payment["captures"], strict=True)
    ]
    assert all(line["rate"] == {"bps": 290, "fixed_minor": "30"} for line in fees["lines"])
    refused = await platform.call("POST", f"/v1/payments/{payment['id']}/refunds", {}, key=merchant.test_key)
    await platform.ask_ledger()
    refund = (await platform.call("GET", f"/v1/refunds/{refused.json()['id']}", key=merchant.test_key)).json()
    assert (refund["status"], refund["failure_code"]) == ("failed", "insufficient_merchant_balance")
    await platform.publish(platform.confirmed(payment | {"amount_minor": "9680"}))
    await platform.ask_ledger()
    assert (await platform.get(merchant, payment["id"]))["status"] == "settled"
    assert (await check_books(platform, merchant))["total"] == 0
    # No bridge is here to be asked, so the audit knows of no token that the settlement could have been in.
    assert audited(platform, database.superuser_dsn()).keys() <= {"I4 settled_not_as_captured"}


async def test_a_payout_and_the_rolling_reserve_are_of_what_is_left_after_fees(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    path = f"/v1/merchants/{merchant.id}/payout_settings?mode=test"
    terms = {"schedule": "manual", "reserve_bps": 1_000, "reserve_days": 30}
    assert (await platform.call("PATCH", path, terms)).status_code == 200
    await charged(platform, merchant)
    held = 482 + 485  # of 5,000 less 175, and of 5,000 less 145
    assert await check_books(platform, merchant) == {
        **{"available": 9_680 - held, "pending": 0, "reserved": held, "total": 9_680}
    }
    lifted = await platform.call("PATCH", path, {"reserve_bps": 0, "reserve_days": 0})
    assert lifted.status_code == 200
    payout = await platform.call("POST", "/v1/payouts", {"currency": "USD"}, key=merchant.test_key)
    assert (payout.status_code, payout.json()["amount_minor"]) == (201, "9680")
    assert await asked_to_pay(platform) == [9_680]
    assert audited(platform, database.superuser_dsn()) == {}


async def test_a_refund_gives_no_fee_back_and_a_fee_leaves_something_to_settle(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    await platform.decide(await platform.pay(merchant, 1_000))
    await platform.ask_ledger()  # a free one, so that the merchant can afford the refund
    await set_pricing(platform, merchant, {"currency": "USD", "fixed_minor": 30})
    payments = [await platform.pay(merchant, amount) for amount in (20, 500)]
    for payment in payments:
        await platform.decide(payment)
        await platform.ask_ledger()
    assert sorted(await asked_to_pay(platform)) == [1, 470, 1_000]
    await platform.call("POST", f"/v1/payments/{payments[1]['id']}/refunds", {}, key=merchant.test_key)
    await platform.ask_ledger()
    refunded = await platform.get(merchant, payments[1]["id"])
    assert refunded["amount_refunded_minor"] == "500"
    assert (await check_books(platform, merchant))["total"] == 1_000 + 1 + 470 - 500
    assert audited(platform, database.superuser_dsn()) == {}


async def test_what_is_charged_is_held_to_the_ledger_while_news_of_it_is_on_the_way(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    await set_pricing(platform, merchant, {"bps": 1_000})
    payment = await platform.pay(merchant, 1_000)
    await platform.decide(payment)
    await platform.ledger.steps["consumer-ledger"]()
    assert audited(platform, database.superuser_dsn()) == {}, "booked, and the gateway has yet to hear"
    await platform.gateway.steps["consumer-gateway"]()
    assert audited(platform, database.superuser_dsn()) == {}


async def fees_of(platform: Platform, merchant: Merchant, query: str = "") -> Any:
    answer = await platform.call("GET", "/v1/fees" + query, key=merchant.test_key)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_fee_is_listed_a_page_at_a_time_and_the_totals_are_their_sum(
    platform: Platform, merchant: Merchant
) -> None:
    await set_pricing(platform, merchant, {"bps": 1_000})
    times = []
    for amount in (100, 200, 300):
        payment = await platform.pay(merchant, amount)
        await platform.decide(payment)
        await platform.ask_ledger()
        times.append((await platform.get(merchant, payment["id"]))["fees"]["lines"][0]["created_at"])
    listed: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await fees_of(platform, merchant, "?limit=2" + after)
        listed += page["data"]
        if not page["has_more"]:
            break
        after = f"&cursor={page['next_cursor']}"
    assert [(each["amount_minor"], each["created_at"]) for each in listed] == [
        *(("30", times[2]), ("20", times[1]), ("10", times[0]))
    ]
    assert await fees_of(platform, merchant, "/totals") == {
        "object": "fee_totals",
        "mode": "test",
        "created_from": None,
        "created_to": None,
        "data": [{"currency": "USD", "type": "processing", "fees": 3, "amount_minor": "60"}],
    }
    period = f"?created_from={times[1]}&created_to={times[2]}"
    assert [each["amount_minor"] for each in (await fees_of(platform, merchant, period))["data"]] == ["20"]
    totals = await fees_of(platform, merchant, "/totals" + period)
    assert (totals["created_from"], totals["data"][0]["amount_minor"]) == (times[1], "20")
    path = f"/v1/fees{period}&cursor={page['next_cursor'] or after.removeprefix('&cursor=')}"
    other = await platform.call("GET", path, key=merchant.test_key)
    assert (other.status_code, other.json()["code"]) == (400, "cursor_invalid")
    stranger = await platform.merchant("Stranger")
    assert (await fees_of(platform, stranger))["data"] == (await fees_of(platform, stranger, "/totals"))["data"] == []


async def test_a_retry_gets_the_first_answer_whatever_was_charged_since(platform: Platform, merchant: Merchant) -> None:
    await set_pricing(platform, merchant, {"bps": 1_000})
    first = await platform.send_payment(merchant, "one")
    assert first.json()["fee_minor"] == "0"
    await platform.decide(first.json())
    await platform.ask_ledger()
    again = await platform.send_payment(merchant, "one")
    assert again.content == first.content
    listed = (await platform.call("GET", "/v1/payments", key=merchant.test_key)).json()["data"]
    assert [(each["fee_minor"], "fees" in each) for each in listed] == [("125", False)]
