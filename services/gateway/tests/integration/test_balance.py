"""A merchant's balance on a real ledger: whatever happens to its payments, every minor unit is explained."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from rialto_common.events import settlements
from rialto_gateway.balance.transactions import KINDS, Part

from .platform_in_process import Merchant, Platform


async def balance_of(platform: Platform, merchant: Merchant, key: str | None = None) -> dict[str, int]:
    """Return a merchant's dollars, part by part."""
    answer = await platform.call("GET", "/v1/balance", key=key or merchant.test_key)
    assert answer.status_code == 200, answer.text
    parts = next((each for each in answer.json()["data"] if each["currency"] == "USD"), None)
    names = ("available", "pending", "reserved", "held_back", "disputed", "total")
    return {name: int(parts[f"{name}_minor"]) if parts else 0 for name in names}


async def transactions_of(platform: Platform, merchant: Merchant, part: Part) -> list[dict[str, Any]]:
    """Return every balance transaction up to now."""
    platform.runtime.ahead += timedelta(minutes=5)
    path, lines, after = f"/v1/balance_transactions?currency=USD&balance={part}&limit=200", [], ""
    while True:
        page = (await platform.call("GET", path + after, key=merchant.test_key)).json()
        lines += page["data"]
        if not page["has_more"]:
            return lines
        after = f"&cursor={page['next_cursor']}"


async def check_books(platform: Platform, merchant: Merchant) -> dict[str, int]:
    """Hold a balance to what explains it; return it."""
    found = await balance_of(platform, merchant)
    held, disputed = found.pop("held_back"), found.pop("disputed")
    assert found["reserved"] == held + disputed
    parts: dict[Part, int] = {"payable": found["available"] + found["pending"] + held, "reserve": disputed}
    for part, expected in parts.items():
        lines = await transactions_of(platform, merchant, part)
        assert sum(int(line["amount_minor"]) for line in lines) == expected, part
        assert all(part in KINDS[line["type"]] and line["balance"] == part for line in lines)
        assert not lines or int(lines[-1]["balance_minor"]) == expected
    assert found["total"] == sum(parts.values())
    return found


async def test_a_balance_begins_with_nothing_and_is_nobody_elses(platform: Platform, merchant: Merchant) -> None:
    answer = await platform.call("GET", "/v1/balance", key=merchant.test_key)
    assert answer.json() == {"object": "balance", "mode": "test", "data": []}
    await platform.decide(await platform.pay(merchant, 1000))
    await platform.ask_ledger()
    assert await check_books(platform, merchant) == {"available": 0, "pending": 1000, "reserved": 0, "total": 1000}
    stranger = await platform.merchant("Stranger")
    assert await balance_of(platform, stranger) == await balance_of(platform, merchant, merchant.live_key)
    assert (await balance_of(platform, stranger))["total"] == 0
    refused = await platform.call("GET", "/v1/balance")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_ledger_that_is_away_is_said_and_not_guessed(platform: Platform, merchant: Merchant) -> None:
    platform.line_to_ledger.cuts.append("request")
    answer = await platform.call("GET", "/v1/balance", key=merchant.test_key)
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)


@pytest.mark.parametrize("seed", [1, 5])
async def test_the_balance_is_the_sum_of_its_transactions_whatever_happens(
    platform: Platform, merchant: Merchant, seed: int
) -> None:
    chance, payments, unsettled, refunded = Random(seed), list[dict[str, Any]](), dict[str, int](), 0
    for _ in range(12):
        match chance.choice(["pay", "pay", "part", "refund", "settle", "reorg"]):
            case "pay":
                payment = await platform.pay(merchant, chance.randint(500, 5000))
                await platform.decide(payment)
                await platform.ask_ledger()
                payments.append(payment)
                unsettled[payment["id"]] = int(payment["amount_minor"])
            case "part":
                payment = await platform.pay(merchant, 4000, capture_method="manual")
                await platform.decide(payment)
                body = {"amount_minor": chance.randint(1, 3999)}
                await platform.call("POST", f"/v1/payments/{payment['id']}/capture", body, key=merchant.test_key)
                await platform.ask_ledger()
                unsettled[payment["id"]] = body["amount_minor"]
            case "refund" if payments:
                path = f"/v1/payments/{chance.choice(payments)['id']}/refunds"
                await platform.call("POST", path, {"amount_minor": chance.randint(1, 200)}, key=merchant.test_key)
                await platform.ask_ledger()
                listed = [
                    await platform.call("GET", f"/v1/payments/{each['id']}", key=merchant.test_key) for each in payments
                ]
                refunded = sum(int(each.json()["amount_refunded_minor"]) for each in listed)
            case "settle" if any(payment["id"] in unsettled for payment in payments):
                payment = chance.choice([payment for payment in payments if payment["id"] in unsettled])
                await platform.publish(platform.confirmed(payment))
                await platform.ask_ledger()
                del unsettled[payment["id"]]
            case "reorg" if any(payment["id"] not in unsettled for payment in payments):
                # The gateway stays with what it told; the ledger takes it back, and books the next confirmation anew.
                payment = chance.choice([payment for payment in payments if payment["id"] not in unsettled])
                await platform.publish(platform.say("chain_bridge", reorged(platform, payment)))
                await platform.ask_ledger()
                await platform.publish(platform.confirmed(payment))
                await platform.ask_ledger()
        found = await check_books(platform, merchant)
        assert found["pending"] == sum(unsettled.values())
        assert found["available"] == -refunded


def reorged(platform: Platform, payment: dict[str, Any]) -> settlements.SettlementReorged:
    """Return what the chain-bridge says when the chain took a payment's settlement back."""
    confirmed = platform.confirmed(payment).read(settlements.SettlementConfirmed).model_dump()
    names = settlements.SettlementReorged.model_fields
    kept = {name: value for name, value in confirmed.items() if name in names}
    return settlements.SettlementReorged(**kept, was_confirmed=True)
