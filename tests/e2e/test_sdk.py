"""The SDK against the running platform: both clients pay, list and refund; every resource answers as it is modelled."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

import rialto as sdk
from rialto import AsyncRialto, models
from rialto.resources import Resource

from .running import Rialto, eventually
from .shop import Shop, new_name

CARD: sdk.CardMethod = {"type": "card", "token": "tok_approve"}


@pytest.fixture
def client(rialto: Rialto, shop: Shop) -> Iterator[sdk.Rialto]:
    """A client with the key of a merchant of this test's own."""
    with sdk.Rialto(shop.key, base_url=rialto.url) as client:
        yield client


def payer() -> sdk.Person:
    """A payer nobody has seen."""
    return {"name": f"Payer of {new_name('sdk')}", "country": "GB"}


def authorised(client: sdk.Rialto) -> sdk.Payment:
    """A payment of which a part can be captured, so that the merchant is owed what it gives back."""
    return client.payments.create(
        amount_minor=5000, currency="USD", payment_method=CARD, payer=payer(), capture_method="manual", wait=30
    )


def test_a_merchant_pays_captures_lists_and_refunds(client: sdk.Rialto) -> None:
    payment = authorised(client)
    assert (payment.status, payment.amount_capturable_minor) == ("authorised", 5000)
    payment = client.payments.capture(payment.id, amount_minor=2000, wait=30)
    assert eventually(lambda: client.payments.retrieve(payment.id).amount_captured_minor == 2000, "it is captured")
    refund = client.payments.refund(payment.id, amount_minor=500, reason="duplicate", metadata={"case": "7"}, wait=30)
    assert (refund.status, refund.amount_minor, refund.metadata) == ("succeeded", 500, {"case": "7"})
    assert client.refunds.retrieve(refund.id).status == "succeeded"
    assert [each.id for each in client.payments.refunds(payment.id)] == [refund.id]
    voided = client.payments.void(payment.id, wait=30)
    assert voided.response is not None
    assert voided.request_id is not None
    found = client.payments.retrieve(payment.id)
    assert (found.amount_refunded_minor, found.amount_minor) == (500, 5000)
    assert found.timeline is not None
    assert found.attempts is not None
    assert {each.step for each in found.attempts} >= {"authorise", "capture", "refund"}
    client.payments.create(amount_minor=1, currency="USD", payment_method=CARD, payer=payer())
    assert [each.amount_minor for each in client.payments.list(limit=1)] == [1, 5000]
    captured = eventually(lambda: list(client.events.list(object_id=payment.id, type="refund.*")), "it is an event")
    assert captured[0].data.id == payment.id
    event = client.events.retrieve(captured[0].id, expand=["payment"])
    assert isinstance(event.payment, sdk.Payment)
    assert event.payment.id == payment.id
    whole = client.payments.retrieve(payment.id, expand=["refunds", "payout"])
    assert whole.refunds is not None
    assert {each.payment_id for each in whole.refunds} == {payment.id}
    [*_, first] = client.payments.list(expand=["data.captures", "data.customer"])
    assert (first.id, first.customer, first.captures) == (payment.id, None, whole.captures)
    refund = client.refunds.retrieve(whole.refunds[0].id, expand=["payment"])
    assert refund.payment is not None
    assert refund.payment.id == payment.id


async def test_the_async_client_does_so_too(rialto: Rialto, shop: Shop) -> None:
    async with AsyncRialto(shop.key, base_url=rialto.url) as client:
        key = new_name("async")
        who = payer()
        first = await client.payments.create(
            amount_minor=1250, currency="USD", payment_method=CARD, payer=who, idempotency_key=key
        )
        again = await client.payments.create(
            amount_minor=1250, currency="USD", payment_method=CARD, payer=who, idempotency_key=key, wait=30
        )
        assert again.id == first.id
        assert again.response is not None
        assert again.response.replayed
        assert again.status in ("authorised", "captured", "settled")
        assert [each.id async for each in client.payments.list()] == [first.id]
        with pytest.raises(sdk.IdempotencyKeyReusedError):
            await client.payments.create(
                amount_minor=9, currency="USD", payment_method=CARD, payer=who, idempotency_key=key
            )


