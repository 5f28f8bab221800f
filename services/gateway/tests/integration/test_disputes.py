"""Disputes from the acquirer's webhook to the books, on a real ledger, at an acquirer that can be made to fail."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from standardwebhooks import Webhook

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.snapshot import Snapshot
from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.connectors.disputes import Standing, Status
from rialto_gateway.settlement_files.file import Line, write

from .platform_in_process import Died, Merchant, Platform, started
from .scripted_acquirer import ScriptedAcquirer
from .scripted_disputes import ScriptedDisputes
from .test_balance import check_books

SECRET = "whsec_" + b64encode(b"a secret of both, 32 bytes long.").decode()
SECRET_WORDS = "sent to Ada Example, 1 Quay Street"
FEE = 15


@dataclass
class Shop:
    """A merchant with a card's payment of 1,250 captured, and what its acquirer says of disputes."""

    platform: Platform
    merchant: Merchant
    acquirer: ScriptedDisputes
    superuser: "asyncpg.Connection[Any]"
    superuser_dsn: str
    payment: dict[str, Any]

    def standing(self, number: int = 1, *, amount_minor: int = 1000, days: float = 7) -> Standing:
        """Open a dispute at the acquirer."""
        now = self.platform.runtime.now()
        made = Standing(
            f"dsp_{number}",
            self.payment["attempts"][0]["id"],
            amount_minor,
            "USD",
            "fraudulent",
            "needs_response",
            now + timedelta(days=days),
            now,
        )
        self.acquirer.standings[made.reference] = made
        return made

    def decide(self, standing: Standing, status: Status) -> Standing:
        """Let the acquirer decide."""
        after = replace(standing, status=status)
        self.acquirer.standings[standing.reference] = after
        return after

    async def webhook(self, standing: Standing, **changes: Any) -> Any:
        """Tell of a dispute as the acquirer does, and let the ledger hear of it."""
        view = {
            "id": standing.reference,
            "reference": standing.attempt,
            "amount_minor": str(standing.amount_minor),
            "currency": standing.currency,
            "reason": standing.reason,
            "status": standing.status,
            "opened_at": standing.opened_at.isoformat(),
            "respond_by": standing.respond_by.isoformat(),
        }
        body = orjson.dumps({"type": "dispute", "dispute": view | changes}).decode()
        now = datetime.now(tz=standing.opened_at.tzinfo)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
        }
        answer = await self.platform.http.post("/v1/connectors/sim/webhooks", content=body, headers=headers)
        await self.platform.ask_ledger()
        return answer

    async def opened(self, **how: Any) -> tuple[dict[str, Any], Standing]:
        """Have a dispute opened and heard of."""
        standing = self.standing(**how)
        assert (await self.webhook(standing)).status_code == 204
        [dispute] = [each for each in await self.disputes() if each["status"] == "needs_response"]
        return dispute, standing

    async def disputes(self, query: str = "") -> list[dict[str, Any]]:
        answer = await self.platform.call("GET", "/v1/disputes" + query, key=self.merchant.test_key)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def get(self, dispute: dict[str, Any]) -> dict[str, Any]:
        answer = await self.platform.call("GET", f"/v1/disputes/{dispute['id']}", key=self.merchant.test_key)
        found: dict[str, Any] = answer.json()
        return found

    async def post(self, dispute: dict[str, Any], what: str, body: Any = None, **headers: str) -> Any:
        path = f"/v1/disputes/{dispute['id']}/{what}"
        return await self.platform.call("POST", path, body or {}, key=self.merchant.test_key, **headers)

    async def later(self, **time: float) -> None:
        """Let time pass, and what is due be told and asked."""
        self.platform.runtime.ahead += timedelta(**time)
        await self.desk()

    async def desk(self) -> None:
        await self.platform.gateway.steps["disputes"]()
        await self.platform.ask_ledger()

    async def told(self) -> list[str]:
        answer = await self.platform.call("GET", "/v1/events?type=dispute.*", key=self.merchant.test_key)
        events = sorted(answer.json()["data"], key=lambda event: int(event["data"]["sequence"]))
        assert all(event["data"]["dispute_id"].startswith("dp_") for event in events)
        return [event["type"] for event in events]

    async def balances(self) -> tuple[int, int, int]:
        """Return what the acquirer owes us, what we owe the merchant and what is set aside, each explained."""
        found = await check_books(self.platform, self.merchant)
        owed = await self.superuser.fetchval(
            "SELECT debits_minor - credits_minor FROM ledger.accounts WHERE code = 'acquirer:sim:receivable'"
        )
        return int(owed), found["available"] + found["pending"], found["reserved"]

    async def settle(self, standing: Standing, name: str) -> dict[str, Any]:
        """Have the acquirer take back what a dispute is about, by a settlement file; return what came of it."""
        amount = -standing.amount_minor
        today = self.platform.runtime.now().date()
        line = Line(2, "chargeback", "cb_1", standing.reference, "auth_1", "USD", amount, 0, amount, today)
        path = "/v1/connectors/sim/settlement_files"
        answer = await self.platform.call("POST", path, write(name, [line]).encode())
        assert answer.status_code == 201, answer.text
        await self.platform.ask_ledger()
        taken: dict[str, Any] = answer.json()
        return taken

    async def open_differences(self) -> list[dict[str, Any]]:
        """Return where the acquirer's files and our books differ."""
        answer = await self.platform.call("GET", "/v1/connectors/sim/settlement_differences?state=open")
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def audited(self) -> dict[str, int]:
        """Return what an audit of the books finds wrong, but for the chain and the services that are not here."""
        await self.platform.sweep()  # the test has let time pass
        found = Books()
        with Snapshot(self.superuser_dsn) as snapshot:
            books.set_parameters(snapshot, self.platform.runtime.now())
            for name in ("I1", "I2", "I3", "I4", "I5", "I7"):
                books.check(found, name, snapshot)
        return {f"{name} {check}": count for name, book in found for check, count in book.by_check.items()}


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    acquirer, superuser = ScriptedDisputes(), await asyncpg.connect(database.superuser_dsn())
    settings = {"acquirer_url": "http://127.0.0.1:1", "acquirer_key": "key", "acquirer_webhook_secret": SECRET}
    async with started(
        database.dsn,
        connectors=InOrder([ScriptedAcquirer("sim")]),
        disputed={"sim": acquirer},
        dispute_fee_minor=FEE,
        **settings,
    ) as platform:
        merchant = await platform.merchant()
        payment = await platform.pay(merchant, payment_method={"type": "card", "token": "tok_1"})
        await platform.hear(platform.assessed(payment), platform.screened(payment))
        for _ in range(3):
            await platform.ask_acquirers()
            await platform.ask_ledger()
        payment = await platform.get(merchant, payment["id"])
        assert payment["status"] == "captured"
        yield Shop(platform, merchant, acquirer, superuser, database.superuser_dsn(), payment)
    await superuser.close()


