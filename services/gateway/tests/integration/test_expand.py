"""`expand[]`: what a payment names and what belongs to it, shown with it, to whom each may be shown."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.expand import OF_PAYMENT, OF_PAYMENTS

from .platform_in_process import ADMIN_KEY, Merchant, Platform, plant_dispute, started
from .scripted_acquirer import ScriptedAcquirer

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYTHING = "&".join(f"expand[]={path}" for path in OF_PAYMENT)
EVERYTHING_OF_ALL = "&".join(f"expand[]={path}" for path in OF_PAYMENTS)


@dataclass
class Shelf:
    """A merchant with a payment by a saved card and its mandate, refunded, disputed and paid out; and a plain one."""

    platform: Platform
    merchant: Merchant
    own: dict[str, str] = field(default_factory=dict)

    async def fill(self) -> None:
        platform = self.platform
        assert (await self.sent("PATCH", "/v1/payout_settings", {"schedule": "manual"}))["schedule"] == "manual"
        customer = await self.sent("POST", "/v1/customers", {"name": "Ada Example", "email": "ada@example.org"})
        method = await self.sent("POST", f"/v1/customers/{customer['id']}/payment_methods", {"token": "tok_approve"})
        terms = {"payment_method_id": method["id"], "currency": "USD", "max_amount_minor": "5000"}
        mandate = await self.sent("POST", "/v1/mandates", terms)
        saved = {
            "type": "saved",
            "payment_method_id": method["id"],
            "initiator": "merchant",
            "mandate_id": mandate["id"],
        }
        body = {"amount_minor": "1250", "currency": "USD", "payment_method": saved}
        payment = await self.sent("POST", "/v1/payments", body)
        await platform.hear(platform.assessed(payment), platform.screened(payment))
        for _ in range(3):
            await platform.ask_acquirers()
            await platform.ask_ledger()
        payout = await self.sent("POST", "/v1/payouts", {"currency": "USD"})
        refunds = [
            await self.sent("POST", f"/v1/payments/{payment['id']}/refunds", {"amount_minor": amount})
            for amount in ("100", "50")
        ]
        await platform.ask_ledger()
        dispute = await plant_dispute(platform, payment, "dispute_of_expand")
        plain = await platform.pay(self.merchant)
        self.own = {
            "payment": payment["id"],
            "plain": plain["id"],
            "customer": customer["id"],
            "method": method["id"],
            "mandate": mandate["id"],
            "dispute": dispute,
            "payout": payout["id"],
            "first_refund": refunds[0]["id"],
            "second_refund": refunds[1]["id"],
        }

    async def sent(self, method: str, path: str, body: Any) -> dict[str, Any]:
        answer = await self.platform.call(method, path, body, key=self.merchant.test_key)
        assert answer.status_code < 300, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def get(self, path: str, *, key: str | None = None, status: int = 200) -> dict[str, Any]:
        answer = await self.platform.call("GET", path, key=key or self.merchant.test_key)
        assert answer.status_code == status, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def restricted(self, *scopes: str) -> str:
        body = {"kind": "restricted", "scopes": list(scopes)}
        answer = await self.platform.call("POST", f"/v1/merchants/{self.merchant.id}/keys", body)
        secret: str = answer.json()["secret"]
        return secret


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf(module_database: Database) -> AsyncIterator[Shelf]:
    async with started(module_database.dsn, connectors=InOrder([ScriptedAcquirer("harbour")])) as platform:
        filled = Shelf(platform, await platform.merchant())
        await filled.fill()
        yield filled


async def test_a_payment_is_shown_with_what_it_names_as_those_endpoints_show_it(shelf: Shelf) -> None:
    own = shelf.own
    plain = await shelf.get(f"/v1/payments/{own['payment']}")
    shown = await shelf.get(f"/v1/payments/{own['payment']}?{EVERYTHING}")
    assert shown["payout"] == {
        name: value for name, value in (await shelf.get(f"/v1/payouts/{own['payout']}")).items() if name != "payments"
    }
    assert shown["customer"] == await shelf.get(f"/v1/customers/{own['customer']}")
    paid_with = shown["payment_method"]
    assert paid_with["payment_method"] == await shelf.get(f"/v1/payment_methods/{own['method']}")
    mandate = await shelf.get(f"/v1/mandates/{own['mandate']}")
    assert paid_with["mandate"] == {name: value for name, value in mandate.items() if name != "this_period"}
    assert shown["refunds"] == (await shelf.get(f"/v1/payments/{own['payment']}/refunds"))["data"]
    assert [each["id"] for each in shown["refunds"]] == [own["first_refund"], own["second_refund"]]
    assert shown["disputes"] == (await shelf.get("/v1/disputes"))["data"]
    assert [each["id"] for each in shown["disputes"]] == [own["dispute"]]
    for name in ("payout", "customer", "refunds", "disputes"):
        del shown[name]
    for name in ("payment_method", "mandate"):
        del paid_with[name]
    assert shown == plain


async def test_what_a_payment_does_not_have_is_null_or_an_empty_list(shelf: Shelf) -> None:
    shown = await shelf.get(f"/v1/payments/{shelf.own['plain']}?{EVERYTHING}")
    paid_with = shown["payment_method"]
    assert (shown["payout"], shown["customer"], paid_with["payment_method"], paid_with["mandate"]) == (None,) * 4
    assert (shown["refunds"], shown["disputes"]) == ([], [])


async def test_a_page_of_payments_shows_the_same_of_each(shelf: Shelf) -> None:
    since = "updated_since=2026-01-01T00:00:00Z&"
    shelf.platform.runtime.ahead += timedelta(seconds=2)  # changes show after one
    for query in ("", since):
        page = (await shelf.get(f"/v1/payments?{query}{EVERYTHING_OF_ALL}"))["data"]
        found = {each["id"]: each for each in page}
        for name in ("payment", "plain"):
            alone = await shelf.get(f"/v1/payments/{shelf.own[name]}?{EVERYTHING}")
            for name_alone in ("attempts", "fees", "increments"):
                del alone[name_alone]
            assert found[shelf.own[name]] == alone
    only = (await shelf.get("/v1/payments?expand[]=data.captures&limit=1"))["data"]
    assert (only[0]["id"], only[0]["captures"], "timeline" in only[0]) == (shelf.own["plain"], [], False)


async def test_a_page_costs_one_query_a_path_however_many_payments_are_on_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    pool = shelf.platform.gateway.pool
    fetch = pool.fetch

    async def counted(query: str, *arguments: Any) -> Any:
        asked.append(query)
        return await fetch(query, *arguments)

    monkeypatch.setattr(pool, "fetch", counted)
    counts = []
    for limit in (1, 2):
        asked.clear()
        page = await shelf.get(f"/v1/payments?{EVERYTHING_OF_ALL}&limit={limit}")
        counts.append(len(asked))
        assert len(page["data"]) == limit
    assert counts[0] == counts[1]


async def test_a_refund_and_a_dispute_show_their_payment(shelf: Shelf) -> None:
    [listed] = [each for each in (await shelf.get("/v1/payments"))["data"] if each["id"] == shelf.own["payment"]]
    for path in (f"/v1/refunds/{shelf.own['first_refund']}", f"/v1/disputes/{shelf.own['dispute']}"):
        plain = await shelf.get(path)
        shown = await shelf.get(f"{path}?expand[]=payment")
        assert shown == plain | {"payment": listed}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments/{payment}?expand[]=payout.payments",
        "/v1/payments/{payment}?expand[]=data.payout",
        "/v1/payments?expand[]=payout",
        "/v1/payments?expand[]=data.payout&expand[]=data.nothing",
        "/v1/refunds/{first_refund}?expand[]=payment.payout",
        "/v1/disputes/{dispute}?expand[]=",
    ],
)
async def test_what_is_not_offered_is_refused(shelf: Shelf, path: str) -> None:
    assert (await shelf.get(path.format(**shelf.own), status=400))["code"] == "expand_invalid"


async def test_a_restricted_key_is_shown_no_more_than_its_scopes_reach(shelf: Shelf) -> None:
    own = shelf.own
    reader = await shelf.restricted("payments:read", "refunds:read", "disputes:read")
    for path, resource in OF_PAYMENT.items():
        for query in (f"/{own['payment']}?expand[]={path}", f"?expand[]=data.{path}"):
            allowed = resource in ("refunds", "disputes")
            answer = await shelf.get(f"/v1/payments{query}", key=reader, status=200 if allowed else 403)
            assert allowed or answer["code"] == "key_not_allowed"
    no_payments = await shelf.restricted("refunds:read", "disputes:read", "events:read")
    event = (await shelf.get(f"/v1/events?object_id={own['payment']}"))["data"][0]
    for path in (
        f"/v1/refunds/{own['first_refund']}?expand[]=payment",
        f"/v1/disputes/{own['dispute']}?expand[]=payment",
        f"/v1/events/{event['id']}?expand[]=payment",
        "/v1/events?expand[]=data.payment",
    ):
        assert (await shelf.get(path, key=no_payments, status=403))["code"] == "key_not_allowed"


async def test_the_operator_and_strangers_are_shown_no_merchants_objects(shelf: Shelf) -> None:
    own = shelf.own
    stranger = (await shelf.platform.merchant("Another")).test_key
    for key in (stranger, shelf.merchant.live_key):
        await shelf.get(f"/v1/payments/{own['payment']}?{EVERYTHING}", key=key, status=404)
        await shelf.get(f"/v1/refunds/{own['first_refund']}?expand[]=payment", key=key, status=404)
        assert (await shelf.get(f"/v1/payments?{EVERYTHING_OF_ALL}", key=key))["data"] == []
    for path in sorted(set(OF_PAYMENT) - {"refunds"}):
        refused = await shelf.get(f"/v1/payments/{own['payment']}?expand[]={path}", key=ADMIN_KEY, status=403)
        assert refused["code"] == "forbidden"
    shown = await shelf.get(f"/v1/payments/{own['payment']}?expand[]=refunds", key=ADMIN_KEY)
    assert len(shown["refunds"]) == 2
