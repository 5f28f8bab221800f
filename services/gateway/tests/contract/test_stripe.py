"""What is Stripe's own, at a stand-in: two requests for an authorisation, keys that are pruned, signed events."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_gateway.connectors.port import (
    ActionRequired,
    Authorise,
    Capture,
    Declined,
    NotFound,
    NotSent,
    Pending,
    Refund,
    Succeeded,
    Unknown,
    Void,
)
from rialto_gateway.connectors.stripe_acquirer import StripeAcquirer, modes_of
from rialto_gateway.connectors.stripe_answers import read_webhook
from rialto_gateway.connectors.webhooks import WebhookInvalid

from ..stripe_stand_in import KEY, WEBHOOK_SECRET, StripeStandIn, signed

RETURN_URL = "https://shop.example/back"


class Clock(SystemRuntime):
    """A runtime whose time can be turned on."""

    ahead = timedelta()

    def now(self) -> datetime:
        """Return the present, turned on."""
        return super().now() + self.ahead


@pytest.fixture
async def stand_in() -> AsyncIterator[StripeStandIn]:
    running = StripeStandIn()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=0.5) as client:
        yield client


@pytest.fixture
def at_stripe(stand_in: StripeStandIn, http: httpx.AsyncClient, clock: Clock) -> StripeAcquirer:
    return StripeAcquirer(http, KEY, clock, stand_in.url)


def asked(clock: Clock, token: str = "tok_approve", **more: Any) -> Authorise:
    return Authorise(ids.to_text("att", clock.ids.mint()), 1250, "USD", token, **more)


async def test_an_intent_has_our_reference_and_is_captured_by_hand(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    question = asked(clock, descriptor="HARBOUR BOOKS")
    answer = await at_stripe.authorise(question)
    [intent] = stand_in.intents.values()
    assert answer == Succeeded(intent["id"], 1250)
    assert (intent["metadata"], intent["currency"]) == ({"rialto_reference": question.reference}, "usd")
    assert set(stand_in.keys) == {f"{question.reference}:create", f"{question.reference}:confirm"}
    assert (stand_in.held_minor(), intent["amount_received"]) == (1250, 0)


async def test_nothing_is_sent_twice_by_the_sdk(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    await at_stripe.authorise(asked(clock, "tok_error_after"))
    assert [path.rsplit("/", 1)[-1] for _, path in stand_in.requests] == ["payment_intents", "confirm"]


async def test_a_confirmation_that_comes_late_is_refused_once_its_intent_was_looked_for(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    question = asked(clock, "tok_timeout_before")
    assert await at_stripe.authorise(question) == Unknown("timed_out")
    assert await at_stripe.lookup(question) == NotFound()
    assert await at_stripe.authorise(question) == NotSent("reference_forgotten")
    assert {intent["status"] for intent in stand_in.intents.values()} == {"canceled"}


async def test_an_intent_that_was_never_created_is_made_and_forgotten(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    """The process died before its first request."""
    question = asked(clock)
    assert await at_stripe.lookup(question) == NotFound()
    assert await at_stripe.authorise(question) == NotSent("reference_forgotten")
    assert stand_in.held_minor() == 0


async def test_once_keys_are_pruned_an_intent_is_searched_for_and_silence_proves_nothing(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    given, never = asked(clock, "tok_reset_after"), asked(clock, "tok_timeout_before")
    for question in (given, never):
        assert isinstance(await at_stripe.authorise(question), Unknown)
    stand_in.forget_keys()
    clock.ahead = timedelta(hours=25)
    stand_in.searchable = False
    assert await at_stripe.lookup(given) == Unknown("too_old_to_be_found")
    stand_in.searchable = True
    assert isinstance(await at_stripe.lookup(given), Succeeded)
    assert await at_stripe.lookup(never) == NotFound()
    assert len(stand_in.intents) == 2, "no look-up has made another"


async def test_a_capture_is_found_in_its_intent_whatever_became_of_its_key(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    answer = await at_stripe.authorise(asked(clock))
    assert isinstance(answer, Succeeded)
    intent_id = answer.connector_reference
    first, second = (
        Capture(asked(clock).reference, intent_id, amount, "USD", final=final)
        for amount, final in ((500, False), (750, True))
    )
    for capture in (first, second):
        assert isinstance(await at_stripe.capture(capture), Succeeded)
    stand_in.forget_keys()
    assert [await at_stripe.lookup(each) for each in (first, second)] == [
        Succeeded(intent_id, 500),
        Succeeded(intent_id, 750),
    ]
    assert stand_in.intents[intent_id]["amount_received"] == 1250
    refund = Refund(asked(clock).reference, intent_id, 250, "USD")
    given = await at_stripe.refund(refund)
    stand_in.forget_keys()
    assert await at_stripe.lookup(refund) == given
    assert len(stand_in.refunds) == 1


async def test_a_refund_that_fails_is_refused(at_stripe: StripeAcquirer, clock: Clock) -> None:
    answer = await at_stripe.authorise(asked(clock, "tok_refund_decline"))
    assert isinstance(answer, Succeeded)
    await at_stripe.capture(Capture(asked(clock).reference, answer.connector_reference, 1250, "USD", final=True))
    refund = Refund(asked(clock).reference, answer.connector_reference, 250, "USD")
    assert await at_stripe.refund(refund) == Declined("refund_refused", "expired_or_canceled_card")
    assert await at_stripe.lookup(refund) == Declined("refund_refused", "expired_or_canceled_card")


@pytest.mark.parametrize("approve", [True, False])
async def test_a_payer_is_sent_to_their_bank_and_comes_back(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock, approve: bool
) -> None:
    question = asked(clock, "tok_3ds", return_url=RETURN_URL)
    challenged = await at_stripe.authorise(question)
    assert isinstance(challenged, ActionRequired)
    assert await at_stripe.lookup(question) == challenged
    stand_in.act(challenged.connector_reference, approve=approve)
    found = await at_stripe.lookup(question)
    assert found == (
        Succeeded(challenged.connector_reference, 1250)
        if approve
        else Declined("authentication_failed", "payment_intent_authentication_failure")
    )


async def test_a_payer_without_a_way_back_or_who_is_not_there_is_declined_and_not_left_waiting(
    at_stripe: StripeAcquirer, clock: Clock
) -> None:
    for question in (asked(clock, "tok_3ds"), asked(clock, "tok_3ds", return_url=RETURN_URL, off_session=True)):
        answer = await at_stripe.authorise(question)
        assert answer == Declined("authentication_required", "authentication_required")


async def test_one_that_is_voided_meanwhile_holds_nothing(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    question = asked(clock, "tok_late_approve")
    pending = await at_stripe.authorise(question)
    assert isinstance(pending, Pending)
    assert isinstance(await at_stripe.void(Void(asked(clock).reference, pending.connector_reference)), Succeeded)
    assert await at_stripe.lookup(question) == NotFound()
    assert stand_in.held_minor() == 0


async def test_what_stripe_does_not_take_is_not_sent(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, http: httpx.AsyncClient, clock: Clock
) -> None:
    question = asked(clock)
    for amount, currency in ((100, "ISK"), (101, "KWD"), (100_000_000, "USD")):
        answer = await at_stripe.authorise(Authorise(question.reference, amount, currency, question.token))
        assert isinstance(answer, NotSent)
    assert stand_in.requests == []
    stand_in.busy = True
    assert await at_stripe.authorise(question) == NotSent("acquirer_busy")
    assert await at_stripe.lookup(question) == Unknown("acquirer_busy"), "nothing is known of the question"
    stand_in.busy = False
    stranger = StripeAcquirer(http, "sk_test_of_somebody", clock, stand_in.url)
    assert await stranger.authorise(question) == NotSent("acquirer_refuses_our_key")
    await stand_in.stop()
    assert await at_stripe.authorise(question) == NotSent("not_connected")


async def test_events_are_read_only_where_stripe_signed_them_just_now(
    at_stripe: StripeAcquirer, stand_in: StripeStandIn, clock: Clock
) -> None:
    question = asked(clock)
    answer = await at_stripe.authorise(question)
    [intent] = stand_in.intents.values()
    body, headers = signed("payment_intent.amount_capturable_updated", intent)
    heard = read_webhook(WEBHOOK_SECRET, body, headers)
    assert (heard.message_id, heard.reference, heard.says) == ("evt_1", question.reference, answer)
    for wrong in (
        (body + b" ", headers),
        (body, {}),
        (body, {"stripe-signature": "nonsense"}),
        signed("payment_intent.amount_capturable_updated", intent, secret="whsec_other"),
        signed("payment_intent.amount_capturable_updated", intent, age_seconds=301),
        signed("payment_intent.amount_capturable_updated", {"metadata": {"rialto_reference": "att"}}),
    ):
        with pytest.raises(WebhookInvalid):
            read_webhook(WEBHOOK_SECRET, *wrong)


async def test_events_about_nothing_of_ours_are_taken_and_mean_nothing() -> None:
    for kind, about in (
        ("customer.created", {"id": "cus_1"}),
        ("payment_intent.canceled", {"id": "pi_1", "status": "canceled", "metadata": {"rialto_reference": "att_1"}}),
        ("payment_intent.processing", {"id": "pi_2", "status": "processing", "metadata": {}}),
    ):
        assert read_webhook(WEBHOOK_SECRET, *signed(kind, about)).reference is None


async def test_an_event_of_a_refund_tells_what_became_of_it() -> None:
    refund = {"id": "re_1", "amount": 5, "status": "failed", "failure_reason": "lost_or_stolen_card"}
    body, headers = signed("refund.updated", refund | {"metadata": {"rialto_reference": "att_1"}})
    assert read_webhook(WEBHOOK_SECRET, body, headers).says == Declined("refund_refused", "lost_or_stolen_card")


def test_a_key_says_its_mode() -> None:
    assert [modes_of(key) for key in ("sk_test_1", "rk_live_1")] == [["test"], ["live"]]
    for wrong in ("pk_test_1", "sk_other_1", "secret"):
        with pytest.raises(ValueError, match="begins with"):
            modes_of(wrong)
