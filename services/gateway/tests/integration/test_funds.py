"""A merchant's money beside its payments, on a real ledger."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from .platform_in_process import ADMIN_KEY, Merchant, Platform


async def wallet_in(platform: Platform, merchant: Merchant, currency: str = "USD") -> str:
    """Open an empty wallet of the merchant's."""
    answer = await platform.call("POST", "/v1/wallets", {"currency": currency}, key=merchant.test_key)
    wallet_id: str = answer.json()["id"]
    return wallet_id


async def balance(platform: Platform, merchant: Merchant, wallet_id: str) -> int:
    """Return what may be spent from a wallet."""
    answer = await platform.call("GET", f"/v1/wallets/{wallet_id}", key=merchant.test_key)
    return int(answer.json()["available_balance_minor"])


async def move(
    platform: Platform, merchant: Merchant, target: str, amount_minor: int, *, key: str | None = None, **headers: str
) -> httpx.Response:
    """Move money from the merchant's funded wallet."""
    body = {"from_wallet_id": merchant.wallet_id, "to_wallet_id": target, "amount_minor": str(amount_minor)}
    if "Idempotency_Key" not in headers:
        headers["Idempotency_Key"] = platform.new_key()
    return await platform.call("POST", "/v1/transfers", body, key=key or merchant.test_key, **headers)


