"""Whatever is wrong with a request: a problem with a stable code, and nothing written."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest
import pytest_asyncio

from rialto_cli.testing import Database
from rialto_common.http import MAX_BODY_BYTES

from .platform_in_process import Merchant, Platform, payment_body, row_counts, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

WALLET = "wal_01kb6w1m8xf0gbb7n5d8jq2c4r"
ENDPOINT = "/v1/webhook_endpoints/" + WALLET.replace("wal", "we")
AT = "2026-01-01T00:00:00Z"
GOOD = payment_body(WALLET)
CARD = {"type": "card", "token": "tok_approve"}
GOOD_TEXT = orjson.dumps(GOOD)


def amounts() -> list[tuple[Any, str]]:
    """Return amounts that are none, as JSON texts."""
    texts = ['"0"', "0", '"-1"', "-1", '"+1"', '"1.5"', "1.5", "1.0", "1e3", '"1e3"', "true", "null", "[]", "{}", '""']
    texts += ['" 12 "', '"1 000"', '"1,000"', '"0x10"', '"\uff11\uff12"', '"²"', "NaN", "Infinity", "-0", "1E400"]
    texts += [f'"{"9" * 39}"', "9" * 39, f'"{"0" * 39}"', '"12\\u0000"']
    return [(GOOD_TEXT.replace(b'"1250"', text.encode()), "amount_invalid") for text in texts]


def changed(**fields: Any) -> bytes:
    """Return a request with some fields other than good; None leaves one out."""
    return orjson.dumps({name: value for name, value in (GOOD | fields).items() if value is not None})


PAYMENTS: list[tuple[Any, str]] = [
    *amounts(),
    (b"", "field_missing"),
    (b"{}", "field_missing"),
    (b"null", "invalid_request"),
    (b"[]", "invalid_request"),
    (b'"text"', "invalid_request"),
    (b"{", "json_malformed"),
    (b'{"amount_minor": "1250",}', "json_malformed"),
    (b"amount_minor=1250&currency=USD", "json_malformed"),
    (b"\xff\xfe", "json_malformed"),
    (b"[" * 5_000, "json_malformed"),
    (GOOD_TEXT.replace(b'"1250"', b"9" * 5_000), "json_malformed"),
    (GOOD_TEXT.replace(b"Ada", b"\\ud800"), "json_malformed"),
    (GOOD_TEXT.replace(b"Ada", b"\xed\xa0\x80"), "json_malformed"),
    (changed(amount_minor=None), "field_missing"),
    (changed(payer=None), "field_missing"),
    (changed(payer={}), "field_missing"),
    (changed(currency="XXX_"), "currency_unknown"),
    (changed(currency="usd"), "currency_unknown"),
    (changed(currency="XTS1"), "currency_unknown"),
    (changed(currency=""), "currency_unknown"),
    (changed(currency="U" * 300), "invalid_request"),
    (changed(currency="EUR"), "currency_not_supported"),
    (changed(currency=840), "invalid_request"),
    (changed(amount="1250"), "unknown_field"),
    (changed(payer={"name": "Ada", "ssn": "1"}), "unknown_field"),
    (changed(payment_method={"type": "wallet", "wallet_id": WALLET, "cvc": "1"}), "unknown_field"),
    (changed(payment_method={"type": "card", "wallet_id": WALLET}), "field_missing"),
    (changed(payment_method={"type": "cash"}), "invalid_request"),
    (changed(payment_method={"wallet_id": WALLET}), "invalid_request"),
    (changed(payment_method=CARD | {"token": "4242424242424242"}), "invalid_request"),
    (changed(payment_method=CARD | {"token": "tok_\n"}), "invalid_request"),
    (changed(payment_method=CARD | {"token": "tok_" + "a" * 300}), "invalid_request"),
    (changed(payment_method=CARD | {"return_url": "http://shop.example"}), "invalid_request"),
    (changed(payment_method=CARD | {"descriptor": "a\u0000b"}), "invalid_request"),
    (changed(payment_method=CARD | {"number": "4242424242424242"}), "unknown_field"),
    (changed(payment_method=CARD), "payment_method_not_available"),
    (changed(payment_method={"type": "wallet", "wallet_id": "wal_short"}), "id_invalid"),
    (changed(payment_method={"type": "wallet", "wallet_id": WALLET.replace("wal", "pay")}), "id_invalid"),
    (changed(payment_method={"type": "wallet", "wallet_id": "wal_" + "z" * 26}), "id_invalid"),
    (changed(payment_method={"type": "wallet", "wallet_id": WALLET}), "wallet_not_found"),
    (changed(payer={"name": ""}), "invalid_request"),
    (changed(payer={"name": "   "}), "invalid_request"),
    (changed(payer={"name": "A" * 141}), "invalid_request"),
    (changed(payer={"name": "A\0da"}), "invalid_request"),
    (changed(payer={"name": "A\nda"}), "invalid_request"),
    (changed(payer={"name": "Ada", "country": "gb"}), "invalid_request"),
    (changed(payer={"name": "Ada", "country": "GBR"}), "invalid_request"),
    (changed(payer={"name": "Ada", "date_of_birth": "1.1.1990"}), "invalid_request"),
    (changed(description="a\0b"), "invalid_request"),
    (changed(description="d" * 256), "invalid_request"),
    (changed(terminal_id="t" * 65), "invalid_request"),
    (changed(capture_method="later"), "invalid_request"),
    (changed(metadata=[]), "invalid_request"),
    (changed(metadata={"a": 1}), "invalid_request"),
    (changed(metadata={"a": {"b": "c"}}), "invalid_request"),
    (changed(metadata={"a": "b\0"}), "invalid_request"),
    (changed(metadata={"a\0": "b"}), "invalid_request"),
    (changed(metadata={"": "b"}), "invalid_request"),
    (changed(metadata={"k" * 41: "b"}), "invalid_request"),
    (changed(metadata={"a": "v" * 501}), "invalid_request"),
    (changed(metadata={str(n): "v" for n in range(51)}), "invalid_request"),
    (changed(occurred_at="yesterday"), "invalid_request"),
    (changed(occurred_at="2026-01-01T00:00:00"), "invalid_request"),
    (changed(occurred_at="1969-12-31T23:59:59Z"), "invalid_request"),
    (changed(occurred_at="0001-01-01T00:00:00+23:59"), "invalid_request"),
    (changed(occurred_at="9999-12-31T23:59:59-23:59"), "invalid_request"),
]
"""Bodies of `POST /v1/payments` and the code of the problem each one meets."""

OTHERS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/wallets", {}, 400, "field_missing"),
    ("POST", "/v1/wallets", {"currency": "ABC"}, 400, "currency_unknown"),
    ("POST", "/v1/wallets", {"currency": "USD", "mode": "live"}, 403, "forbidden"),
    ("POST", "/v1/wallets", {"currency": "USD", "owner": "me"}, 400, "unknown_field"),
    ("POST", "/v1/wallets", {"currency": "USD", "metadata": {"a": "\0"}}, 400, "invalid_request"),
    ("GET", "/v1/wallets/nonsense", None, 400, "id_invalid"),
    ("GET", f"/v1/wallets/{WALLET}", None, 404, "wallet_not_found"),
    ("POST", f"/v1/wallets/{WALLET}/top_ups", {"amount_minor": "1"}, 404, "wallet_not_found"),
    ("POST", "/v1/wallets/{wallet}/top_ups", {"amount_minor": "0"}, 400, "amount_invalid"),
    ("POST", "/v1/wallets/{wallet}/top_ups", {"amount_minor": 1.5}, 400, "amount_invalid"),
    ("POST", "/v1/wallets/{wallet}/top_ups", {}, 400, "field_missing"),
    ("POST", "/v1/payments/{payment}/capture", {"amount_minor": "0"}, 400, "amount_invalid"),
    ("POST", "/v1/payments/{payment}/capture", {"amount_minor": 12.5}, 400, "amount_invalid"),
    ("POST", "/v1/payments/{payment}/capture", {"final": "perhaps"}, 400, "invalid_request"),
    ("POST", "/v1/payments/{payment}/capture", {"amount": "1"}, 400, "unknown_field"),
    ("POST", "/v1/payments/{payment}/capture", b"{", 400, "json_malformed"),
    ("POST", "/v1/payments/{payment}/capture", {}, 409, "payment_not_capturable"),
    ("POST", "/v1/payments/{payment}/increments", {}, 400, "field_missing"),
    ("POST", "/v1/payments/{payment}/increments", {"amount_minor": "0"}, 400, "amount_invalid"),
    ("POST", "/v1/payments/{payment}/increments", {"amount_minor": "1800"}, 409, "payment_not_incrementable"),
    ("POST", "/v1/payments/{payment}/void", {"reason": "x"}, 400, "unknown_field"),
    ("POST", "/v1/payments/{payment}/void", {}, 409, "payment_not_voidable"),
    ("POST", "/v1/payments/{payment}/review", {"decision": "approve"}, 403, "forbidden"),
    ("POST", "/v1/payments/pay_x/void", {}, 400, "id_invalid"),
    ("GET", "/v1/payments/pay_x", None, 400, "id_invalid"),
    ("GET", "/v1/payments/" + WALLET.replace("wal", "pay"), None, 404, "payment_not_found"),
    ("GET", "/v1/payments?limit=0", None, 400, "invalid_request"),
    ("GET", "/v1/payments?limit=1001", None, 400, "invalid_request"),
    ("GET", "/v1/payments?limit=ten", None, 400, "invalid_request"),
    ("GET", "/v1/payments?status=paid", None, 400, "invalid_request"),
    ("GET", "/v1/payments?cursor=", None, 400, "cursor_invalid"),
    ("GET", "/v1/payments?cursor=pay_x", None, 400, "cursor_invalid"),
    ("GET", "/v1/payments?updated_since=yesterday", None, 400, "invalid_request"),
    ("GET", "/v1/payments?updated_since=2026-01-01T00:00:00Z&cursor=x", None, 400, "cursor_invalid"),
    ("GET", "/v1/payments?updated_since=2026-01-01T00:00:00Z&cursor=2026-01-01/pay_x", None, 400, "cursor_invalid"),
    ("POST", "/v1/webhook_endpoints", {"url": "shop.example"}, 400, "webhook_url_refused"),
    ("POST", "/v1/webhook_endpoints", {"url": "https://u:p@shop.example/"}, 400, "webhook_url_refused"),
    ("POST", "/v1/webhook_endpoints", {"url": "https://shop.example/\0"}, 400, "webhook_url_refused"),
    ("POST", "/v1/webhook_endpoints", {"url": "https://shop.example/", "events": ["all"]}, 400, "invalid_request"),
    ("POST", "/v1/webhook_endpoints", {"url": "https://" + "a" * 2050}, 400, "invalid_request"),
    ("GET", "/v1/webhook_endpoints/we_x", None, 400, "id_invalid"),
    ("DELETE", "/v1/webhook_endpoints/" + WALLET.replace("wal", "we"), None, 404, "webhook_endpoint_not_found"),
    ("PATCH", "/v1/webhook_endpoints/we_x", {}, 400, "id_invalid"),
    ("PATCH", ENDPOINT, {"enabled": False}, 404, "webhook_endpoint_not_found"),
    ("POST", ENDPOINT + "/rotate_secret", {"overlap_seconds": -1}, 404, "webhook_endpoint_not_found"),
    ("POST", ENDPOINT + "/test", {"type": "payment.settled"}, 404, "webhook_endpoint_not_found"),
    ("POST", "{endpoint}/rotate_secret", {"overlap_seconds": -1}, 400, "invalid_request"),
    ("POST", "{endpoint}/rotate_secret", {"overlap_seconds": 604_801}, 400, "invalid_request"),
    ("POST", "{endpoint}/rotate_secret", {"secret": "mine"}, 400, "unknown_field"),
    ("POST", "{endpoint}/test", {}, 400, "field_missing"),
    ("POST", "{endpoint}/test", {"type": "payment.*"}, 400, "invalid_request"),
    ("POST", "{endpoint}/test", b"{", 400, "json_malformed"),
    ("POST", "{endpoint}/redeliver", {}, 400, "field_missing"),
    ("POST", "{endpoint}/redeliver", {"created_since": "2026-01-01"}, 400, "invalid_request"),
    ("POST", "{endpoint}/redeliver", {"created_since": "0001-01-01T00:00:00+23:59"}, 400, "invalid_request"),
    ("POST", "{endpoint}/redeliver", {"created_since": AT, "status": "pending"}, 400, "invalid_request"),
    ("POST", "{endpoint}/redeliver", {"created_since": AT, "limit": 0}, 400, "invalid_request"),
    ("POST", "{endpoint}/redeliver", {"created_since": AT, "created_until": 5e300}, 400, "invalid_request"),
    ("GET", "{endpoint}/deliveries?limit=101", None, 400, "invalid_request"),
    ("GET", "{endpoint}/deliveries?status=lost", None, 400, "invalid_request"),
    ("GET", "{endpoint}/deliveries?cursor=msg_x", None, 400, "cursor_invalid"),
    ("GET", "{endpoint}/deliveries/msg_x", None, 400, "id_invalid"),
    ("GET", "{endpoint}/deliveries/" + WALLET.replace("wal", "msg"), None, 404, "webhook_delivery_not_found"),
    ("POST", "{endpoint}/deliveries/msg_x/redeliver", {}, 400, "id_invalid"),
    ("GET", "/v1/events/" + WALLET.replace("wal", "evt"), None, 404, "event_not_found"),
    ("GET", "/v1/events?cursor=evt_x", None, 400, "cursor_invalid"),
    ("POST", "/v1/merchants", {"name": "Other"}, 403, "forbidden"),
    ("GET", "/v1/merchants/nonsense", None, 400, "id_invalid"),
    ("GET", "/v1/nothing", None, 404, "not_found"),
    ("DELETE", "/v1/payments", None, 405, "method_not_allowed"),
    ("PUT", "/v1/payments/{payment}", {}, 405, "method_not_allowed"),
]
"""Requests with a merchant's key: method, path, body, and the status and code of the problem."""