def test_an_answer_lost_on_the_way_pays_once(rialto: Rialto, shop: Shop) -> None:
    class Losing(httpx.HTTPTransport):
        """Loses the first answer, after the gateway has given it."""

        lost = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if not self.lost and request.method == "POST":
                self.lost = True
                response.close()
                raise httpx.ReadError("the connection broke")
            return response

    with sdk.Rialto(shop.key, base_url=rialto.url, transport=Losing()) as client:
        made = client.payments.create(amount_minor=1250, currency="USD", payment_method=CARD, payer=payer())
        assert made.response is not None
        assert (made.response.tries, made.response.replayed) == (2, True)
        assert [each.id for each in client.payments.list()] == [made.id]


def test_a_refusal_says_where_it_is_explained(client: sdk.Rialto) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        client.payments.retrieve("pay_01kb6w1m8xf0gbb7n5d8jq2c4r")
    assert (caught.value.code, caught.value.status) == ("payment_not_found", 404)
    assert caught.value.request_id
    assert caught.value.doc_url is not None
    page = httpx.get(caught.value.doc_url)
    assert 'id="payment_not_found"' in page.text
    declined = client.payments.create(
        amount_minor=1,
        currency="USD",
        payment_method={"type": "card", "token": "tok_decline_insufficient_funds"},
        payer=payer(),
        wait=30,
    )
    assert (declined.status, declined.decline_code) == ("declined", "insufficient_funds")
    with pytest.raises(sdk.ConflictError) as conflict:
        client.payments.capture(declined.id)
    assert conflict.value.code == "payment_not_capturable"


def test_customers_and_links_live_and_end(client: sdk.Rialto) -> None:
    customer = client.customers.create(name="Ada Example", phone="+44 20 7946 0000", metadata={"crm": "1"})
    changed = client.customers.update(customer.id, email="ada@example.org", phone=None)
    assert (changed.name, changed.email, changed.phone) == ("Ada Example", "ada@example.org", None)
    assert [each.id for each in client.customers.list()] == [customer.id]
    assert client.customers.delete(customer.id).deleted
    assert client.customers.retrieve(customer.id).name is None
    until = datetime.now(UTC) + timedelta(days=1)
    link = client.payment_links.create(amount_minor=1250, currency="USD", description="Order 1", expires_at=until)
    assert link.active
    assert httpx.get(link.url).status_code == 200
    assert not client.payment_links.deactivate(link.id).active
    assert [each.active for each in client.payment_links.list()] == [False]
    assert not client.payment_links.retrieve(link.id).active


def test_money_moves_between_wallets_and_each_line_is_told(client: sdk.Rialto) -> None:
    source, target = (client.wallets.create(currency="USD") for _ in range(2))
    client.wallets.top_up(source.id, amount_minor=900)
    transfer = client.transfers.create(from_wallet_id=source.id, to_wallet_id=target.id, amount_minor=400)
    assert eventually(lambda: client.transfers.retrieve(transfer.id).state == "received", "it has arrived")
    assert client.wallets.retrieve(target.id).available_balance_minor == 400
    assert list(client.balance_transactions.list(currency="USD")) == []
    with pytest.raises(sdk.ApiError) as caught:
        client.fx_quotes.retrieve("fxq_01kb6w1m8xf0gbb7n5d8jq2c4r")
    assert caught.value.code == "fx_quote_not_found"


def test_endpoints_are_tried_watched_and_ended(client: sdk.Rialto) -> None:
    endpoint = client.webhook_endpoints.create(url="http://127.0.0.1:9/hook", events=["payment.*"])
    assert endpoint.secret is not None
    assert endpoint.secret not in repr(endpoint)
    assert client.webhook_endpoints.update(endpoint.id, events=[]).events == []
    [sent] = client.webhook_endpoints.send_test(endpoint.id, type="payment.captured")

    def tried() -> bool:
        found = client.webhook_endpoints.retrieve_delivery(endpoint.id, sent.id)
        return bool(found.attempt_log) and found.status != "sending"

    assert eventually(tried, "the delivery was tried")
    assert client.webhook_endpoints.redeliver(endpoint.id, sent.id).id == sent.id
    [listed] = client.webhook_endpoints.deliveries(endpoint.id)
    assert listed.test
    since = datetime.now(UTC) - timedelta(hours=1)
    assert client.webhook_endpoints.redeliver_range(endpoint.id, created_since=since).deliveries == 0
    rotated = client.webhook_endpoints.rotate_secret(endpoint.id, overlap_seconds=60)
    assert rotated.secret != endpoint.secret
    assert rotated.previous_secret_valid_until is not None
    assert [each.id for each in client.webhook_endpoints.list()] == [endpoint.id]
    client.webhook_endpoints.delete(endpoint.id)
    with pytest.raises(sdk.NotFoundError):
        client.webhook_endpoints.retrieve(endpoint.id)


