"""Payments by card, from acceptance to the books, at an acquirer that can be made to fail at every step."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.snapshot import Snapshot
from rialto_cli.testing import Database
from rialto_common import ids
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.attempts.resolver import AttemptResolver
from rialto_gateway.connectors.port import Answer, Authorise, Declined

from .platform_in_process import Merchant, Platform, started
from .scripted_acquirer import Fault, ScriptedAcquirer

TOKEN = "tok_of_somebodys_card"


@dataclass
class Shop:
    """A merchant, a platform with two acquirers, and a look at its tables."""

    platform: Platform
    merchant: Merchant
    harbour: ScriptedAcquirer
    quay: ScriptedAcquirer
    superuser: "asyncpg.Connection[Any]"
    superuser_dsn: str

    async def pay(self, *faults: Fault | None, **fields: Any) -> dict[str, Any]:
        """Have a card's payment accepted and approved; its first calls go as said."""
        self.harbour.fail(*faults)
        method = {"type": "card", "token": TOKEN} | fields.pop("method", {})
        payment = await self.platform.pay(self.merchant, payment_method=method, **fields)
        await self.platform.hear(self.platform.assessed(payment), self.platform.screened(payment))
        return payment

    async def authorised(self, *faults: Fault | None, **fields: Any) -> dict[str, Any]:
        """Have a payment authorised, to be captured by hand."""
        payment = await self.pay(*faults, capture_method="manual", **fields)
        await self.platform.ask_acquirers()
        return await self.get(payment)

    async def captured(self, amount_minor: int = 1250) -> dict[str, Any]:
        """Have a payment captured."""
        payment = await self.pay(amount_minor=amount_minor)
        await self.all_goes_on()
        found = await self.get(payment)
        assert found["status"] == "captured"
        return found

    async def all_goes_on(self, times: int = 3) -> None:
        """Let acquirers and ledger answer what they are asked."""
        for _ in range(times):
            await self.platform.ask_acquirers()
            await self.platform.ask_ledger()

    async def later(self, seconds: float) -> None:
        """Let time pass, and what is due be asked about."""
        self.platform.runtime.ahead += timedelta(seconds=seconds)
        await self.all_goes_on()

    async def get(self, payment: dict[str, Any]) -> dict[str, Any]:
        return await self.platform.get(self.merchant, payment["id"])

    async def post(self, payment: dict[str, Any], what: str, body: Any = None, **headers: str) -> Any:
        path = f"/v1/payments/{payment['id']}/{what}"
        return await self.platform.call("POST", path, body or {}, key=self.merchant.test_key, **headers)

    async def refund(self, payment: dict[str, Any], **body: Any) -> Any:
        return await self.post(payment, "refunds", body, Idempotency_Key=self.platform.new_key())

    async def refunds(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/v1/payments/{payment['id']}/refunds"
        answer = await self.platform.call("GET", path, key=self.merchant.test_key)
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def balance(self, code: str) -> int:
        """Return the signed balance (debits less credits) of the account of a code."""
        found = await self.superuser.fetchval(
            "SELECT coalesce(sum(debits_minor - credits_minor), 0) FROM ledger.accounts WHERE code = $1", code
        )
        return int(found)

    def audited(self) -> dict[str, int]:
        """Return what an audit of the books finds wrong, but for the chain and the services that are not here."""
        found = Books()
        with Snapshot(self.superuser_dsn) as snapshot:
            books.set_parameters(snapshot, self.platform.runtime.now())
            for name in ("I1", "I2", "I3", "I4", "I5", "I7"):
                books.check(found, name, snapshot)
        return {f"{name} {check}": count for name, book in found for check, count in book.by_check.items()}

    async def books(self) -> tuple[int, int, int]:
        """Return what the acquirer owes us, what is in suspense, and what we owe the merchant."""
        payable = await self.balance(f"merchant:{self.merchant.id}:payable")
        return await self.balance("acquirer:harbour:receivable"), -await self.balance("suspense:unknown"), -payable

    @property
    def resolver(self) -> AttemptResolver:
        """Where the acquirer's webhooks go."""
        runner = self.platform.gateway.steps["attempts"].__self__  # type: ignore[attr-defined]
        resolver: AttemptResolver = runner._resolver
        return resolver


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    harbour, quay = ScriptedAcquirer("harbour"), ScriptedAcquirer("quay")
    superuser = await asyncpg.connect(database.superuser_dsn())
    async with started(database.dsn, connectors=InOrder([harbour, quay])) as platform:
        yield Shop(platform, await platform.merchant(), harbour, quay, superuser, database.superuser_dsn())
    await superuser.close()


def attempts(payment: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    return [(each["step"], each["connector"], each["status"]) for each in payment["attempts"]]


async def test_a_cards_payment_goes_all_the_way_and_its_token_is_nowhere_in_clear(shop: Shop) -> None:
    payment = await shop.pay(method={"descriptor": "HARBOUR BOOKS", "return_url": "https://shop.example/back"})
    assert (await shop.get(payment))["status"] == "approved"
    await shop.all_goes_on()
    captured = await shop.get(payment)
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "1250")
    assert attempts(captured) == [("authorise", "harbour", "succeeded"), ("capture", "harbour", "succeeded")]
    asked = shop.harbour.calls[0]
    assert isinstance(asked, Authorise)
    assert (asked.token, asked.descriptor, asked.return_url) == (TOKEN, "HARBOUR BOOKS", "https://shop.example/back")
    assert asked.reference == captured["attempts"][0]["id"]
    assert len(asked.reference) <= 35
    assert await shop.books() == (1250, 0, 1250)
    assert shop.audited() == {}
    await shop.platform.hear(shop.platform.confirmed(payment))
    assert (await shop.get(payment))["status"] == "settled"
    assert captured["payment_method"]["type"] == "card"
    assert TOKEN not in str(captured)
    for table in ("bus.log", "gateway.payments", "gateway.timeline", "gateway.attempts", "gateway.webhook_deliveries"):
        rows = await shop.superuser.fetch(f"SELECT t::TEXT AS row FROM {table} AS t")
        assert not [row["row"] for row in rows if TOKEN in row["row"]], table
    causes = {line["event"]: (line["actor"], line["cause"]) for line in captured["timeline"]}
    assert causes["attempt.succeeded"] == ("acquirer:harbour", captured["attempts"][1]["id"])


async def test_a_retry_under_the_same_key_is_the_same_payment_and_charges_once(shop: Shop) -> None:
    method = {"type": "card", "token": TOKEN}
    first, second = [await shop.platform.send_payment(shop.merchant, "once", payment_method=method) for _ in range(2)]
    assert (first.status_code, second.headers.get("idempotency-replayed")) == (202, "true")
    assert first.content == second.content
    other = await shop.platform.send_payment(shop.merchant, "once", payment_method=method | {"token": "tok_other"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(Declined("insufficient_funds", "51"), "declined", "insufficient_funds"), ("not_sent", "failed", None)],
)
async def test_an_acquirer_that_says_no_ends_the_payment(shop: Shop, answer: Fault, status: str, code: str) -> None:
    shop.quay.fail(answer)
    payment = await shop.pay(answer)
    await shop.all_goes_on()
    ended = await shop.get(payment)
    assert (ended["status"], ended["decline_code"]) == (status, code)
    assert await shop.books() == (0, 0, 0)
    if status == "failed":
        assert ended["status_reason"] == "connection_refused"
        assert [connector for _, connector, _ in attempts(ended)] == ["harbour", "quay"]
    else:
        assert [connector for _, connector, _ in attempts(ended)] == ["harbour"], "a decline is not shopped around"


@pytest.mark.parametrize("answer", ["not_sent", Declined("acquirer_trouble", "96", retry_elsewhere=True)])
async def test_another_acquirer_is_asked_where_the_first_certainly_did_not_charge(shop: Shop, answer: Fault) -> None:
    payment = await shop.pay(answer)
    await shop.all_goes_on()
    captured = await shop.get(payment)
    assert captured["status"] == "captured"
    assert attempts(captured)[:2] == [("authorise", "harbour", "failed"), ("authorise", "quay", "succeeded")]
    assert captured["attempts"][0]["id"] != captured["attempts"][1]["id"]
    assert (sum(shop.harbour.captured.values()), sum(shop.quay.captured.values())) == (0, 1250)
    assert await shop.balance("acquirer:quay:receivable") == 1250
    assert shop.audited() == {}


@pytest.mark.parametrize("fault", ["lost_after", "raises"])
async def test_no_other_acquirer_is_asked_while_an_outcome_is_unknown(shop: Shop, fault: Fault) -> None:
    shop.harbour.deaf = True
    payment = await shop.pay(fault)
    await shop.all_goes_on()
    for _ in range(6):
        await shop.later(600)
        await shop.platform.sweep()
    unknown = await shop.get(payment)
    assert (unknown["status"], unknown["status_reason"]) == ("unknown", "acquirer_did_not_answer")
    assert attempts(unknown) == [("authorise", "harbour", "unknown")]
    (attempt,) = unknown["attempts"]
    assert attempt["unknown_since"] is not None
    assert attempt["asked_next_at"] is not None
    assert shop.quay.calls == []
    assert len(shop.harbour.calls) == 1, "it is looked up, never sent anew"
    assert len(shop.harbour.looked_up) >= 3
    listed = (await shop.platform.call("GET", "/v1/attempts")).json()["data"]
    assert [(each["payment_id"], each["overdue_at"]) for each in listed] == [(payment["id"], None)]
    value = shop.platform.gateway.registry.get_sample_value
    shop.platform.runtime.ahead += timedelta(seconds=10)
    await shop.platform.ask_acquirers()
    labels = {"step": "authorise", "connector": "harbour"}
    assert value("rialto_attempts_unknown", labels) == 1
    assert (value("rialto_attempts_oldest_unknown_seconds", labels) or 0) >= 3600


async def test_an_unknown_authorisation_that_was_given_is_found_and_used(shop: Shop) -> None:
    payment = await shop.pay("lost_after")
    await shop.platform.ask_acquirers()
    assert (await shop.get(payment))["status"] == "unknown"
    await shop.later(3)
    captured = await shop.get(payment)
    assert captured["status"] == "captured"
    assert [line["event"] for line in captured["timeline"]].count("attempt.unknown") == 1
    told = await shop.superuser.fetch("SELECT type FROM bus.log WHERE type LIKE 'rialto.attempt.%' ORDER BY position")
    assert [row["type"] for row in told] == ["rialto.attempt.unknown.v1", "rialto.attempt.resolved.v1"]
    assert len(shop.harbour.calls) == 2, "one authorisation and one capture"
    value = shop.platform.gateway.registry.get_sample_value
    labels = {"step": "authorise", "connector": "harbour", "outcome": "succeeded"}
    assert value("rialto_attempt_resolution_seconds_count", labels) == 1


async def test_an_outcome_that_a_clock_far_ahead_put_off_is_asked_for_when_it_is_right_again(shop: Shop) -> None:
    payment = await shop.pay("lost_after")
    await shop.platform.ask_acquirers()
    await shop.superuser.execute("UPDATE gateway.attempts SET due_at = due_at + INTERVAL '8 days'")
    await shop.later(6)
    assert (await shop.get(payment))["status"] == "captured"


async def test_an_unknown_authorisation_that_never_arrived_goes_to_the_next_acquirer(shop: Shop) -> None:
    payment = await shop.pay("lost_before")
    await shop.platform.ask_acquirers()
    await shop.later(3)
    captured = await shop.get(payment)
    assert captured["status"] == "captured"
    assert attempts(captured)[:2] == [("authorise", "harbour", "failed"), ("authorise", "quay", "succeeded")]
    assert shop.harbour.held == {}


async def test_an_unknown_that_is_declined_ends_declined(shop: Shop) -> None:
    shop.harbour.deaf = True
    payment = await shop.pay("lost_after")
    await shop.platform.ask_acquirers()
    (reference,) = shop.harbour.known
    shop.harbour.known[reference], shop.harbour.deaf = Declined("card_stolen", "43"), False
    await shop.later(3)
    assert (await shop.get(payment))["decline_code"] == "card_stolen"


async def test_the_payer_is_sent_to_three_d_secure_and_comes_back(shop: Shop) -> None:
    payment = await shop.pay("action")
    await shop.platform.ask_acquirers()
    waiting = await shop.get(payment)
    assert (waiting["status"], waiting["next_action"]) == (
        "requires_action",
        {"type": "redirect", "url": "https://acquirer.example/3ds/1"},
    )
    shop.harbour.decide(waiting["attempts"][0]["id"])
    await shop.later(3)
    captured = await shop.get(payment)
    assert (captured["status"], captured["next_action"]) == ("captured", None)


async def test_a_payer_who_comes_too_late_is_not_charged(shop: Shop) -> None:
    payment = await shop.pay("action")
    await shop.platform.ask_acquirers()
    shop.platform.runtime.ahead += timedelta(minutes=16)
    await shop.platform.sweep()
    assert (await shop.get(payment))["status"] == "expired"
    shop.harbour.decide((await shop.get(payment))["attempts"][0]["id"])
    for _ in range(3):
        await shop.later(600)
    late = await shop.get(payment)
    assert late["status"] == "expired"
    assert sum(shop.harbour.held.values()) == 0, "what the acquirer holds is let go of"
    assert await shop.books() == (0, 0, 0)
    assert shop.audited() == {}


async def test_a_late_authorisation_of_a_payment_that_has_ended_is_voided(shop: Shop) -> None:
    payment = await shop.pay(Declined("do_not_honour", "05"))
    await shop.platform.ask_acquirers()
    declined = await shop.get(payment)
    assert declined["status"] == "declined"
    reference = declined["attempts"][0]["id"]
    answer = shop.harbour.decide(reference)
    assert await shop.resolver.hear("harbour", reference, answer)
    await shop.all_goes_on()
    after = await shop.get(payment)
    assert (after["status"], attempts(after)[-1]) == ("declined", ("void", "harbour", "succeeded"))
    assert sum(shop.harbour.held.values()) == 0
    value = shop.platform.gateway.registry.get_sample_value
    assert value("rialto_attempts_contradicted_total", {"step": "authorise", "connector": "harbour"}) == 1


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_a_webhook_and_a_look_up_that_say_the_same_count_once(shop: Shop, webhook_first: bool) -> None:
    payment = await shop.pay("lost_after", capture_method="manual")
    await shop.platform.ask_acquirers()
    (reference,) = shop.harbour.known
    told: Answer = shop.harbour.known[reference]
    if webhook_first:
        assert await shop.resolver.hear("harbour", reference, told)
        await shop.later(3)
    else:
        await shop.later(3)
        assert await shop.resolver.hear("harbour", reference, told)
    assert await shop.resolver.hear("harbour", reference, told)
    authorised = await shop.get(payment)
    assert authorised["status"] == "authorised"
    events = [line["event"] for line in authorised["timeline"]]
    assert events.count("attempt.succeeded") == 1
    assert not await shop.resolver.hear("quay", reference, told), "an acquirer speaks for itself alone"
    assert not await shop.resolver.hear("harbour", "att_nonsense", told)


async def test_webhook_and_answers_at_the_same_time_take_turns(shop: Shop) -> None:
    payment = await shop.pay("lost_after", capture_method="manual")
    await shop.platform.ask_acquirers()
    (reference,) = shop.harbour.known
    answer = shop.harbour.known[reference]
    await asyncio.gather(*(shop.resolver.hear("harbour", reference, answer) for _ in range(8)))
    events = [line["event"] for line in (await shop.get(payment))["timeline"]]
    assert events.count("attempt.succeeded") == 1


async def test_an_unknown_capture_parks_the_money_and_brings_it_to_the_merchant(shop: Shop) -> None:
    payment = await shop.pay(None, "lost_after")
    for _ in range(2):
        await shop.platform.ask_acquirers()
    await shop.platform.ask_ledger()
    unknown = await shop.get(payment)
    assert (unknown["status"], unknown["status_reason"]) == ("authorised", "capture_unknown")
    assert await shop.books() == (1250, 1250, 0)
    assert shop.audited() == {}
    await shop.later(3)
    assert (await shop.get(payment))["status"] == "captured"
    assert await shop.books() == (1250, 0, 1250)
    assert shop.audited() == {}


async def test_an_automatic_capture_that_never_arrived_is_asked_for_again(shop: Shop) -> None:
    payment = await shop.pay(None, "lost_before")
    await shop.all_goes_on()
    await shop.later(3)
    captured = await shop.get(payment)
    assert [(each["status"], each["failure_code"]) for each in captured["captures"]] == [
        ("failed", "acquirer_has_nothing"),
        ("succeeded", None),
    ]
    assert (captured["status"], await shop.books()) == ("captured", (1250, 0, 1250))
    assert sum(shop.harbour.captured.values()) == 1250
    assert shop.audited() == {}


async def test_an_unknown_capture_that_never_arrived_leaves_nothing_and_can_be_asked_again(shop: Shop) -> None:
    payment = await shop.authorised(None, "lost_before")
    assert (await shop.post(payment, "capture")).status_code == 200
    await shop.all_goes_on()
    await shop.later(3)
    failed = await shop.get(payment)
    assert (failed["status"], failed["captures"][0]["failure_code"]) == ("authorised", "acquirer_has_nothing")
    assert await shop.books() == (0, 0, 0)
    assert (await shop.post(payment, "capture")).status_code == 200
    await shop.all_goes_on()
    assert (await shop.get(payment))["status"] == "captured"
    assert await shop.books() == (1250, 0, 1250)
    assert sum(shop.harbour.captured.values()) == 1250
    assert shop.audited() == {}


async def test_parts_are_captured_in_the_order_in_which_they_were_asked_for(shop: Shop) -> None:
    payment = await shop.authorised("lost_after")
    await shop.later(3)
    shop.harbour.fail("lost_after")
    await shop.post(payment, "capture", {"amount_minor": "300"})
    await shop.post(payment, "capture", {"amount_minor": "200", "final": True})
    await shop.all_goes_on()
    amounts = [getattr(call, "amount_minor", None) for call in shop.harbour.calls]
    assert amounts == [1250, 300], "the final one waits until the first is known"
    await shop.later(3)
    captured = await shop.get(payment)
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "500")
    assert await shop.books() == (500, 0, 500)
    assert sum(shop.harbour.held.values()) == 0