OPERATORS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/merchants", {}, 400, "field_missing"),
    ("POST", "/v1/merchants", {"name": "A\0"}, 400, "invalid_request"),
    ("POST", "/v1/merchants", {"name": "A", "country": "xx"}, 400, "invalid_request"),
    ("POST", "/v1/merchants", {"name": "A", "settlement_address": "0x12"}, 400, "invalid_request"),
    ("POST", "/v1/merchants", {"name": "A", "settlement_address": "0x" + "g" * 40}, 400, "invalid_request"),
    ("GET", "/v1/merchants/" + WALLET.replace("wal", "mer"), None, 404, "merchant_not_found"),
    ("POST", "/v1/merchants/" + WALLET.replace("wal", "mer") + "/keys", None, 404, "merchant_not_found"),
    ("POST", "/v1/merchants/{merchant}/keys", {"mode": "demo"}, 400, "invalid_request"),
    ("POST", "/v1/payments/{payment}/review", {"decision": "maybe"}, 400, "invalid_request"),
    ("POST", "/v1/payments/{payment}/review", {"decision": "approve"}, 409, "payment_not_in_review"),
    ("POST", "/v1/payments/{payment}/review", {}, 400, "field_missing"),
]
"""Requests with the admin key."""

AUTHORIZATIONS = [None, "", "Bearer", "Bearer ", "Basic abc", "sk_test_x", "Bearer sk_test_unknown", "Bearer \xff\xfe"]
AUTHORIZATIONS += ["Bearer " + "x" * 10_000, "Bearer null", "Bearer sk_live_", "bearer\tsk_test_x"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(module_database: Database) -> AsyncIterator[tuple[Platform, Merchant, dict[str, str], Any]]:
    """A platform with one merchant and one payment, and what is in its tables."""
    async with started(module_database.dsn) as platform:
        merchant = await platform.merchant()
        payment = await platform.pay(merchant)
        added = await platform.call(
            "POST", "/v1/webhook_endpoints", {"url": "https://shop.example/"}, key=merchant.test_key
        )
        names = {"wallet": merchant.wallet_id, "payment": payment["id"], "merchant": merchant.id}
        names["endpoint"] = "/v1/webhook_endpoints/" + added.json()["id"]
        superuser = await asyncpg.connect(module_database.superuser_dsn())
        yield platform, merchant, names, superuser
        await superuser.close()


Shop = tuple[Platform, Merchant, dict[str, str], Any]


def check_nothing_written(before: dict[str, int], after: dict[str, int], status: int) -> None:
    """Hold that a refusal wrote nothing, except that one resting on an object's state is kept for its retries."""
    kept = {"gateway.idempotent_answers": before["gateway.idempotent_answers"] + (status == 409)}
    assert after == before | kept


def check_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Return the problem after checking its form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    assert len(answer.content) < 2_000
    assert problem["doc_url"] == problem["type"]
    assert problem["request_id"] == answer.headers["request-id"]
    assert problem["instance"] == f"/requests/{problem['request_id']}"
    return problem


@pytest.mark.parametrize(("body", "code"), PAYMENTS, ids=lambda value: str(value)[:60])
async def test_a_payment_request_that_is_wrong_is_refused_by_its_code(shop: Shop, body: bytes, code: str) -> None:
    platform, merchant, _, superuser = shop
    before = await row_counts(superuser)
    status = 404 if code == "wallet_not_found" else 400
    answer = await platform.call("POST", "/v1/payments", body, key=merchant.test_key, Idempotency_Key="bad")
    check_problem(answer, status, code)
    assert await row_counts(superuser) == before


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), OTHERS)
async def test_any_other_request_that_is_wrong_is_refused_by_its_code(
    shop: Shop, method: str, path: str, body: Any, status: int, code: str
) -> None:
    platform, merchant, names, superuser = shop
    before = await row_counts(superuser)
    answer = await platform.call(method, path.format(**names), body, key=merchant.test_key)
    check_problem(answer, status, code)
    check_nothing_written(before, await row_counts(superuser), status)


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), OPERATORS)
async def test_the_operators_requests_are_checked_as_well(
    shop: Shop, method: str, path: str, body: Any, status: int, code: str
) -> None:
    platform, _, names, superuser = shop
    before = await row_counts(superuser)
    answer = await platform.call(method, path.format(**names), body)
    check_problem(answer, status, code)
    check_nothing_written(before, await row_counts(superuser), status)