def test_a_saved_card_is_charged_while_the_customer_is_away_as_far_as_they_agreed(client: sdk.Rialto) -> None:
    customer = client.customers.create(name=f"Customer {new_name('saved')}", country="GB")
    card = client.payment_methods.attach(customer.id, token="tok_approve")
    assert [each.id for each in client.payment_methods.list(customer.id)] == [card.id]
    mandate = client.mandates.create(
        payment_method_id=card.id,
        currency="USD",
        max_amount_minor=2000,
        period={"interval": "month", "max_payments": 1},
    )
    saved: sdk.SavedMethod = {
        "type": "saved",
        "payment_method_id": card.id,
        "initiator": "merchant",
        "mandate_id": mandate.id,
    }
    payment = client.payments.create(amount_minor=1500, currency="USD", payment_method=saved, wait=30)
    assert payment.status in ("authorised", "captured", "settled")
    assert payment.payment_method is not None
    assert payment.payment_method.mandate_id == mandate.id
    used = client.mandates.retrieve(mandate.id).this_period
    assert used is not None
    assert (used.payments, used.amount_minor) == (1, 1500)
    with pytest.raises(sdk.ApiError, match="mandate"):
        client.payments.create(amount_minor=1, currency="USD", payment_method=saved)
    assert client.mandates.revoke(mandate.id).status == "revoked"
    assert [each.id for each in client.mandates.list(payment_method_id=card.id)] == [mandate.id]
    assert client.payment_methods.detach(card.id).detached_at is not None
    assert client.payment_methods.retrieve(card.id).customer_id == customer.id


def test_what_is_owed_is_paid_out_less_fees_when_the_merchant_asks(client: sdk.Rialto, shop: Shop) -> None:
    shop.price({"method": "card", "currency": "USD", "bps": 200, "fixed_minor": "25"})
    [price] = client.pricing.retrieve().prices
    assert (price.method, price.currency, price.bps, price.fixed_minor) == ("card", "USD", 200, 25)
    assert client.payout_settings.update(schedule="manual").schedule == "manual"
    payment = client.payments.create(amount_minor=1250, currency="USD", payment_method=CARD, payer=payer())
    assert eventually(lambda: client.payments.retrieve(payment.id).status_reason == "awaiting_payout", "it is captured")
    [owed] = client.balance.retrieve().data
    assert (owed.currency, owed.available_minor) == ("USD", 1200)
    [fee] = client.fees.list()
    statement = client.payments.retrieve(payment.id).fees
    assert statement is not None
    assert (statement.total_minor, statement.lines) == (50, [fee])
    assert (fee.type, fee.payment_id, fee.rate.bps, fee.rate.fixed_minor) == ("processing", payment.id, 200, 25)
    [total] = client.fees.totals().data
    assert (total.currency, total.type, total.fees, total.amount_minor) == ("USD", "processing", 1, 50)
    payout = client.payouts.create(currency="USD")
    assert eventually(lambda: client.payouts.retrieve(payout.id).status == "paid", "it is paid out")
    assert [each.id for each in client.payouts.list(status="paid")] == [payout.id]
    paid = client.payouts.retrieve(payout.id)
    assert [each.payment_id for each in paid.payments or ()] == [payment.id]
    assert client.payments.retrieve(payment.id).payout_id == payout.id
    [event] = eventually(lambda: list(client.events.list(type="payout.paid")), "it is an event")
    assert (event.data.object, event.data.id, event.data.amount_minor) == ("payout", payout.id, 1200)
    assert client.payout_settings.retrieve().schedule == "manual"


