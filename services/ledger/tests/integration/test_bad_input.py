"""Input that is wrong, hostile or enormous: a clear answer, nothing written, and the service goes on."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from .api_world import World, top_up_body, wallet_body
from .test_refusals import CASH, HOLD, PLACE, POOR, RICH, books, entry_id, in_euro, transfer, written

__all__ = ["books"]

NUL = "a\x00b"


def lines(count: int) -> list[dict[str, Any]]:
    """Return that many postings, which balance."""
    return [
        {"account_id": (RICH, POOR)[n % 2], "side": ("debit", "credit")[n % 2], "amount_minor": "1", "currency": "USD"}
        for n in range(count)
    ]


def two_currencies() -> dict[str, Any]:
    body = transfer()
    body["postings"][1]["currency"] = "EUR"
    return body


def account(**changes: Any) -> dict[str, Any]:
    return {"code": "test:new", "type": "asset", "currency": "USD", **changes}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("journal_entries", two_currencies(), 400, "entry_unbalanced"),
        ("journal_entries", in_euro(), 400, "currency_mismatch"),
        ("journal_entries", transfer(amount="9" * 39), 400, "amount_invalid"),
        ("journal_entries", transfer(amount="0"), 400, "amount_invalid"),
        ("journal_entries", transfer(metadata={"note": NUL}), 400, "invalid_request"),
        ("journal_entries", transfer(metadata={NUL: "note"}), 400, "invalid_request"),
        ("journal_entries", transfer(kind="capture"), 400, "invalid_request"),
        ("journal_entries", transfer(effective_at="0001-01-01T00:00:00+14:00"), 400, "invalid_request"),
        ("journal_entries", {**transfer(), "postings": lines(1)}, 400, "invalid_request"),
        ("journal_entries", {**transfer(), "postings": lines(1_001)}, 413, "request_too_large"),
        ("journal_entries/batch", {"entries": [{**transfer(), "postings": lines(1_002)}]}, 400, "invalid_request"),
        ("accounts", account(owner=NUL), 400, "invalid_request"),
        ("accounts", account(minimum_available_minor="1"), 400, "invalid_request"),
        ("accounts", account(maximum_balance_minor="-1"), 400, "invalid_request"),
        ("accounts", account(minimum_available_minor=-(10**38)), 400, "invalid_request"),
        (f"accounts/{RICH}/freeze", {"reason": NUL}, 400, "invalid_request"),
        ("holds", {**PLACE, "expires_at": "9999-12-31T23:59:59-14:00"}, 400, "invalid_request"),
        ("journal_entries", top_up_body(7, metadata={"note": NUL}), 400, "invalid_request"),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_written(
    books: World, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    before = await written(books)
    async with books.client() as client:
        answer = await client.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await written(books) == before


@pytest.mark.parametrize("path", ["accounts?code=a%00b", "accounts/a%00b", f"holds/{'9' * 400}"])
async def test_a_bad_question_is_refused(books: World, path: str) -> None:
    async with books.client() as client:
        assert (await client.get(f"/v1/{path}")).status_code == 400


@pytest.mark.parametrize("path", ["journal_entries", "journal_entries/batch"])
async def test_a_batch_of_100_000_lines_is_refused_whole_and_the_service_answers_on(books: World, path: str) -> None:
    entries = [{**transfer(n), "postings": lines(2)} for n in range(50_000)]
    body = {"entries": entries} if path.endswith("batch") else {**transfer(), "postings": lines(100_000)}
    before = await written(books)
    async with books.client() as client:
        answer = await client.post(f"/v1/{path}", json=body, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
        assert await written(books) == before
        assert (await client.post("/v1/journal_entries", json=transfer())).status_code == 201


async def test_a_hold_voided_twice_is_released_once(books: World) -> None:
    async with books.client() as client:
        await client.post("/v1/holds", json=PLACE)
        first, again = [await client.post(f"/v1/holds/{HOLD}/void") for _ in range(2)]
        assert (first.status_code, again.status_code, first.json()) == (200, 200, again.json())
        held = (await client.get(f"/v1/accounts/{RICH}")).json()
    assert (held["held_minor"], held["available_balance_minor"]) == ("0", "1500")


async def test_a_callers_clock_may_be_minutes_ahead_but_no_more(books: World) -> None:
    now = books.service.runtime.now()
    async with books.client() as client:

        async def ask(number: int, ahead: timedelta) -> httpx.Response:
            at = (now + ahead).isoformat()
            return await client.post("/v1/journal_entries", json=transfer(number, "1", effective_at=at))

        assert (await ask(0, timedelta(minutes=4))).status_code == 201
        assert (await ask(1, timedelta(minutes=6))).json()["code"] == "effective_in_future"
        old = await ask(2, datetime(1970, 1, 1, tzinfo=UTC) - now)
        assert (old.status_code, old.json()["effective_at"]) == (201, "1970-01-01T00:00:00Z")


async def test_half_of_a_surrogate_pair_is_no_text_and_is_refused(books: World) -> None:
    body = json.dumps(transfer(metadata={"note": "\ud800"})).encode()
    async with books.client() as client:
        answer = await client.post("/v1/journal_entries", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("other", ["hold", "entry"])
async def test_a_captures_id_that_is_taken_by_something_else_is_refused(books: World, other: str) -> None:
    second = {**PLACE, "id": HOLD[:-1] + ("0" if HOLD[-1] != "0" else "1")}
    capture = {"id": entry_id(0), "to_account_id": CASH, "amount_minor": "100", "final": False}
    async with books.client() as client:
        for hold in (PLACE, second):
            assert (await client.post("/v1/holds", json=hold)).status_code == 201
        if other == "hold":
            taken = await client.post(f"/v1/holds/{second['id']}/capture", json=capture)
        else:
            taken = await client.post("/v1/journal_entries", json=transfer(0, "100", RICH, CASH))
        assert taken.is_success
        before = await written(books)
        answer = await client.post(f"/v1/holds/{HOLD}/capture", json=capture)
        assert (answer.status_code, answer.json()["code"]) == (422, "entry_id_reused_with_other_content")
    assert await written(books) == before


async def test_a_limit_of_38_digits_is_kept(books: World) -> None:
    body = account(minimum_available_minor="-" + "9" * 38, maximum_balance_minor="9" * 38)
    async with books.client() as client:
        opened = await client.post("/v1/accounts", json=body)
        assert (opened.status_code, opened.json()["maximum_balance_minor"]) == (201, "9" * 38)
        assert (await client.post("/v1/accounts", json=wallet_body(7, maximum_balance_minor="0"))).status_code == 201