async def test_a_dispute_is_set_aside_answered_and_won(shop: Shop) -> None:
    dispute, standing = await shop.opened()
    assert (dispute["amount_minor"], dispute["fee_minor"], dispute["reason"]) == ("1000", "15", "fraudulent")
    assert await shop.balances() == (1250, 1250 - 1000 - FEE, 1000)
    payment = await shop.platform.get(shop.merchant, shop.payment["id"])
    assert payment["amount_disputed_minor"] == "1000"
    [fee] = payment["fees"]["lines"]
    assert (fee["type"], fee["amount_minor"], fee["for"]) == ("dispute", str(FEE), dispute["id"])
    assert (payment["fee_minor"], fee["rate"]) == ("0", {"bps": 0, "fixed_minor": str(FEE)})
    path = f"/v1/payments/{payment['id']}/refunds"
    refused = await shop.platform.call("POST", path, {"amount_minor": 251}, key=shop.merchant.test_key)
    assert (refused.status_code, refused.json()["code"]) == (400, "refund_above_captured"), refused.text
    missing = await shop.post(dispute, "submit")
    assert (missing.status_code, missing.json()["code"]) == (409, "evidence_missing")
    posted = await shop.post(dispute, "evidence", {"shipping_address": SECRET_WORDS})
    assert (posted.status_code, posted.json()["has_evidence"]) == (200, True)
    assert (await shop.get(dispute))["evidence"] == {"shipping_address": SECRET_WORDS}
    sent = [await shop.post(dispute, "submit", Idempotency_Key="once") for _ in range(2)]
    assert [answer.status_code for answer in sent] == [200, 200]
    assert sent[0].json() == sent[1].json()
    await shop.desk()
    assert shop.acquirer.evidence == [{"shipping_address": SECRET_WORDS}]
    reviewed = await shop.get(dispute)
    assert (reviewed["status"], reviewed["sending"]) == ("under_review", None)
    late = await shop.post(dispute, "evidence", {"other": "and this"})
    assert (late.status_code, late.json()["code"]) == (409, "dispute_not_answerable")
    await shop.webhook(shop.decide(standing, "won"))
    assert (await shop.get(dispute))["status"] == "won"
    assert await shop.balances() == (1250, 1250 - FEE, 0)
    assert await shop.told() == ["dispute.opened", "dispute.evidence_submitted", "dispute.won"]
    assert await shop.audited() == {}
    rows = await shop.superuser.fetch(
        "SELECT d::TEXT AS row FROM gateway.disputes AS d UNION ALL SELECT data::TEXT FROM bus.log"
    )
    assert rows
    assert not any(SECRET_WORDS in row["row"] for row in rows)