def test_the_models_know_every_field_that_is_documented(rialto: Rialto) -> None:
    schemas: dict[str, Any] = httpx.get(f"{rialto.url}/openapi.json").json()["components"]["schemas"]
    ours = {
        model.model_fields["object"].default: _names(model)
        for model in map(vars(models).get, models.__all__)
        if isinstance(model, type) and issubclass(model, BaseModel) and "object" in model.model_fields
    }
    documented = {
        properties["object"].get("const"): set(properties)
        for properties in (schema.get("properties", {}) for schema in schemas.values())
        if "object" in properties
    }
    # What an operator sees of an attempt is more than what a payment shows of it.
    shared = set(ours) & set(documented) - {"attempt"}
    assert {
        "payment",
        "refund",
        "customer",
        "payment_link",
        "event",
        "webhook_endpoint",
        "payout",
        "mandate",
        "fee",
        "pricing",
    } <= shared
    assert {kind: documented[kind] - ours[kind] for kind in shared if documented[kind] - ours[kind]} == {}


def test_no_field_of_the_models_is_made_up(client: sdk.Rialto, shop: Shop) -> None:
    payment = authorised(client)
    client.payments.capture(payment.id, amount_minor=100, wait=30)
    refund = client.refunds.create(payment.id, amount_minor=50, wait=30)
    link = client.payment_links.create(amount_minor=1, currency="USD", description="Order 1")
    customer = client.customers.create(name="Ada Example")
    endpoint = client.webhook_endpoints.create(url="http://127.0.0.1:9/hook")
    wallet = client.wallets.create(currency="USD")
    # Of an endpoint and a wallet when they are made; of gateways with disputes.
    rest = {"secret", "metadata", "created_at", "amount_disputed_minor"}
    for path, model in (
        (
            f"payments/{payment.id}?expand[]=payout&expand[]=customer&expand[]=refunds&expand[]=disputes",
            models.Payment,
        ),
        (f"refunds/{refund.id}?expand[]=payment", models.Refund),
        (f"payment_links/{link.id}", models.PaymentLink),
        (f"customers/{customer.id}", models.Customer),
        (f"webhook_endpoints/{endpoint.id}", models.WebhookEndpoint),
        (f"wallets/{wallet.id}", models.Wallet),
    ):
        answered = shop.client.get(f"/v1/{path}").json()
        assert _names(model) - set(answered) <= rest, model
        if isinstance(answered.get("attempts"), list):
            assert _names(models.Attempt) <= set(answered["attempts"][0])
            assert _names(models.Capture) <= set(answered["captures"][0])
            assert _names(models.TimelineEntry) <= set(answered["timeline"][0])
    client.webhook_endpoints.delete(endpoint.id)


def test_what_the_sdk_asks_is_in_the_openapi_document(rialto: Rialto) -> None:
    paths: dict[str, Any] = httpx.get(f"{rialto.url}/openapi.json").json()["paths"]
    documented = {(method.upper(), _shape(path)) for path, methods in paths.items() for method in methods}
    asked = _asked()
    assert len(asked) > 35
    assert asked <= documented


def _asked() -> set[tuple[str, str]]:
    """Method and path of every call of the SDK, ids as `*`; a transport refuses them after noting them."""
    asked: set[tuple[str, str]] = set()

    def note(request: httpx.Request) -> httpx.Response:
        asked.add((request.method, _shape(request.url.path)))
        return httpx.Response(400, json={"code": "noted"})

    client = sdk.Rialto("sk_test_none", base_url="http://nowhere", transport=httpx.MockTransport(note))
    given: dict[str, Any] = {
        "name": "Ada", "url": "https://shop.example/hook", "type": "payment.captured", "currency": "USD",
        "amount_minor": 1, "description": "Order 1", "payment_method": CARD, "payer": {"name": "Ada"},
        "created_since": datetime.now(UTC), "from_wallet_id": "wal_1", "to_wallet_id": "wal_2",
        "payment_method_id": "pm_1", "max_amount_minor": 1, "token": "tok_approve",
        "sell_currency": "USD", "sell_amount_minor": 1, "buy_currency": "EUR",
    }  # fmt: skip
    for resource in vars(client).values():
        for name, method in vars(type(resource)).items() if isinstance(resource, Resource) else ():
            if name.startswith("_"):
                continue
            code = method.__wrapped__.__code__
            named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            ids = [f"{each[:3]}_1" for each in named[: code.co_argcount]]
            wanted = {each: given[each] for each in named[code.co_argcount :] if each in given}
            with suppress(sdk.InvalidRequestError):
                answer = method(resource, *ids, **wanted)
                if isinstance(answer, sdk.Listing):
                    answer.first_page()
    return asked


def _shape(path: str) -> str:
    parts = path.split("/")
    return "/".join("*" if "{" in part or part.endswith("_1") else part for part in parts)


def _names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}
