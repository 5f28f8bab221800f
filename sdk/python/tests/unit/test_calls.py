"""What is sent, and what is made of the answer."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

import rialto
from rialto import API_VERSION, Rialto

from .scripted import PAYMENT, Gateway, answer, problem


def sent(gateway: Gateway) -> Any:
    """Return the body of the only request."""
    [request] = gateway.got
    return json.loads(request.content)


def test_every_request_names_the_key_the_version_and_the_client() -> None:
    gateway = Gateway([answer()])
    client = gateway.client()
    client.payments.retrieve("pay_1")
    [request] = gateway.got
    assert request.headers["Authorization"] == "Bearer sk_test_secret"
    assert request.headers["Rialto-Version"] == API_VERSION
    assert request.headers["User-Agent"].startswith("rialto-python/")
    assert str(request.url) == "http://gateway/v1/payments/pay_1"
    assert "sk_test_secret" not in repr(client) + repr(client.__dict__["_options"])


def test_amounts_are_exact_however_large() -> None:
    amount = 10**37 + 1
    gateway = Gateway([answer(200, PAYMENT | {"amount_minor": str(amount)})])
    payment = gateway.client().payments.create(
        amount_minor=amount,
        currency="ETH",
        payment_method={"type": "wallet", "wallet_id": "wal_1"},
        payer={"name": "Ada Example"},
    )
    assert sent(gateway)["amount_minor"] == str(amount)
    assert payment.amount_minor == amount


def test_what_is_not_given_is_not_sent_and_what_is_new_can_be() -> None:
    gateway = Gateway([answer()])
    gateway.client().payments.create(
        amount_minor=1,
        currency="USD",
        payment_method={"type": "card", "token": "tok_approve"},
        payer={"name": "Ada Example"},
        extra={"mandate": "man_1"},
    )
    assert sent(gateway) == {
        "amount_minor": 1,
        "currency": "USD",
        "payment_method": {"type": "card", "token": "tok_approve"},
        "payer": {"name": "Ada Example"},
        "mandate": "man_1",
    }


def test_a_change_tells_left_alone_from_taken_away() -> None:
    gateway = Gateway([answer(200, {"id": "cus_1", "deleted": False})])
    gateway.client().customers.update("cus_1", email="ada@example.org", phone=None)
    assert sent(gateway) == {"email": "ada@example.org", "phone": None}


def test_an_empty_id_asks_for_nothing_else_instead() -> None:
    gateway = Gateway([answer()])
    with pytest.raises(ValueError, match="an id is empty"):
        gateway.client().payments.retrieve("")
    assert gateway.got == []


def test_an_id_stays_one_segment_of_the_path() -> None:
    gateway = Gateway([answer()])
    gateway.client().payments.retrieve("../merchants?x=1")
    assert gateway.got[0].url.raw_path == b"/v1/payments/..%2Fmerchants%3Fx%3D1"


def test_times_are_sent_in_utc_and_without_a_zone_not_at_all() -> None:
    gateway = Gateway([answer(200, {"data": [], "has_more": False})])
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    gateway.client().events.list(created_since=noon, type=["payment.*", "refund.failed"]).first_page()
    assert gateway.got[0].url.params.multi_items() == [
        ("type", "payment.*"),
        ("type", "refund.failed"),
        ("created_since", "2026-03-01T10:00:00Z"),
    ]
    with pytest.raises(ValueError, match="no time zone"):
        gateway.client().events.list(created_since=datetime(2026, 3, 1))  # noqa: DTZ001 - the point


def test_an_answer_keeps_what_this_version_does_not_know() -> None:
    gateway = Gateway([answer(200, PAYMENT | {"status": "invented_tomorrow", "risk": {"score": 7}})])
    payment = gateway.client().payments.retrieve("pay_1")
    assert payment.status == "invented_tomorrow"
    assert payment.model_extra == {"risk": {"score": 7}}


def test_a_refusal_has_all_that_a_program_or_a_person_needs() -> None:
    refusal = problem(400, "amount_invalid")
    body = json.loads(refusal.content) | {"param": "amount_minor", "decline_code": "do_not_honour", "request_id": "r-1"}
    client = Gateway([httpx.Response(400, json=body)]).client()
    with pytest.raises(rialto.InvalidRequestError) as caught:
        client.payments.retrieve("pay_1")
    error = caught.value
    assert (error.status, error.code, error.param, error.decline_code, error.request_id, error.doc_url) == (
        400,
        "amount_invalid",
        "amount_minor",
        "do_not_honour",
        "r-1",
        "http://gateway/docs/errors#amount_invalid",
    )
    assert str(error) == "what happened: amount_invalid (amount_invalid, request r-1)"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", rialto.InvalidRequestError),
        (401, "unauthenticated", rialto.AuthenticationError),
        (403, "forbidden", rialto.ForbiddenError),
        (404, "payment_not_found", rialto.NotFoundError),
        (409, "payment_not_voidable", rialto.ConflictError),
        (409, "request_in_progress", rialto.RequestInProgressError),
        (413, "request_too_large", rialto.InvalidRequestError),
        (422, "idempotency_key_reused", rialto.IdempotencyKeyReusedError),
        (429, "rate_limited", rialto.RateLimitedError),
        (500, "internal_error", rialto.ServerError),
        (503, "commit_unknown", rialto.ServerError),
    ],
)
def test_a_refusal_is_of_its_status_kind(status: int, code: str, kind: type[rialto.ApiError]) -> None:
    client = Gateway([problem(status, code)]).client(retry_seconds=0)
    with pytest.raises(rialto.ApiError) as caught:
        client.payments.retrieve("pay_1")
    assert type(caught.value) is kind
    assert caught.value.request_id == "req-of-the-header"


@pytest.mark.parametrize("page", ["<html>hello</html>", "[]", '{"id": 7}', ""])
def test_an_answer_of_something_else_is_told_from_the_apis(page: str) -> None:
    client = Gateway([httpx.Response(200, text=page)]).client()
    with pytest.raises(rialto.UnexpectedAnswer, match="is base_url that of a Rialto gateway"):
        client.payments.retrieve("pay_1")


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIALTO_KEY", "sk_test_of_the_environment")
    monkeypatch.setenv("RIALTO_URL", "http://elsewhere:1234")
    gateway = Gateway([answer()])
    with Rialto(transport=httpx.MockTransport(gateway.handle)) as client:
        client.payments.retrieve("pay_1")
    assert gateway.got[0].url.host == "elsewhere"
    assert gateway.got[0].headers["Authorization"] == "Bearer sk_test_of_the_environment"
    monkeypatch.delenv("RIALTO_KEY")
    with pytest.raises(ValueError, match="RIALTO_KEY"):
        Rialto()


def test_evidence_is_sent_as_far_as_it_is_given() -> None:
    dispute = {"id": "dp_1", "payment_id": "pay_1", "status": "open", "amount_minor": "5", "currency": "USD"}
    gateway = Gateway([answer(200, dispute | {"evidence": {"other": "it was worn"}})])
    found = gateway.client().disputes.post_evidence("dp_1", other="it was worn", idempotency_key="e-1")
    assert gateway.got[0].url.path == "/v1/disputes/dp_1/evidence"
    assert sent(gateway) == {"other": "it was worn"}
    assert found.evidence == {"other": "it was worn"}
    assert "worn" not in repr(found)


def test_a_saved_card_is_charged_by_its_mandate_without_a_payer() -> None:
    gateway = Gateway([answer()])
    gateway.client().payments.create(
        amount_minor=900,
        currency="USD",
        payment_method={
            "type": "saved",
            "payment_method_id": "pm_1",
            "initiator": "merchant",
            "mandate_id": "mdt_1",
        },
    )
    assert "payer" not in sent(gateway)
    assert sent(gateway)["payment_method"]["mandate_id"] == "mdt_1"


def test_what_has_no_method_is_asked_like_everything_else() -> None:
    gateway = Gateway([httpx.ReadError("reset"), answer(200, {"id": "dp_1", "amount_minor": "5"})])
    asked = gateway.client().request("POST", "/v1/disputes/dp_1/accept", body={"note": "ours"}, params={"limit": 2})
    assert asked == {"id": "dp_1", "amount_minor": "5"}
    assert [each.headers["Idempotency-Key"] for each in gateway.got] == ["key-1"] * 2
    assert str(gateway.got[0].url) == "http://gateway/v1/disputes/dp_1/accept?limit=2"
    with pytest.raises(ValueError, match="begins with /v1/"):
        gateway.client().request("GET", "@evil.example/v1/payments")


def test_the_answer_is_kept_as_it_was_sent() -> None:
    payment = Gateway([answer()]).client().payments.retrieve("pay_1")
    assert payment.response is not None
    assert payment.response.body == PAYMENT
    assert payment.response.tries == 1


@pytest.mark.parametrize("url", ["gateway:8080", "ftp://gateway", "http://", "http://gateway/?a=b"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Rialto("sk_test_secret", base_url=url)


def pages() -> Gateway:
    """A list of five in three pages, the last of which still has a cursor to go on from later."""
    cut = [(PAYMENT | {"id": f"pay_{number}"}) for number in range(5)]
    return Gateway(
        [
            answer(200, {"data": cut[:2], "has_more": True, "next_cursor": "2026-03-01T00:00:00+00:00/pay_1"}),
            answer(200, {"data": cut[2:4], "has_more": True, "next_cursor": "c-2"}),
            answer(200, {"data": cut[4:], "has_more": False, "next_cursor": "c-3"}),
        ]
    )


WANTED = [f"pay_{number}" for number in range(5)]


def test_a_list_is_gone_through_page_by_page() -> None:
    gateway = pages()
    listing = gateway.client().payments.list(status="settled", limit=2)
    assert gateway.got == []
    assert [payment.id for payment in listing] == WANTED
    assert [dict(each.url.params) for each in gateway.got] == [
        {"status": "settled", "limit": "2"},
        {"status": "settled", "limit": "2", "cursor": "2026-03-01T00:00:00+00:00/pay_1"},
        {"status": "settled", "limit": "2", "cursor": "c-2"},
    ]


async def test_a_list_is_gone_through_by_the_async_client_too() -> None:
    client = pages().async_client()
    assert [payment.id async for payment in client.payments.list(limit=2)] == WANTED
    client = pages().async_client()
    assert [len(page.data) async for page in client.payments.list(limit=2).pages()] == [2, 2, 1]


def test_a_page_can_be_gone_on_from_later() -> None:
    gateway = pages()
    page = gateway.client().payments.list(updated_since=datetime(2026, 3, 1, tzinfo=UTC)).first_page()
    assert (page.has_more, page.next_cursor) == (True, "2026-03-01T00:00:00+00:00/pay_1")
    assert page.response is not None
    gateway.client().payments.list(cursor=page.next_cursor).first_page()
    assert gateway.got[1].url.params["cursor"] == page.next_cursor


def test_a_cursor_that_carries_its_period_goes_alone() -> None:
    line = {"type": "capture", "amount_minor": "-5", "balance_minor": "7", "currency": "USD"}
    gateway = Gateway(
        [
            answer(200, {"data": [line], "has_more": True, "next_cursor": "c-1"}),
            answer(200, {"data": [], "has_more": False, "next_cursor": None}),
        ]
    )
    since = datetime(2026, 3, 1, tzinfo=UTC)
    [found] = gateway.client().balance_transactions.list(currency="USD", created_from=since)
    assert (found.amount_minor, found.balance_minor) == (-5, 7)
    assert dict(gateway.got[1].url.params) == {"currency": "USD", "cursor": "c-1"}
