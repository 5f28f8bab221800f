"""Saved cards and mandates: charged as agreed and no further, by retries and at once, and forgotten for good."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.connectors.port import Authorise, Declined

from .platform_in_process import Merchant, Platform, started
from .scripted_acquirer import ScriptedAcquirer

TOKEN = "tok_kept_for_ada"
MONTHLY = {"interval": "month", "max_amount_minor": "2000", "max_payments": 2}


@dataclass
class Club:
    """A merchant with a customer whose card it keeps."""

    platform: Platform
    merchant: Merchant
    acquirer: ScriptedAcquirer
    superuser: "asyncpg.Connection[Any]"
    customer_id: str = ""
    method_id: str = ""

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.platform.call("POST", path, body or {}, key=self.merchant.test_key, **headers)

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.platform.call("GET", path, key=self.merchant.test_key)
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def agree(self, **terms: Any) -> str:
        """Put a mandate on record; return its id."""
        body = {"payment_method_id": self.method_id, "currency": "USD", "max_amount_minor": "1500"} | terms
        answer = await self.post("/v1/mandates", body)
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["id"]
        return made

    async def pay(
        self, amount_minor: int = 1000, *, key: str | None = None, amount: str = "USD", **method: Any
    ) -> httpx.Response:
        """Send a payment by the saved card."""
        body = {
            "amount_minor": amount_minor,
            "currency": amount,
            "payment_method": {"type": "saved", "payment_method_id": self.method_id} | method,
        }
        return await self.post("/v1/payments", body, Idempotency_Key=key or self.platform.new_key())

    async def charge(self, mandate_id: str, amount_minor: int = 1000, *, key: str | None = None) -> httpx.Response:
        """Charge with nobody there."""
        return await self.pay(amount_minor, key=key, initiator="merchant", mandate_id=mandate_id)

    async def goes_on(self, payment: dict[str, Any]) -> dict[str, Any]:
        """Let a payment be decided and captured."""
        await self.platform.hear(self.platform.assessed(payment), self.platform.screened(payment))
        for _ in range(3):
            await self.platform.ask_acquirers()
            await self.platform.ask_ledger()
        return await self.get(f"/v1/payments/{payment['id']}")


@pytest.fixture
async def club(database: Database) -> AsyncIterator[Club]:
    acquirer = ScriptedAcquirer("harbour")
    superuser = await asyncpg.connect(database.superuser_dsn())
    async with started(database.dsn, connectors=InOrder([acquirer])) as platform:
        club = Club(platform, await platform.merchant(), acquirer, superuser)
        club.customer_id = (await club.post("/v1/customers", {"name": "Ada Example", "country": "GB"})).json()["id"]
        attached = await club.post(f"/v1/customers/{club.customer_id}/payment_methods", {"token": TOKEN})
        assert attached.status_code == 201, attached.text
        club.method_id = attached.json()["id"]
        yield club
    await superuser.close()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_customer_pays_by_the_card_that_was_kept_and_its_token_is_nowhere_in_clear(club: Club) -> None:
    accepted = await club.pay(descriptor="CLUB")
    assert accepted.status_code == 202, accepted.text
    paid = await club.goes_on(accepted.json())
    assert paid["status"] == "captured"
    asked = club.acquirer.calls[0]
    assert isinstance(asked, Authorise)
    assert (asked.token, asked.descriptor, asked.off_session) == (TOKEN, "CLUB", False)
    kept = await club.get(f"/v1/payment_methods/{club.method_id}")
    assert paid["payment_method"]["payment_method_id"] == club.method_id
    assert paid["payment_method"]["mandate_id"] is None
    assert (await club.get(f"/v1/customers/{club.customer_id}/payment_methods"))["data"] == [kept]
    assert TOKEN not in str((paid, kept))
    for table in ("bus.log", "gateway.payments", "gateway.saved_methods", "gateway.idempotent_answers"):
        rows = await club.superuser.fetch(f"SELECT t::TEXT AS row FROM {table} AS t")
        assert not [row["row"] for row in rows if TOKEN in row["row"] or "Ada Example" in row["row"]], table


async def test_a_merchant_charges_alone_by_a_mandate_and_up_to_it(club: Club) -> None:
    mandate = await club.agree(period=MONTHLY)
    assert refusal(await club.pay(initiator="merchant")) == (400, "mandate_required")
    assert refusal(await club.charge(mandate, 1501)) == (409, "mandate_limit_exceeded")
    first = await club.charge(mandate, 1500)
    assert first.status_code == 202, first.text
    paid = await club.goes_on(first.json())
    assert paid["payment_method"]["mandate_id"] == mandate
    asked = club.acquirer.calls[0]
    assert isinstance(asked, Authorise)
    assert asked.off_session
    over = await club.charge(mandate, 501)
    assert refusal(over) == (409, "mandate_limit_exceeded")
    assert "500 left" in over.json()["detail"]
    assert (await club.charge(mandate, 500)).status_code == 202
    assert refusal(await club.charge(mandate, 1)) == (409, "mandate_limit_exceeded")
    seen = await club.get(f"/v1/mandates/{mandate}")
    assert (seen["status"], seen["this_period"]["payments"], seen["this_period"]["amount_minor"]) == (
        "active",
        2,
        "2000",
    )
    club.platform.runtime.ahead += timedelta(days=32)
    assert (await club.charge(mandate, 1500)).status_code == 202, "the next month has limits of its own"


async def test_of_payments_at_once_a_mandate_lets_through_no_more_than_agreed(club: Club) -> None:
    mandate = await club.agree(period={"interval": "month", "max_payments": 3})
    answers = await asyncio.gather(*(club.charge(mandate, 100) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 9
    made = await club.superuser.fetchval("SELECT count(*) FROM gateway.payments")
    assert made == 3


async def test_what_came_to_nothing_is_not_counted(club: Club) -> None:
    mandate = await club.agree(period={"interval": "month", "max_payments": 1})
    club.acquirer.fail(Declined("insufficient_funds", "51"))
    declined = await club.goes_on((await club.charge(mandate)).json())
    assert declined["status"] == "declined"
    again = await club.charge(mandate)
    assert again.status_code == 202, again.text
    assert refusal(await club.charge(mandate)) == (409, "mandate_limit_exceeded")


async def test_a_retry_gets_the_first_answer_whatever_has_become_of_card_and_mandate(club: Club) -> None:
    mandate = await club.agree(period={"interval": "month", "max_payments": 1})
    first = await club.charge(mandate, key="march")
    assert (await club.charge(mandate, key="march")).json() == first.json()
    assert refusal(await club.charge(mandate, 999, key="march")) == (422, "idempotency_key_reused")
    assert (await club.post(f"/v1/mandates/{mandate}/revoke")).json()["status"] == "revoked"
    detached = await club.post(f"/v1/payment_methods/{club.method_id}/detach")
    assert detached.json()["detached_at"] is not None
    retried = await club.charge(mandate, key="march")
    assert (retried.status_code, retried.json()) == (202, first.json())
    assert retried.headers["Idempotency-Replayed"] == "true"
    assert refusal(await club.charge(mandate, key="april")) == (404, "payment_method_not_found")
    assert await club.superuser.fetchval("SELECT count(*) FROM gateway.payments") == 1


async def test_a_revoked_mandate_and_a_mandate_for_another_card_charge_nothing(club: Club) -> None:
    revoked, fine = await club.agree(), await club.agree()
    for _ in range(2):
        assert (await club.post(f"/v1/mandates/{revoked}/revoke")).json()["status"] == "revoked"
    assert refusal(await club.charge(revoked)) == (409, "mandate_not_active")
    attached = await club.post(f"/v1/customers/{club.customer_id}/payment_methods", {"token": "tok_another"})
    club.method_id = attached.json()["id"]
    assert refusal(await club.charge(fine)) == (400, "mandate_mismatch")
    nobody = fine[:-6] + "000000"
    assert refusal(await club.charge(nobody)) == (404, "mandate_not_found")
    assert await club.superuser.fetchval("SELECT count(*) FROM gateway.mandate_uses") == 0
    listed = (await club.get("/v1/mandates"))["data"]
    assert [(each["id"], each["status"]) for each in listed] == [(fine, "active"), (revoked, "revoked")]


async def test_deleting_a_customer_forgets_their_cards(club: Club) -> None:
    mandate = await club.agree()
    path = f"/v1/customers/{club.customer_id}"
    assert (await club.platform.call("DELETE", path, key=club.merchant.test_key)).status_code == 200
    assert refusal(await club.charge(mandate)) == (404, "payment_method_not_found")
    assert await club.superuser.fetchval("SELECT count(*) FROM gateway.saved_methods WHERE token IS NOT NULL") == 0
    attached = await club.post(f"{path}/payment_methods", {"token": TOKEN})
    assert refusal(attached) == (404, "customer_not_found")


async def test_the_payer_of_a_saved_card_is_its_customer_and_of_any_other_method_must_be_named(club: Club) -> None:
    body = {
        "amount_minor": 1,
        "currency": "USD",
        "payment_method": {"type": "saved", "payment_method_id": club.method_id},
    }
    named = await club.post("/v1/payments", body | {"payer": {"name": "Someone Else"}})
    assert (refusal(named)[0], named.json()["param"]) == (400, "payer")
    without = body | {"payment_method": {"type": "card", "token": TOKEN}}
    missing = await club.post("/v1/payments", without)
    assert (*refusal(missing), missing.json()["param"]) == (400, "field_missing", "payer")


async def test_a_payment_by_a_mandate_is_raised_within_it_and_what_it_is_raised_to_counts(club: Club) -> None:
    mandate = await club.agree(max_amount_minor="1400", period={"interval": "month", "max_amount_minor": "2000"})
    method = {
        "type": "saved",
        "payment_method_id": club.method_id,
        "initiator": "merchant",
        "mandate_id": mandate,
    }
    body = {"amount_minor": 1000, "currency": "USD", "payment_method": method, "capture_method": "manual"}
    first = await club.post("/v1/payments", body, Idempotency_Key=club.platform.new_key())
    assert first.status_code == 202, first.text
    authorised = await club.goes_on(first.json())
    assert authorised["status"] == "authorised"

    async def raise_to(amount: str) -> httpx.Response:
        path = f"/v1/payments/{authorised['id']}/increments"
        return await club.post(path, {"amount_minor": amount}, Idempotency_Key=club.platform.new_key())

    assert refusal(await raise_to("1401")) == (409, "mandate_limit_exceeded")
    assert (await club.charge(mandate, 700)).status_code == 202
    over = await raise_to("1301")
    assert refusal(over) == (409, "mandate_limit_exceeded")
    assert (await club.get(f"/v1/payments/{authorised['id']}"))["increments"] == [], "nothing was asked for"
    assert (await raise_to("1200")).status_code == 200
    assert refusal(await club.charge(mandate, 101)) == (409, "mandate_limit_exceeded"), "what is under way counts"
    await club.goes_on(first.json())
    assert (await club.get(f"/v1/payments/{authorised['id']}"))["amount_minor"] == "1200"
    assert refusal(await club.charge(mandate, 101)) == (409, "mandate_limit_exceeded")
    await club.post(f"/v1/mandates/{mandate}/revoke", {})
    assert refusal(await raise_to("1250")) == (409, "mandate_not_active")