async def test_a_void_lets_go_at_the_acquirer_and_is_asked_for_once(shop: Shop) -> None:
    payment = await shop.authorised()
    for _ in range(2):
        assert (await shop.post(payment, "void")).status_code == 200
    shop.platform.runtime.ahead += timedelta(minutes=2)
    await shop.platform.sweep()
    await shop.all_goes_on()
    voided = await shop.get(payment)
    assert (voided["status"], attempts(voided)[-1]) == ("voided", ("void", "harbour", "succeeded"))
    assert [step for step, _, _ in attempts(voided)] == ["authorise", "void"]
    assert sum(shop.harbour.held.values()) == 0


async def test_an_authorisation_that_nobody_captures_expires_and_is_let_go_of(shop: Shop) -> None:
    payment = await shop.authorised()
    shop.platform.runtime.ahead += timedelta(days=7, minutes=2)
    await shop.platform.sweep()
    await shop.all_goes_on()
    assert (await shop.get(payment))["status"] == "expired"
    assert sum(shop.harbour.held.values()) == 0


async def test_a_call_that_certainly_did_not_arrive_is_sent_again_under_its_reference(shop: Shop) -> None:
    payment = await shop.pay(None, "not_sent", "not_sent")
    await shop.all_goes_on()
    for _ in range(3):
        await shop.later(10)
    assert (await shop.get(payment))["status"] == "captured"
    captures = [call.reference for call in shop.harbour.calls[1:]]
    assert len(captures) == 3
    assert len(set(captures)) == 1