async def test_a_dispute_told_twice_late_and_out_of_order_is_one(shop: Shop) -> None:
    standing = shop.standing()
    lost = shop.decide(standing, "lost")
    for news in (lost, standing, lost, replace(standing, status="under_review"), standing):
        assert (await shop.webhook(news)).status_code == 204
    [dispute] = await shop.disputes()
    assert (dispute["status"], dispute["cause"]) == ("lost", "expired")
    assert await shop.balances() == (250, 250 - FEE, 0)
    assert await shop.told() == ["dispute.opened", "dispute.lost"]
    assert await shop.audited() == {}


@pytest.mark.parametrize("fault", ["lost_before", "lost_after", "not_sent"])
async def test_evidence_whose_fate_is_unknown_is_sent_until_the_acquirer_has_it(shop: Shop, fault: Any) -> None:
    dispute, _ = await shop.opened()
    await shop.post(dispute, "evidence", {"other": "sent by post"})
    await shop.post(dispute, "submit")
    shop.acquirer.faults.extend([fault, fault])
    await shop.desk()
    waiting = await shop.get(dispute)
    assert (waiting["status"], waiting["sending"]) == ("needs_response", "evidence")
    for _ in range(2):
        await shop.later(minutes=1)
    assert (await shop.get(dispute))["status"] == "under_review"
    assert shop.acquirer.evidence == [{"other": "sent by post"}]
    assert await shop.audited() == {}


async def test_a_dispute_that_is_given_up_is_lost_once_the_acquirer_has_closed_it(shop: Shop) -> None:
    dispute, _ = await shop.opened(amount_minor=1250)
    shop.acquirer.faults.append("not_sent")
    given_up = await shop.post(dispute, "accept")
    assert (given_up.status_code, given_up.json()["status"]) == (200, "accepted")
    await shop.desk()
    assert (await shop.get(dispute))["status"] == "accepted"
    await shop.later(minutes=1)
    found = await shop.get(dispute)
    assert (found["status"], found["cause"]) == ("lost", "accepted")
    assert await shop.balances() == (0, -FEE, 0)
    assert await shop.audited() == {}


async def test_one_that_nobody_answers_is_asked_about_when_its_time_is_over(shop: Shop) -> None:
    dispute, standing = await shop.opened(days=1)
    await shop.desk()
    assert shop.acquirer.calls == []
    await shop.later(days=1, minutes=1)
    assert (await shop.get(dispute))["status"] == "needs_response", "the acquirer alone says how it ended"
    late = await shop.post(dispute, "accept")
    assert (late.status_code, late.json()["code"]) == (409, "dispute_not_answerable")
    shop.decide(standing, "lost")
    await shop.later(minutes=10)
    found = await shop.get(dispute)
    assert (found["status"], found["cause"]) == ("lost", "expired")
    assert shop.acquirer.calls == ["look_up", "look_up"]


async def test_a_decision_whose_news_is_lost_is_found_by_asking(shop: Shop) -> None:
    dispute, standing = await shop.opened()
    await shop.post(dispute, "evidence", {"other": "sent by post"})
    await shop.post(dispute, "submit")
    await shop.desk()
    shop.decide(standing, "won")
    await shop.later(days=1, minutes=1)
    assert (await shop.get(dispute))["status"] == "won"


async def test_what_cannot_be_disputed_is_not(shop: Shop) -> None:
    above = await shop.webhook(shop.standing(amount_minor=1251))
    assert (above.status_code, above.json()["code"]) == (409, "dispute_not_plausible")
    unreadable = await shop.webhook(shop.standing(), amount_minor="-5")
    assert (unreadable.status_code, unreadable.json()["code"]) == (400, "connector_webhook_invalid")
    nobodys = replace(shop.standing(), attempt="att_of_nobody")
    assert (await shop.webhook(nobodys)).status_code == 204
    forged = await shop.platform.http.post("/v1/connectors/sim/webhooks", content=b"{}", headers={"webhook-id": "x"})
    assert forged.status_code == 400
    assert await shop.disputes() == []
    await shop.opened(number=2, amount_minor=700)
    second = await shop.webhook(shop.standing(3, amount_minor=700))
    assert second.status_code == 409, "what is disputed is not disputed twice"


async def test_evidence_has_limits(shop: Shop) -> None:
    dispute, _ = await shop.opened()
    fields = ("other", "refund_policy", "service_date", "customer_name", "customer_email")
    too_much = dict.fromkeys(fields, "x" * 4_001)
    for body in ({}, {"other": ""}, {"other": "x" * 5_001}, {"photo": "1"}, too_much):
        refused = await shop.post(dispute, "evidence", body)
        assert refused.status_code == 400, refused.text
    assert (await shop.get(dispute))["evidence"] is None


