"""One key, one payment: whatever the number of callers, through the real gateway."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import httpx

from .chain import Chain
from .running import Rialto
from .shop import REQUEST_SECONDS, Shop, new_name, uuid_of

CALLERS = 100


async def at_once(shop: Shop, path: str, body: Mapping[str, object], key: str) -> list[httpx.Response]:
    """Send one request from many callers at the same time, each over a connection of its own."""
    limits = httpx.Limits(max_connections=CALLERS)
    headers = {"Authorization": f"Bearer {shop.key}", "Idempotency-Key": key}
    async with httpx.AsyncClient(base_url=shop.client.base_url, timeout=REQUEST_SECONDS, limits=limits) as client:
        return await asyncio.gather(*(client.post(path, json=body, headers=headers) for _ in range(CALLERS)))


async def test_a_hundred_callers_with_one_key_make_one_payment(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(CALLERS * 100)
    body = {
        "amount_minor": "100",
        "currency": "USD",
        "payment_method": {"type": "wallet", "wallet_id": wallet},
        "payer": {"name": "Grace Hopper", "country": "US"},
    }
    key = new_name("one-key")
    answers = await at_once(shop, "/v1/payments", body, key)
    assert Counter(answer.status_code for answer in answers) == {202: CALLERS}
    assert len({answer.content for answer in answers}) == 1, "every caller gets the same answer"
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1

    payment = shop.until(answers[0].json()["id"], "settled")
    listed = shop.client.get("/v1/payments").json()["data"]
    assert [each["id"] for each in listed] == [payment["id"]]
    assert shop.balances(wallet) == (CALLERS * 100 - 100, CALLERS * 100 - 100)
    assert len(Chain(rialto).paid(uuid_of(payment["id"]))) == 1

    other = shop.offer(wallet, 101, key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_hundred_callers_with_one_key_top_a_wallet_up_once(shop: Shop) -> None:
    wallet, key = shop.wallet(1), new_name("one-key")
    path = f"/v1/wallets/{wallet}/top_ups"
    answers = await at_once(shop, path, {"amount_minor": "500"}, key)
    done = [answer for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer not in done} <= {"request_in_progress"}
    again = await at_once(shop, path, {"amount_minor": "500"}, key)
    assert Counter(answer.status_code for answer in again) == {201: CALLERS}
    assert len({answer.json()["id"] for answer in done + again}) == 1
    assert shop.balances(wallet) == (501, 501)
