"""Payments through Stripe, from acceptance to the books, at a stand-in: captured, found out, told of, refunded."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest_asyncio

from rialto_cli.testing import Database

from ..stripe_stand_in import KEY, WEBHOOK_SECRET, StripeStandIn, signed
from .platform_in_process import Merchant, Platform, started


@dataclass
class Till:
    """A platform whose acquirer is Stripe, and a merchant."""

    platform: Platform
    merchant: Merchant
    stripe: StripeStandIn

    async def charge(self, token: str) -> dict[str, Any]:
        """Have a card's payment approved, and Stripe asked once."""
        payment = await self.platform.pay(self.merchant, payment_method={"type": "card", "token": token})
        await self.platform.hear(self.platform.assessed(payment), self.platform.screened(payment))
        await self.platform.ask_acquirers()
        return await self.platform.get(self.merchant, payment["id"])

    async def later(self, payment: dict[str, Any]) -> dict[str, Any]:
        """Let time pass, and what is due be asked about."""
        for _ in range(4):
            self.platform.runtime.ahead += timedelta(seconds=5)
            await self.platform.ask_acquirers()
            await self.platform.ask_ledger()
        return await self.platform.get(self.merchant, payment["id"])


@pytest_asyncio.fixture
async def till(database: Database) -> AsyncIterator[Till]:
    stripe = StripeStandIn()
    await stripe.start()
    settings = {"stripe_api_key": KEY, "stripe_webhook_secret": WEBHOOK_SECRET, "stripe_api_base": stripe.url}
    async with started(database.dsn, **settings) as platform:  # type: ignore[arg-type]
        yield Till(platform, await platform.merchant(), stripe)
    await stripe.stop()


def attempts(payment: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["step"], each["connector"], each["status"]) for each in payment["attempts"]]


async def test_a_payment_is_captured_once_whatever_is_lost_and_given_back(till: Till) -> None:
    for token, first in (("tok_approve", "succeeded"), ("tok_reset_after", "unknown"), ("tok_error_after", "unknown")):
        payment = await till.charge(token)
        assert attempts(payment)[0] == ("authorise", "stripe", first)
        captured = await till.later(payment)
        assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "1250")
    lost = await till.later(await till.charge("tok_capture_reset_before"))
    assert (lost["status"], attempts(lost)[-1]) == ("captured", ("capture", "stripe", "succeeded"))
    never = await till.later(await till.charge("tok_reset_before"))
    assert (never["status"], never["status_reason"]) == ("failed", "acquirer_has_nothing")
    assert sum(each["amount_received"] for each in till.stripe.intents.values()) == 4 * 1250
    assert till.stripe.held_minor() == 0
    path = f"/v1/payments/{lost['id']}/refunds"
    answer = await till.platform.call("POST", path, {"amount_minor": "250"}, key=till.merchant.test_key)
    assert answer.status_code == 202, answer.text
    await till.platform.ask_ledger()
    assert (await till.later(lost))["amount_refunded_minor"] == "250"
    assert [each["amount"] for each in till.stripe.refunds.values()] == [250]


async def test_a_signed_event_tells_what_became_of_a_payment(till: Till) -> None:
    payment = await till.charge("tok_late_approve")
    assert payment["status"] == "approved"
    [intent] = till.stripe.intents.values()
    till.stripe.act(intent["id"], approve=True)
    body, headers = signed("payment_intent.amount_capturable_updated", intent)
    for _ in range(2):
        answer = await till.platform.http.post("/v1/connectors/stripe/webhooks", content=body, headers=headers)
        assert answer.status_code == 204
    told = (await till.platform.call("GET", "/v1/connectors/stripe/webhooks")).json()["data"]
    assert [(each["message_id"], each["outcome"], each["times"]) for each in told] == [("evt_1", "applied", 2)]
    forged = await till.platform.http.post("/v1/connectors/stripe/webhooks", content=body + b" ", headers=headers)
    assert forged.json()["code"] == "connector_webhook_invalid"
    assert (await till.later(payment))["status"] == "captured"


async def test_a_test_key_takes_no_live_payments(till: Till) -> None:
    method = {"type": "card", "token": "tok_approve"}
    answer = await till.platform.send_payment(
        till.merchant, till.platform.new_key(), key=till.merchant.live_key, payment_method=method
    )
    assert answer.status_code == 400, answer.text
    assert till.stripe.requests == []