@pytest.mark.parametrize("authorization", AUTHORIZATIONS, ids=lambda value: str(value)[:30])
async def test_without_a_key_that_is_known_nothing_is_said(shop: Shop, authorization: str | None) -> None:
    platform, merchant, names, superuser = shop
    before = await row_counts(superuser)
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for method, path in (
        ("POST", "/v1/payments"),
        ("GET", f"/v1/payments/{names['payment']}"),
        ("GET", "/v1/payments"),
    ):
        answer = await platform.http.request(method, path, headers=headers, content=GOOD_TEXT)  # type: ignore[arg-type]
        check_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert merchant.id not in answer.text
    assert await row_counts(superuser) == before


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/wallets/{wallet}/top_ups"])
async def test_a_request_that_moves_money_needs_an_idempotency_key(shop: Shop, path: str) -> None:
    platform, merchant, names, superuser = shop
    before = await row_counts(superuser)
    body = GOOD if path == "/v1/payments" else {"amount_minor": "1"}
    headers = {"Authorization": f"Bearer {merchant.test_key}"}
    answer = await platform.http.post(path.format(**names), json=body, headers=headers)
    assert check_problem(answer, 400, "idempotency_key_required")["param"] == "Idempotency-Key"
    assert await row_counts(superuser) == before


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "sch\xfcssel"])
@pytest.mark.parametrize(
    "path", ["/v1/payments", "/v1/wallets", "/v1/wallets/{wallet}/top_ups", "/v1/webhook_endpoints"]
)
async def test_an_idempotency_key_is_short_and_printable(shop: Shop, path: str, key: str) -> None:
    platform, merchant, names, superuser = shop
    before = await row_counts(superuser)
    bodies: dict[str, Any] = {
        "/v1/payments": GOOD,
        "/v1/wallets": {"currency": "USD"},
        "/v1/wallets/{wallet}/top_ups": {"amount_minor": "1"},
        "/v1/webhook_endpoints": {"url": "https://shop.example/"},
    }
    headers = {"Authorization": f"Bearer {merchant.test_key}".encode(), "Idempotency-Key": key.encode("latin-1")}
    answer = await platform.http.post(path.format(**names), content=orjson.dumps(bodies[path]), headers=headers)  # type: ignore[arg-type]
    check_problem(answer, 400, "idempotency_key_invalid")
    assert await row_counts(superuser) == before


