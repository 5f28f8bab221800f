"""What merchants pay: the operator sets it, the merchant sees it, and their payments are settled less it."""

from typing import Any

from .platform_in_process import Merchant, Platform

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