async def test_a_refund_goes_back_through_the_acquirer(shop: Shop) -> None:
    payment = await shop.captured()
    answer = await shop.refund(payment, amount_minor="450", reason="duplicate", metadata={"ticket": "7"})
    assert answer.status_code == 202, answer.text
    refund = answer.json()
    assert (refund["status"], refund["amount_minor"], refund["reason"]) == ("pending", "450", "duplicate")
    await shop.platform.ask_ledger()
    assert await shop.books() == (1250, 450, 800), "set aside while the acquirer is asked"
    await shop.all_goes_on()
    (done,) = await shop.refunds(payment)
    assert (done["id"], done["status"], done["metadata"]) == (refund["id"], "succeeded", {"ticket": "7"})
    assert await shop.books() == (800, 0, 800)
    found = await shop.get(payment)
    assert (found["status"], found["amount_refunded_minor"]) == ("captured", "450")
    told = await shop.platform.call("GET", "/v1/events?type=refund.succeeded", key=shop.merchant.test_key)
    [event] = told.json()["data"]
    assert (event["data"]["refund_id"], event["data"]["amount_refunded_minor"]) == (refund["id"], "450")


@pytest.mark.parametrize(
    ("fault", "status", "left"), [("lost_after", "succeeded", (0, 0, 0)), ("lost_before", "failed", (1250, 0, 1250))]
)
async def test_an_unknown_refund_waits_in_suspense_until_it_is_known(
    shop: Shop, fault: Fault, status: str, left: tuple[int, int, int]
) -> None:
    payment = await shop.captured()
    shop.harbour.fail(fault)
    await shop.refund(payment)
    await shop.platform.ask_ledger()
    await shop.platform.ask_acquirers()
    await shop.platform.ask_ledger()
    assert await shop.books() == (1250, 1250, 0)
    assert (await shop.get(payment))["attempts"][-1]["status"] == "unknown"
    await shop.later(3)
    (refund,) = await shop.refunds(payment)
    assert refund["status"] == status
    assert await shop.books() == left
    assert shop.audited() == {}