@pytest.mark.parametrize(
    "path", ["/v1/payments", "/v1/wallets", "/v1/webhook_endpoints", "/v1/payments/{payment}/void"]
)
async def test_an_oversized_body_is_refused_whole_and_in_pieces(shop: Shop, path: str) -> None:
    platform, merchant, names, superuser = shop
    before = await row_counts(superuser)
    big = orjson.dumps({"description": "x" * MAX_BODY_BYTES})

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 10_000):
            yield big[start : start + 10_000]

    headers = {"Authorization": f"Bearer {merchant.test_key}", "Idempotency-Key": "big"}
    for content in (big, pieces()):
        answer = await platform.http.post(path.format(**names), content=content, headers=headers)
        check_problem(answer, 413, "request_too_large")
    assert await row_counts(superuser) == before


async def test_a_payment_in_live_mode_cannot_be_dated(shop: Shop) -> None:
    platform, merchant, _, superuser = shop
    wallet_id = await platform.wallet(merchant.live_key)
    before = await row_counts(superuser)
    answer = await platform.send_payment(
        merchant,
        "dated",
        key=merchant.live_key,
        payment_method={"type": "wallet", "wallet_id": wallet_id},
        occurred_at="2026-01-01T00:00:00Z",
    )
    check_problem(answer, 400, "occurred_at_in_live_mode")
    assert await row_counts(superuser) == before