async def test_a_transfer_moves_money_once_however_often_it_is_sent(platform: Platform, merchant: Merchant) -> None:
    target = await wallet_in(platform, merchant)
    answers = await asyncio.gather(*(move(platform, merchant, target, 1200, Idempotency_Key="one") for _ in range(8)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer not in made} <= {"request_in_progress"}
    assert len({answer.json()["id"] for answer in made}) == 1
    first = made[0].json()
    assert (first["state"], first["from_wallet_id"], first["to_wallet_id"]) == ("received", merchant.wallet_id, target)
    assert await balance(platform, merchant, target) == 1200
    again = await platform.call("GET", f"/v1/transfers/{first['id']}", key=merchant.test_key)
    assert again.json() == first
    other = await move(platform, merchant, target, 1201, Idempotency_Key="one")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_transfer_that_the_ledger_did_not_answer_is_made_by_the_same_request(
    platform: Platform, merchant: Merchant
) -> None:
    target = await wallet_in(platform, merchant)
    platform.line_to_ledger.cuts.append("answer")
    lost = await move(platform, merchant, target, 700, Idempotency_Key="lost")
    assert (lost.status_code, lost.json()["retryable"]) == (503, True)
    found = await move(platform, merchant, target, 700, Idempotency_Key="lost")
    assert (found.status_code, found.json()["state"]) == (201, "received")
    assert await balance(platform, merchant, target) == 700


@pytest.mark.parametrize(
    ("amount_minor", "status", "code"),
    [(10**9, 409, "insufficient_funds"), (0, 400, "amount_invalid"), (-1, 400, "amount_invalid")],
)
async def test_what_cannot_be_moved_is_refused_and_nothing_moves(
    platform: Platform, merchant: Merchant, amount_minor: int, status: int, code: str
) -> None:
    target, before = await wallet_in(platform, merchant), await balance(platform, merchant, merchant.wallet_id)
    answer = await move(platform, merchant, target, amount_minor)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await balance(platform, merchant, merchant.wallet_id) == before
    assert await balance(platform, merchant, target) == 0


async def test_money_moves_only_from_wallets_of_ones_own(platform: Platform, merchant: Merchant) -> None:
    stranger = await platform.merchant("Stranger")
    mine = await wallet_in(platform, merchant)
    stolen = await move(platform, merchant, mine, 100, key=stranger.test_key)
    assert (stolen.status_code, stolen.json()["code"]) == (404, "wallet_not_found")
    to_stranger = await move(platform, merchant, stranger.wallet_id, 100)
    assert (to_stranger.status_code, to_stranger.json()["code"]) == (404, "wallet_not_found")
    as_operator = await move(platform, merchant, mine, 100, key=ADMIN_KEY)
    assert as_operator.status_code == 403
    live = await move(platform, merchant, mine, 100, key=merchant.live_key)
    assert live.status_code == 404
    moved = (await move(platform, merchant, mine, 100)).json()
    seen = await platform.call("GET", f"/v1/transfers/{moved['id']}", key=stranger.test_key)
    assert (seen.status_code, seen.json()["code"]) == (404, "transfer_not_found")


async def test_a_transfer_between_currencies_says_to_convert(platform: Platform, merchant: Merchant) -> None:
    euros = await wallet_in(platform, merchant, "EUR")
    answer = await move(platform, merchant, euros, 100)
    assert (answer.status_code, answer.json()["code"]) == (400, "currency_mismatch")
    assert answer.json()["param"] == "to_wallet_id"


async def quote(platform: Platform, merchant: Merchant, **changes: Any) -> httpx.Response:
    """Ask for a price."""
    key = changes.pop("key", platform.new_key())
    body = {"sell_currency": "USD", "sell_amount_minor": "10000", "buy_currency": "EUR"} | changes
    return await platform.call("POST", "/v1/fx_quotes", body, key=merchant.test_key, Idempotency_Key=key)


async def test_a_quote_is_held_and_used_once(platform: Platform, merchant: Merchant) -> None:
    await platform.ledger.steps["fx-rates"]()
    priced, again = [await quote(platform, merchant, key="price") for _ in range(2)]
    assert (priced.status_code, again.status_code) == (201, 201)
    assert priced.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    price = priced.json()
    euros = await wallet_in(platform, merchant, "EUR")
    wallets = {"from_wallet_id": merchant.wallet_id, "to_wallet_id": euros}
    path = f"/v1/fx_quotes/{price['id']}/convert"
    used = await asyncio.gather(*(platform.call("POST", path, wallets, key=merchant.test_key) for _ in range(4)))
    assert {answer.status_code for answer in used} == {201}
    assert used[0].json()["used_by"]
    assert await balance(platform, merchant, euros) == int(price["buy_amount_minor"])
    other = {**wallets, "to_wallet_id": await wallet_in(platform, merchant, "EUR")}
    refused = await platform.call("POST", path, other, key=merchant.test_key)
    assert refused.status_code in (409, 422), refused.text
    assert await balance(platform, merchant, merchant.wallet_id) == 1_000_000 - 10_000


async def test_a_quote_ends_with_its_time_and_is_nobody_elses(platform: Platform, merchant: Merchant) -> None:
    await platform.ledger.steps["fx-rates"]()
    price = (await quote(platform, merchant)).json()
    stranger = await platform.merchant("Stranger")
    seen = await platform.call("GET", f"/v1/fx_quotes/{price['id']}", key=stranger.test_key)
    assert (seen.status_code, seen.json()["code"]) == (404, "fx_quote_not_found")
    euros = await wallet_in(platform, merchant, "EUR")
    platform.runtime.ahead += timedelta(hours=1)
    late = await platform.call(
        "POST",
        f"/v1/fx_quotes/{price['id']}/convert",
        {"from_wallet_id": merchant.wallet_id, "to_wallet_id": euros},
        key=merchant.test_key,
    )
    assert (late.status_code, late.json()["code"]) == (409, "fx_quote_expired")
    assert await balance(platform, merchant, euros) == 0


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"buy_currency": "USD"}, 400, "fx_same_currency"),
        ({"buy_currency": "XXQ"}, 400, "currency_unknown"),
        ({"sell_amount_minor": "0"}, 400, "amount_invalid"),
        ({"buy_currency": "HUF"}, 404, "fx_rate_not_found"),
    ],
)
async def test_what_cannot_be_quoted_is_refused(
    platform: Platform, merchant: Merchant, changes: dict[str, str], status: int, code: str
) -> None:
    await platform.ledger.steps["fx-rates"]()
    answer = await quote(platform, merchant, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_balance_transactions_explain_what_is_owed(platform: Platform, merchant: Merchant) -> None:
    """Captures add, settlements take away; pages follow each other, and end at the balance."""
    path = "/v1/balance_transactions?currency=USD"
    empty = await platform.call("GET", path, key=merchant.test_key)
    assert empty.json() == {"object": "list", "data": [], "has_more": False, "next_cursor": None}
    payments = [await platform.pay(merchant, 1000 + nth) for nth in range(3)]
    for payment in payments:
        await platform.decide(payment)
    await platform.ask_ledger()
    await platform.publish(platform.confirmed(payments[0]))
    await platform.ask_ledger()
    platform.runtime.ahead += timedelta(minutes=5)
    lines, cursor = [], None
    while True:
        page = await platform.call(
            "GET", path + "&limit=2" + (f"&cursor={cursor}" if cursor else ""), key=merchant.test_key
        )
        assert page.status_code == 200, page.text
        lines += page.json()["data"]
        if not page.json()["has_more"]:
            break
        cursor = page.json()["next_cursor"]
    assert [line["amount_minor"] for line in lines] == ["1000", "1001", "1002", "-1000"]
    assert lines[-1]["balance_minor"] == "2003"
    assert [line["payment_id"] for line in lines[:3]] == [payment["id"] for payment in payments]
    stranger = await platform.merchant("Stranger")
    assert (await platform.call("GET", path, key=stranger.test_key)).json()["data"] == []
    bad = await platform.call("GET", path + "&cursor=nonsense", key=merchant.test_key)
    assert (bad.status_code, bad.json()["code"]) == (400, "cursor_invalid")
