"""With the worker's side standing still: new payments are refused early, everything else goes on, nothing is lost."""

import asyncio
from datetime import timedelta
from typing import Any

from .platform_in_process import Merchant, Platform


async def sent_until(platform: Platform, merchant: Merchant, status: int) -> Any:
    """Send new payments until one is answered so; the age of the backlog is looked at beside the requests."""
    async with asyncio.timeout(10):
        while True:
            platform.runtime.ahead += timedelta(seconds=2)
            answer = await platform.send_payment(merchant, platform.new_key())
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.02)


async def test_while_nobody_handles_payments_new_ones_are_refused_and_the_rest_is_served(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    authorised = await platform.pay(merchant, capture_method="manual")
    await platform.decide(authorised)
    waiting = await platform.pay(merchant)
    platform.runtime.ahead += timedelta(seconds=61)
    refused = await sent_until(platform, merchant, 503)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("overloaded", "5")
    accepted = await superuser.fetchval("SELECT count(*) FROM gateway.payments")
    unread = await platform.call("POST", "/v1/payments", b"{ not read", key=merchant.test_key)
    assert (unread.status_code, unread.json()["code"]) == (503, "overloaded")
    assert await superuser.fetchval("SELECT count(*) FROM gateway.payments") == accepted
    assert (await platform.get(merchant, waiting["id"]))["status"] == "created"
    path = f"/v1/payments/{authorised['id']}/capture"
    assert (await platform.call("POST", path, {}, key=merchant.test_key)).status_code == 200
    await platform.sweep()
    assert (await platform.get(merchant, waiting["id"]))["status"] == "review"
    assert (await sent_until(platform, merchant, 202)).json()["status"] == "created"