async def test_a_live_wallet_cannot_be_topped_up(shop: Shop) -> None:
    platform, merchant, _, superuser = shop
    wallet_id = await platform.wallet(merchant.live_key)
    before = await row_counts(superuser)
    path = f"/v1/wallets/{wallet_id}/top_ups"
    for key in (merchant.live_key, None):
        keyed = {} if key is None else {"key": key}
        answer = await platform.call("POST", path, {"amount_minor": "1"}, Idempotency_Key="live", **keyed)
        check_problem(answer, 403, "forbidden")
    assert await row_counts(superuser) == before


async def test_a_wallet_in_another_currency_is_not_charged(shop: Shop) -> None:
    platform, merchant, _, superuser = shop
    made = await platform.call("POST", "/v1/wallets", {"currency": "EUR"}, key=merchant.test_key)
    before = await row_counts(superuser)
    method = {"type": "wallet", "wallet_id": made.json()["id"]}
    check_problem(await platform.send_payment(merchant, "euro", payment_method=method), 400, "wallet_currency_mismatch")
    assert await row_counts(superuser) == before


async def test_a_top_up_that_the_ledger_cannot_hold_is_refused(shop: Shop) -> None:
    platform, merchant, names, _ = shop
    path, most = f"/v1/wallets/{names['wallet']}/top_ups", {"amount_minor": "9" * 38}
    for key in ("most", "more"):
        answer = await platform.call("POST", path, most, key=merchant.test_key, Idempotency_Key=key)
        assert answer.status_code < 500, answer.text
        if answer.status_code != 201:
            check_problem(answer, 400, "top_up_refused")


async def test_extreme_instants_are_refused_or_answered(shop: Shop) -> None:
    platform, merchant, _, _ = shop
    for instant in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "1e300", "-1", "0", "99999999999"):
        for query in (f"updated_since={instant}", f"updated_since=2026-01-01T00:00:00Z&cursor={instant}/{WALLET}"):
            answer = await platform.call("GET", f"/v1/payments?{query}", key=merchant.test_key)
            assert answer.status_code in (200, 400), answer.text
