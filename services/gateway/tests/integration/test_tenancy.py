"""Whose is whose, on every endpoint: another merchant's, the other mode's, and keys of the wrong kind.

The endpoints are taken from the OpenAPI document: one without a case here fails.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rialto_cli.testing import Database
from rialto_common import ids

from .platform_in_process import ADMIN_KEY, Merchant, Platform, payment_body, plant_dispute, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_FOUND = 404
FORBIDDEN = 403
CONFLICT = 409
OWN_ONLY = 200
"""Answered, with the caller's own things only."""

CASES: dict[tuple[str, str], tuple[int, int, int]] = {
    # What another merchant, the same merchant in the other mode, and the operator meet.
    ("POST", "/v1/payments"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/payments"): (OWN_ONLY, OWN_ONLY, 200),
    ("GET", "/v1/payments/{payment_id}"): (NOT_FOUND, NOT_FOUND, 200),
    ("POST", "/v1/payments/{payment_id}/capture"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payments/{payment_id}/increments"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payments/{payment_id}/void"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payments/{payment_id}/refunds"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/payments/{payment_id}/refunds"): (NOT_FOUND, NOT_FOUND, 200),
    ("GET", "/v1/refunds/{refund_id}"): (NOT_FOUND, NOT_FOUND, 200),
    ("POST", "/v1/payments/{payment_id}/review"): (FORBIDDEN, FORBIDDEN, 409),
    ("GET", "/v1/attempts"): (FORBIDDEN, FORBIDDEN, 200),
    ("POST", "/v1/wallets"): (201, 201, 201),
    ("GET", "/v1/wallets/{wallet_id}"): (NOT_FOUND, NOT_FOUND, 200),
    ("POST", "/v1/wallets/{wallet_id}/top_ups"): (NOT_FOUND, NOT_FOUND, 201),
    ("POST", "/v1/merchants"): (FORBIDDEN, FORBIDDEN, 201),
    ("GET", "/v1/merchants/{merchant_id}"): (NOT_FOUND, 200, 200),
    ("POST", "/v1/merchants/{merchant_id}/keys"): (FORBIDDEN, FORBIDDEN, 201),
    ("GET", "/v1/api_keys"): (OWN_ONLY, OWN_ONLY, 200),
    ("POST", "/v1/api_keys/{key_id}/roll"): (NOT_FOUND, NOT_FOUND, 201),
    ("DELETE", "/v1/api_keys/{key_id}"): (NOT_FOUND, NOT_FOUND, NOT_FOUND),
    ("GET", "/v1/audit_log"): (OWN_ONLY, OWN_ONLY, 200),
    ("POST", "/v1/webhook_endpoints"): (201, 201, FORBIDDEN),
    ("GET", "/v1/webhook_endpoints"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/webhook_endpoints/{endpoint_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("DELETE", "/v1/webhook_endpoints/{endpoint_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("PATCH", "/v1/webhook_endpoints/{endpoint_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/webhook_endpoints/{endpoint_id}/rotate_secret"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/webhook_endpoints/{endpoint_id}/test"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/webhook_endpoints/{endpoint_id}/redeliver"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/webhook_endpoints/{endpoint_id}/deliveries"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/customers"): (201, 201, FORBIDDEN),
    ("GET", "/v1/customers"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/customers/{customer_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/customers/{customer_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("DELETE", "/v1/customers/{customer_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/customers/{customer_id}/payment_methods"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/customers/{customer_id}/payment_methods"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/payment_methods/{method_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payment_methods/{method_id}/detach"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/mandates"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/mandates"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/mandates/{mandate_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/mandates/{mandate_id}/revoke"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payment_links"): (201, 201, FORBIDDEN),
    ("GET", "/v1/payment_links"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/payment_links/{link_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/payment_links/{link_id}/deactivate"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver"): (
        NOT_FOUND,
        NOT_FOUND,
        FORBIDDEN,
    ),
    ("GET", "/v1/balance"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("POST", "/v1/payouts"): (CONFLICT, CONFLICT, FORBIDDEN),
    ("GET", "/v1/payouts"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/payouts/{payout_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/payout_settings"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("PATCH", "/v1/payout_settings"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/pricing"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/fees"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/fees/totals"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/merchants/{merchant_id}/pricing"): (FORBIDDEN, FORBIDDEN, 200),
    ("PUT", "/v1/merchants/{merchant_id}/pricing"): (FORBIDDEN, FORBIDDEN, 200),
    ("GET", "/v1/merchants/{merchant_id}/payout_settings"): (FORBIDDEN, FORBIDDEN, 200),
    ("PATCH", "/v1/merchants/{merchant_id}/payout_settings"): (FORBIDDEN, FORBIDDEN, 200),
    ("GET", "/v1/disputes"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/disputes/{dispute_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/disputes/{dispute_id}/evidence"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/disputes/{dispute_id}/submit"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("POST", "/v1/disputes/{dispute_id}/accept"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
    ("GET", "/v1/connectors/{name}/webhooks"): (FORBIDDEN, FORBIDDEN, NOT_FOUND),
    ("POST", "/v1/connectors/{name}/settlement_files"): (FORBIDDEN, FORBIDDEN, NOT_FOUND),
    ("GET", "/v1/connectors/{name}/settlement_differences"): (FORBIDDEN, FORBIDDEN, NOT_FOUND),
    ("POST", "/v1/connectors/{name}/settlement_differences/{difference_id}/resolve"): (
        FORBIDDEN,
        FORBIDDEN,
        NOT_FOUND,
    ),
    ("GET", "/v1/events"): (OWN_ONLY, OWN_ONLY, FORBIDDEN),
    ("GET", "/v1/events/{event_id}"): (NOT_FOUND, NOT_FOUND, FORBIDDEN),
}
IN_TEST_FUNDS = {
    # Money moves and is quoted in test mode only, so these have their strangers in test_funds.py.
    ("POST", "/v1/transfers"),
    ("GET", "/v1/transfers/{transfer_id}"),
    ("POST", "/v1/fx_quotes"),
    ("GET", "/v1/fx_quotes/{quote_id}"),
    ("POST", "/v1/fx_quotes/{quote_id}/convert"),
    ("GET", "/v1/balance_transactions"),
}


NO_DIFFERENCE = "std_01kb6w1m8xf0gbb7n5d8jq2c4r"
CUSTOMER = {"name": "Ada Example"}
MANDATE = {"currency": "USD", "max_amount_minor": "2000"}
LINK = {"amount_minor": "1250", "currency": "USD", "description": "Order 1001"}


class Estate:
    """What one merchant has in one mode."""

    def __init__(self, platform: Platform, merchant: Merchant, mode: str) -> None:
        self.platform = platform
        self.merchant = merchant
        self.mode = mode
        self.key = merchant.test_key if mode == "test" else merchant.live_key
        self.other_key = merchant.live_key if mode == "test" else merchant.test_key
        self.names: dict[str, str] = {
            "merchant_id": merchant.id,
            "name": "quay_of_harbour",
            "difference_id": NO_DIFFERENCE,
        }

    async def fill(self) -> None:
        """Make one of everything."""
        wallet_id = self.merchant.wallet_id if self.mode == "test" else await self.platform.wallet(self.key)
        endpoint = await self.platform.call(
            "POST", "/v1/webhook_endpoints", {"url": "https://shop.example/"}, key=self.key
        )
        payment = await self.platform.call(
            "POST", "/v1/payments", payment_body(wallet_id), key=self.key, Idempotency_Key=f"estate-{self.mode}"
        )
        assert (endpoint.status_code, payment.status_code) == (201, 202), (endpoint.text, payment.text)
        made = await self.platform.call("POST", f"/v1/merchants/{self.merchant.id}/keys", {"mode": self.mode})
        assert made.status_code == 201, made.text
        self.names["key_id"] = made.json()["id"]
        self.names |= {"wallet_id": wallet_id, "payment_id": payment.json()["id"], "endpoint_id": endpoint.json()["id"]}
        for name, path, body in (("customer_id", "/v1/customers", CUSTOMER), ("link_id", "/v1/payment_links", LINK)):
            key = f"estate-{name}-{self.mode}"
            made = await self.platform.call("POST", path, body, key=self.key, Idempotency_Key=key)
            assert made.status_code == 201, made.text
            self.names[name] = made.json()["id"]
        for name, path, body in (
            ("method_id", f"/v1/customers/{self.names['customer_id']}/payment_methods", {"token": "tok_approve"}),
            ("mandate_id", "/v1/mandates", MANDATE),
        ):
            named = body | ({"payment_method_id": self.names["method_id"]} if "method_id" in self.names else {})
            made = await self.platform.call("POST", path, named, key=self.key)
            assert made.status_code == 201, made.text
            self.names[name] = made.json()["id"]
        self.names["refund_id"] = await self._refund(wallet_id)
        self.names["payout_id"] = await self._payout()
        self.names["dispute_id"] = await plant_dispute(self.platform, payment.json(), f"dispute_{self.mode}")
        await self.platform.hear(self.platform.assessed(payment.json(), "block"))
        events = await self.platform.call("GET", "/v1/events", key=self.key)
        path = f"/v1/webhook_endpoints/{self.names['endpoint_id']}/deliveries"
        deliveries = await self.platform.call("GET", path, key=self.key)
        self.names |= {"event_id": events.json()["data"][0]["id"], "delivery_id": deliveries.json()["data"][0]["id"]}

    async def _refund(self, wallet_id: str) -> str:
        """Refund a payment that was captured."""
        body = payment_body(wallet_id) | {"capture_method": "manual"}
        made = await self.platform.call(
            "POST", "/v1/payments", body, key=self.key, Idempotency_Key=f"refunded-{self.mode}"
        )
        payment = made.json()
        payment_id = ids.from_text("pay", payment["id"])
        await self.platform.pool.execute(
            "UPDATE gateway.payments SET state = 'captured', amount_captured_minor = 1250 WHERE payment_id = $1",
            payment_id,
        )
        answer = await self.platform.call(
            "POST", f"/v1/payments/{payment['id']}/refunds", {}, key=self.key, Idempotency_Key="estate"
        )
        assert answer.status_code == 202, answer.text
        refund_id: str = answer.json()["id"]
        return refund_id

    async def _payout(self) -> str:
        """Have a payout; of what there is is no matter here."""
        payout_id = self.platform.runtime.ids.mint()
        await self.platform.pool.execute(
            """
            INSERT INTO gateway.payouts (
                payout_id, merchant_id, mode, currency, state, amount_minor, payments, asked_by, sequence,
                created_at, updated_at, deadline_at
            ) VALUES ($1, $2, $3, 'USD', 'pending', 1, 1, 'merchant', 1, $4, $4, $4)
            """,
            payout_id,
            ids.from_text("mer", self.merchant.id),
            self.mode,
            self.platform.runtime.now(),
        )
        return ids.to_text("po", payout_id)

    async def ask(self, method: str, path: str, key: str, names: dict[str, str]) -> Any:
        """Send the endpoint's request about these names with a key."""
        bodies: dict[tuple[str, str], Any] = {
            ("POST", "/v1/payments"): payment_body(names["wallet_id"]),
            ("POST", "/v1/payments/{payment_id}/review"): {"decision": "approve"},
            ("POST", "/v1/wallets"): {"currency": "USD"},
            ("POST", "/v1/wallets/{wallet_id}/top_ups"): {"amount_minor": "1"},
            ("POST", "/v1/merchants"): {"name": "Other"},
            ("POST", "/v1/webhook_endpoints"): {"url": "https://stranger.example/"},
            ("POST", "/v1/customers"): CUSTOMER,
            ("POST", "/v1/customers/{customer_id}"): {"city": "Elsewhere"},
            ("POST", "/v1/customers/{customer_id}/payment_methods"): {"token": "tok_approve"},
            ("POST", "/v1/mandates"): MANDATE | {"payment_method_id": names["method_id"]},
            ("POST", "/v1/payments/{payment_id}/increments"): {"amount_minor": "1800"},
            ("POST", "/v1/payouts"): {"currency": "USD"},
            ("POST", "/v1/disputes/{dispute_id}/evidence"): {"other": "sent by post"},
            ("PUT", "/v1/merchants/{merchant_id}/pricing"): {"prices": []},
            ("PATCH", "/v1/payout_settings"): {},
            ("PATCH", "/v1/merchants/{merchant_id}/payout_settings"): {},
            ("POST", "/v1/connectors/{name}/settlement_differences/{difference_id}/resolve"): {"note": "none"},
            ("POST", "/v1/payment_links"): LINK,
            ("POST", "/v1/webhook_endpoints/{endpoint_id}/test"): {"type": "payment.settled"},
            ("POST", "/v1/webhook_endpoints/{endpoint_id}/redeliver"): {"created_since": "2026-01-01T00:00:00Z"},
        }
        url = path.format(**names)
        if method == "GET" and path == "/v1/payments":
            url += f"?mode={self.mode}&limit=1000"
        if path in ("/v1/merchants/{merchant_id}/payout_settings", "/v1/merchants/{merchant_id}/pricing"):
            url += f"?mode={self.mode}"
        if path == "/v1/api_keys" and key == ADMIN_KEY:
            url += f"?merchant_id={self.merchant.id}"
        return await self.platform.call(
            method, url, bodies.get((method, path)), key=key, Idempotency_Key=self.platform.new_key()
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform_of_two(module_database: Database) -> AsyncIterator[tuple[Platform, Merchant, Merchant]]:
    """A platform with two merchants."""
    async with started(module_database.dsn) as platform:
        yield platform, await platform.merchant("One"), await platform.merchant("Other")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["test", "live"])
async def estate(
    platform_of_two: tuple[Platform, Merchant, Merchant], request: pytest.FixtureRequest
) -> AsyncIterator[Estate]:
    """What the first merchant has, in either mode."""
    platform, merchant, _ = platform_of_two
    filled = Estate(platform, merchant, request.param)
    await filled.fill()
    yield filled


async def test_every_endpoint_has_a_case(platform_of_two: tuple[Platform, Merchant, Merchant]) -> None:
    document = platform_of_two[0].gateway.app.openapi()
    served = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert served == set(CASES) | IN_TEST_FUNDS


@pytest.mark.parametrize(("method", "path"), CASES, ids=" ".join)
async def test_what_belongs_to_another_does_not_exist(
    estate: Estate, platform_of_two: tuple[Platform, Merchant, Merchant], method: str, path: str
) -> None:
    other = platform_of_two[2]
    other_keys = {"test": other.test_key, "live": other.live_key}
    expected_other, expected_mode, expected_operator = CASES[method, path]
    if path.endswith("/top_ups") and estate.mode == "live":
        expected_operator = FORBIDDEN
    callers = [
        (other_keys[estate.mode], expected_other),
        (estate.other_key, expected_mode),
        (ADMIN_KEY, expected_operator),
    ]
    nobody = {name: text[:-6] + "000000" for name, text in estate.names.items()}
    for key, expected in callers:
        answer = await estate.ask(method, path, key, estate.names)
        assert answer.status_code == expected, answer.text
        if expected == OWN_ONLY and key != ADMIN_KEY and "{" not in path:
            ids = {item.get("id") for item in answer.json().get("data", [])}
            assert not ids & set(estate.names.values())
        if expected == NOT_FOUND:
            missing = await estate.ask(method, path, key, nobody)
            theirs, none = answer.json(), missing.json()
            for occurrence in (theirs, none):
                assert occurrence.pop("instance").endswith(occurrence.pop("request_id"))
            for text in estate.names.values():
                theirs["detail"] = theirs["detail"].replace(text, "")
            for text in nobody.values():
                none["detail"] = none["detail"].replace(text, "")
            assert theirs == none, "whether another's object exists can be told apart"


async def test_the_owner_reaches_all_of_it(estate: Estate) -> None:
    for (method, path), (stranger, _, _) in CASES.items():
        if method == "GET" and stranger != FORBIDDEN:
            assert (await estate.ask(method, path, estate.key, estate.names)).status_code == 200, path


async def test_a_wallet_of_the_platform_is_for_every_merchants_test_payments_only(
    platform_of_two: tuple[Platform, Merchant, Merchant],
) -> None:
    platform, one, other = platform_of_two
    shared = await platform.wallet(ADMIN_KEY)
    method = {"type": "wallet", "wallet_id": shared}
    for merchant in (one, other):
        answer = await platform.send_payment(merchant, "shared", payment_method=method)
        assert answer.status_code == 202, answer.text
        live = await platform.send_payment(merchant, "live", key=merchant.live_key, payment_method=method)
        assert (live.status_code, live.json()["code"]) == (404, "wallet_not_found")
        balance = await platform.call("GET", f"/v1/wallets/{shared}", key=merchant.test_key)
        assert balance.status_code == 404
    live_made = await platform.call("POST", "/v1/wallets", {"currency": "USD", "mode": "live"})
    method = {"type": "wallet", "wallet_id": live_made.json()["id"]}
    answer = await platform.send_payment(one, "live-2", key=one.live_key, payment_method=method)
    assert (answer.status_code, answer.json()["code"]) == (404, "wallet_not_found")


async def test_the_other_services_dead_letters_are_not_for_merchants(
    platform_of_two: tuple[Platform, Merchant, Merchant],
) -> None:
    platform, one, _ = platform_of_two
    for key in (one.test_key, ADMIN_KEY):
        assert (await platform.call("GET", "/internal/dead_letters", key=key)).status_code == 401