@pytest.mark.parametrize(
    "point",
    [
        "gateway.dispute.before_heard",
        "gateway.dispute.after_heard",
        "gateway.dispute.before_commit",
        "gateway.dispute.after_commit",
        "gateway.dispute.before_call",
        "gateway.dispute.after_call",
    ],
)
async def test_a_gateway_that_dies_at_any_point_ends_the_dispute_once(shop: Shop, point: str) -> None:
    standing = shop.standing()
    shop.platform.runtime.dies_at = point
    for attempt in range(2):
        try:
            await shop.webhook(standing)
            [dispute] = await shop.disputes()
            await shop.post(dispute, "evidence", {"other": "sent by post"}, Idempotency_Key="evidence")
            answer = await shop.post(dispute, "submit", Idempotency_Key="submit")
            assert answer.status_code == 200 or answer.json()["code"] == "dispute_not_answerable"
            await shop.desk()
        except Died:
            assert attempt == 0
            shop.platform.runtime.ahead += timedelta(minutes=2)  # leases end
    assert shop.platform.runtime.dies_at is None
    await shop.later(minutes=2)
    await shop.webhook(shop.decide(standing, "lost"))
    assert [each["status"] for each in await shop.disputes()] == ["lost"]
    assert shop.acquirer.evidence == [{"other": "sent by post"}]
    assert await shop.balances() == (250, 250 - FEE, 0)
    assert await shop.told() == ["dispute.opened", "dispute.evidence_submitted", "dispute.lost"]
    assert await shop.audited() == {}


async def test_disputes_are_nobody_elses(shop: Shop) -> None:
    dispute, _ = await shop.opened()
    stranger = await shop.platform.merchant("Stranger")
    for key in (stranger.test_key, shop.merchant.live_key):
        seen = await shop.platform.call("GET", f"/v1/disputes/{dispute['id']}", key=key)
        assert (seen.status_code, seen.json()["code"]) == (404, "dispute_not_found")
        for what in ("evidence", "submit", "accept"):
            body = {"other": "mine"} if what == "evidence" else {}
            tried = await shop.platform.call("POST", f"/v1/disputes/{dispute['id']}/{what}", body, key=key)
            assert (tried.status_code, tried.json()["code"]) == (404, "dispute_not_found")
        assert (await shop.platform.call("GET", "/v1/disputes", key=key)).json()["data"] == []
    assert [each["id"] for each in await shop.disputes(f"?payment_id={shop.payment['id']}")] == [dispute["id"]]
    assert await shop.disputes("?status=won") == []
    for method, path in (("GET", ""), ("GET", f"/{dispute['id']}"), ("POST", f"/{dispute['id']}/accept")):
        as_operator = await shop.platform.call(method, f"/v1/disputes{path}", {} if method == "POST" else None)
        assert as_operator.status_code == 403


async def test_a_settlement_file_takes_back_what_was_lost_once(shop: Shop) -> None:
    _, standing = await shop.opened()
    assert (await shop.webhook(shop.decide(standing, "lost"))).status_code == 204
    assert (await shop.balances())[0] == 1250 - 1000
    taken = await shop.settle(standing, "sf_taken")
    assert (taken["cleared"], taken["differing"]) == (1, 0)
    assert (await shop.balances())[0] == 1250, "what it owes for the capture is paid by the capture's own line"
    again = await shop.settle(standing, "sf_again")
    assert (again["cleared"], again["differing"]) == (0, 1)
    assert [each["reason"] for each in await shop.open_differences()] == ["duplicate"]
    assert await shop.audited() == {}


async def look_again(shop: Shop) -> None:
    """Let the gateway look for lines that came early, dying at each point on the way."""
    for point in ("before_early_commit", "after_early_commit"):
        shop.platform.runtime.dies_at = f"gateway.settlement_file.{point}"
        with pytest.raises(Died):
            await shop.platform.gateway.steps["settlement-differences"]()
        if point == "before_early_commit":
            assert len(await shop.open_differences()) == 2
    await shop.platform.gateway.steps["settlement-differences"]()
    await shop.platform.ask_ledger()


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_was_taken_back_before_we_heard_that_it_was_lost_is_cleared_once_we_do(
    shop: Shop, is_known: bool
) -> None:
    standing = (await shop.opened())[1] if is_known else shop.standing()
    for name in ("sf_early", "sf_twice"):
        assert (await shop.settle(standing, name))["differing"] == 1
    before = [each["reason"] for each in await shop.open_differences()]
    assert before == ["not_done" if is_known else "chargeback"] * 2
    assert (await shop.webhook(shop.decide(standing, "lost"))).status_code == 204
    await look_again(shop)
    assert (await shop.balances())[0] == 1250, "what it owes for the capture is paid by the capture's own line"
    assert len(await shop.open_differences()) == 1, "of two lines for one dispute the second is for a person"
    assert await shop.audited() == {}