async def test_a_refund_is_refused_where_the_merchant_has_too_little(shop: Shop) -> None:
    payment = await shop.captured()
    await shop.superuser.execute(
        "UPDATE ledger.accounts SET debits_minor = debits_minor + 1000, version = version + 1 WHERE code = $1",
        f"merchant:{shop.merchant.id}:payable",
    )
    await shop.refund(payment)
    await shop.all_goes_on()
    (refund,) = await shop.refunds(payment)
    assert (refund["status"], refund["failure_code"]) == ("failed", "insufficient_merchant_balance")
    assert not [call for call in shop.harbour.calls if type(call).__name__ == "Refund"]
    assert (await shop.get(payment))["amount_refunded_minor"] == "0"


async def test_concurrent_refunds_never_give_back_more_than_was_captured(shop: Shop) -> None:
    payment = await shop.captured(1000)
    answers = await asyncio.gather(*(shop.refund(payment, amount_minor="300") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [400] * 5
    assert {a.json()["code"] for a in answers if a.status_code == 400} == {"refund_above_captured"}
    await shop.all_goes_on()
    assert sum(shop.harbour.refunded.values()) == 900
    assert await shop.books() == (100, 0, 100)
    assert (await shop.refund(payment)).status_code == 202
    await shop.all_goes_on()
    nothing = await shop.refund(payment)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "payment_not_refundable")


async def test_concurrent_captures_never_take_more_than_is_held(shop: Shop) -> None:
    payment = await shop.authorised()
    answers = await asyncio.gather(*(shop.post(payment, "capture", {"amount_minor": "500"}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 400, 400, 400, 400]
    for _ in range(2):
        await shop.all_goes_on()
    assert (await shop.get(payment))["amount_captured_minor"] == "1000"
    assert sum(shop.harbour.captured.values()) == 1000


async def test_a_refund_under_the_same_key_is_the_same_refund(shop: Shop) -> None:
    payment = await shop.captured()
    body = {"amount_minor": "100"}
    answers = await asyncio.gather(*(shop.post(payment, "refunds", body, Idempotency_Key="r") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers) == 9
    other = await shop.post(payment, "refunds", {"amount_minor": "101"}, Idempotency_Key="r")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    headers = {"Authorization": f"Bearer {shop.merchant.test_key}"}
    without = await shop.platform.http.post(f"/v1/payments/{payment['id']}/refunds", json=body, headers=headers)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_required")
    await shop.all_goes_on()
    again = await shop.post(payment, "refunds", body, Idempotency_Key="r")
    assert again.content == answers[0].content, "the first answer again, whatever became of it"
    assert len(await shop.refunds(payment)) == 1


async def test_another_merchant_learns_nothing_of_payments_and_refunds(shop: Shop) -> None:
    payment = await shop.captured()
    refund = (await shop.refund(payment, amount_minor="1")).json()
    stranger = await shop.platform.merchant("Stranger")
    call = shop.platform.call
    for key in (stranger.test_key, shop.merchant.live_key):
        for path in (f"/v1/refunds/{refund['id']}", f"/v1/payments/{payment['id']}/refunds"):
            answer = await call("GET", path, key=key)
            assert answer.status_code == 404
        posted = await call("POST", f"/v1/payments/{payment['id']}/refunds", {}, key=key, Idempotency_Key="x")
        assert posted.status_code == 404
    own = await call("GET", f"/v1/refunds/{refund['id']}", key=shop.merchant.test_key)
    assert own.status_code == 200
    unknown = await call("GET", "/v1/refunds/" + ids.to_text("re", ids.uuid7(0, 1)), key=shop.merchant.test_key)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "refund_not_found")


async def test_a_wallets_payment_is_refunded_to_the_wallet(shop: Shop) -> None:
    payment = await shop.platform.pay(shop.merchant)
    await shop.platform.decide(payment)
    await shop.platform.ask_ledger()
    await shop.refund(payment, amount_minor="1000")
    await shop.platform.ask_ledger()
    (refund,) = await shop.refunds(payment)
    assert refund["status"] == "succeeded"
    path = f"/v1/wallets/{shop.merchant.wallet_id}"
    wallet = (await shop.platform.call("GET", path, key=shop.merchant.test_key)).json()
    assert wallet["ledger_balance_minor"] == str(1_000_000 - 250)
    assert await shop.balance(f"merchant:{shop.merchant.id}:payable") == -250
    assert shop.audited() == {}


async def test_an_unknown_increment_is_found_out_and_a_capture_waits_behind_it(shop: Shop) -> None:
    payment = await shop.authorised()
    shop.harbour.fail("lost_after")
    asked = await shop.post(payment, "increments", {"amount_minor": "1800"})
    assert asked.status_code == 200, asked.text
    await shop.platform.ask_acquirers()
    unknown = await shop.get(payment)
    assert (unknown["status"], unknown["status_reason"]) == ("authorised", "increment_unknown")
    assert (unknown["amount_minor"], unknown["attempts"][-1]["for"]) == ("1250", unknown["increments"][0]["id"])
    assert (await shop.post(payment, "capture", {"amount_minor": "500"})).status_code == 200
    await shop.platform.ask_acquirers()
    assert attempts(await shop.get(payment))[1:] == [
        ("increment", "harbour", "unknown"),
        ("capture", "harbour", "queued"),
    ]
    await shop.later(3)
    await shop.all_goes_on()
    found = await shop.get(payment)
    assert (found["amount_minor"], found["amount_captured_minor"], found["amount_capturable_minor"]) == (
        "1800",
        "500",
        "1300",
    )
    assert found["status_reason"] is None
    await shop.post(payment, "capture")
    await shop.all_goes_on()
    assert (await shop.get(payment))["amount_captured_minor"] == "1800"
    [authorisation] = shop.harbour.authorised
    assert shop.harbour.captured[authorisation] == 1800
    assert shop.audited() == {}


@pytest.mark.parametrize("fault", ["lost_before", Declined("do_not_honour", "05")], ids=["lost", "declined"])
async def test_an_increment_that_was_not_made_leaves_the_card_authorised_as_before(shop: Shop, fault: Fault) -> None:
    payment = await shop.authorised()
    shop.harbour.fail(fault)
    await shop.post(payment, "increments", {"amount_minor": "1800"})
    await shop.all_goes_on()
    await shop.later(3)
    left = await shop.get(payment)
    assert (left["status"], left["amount_minor"], left["amount_capturable_minor"]) == ("authorised", "1250", "1250")
    code = "acquirer_has_nothing" if fault == "lost_before" else "do_not_honour"
    assert (left["increments"][0]["status"], left["increments"][0]["failure_code"]) == ("failed", code)
    assert shop.quay.calls == [], "only the acquirer that holds the amount can raise it"
    await shop.post(payment, "void")
    await shop.all_goes_on()
    assert (await shop.get(payment))["status"] == "voided"
    assert shop.audited() == {}
