"""Payouts from a schedule's row to the merchant's webhook, on a real ledger; the chain-bridge speaks through events."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.snapshot import Snapshot
from rialto_cli.testing import Database
from rialto_common.events import settlements
from rialto_common.events.payments import SettlementRequested

from .platform_in_process import ADMIN_KEY, Died, Merchant, Platform, facts_of, settlement_of
from .test_balance import balance_of, check_books

Payments = Sequence[dict[str, Any]]


async def set_terms(platform: Platform, merchant: Merchant, **terms: Any) -> dict[str, Any]:
    answer = await platform.call("PATCH", "/v1/payout_settings", terms, key=merchant.test_key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def captured(platform: Platform, merchant: Merchant, *amounts: int) -> list[dict[str, Any]]:
    """Have payments captured."""
    payments = [await platform.pay(merchant, amount) for amount in amounts]
    for payment in payments:
        await platform.decide(payment)
    await platform.ask_ledger()
    return payments


async def asked_for(platform: Platform) -> list[str]:
    """Return the payments whose settlement was asked for, in the order of asking."""
    rows = await platform.pool.fetch(
        "SELECT key FROM bus.log WHERE type = $1 ORDER BY position", SettlementRequested.type
    )
    return [row["key"] for row in rows]


async def pay_out(platform: Platform, merchant: Merchant, **headers: str) -> Any:
    return await platform.call("POST", "/v1/payouts", {"currency": "USD"}, key=merchant.test_key, **headers)


async def payouts_of(platform: Platform, merchant: Merchant, query: str = "") -> list[dict[str, Any]]:
    answer = await platform.call("GET", "/v1/payouts" + query, key=merchant.test_key)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def settle(platform: Platform, payments: Payments) -> None:
    """Have the chain-bridge send and confirm payments."""
    for payment in payments:
        await platform.publish(platform.confirmed(payment))
        await platform.ask_ledger()


async def told(platform: Platform, merchant: Merchant, kind: str) -> list[dict[str, Any]]:
    answer = await platform.call("GET", f"/v1/events?type={kind}", key=merchant.test_key)
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def audited(platform: Platform, dsn: str) -> dict[str, int]:
    """Return what an audit of the books finds wrong, but for the chain and the services that are not here."""
    found = Books()
    with Snapshot(dsn) as snapshot:
        books.set_parameters(snapshot, platform.runtime.now())
        for name in ("I1", "I2", "I3", "I4", "I5", "I7"):
            books.check(found, name, snapshot)
    return {f"{name} {check}": count for name, book in found for check, count in book.by_check.items()}


async def test_without_settings_each_payment_is_settled_at_once_and_there_is_no_payout(
    platform: Platform, merchant: Merchant
) -> None:
    settings = (await platform.call("GET", "/v1/payout_settings", key=merchant.test_key)).json()
    assert (settings["schedule"], settings["next_payout_at"]) == ("immediate", None)
    [payment] = await captured(platform, merchant, 1000)
    assert await asked_for(platform) == [payment["id"]]
    refused = await pay_out(platform, merchant)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pay_out")
    assert await payouts_of(platform, merchant) == []


async def test_a_manual_payout_pays_what_waits_once_however_often_it_is_asked_for(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    await set_terms(platform, merchant, schedule="manual")
    payments = await captured(platform, merchant, 1000, 2000)
    waiting = await platform.get(merchant, payments[0]["id"])
    assert (waiting["status"], waiting["status_reason"], waiting["payout_id"]) == ("captured", "awaiting_payout", None)
    assert waiting["deadline_at"] > waiting["updated_at"]
    assert await asked_for(platform) == []
    assert await check_books(platform, merchant) == {"available": 3000, "pending": 0, "reserved": 0, "total": 3000}
    answers = await asyncio.gather(*(pay_out(platform, merchant, Idempotency_Key="one") for _ in range(5)))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {"payouts_changed"}
    assert len({orjson.dumps(each) for each in made}) == 1
    assert (made[0]["status"], made[0]["amount_minor"], made[0]["payments_count"]) == ("pending", "3000", 2)
    assert await asked_for(platform) == [payment["id"] for payment in payments]
    assert await check_books(platform, merchant) == {"available": 0, "pending": 3000, "reserved": 0, "total": 3000}
    await settle(platform, payments)
    found = (await platform.call("GET", f"/v1/payouts/{made[0]['id']}", key=merchant.test_key)).json()
    assert (found["status"], found["payments_paid"], found["deadline_at"]) == ("paid", 2, None)
    assert [each["status"] for each in found["payments"]] == ["paid", "paid"]
    assert (await platform.get(merchant, payments[0]["id"]))["payout_id"] == found["id"]
    assert (await check_books(platform, merchant))["total"] == 0
    late = await pay_out(platform, merchant, Idempotency_Key="one")
    assert (late.status_code, late.json()) == (201, made[0])
    assert late.headers["Idempotency-Replayed"] == "true"
    [event] = await told(platform, merchant, "payout.paid")
    assert (event["data"]["id"], event["data"]["status"], event["payment"]) == (found["id"], "paid", None)
    assert await told(platform, merchant, "payout.failed") == []
    await captured(platform, merchant, 500)
    # No bridge is here to be asked, so the audit knows of no token that the settlements could have been in.
    assert audited(platform, database.superuser_dsn()).keys() <= {"I4 settled_not_as_captured"}


async def test_a_daily_payout_comes_at_its_cut_off_and_takes_what_waits(platform: Platform, merchant: Merchant) -> None:
    hour = (platform.runtime.now() + timedelta(hours=3)).hour
    settings = await set_terms(platform, merchant, schedule="daily", cut_off_hour=hour)
    payments = await captured(platform, merchant, 700, 800)
    await platform.gateway.steps["payouts"]()
    assert await payouts_of(platform, merchant) == []
    platform.runtime.ahead += timedelta(hours=3)
    await platform.gateway.steps["payouts"]()
    await platform.gateway.steps["payouts"]()
    [payout] = await payouts_of(platform, merchant)
    assert (payout["asked_by"], payout["amount_minor"]) == ("schedule", "1500")
    assert await asked_for(platform) == [payment["id"] for payment in payments]
    after = (await platform.call("GET", "/v1/payout_settings", key=merchant.test_key)).json()
    assert after["next_payout_at"] > settings["next_payout_at"]
    assert len(await payouts_of(platform, merchant, "?status=pending")) == 1
    await settle(platform, payments[:1])
    assert (await payouts_of(platform, merchant))[0]["status"] == "in_transit"


async def test_a_waiting_payments_deadline_is_moved_on_and_asks_for_nothing(
    platform: Platform, merchant: Merchant
) -> None:
    await set_terms(platform, merchant, schedule="manual")
    [payment] = await captured(platform, merchant, 1000)
    before = await platform.get(merchant, payment["id"])
    platform.runtime.ahead += timedelta(hours=26)
    await platform.sweep()
    after = await platform.get(merchant, payment["id"])
    assert (after["status"], after["status_reason"]) == ("captured", "awaiting_payout")
    assert after["deadline_at"] > before["deadline_at"]
    assert await asked_for(platform) == []


async def test_what_a_merchant_owes_is_kept_back_until_it_is_covered(platform: Platform, merchant: Merchant) -> None:
    await set_terms(platform, merchant, schedule="manual")
    payments = await captured(platform, merchant, 1000, 1000, 1000)
    path = f"/v1/payments/{payments[0]['id']}/refunds"
    await platform.call("POST", path, {"amount_minor": 300}, key=merchant.test_key)
    await platform.ask_ledger()
    assert (await balance_of(platform, merchant))["available"] == 2700
    assert (await pay_out(platform, merchant)).json()["amount_minor"] == "2000"
    await settle(platform, payments[:2])
    assert await check_books(platform, merchant) == {"available": 700, "pending": 0, "reserved": 0, "total": 700}
    refused = await pay_out(platform, merchant)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pay_out")
    await captured(platform, merchant, 300)
    assert (await pay_out(platform, merchant)).json()["amount_minor"] == "1000"


async def test_a_reserve_is_held_back_of_each_capture_and_released_after_its_time(
    platform: Platform, merchant: Merchant, database: Database
) -> None:
    path = f"/v1/merchants/{merchant.id}/payout_settings?mode=test"
    terms = {"reserve_bps": 1000, "reserve_days": 2}
    at_once = await platform.call("PATCH", path, terms, key=ADMIN_KEY)
    assert (at_once.status_code, at_once.json()["code"]) == (409, "reserve_needs_waiting")
    await captured(platform, merchant, 5000)
    by_merchant = await platform.call("PATCH", "/v1/payout_settings", terms, key=merchant.test_key)
    assert by_merchant.status_code == 403
    for partly in ({"reserve_bps": 1000}, {"reserve_bps": 0, "reserve_days": 2}):
        assert (await platform.call("PATCH", path, partly, key=ADMIN_KEY)).status_code == 400
    set_by_operator = await platform.call("PATCH", path, terms | {"schedule": "manual"}, key=ADMIN_KEY)
    assert (set_by_operator.json()["reserve_bps"], set_by_operator.json()["reserve_days"]) == (1000, 2)
    back = await platform.call("PATCH", "/v1/payout_settings", {"schedule": "immediate"}, key=merchant.test_key)
    assert (back.status_code, back.json()["code"]) == (409, "reserve_needs_waiting")
    await captured(platform, merchant, 1000, 1009)
    assert await check_books(platform, merchant) == {
        "available": 1809,
        "pending": 5000,
        "reserved": 200,
        "total": 7009,
    }
    assert (await pay_out(platform, merchant)).json()["amount_minor"] == "1000"
    assert (await balance_of(platform, merchant))["available"] == 809
    assert (await pay_out(platform, merchant)).json()["code"] == "nothing_to_pay_out"
    platform.runtime.ahead += timedelta(days=3)
    assert (await balance_of(platform, merchant))["available"] == 1009
    assert (await pay_out(platform, merchant)).json()["amount_minor"] == "1009"
    await platform.sweep()
    await platform.gateway.steps["payouts"]()
    assert audited(platform, database.superuser_dsn()) == {}


async def test_a_payout_whose_payment_cannot_be_paid_fails_and_says_why(platform: Platform, merchant: Merchant) -> None:
    await set_terms(platform, merchant, schedule="manual")
    payments = await captured(platform, merchant, 1000, 2000)
    payout = (await pay_out(platform, merchant)).json()
    refusal = {"settlement_id": settlement_of(payments[1]), "amount_minor": "2000", "currency": "USD"}
    refusal |= {"code": "payee_refused", "detail": "the token refuses the payee"}
    data = settlements.SettlementFailed.model_validate(facts_of(payments[1]) | refusal)
    await platform.hear(platform.say("chain_bridge", data))
    path = f"/v1/payouts/{payout['id']}"
    found = (await platform.call("GET", path, key=merchant.test_key)).json()
    assert (found["status"], found["payments_failed"]) == ("in_transit", 1)
    await settle(platform, payments[:1])
    found = (await platform.call("GET", path, key=merchant.test_key)).json()
    assert (found["status"], found["failure_code"]) == ("failed", "payee_refused")
    assert [each["failure_code"] for each in found["payments"]] == [None, "payee_refused"]
    [event] = await told(platform, merchant, "payout.failed")
    assert event["data"]["failure_code"] == "payee_refused"


async def test_going_back_to_immediate_pays_out_what_waits(platform: Platform, merchant: Merchant) -> None:
    await set_terms(platform, merchant, schedule="manual")
    payments = await captured(platform, merchant, 1000)
    await set_terms(platform, merchant, schedule="immediate")
    payments += await captured(platform, merchant, 500)
    assert await asked_for(platform) == [payments[1]["id"]]
    platform.runtime.ahead += timedelta(minutes=2)
    await platform.gateway.steps["payouts"]()
    assert await asked_for(platform) == [payments[1]["id"], payments[0]["id"]]
    settings = (await platform.call("GET", "/v1/payout_settings", key=merchant.test_key)).json()
    assert settings["next_payout_at"] is None


async def test_a_ledger_that_is_away_postpones_a_payout_and_loses_none(platform: Platform, merchant: Merchant) -> None:
    hour = (platform.runtime.now() + timedelta(hours=1)).hour
    await set_terms(platform, merchant, schedule="daily", cut_off_hour=hour)
    await captured(platform, merchant, 700)
    platform.runtime.ahead += timedelta(hours=1)
    platform.line_to_ledger.cuts.append("request")
    await platform.gateway.steps["payouts"]()
    assert await payouts_of(platform, merchant) == []
    platform.runtime.ahead += timedelta(minutes=1)
    await platform.gateway.steps["payouts"]()
    assert [payout["amount_minor"] for payout in await payouts_of(platform, merchant)] == ["700"]
    platform.line_to_ledger.cuts.append("answer")
    away = await pay_out(platform, merchant)
    assert (away.status_code, away.json()["retryable"]) == (503, True)


@pytest.mark.parametrize("point", ["gateway.payout.before_commit", "gateway.payout.after_commit"])
async def test_a_payout_that_dies_at_any_point_is_made_once_by_its_retry(
    platform: Platform, merchant: Merchant, point: str
) -> None:
    await set_terms(platform, merchant, schedule="manual")
    payments = await captured(platform, merchant, 1000, 2000)
    platform.runtime.dies_at = point
    with pytest.raises(Died):
        await pay_out(platform, merchant, Idempotency_Key="one")
    again = await pay_out(platform, merchant, Idempotency_Key="one")
    assert (again.status_code, again.json()["amount_minor"]) == (201, "3000")
    assert len(await payouts_of(platform, merchant)) == 1
    assert await asked_for(platform) == [payment["id"] for payment in payments]


async def test_payouts_and_settings_are_nobody_elses(platform: Platform, merchant: Merchant) -> None:
    await set_terms(platform, merchant, schedule="manual")
    await captured(platform, merchant, 1000)
    payout = (await pay_out(platform, merchant)).json()
    stranger = await platform.merchant("Stranger")
    for key in (stranger.test_key, merchant.live_key):
        seen = await platform.call("GET", f"/v1/payouts/{payout['id']}", key=key)
        assert (seen.status_code, seen.json()["code"]) == (404, "payout_not_found")
        assert (await platform.call("GET", "/v1/payouts", key=key)).json()["data"] == []
        assert (await platform.call("GET", "/v1/payout_settings", key=key)).json()["schedule"] == "immediate"
    path = f"/v1/merchants/{merchant.id}/payout_settings?mode=test"
    refused = await platform.call("PATCH", path, {"schedule": "daily"}, key=stranger.test_key)
    assert refused.status_code == 403
    by_operator = await platform.call("PATCH", path, {"schedule": "daily", "cut_off_hour": 3}, key=ADMIN_KEY)
    assert (by_operator.status_code, by_operator.json()["schedule"]) == (200, "daily")
    assert (await platform.call("GET", path, key=ADMIN_KEY)).json() == by_operator.json()
    for method, path in (
        ("GET", "/v1/payouts"),
        ("GET", f"/v1/payouts/{payout['id']}"),
        ("GET", "/v1/payout_settings"),
    ):
        assert (await platform.call(method, path)).status_code == 403
    assert (await platform.call("POST", "/v1/payouts", {"currency": "USD"})).status_code == 403
    for key in (stranger.test_key, merchant.test_key):
        settings_of = f"/v1/merchants/{merchant.id}/payout_settings?mode=test"
        assert (await platform.call("GET", settings_of, key=key)).status_code == 403
    unknown = merchant.id[:-6] + "000000"
    nobodys = await platform.call("GET", f"/v1/merchants/{unknown}/payout_settings?mode=test")
    assert (nobodys.status_code, nobodys.json()["code"]) == (404, "merchant_not_found")
    acts = (await platform.call("GET", "/v1/audit_log", key=ADMIN_KEY)).json()["data"]
    changed = [act for act in acts if act["act"] == "payout_settings.changed"]
    assert len(changed) == 2
    for body in ({"schedule": "hourly"}, {"cut_off_hour": 24}, {"reserve": 1}):
        bad = await platform.call("PATCH", "/v1/payout_settings", body, key=merchant.test_key)
        assert bad.status_code == 400, bad.text


async def test_payouts_are_listed_the_newest_first_page_by_page(platform: Platform, merchant: Merchant) -> None:
    await set_terms(platform, merchant, schedule="manual")
    made = []
    for amount in (100, 200, 300):
        await captured(platform, merchant, amount)
        made.append((await pay_out(platform, merchant)).json()["id"])
    first = (await platform.call("GET", "/v1/payouts?limit=2", key=merchant.test_key)).json()
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (made[:0:-1], True)
    path = f"/v1/payouts?limit=2&cursor={first['next_cursor']}"
    second = (await platform.call("GET", path, key=merchant.test_key)).json()
    assert ([each["id"] for each in second["data"]], second["has_more"]) == (made[:1], False)
    stranger = await platform.merchant("Stranger")
    refused = await platform.call("GET", path, key=stranger.test_key)
    assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid")
