"""The short way of posting beside the framework's: the same answer to the same request."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from .api_world import MERCHANT, OPERATOR, World, top_up_body
from .test_refusals import CASH, NOBODY, books, entry_id, in_euro, transfer, unbalanced, written

__all__ = ["books"]

JSON = {"Content-Type": "application/json"}
ENTRIES, BATCH = "/v1/journal_entries", "/v1/journal_entries/batch"


async def answers(world: World, path: str, body: bytes, headers: Mapping[str, str]) -> list[tuple[int, str, bytes]]:
    """Return what the frame answers, and then what the app alone does."""
    found = []
    for app in (world.service.frame(), world.service.app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ledger") as client:
            answer = await client.post(path, content=body, headers=headers)
            found.append((answer.status_code, answer.headers["content-type"], answer.content))
    return found


def token(world: World, caller: Any = OPERATOR) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.service.tokens.issue(caller, audience='ledger')}"}


@pytest.mark.parametrize(
    "body", [transfer(metadata={"note": "é\n\u2028"}), transfer(effective_at="2020-01-01T00:00:00+02:00")], ids=str
)
async def test_an_entry_is_answered_alike_when_it_is_posted_and_again(books: World, body: dict[str, Any]) -> None:
    first, again = await answers(books, ENTRIES, json.dumps(body).encode(), JSON | token(books))
    assert (first[0], again[0]) == (201, 200)
    assert first[1:] == again[1:]
    async with books.client() as client:
        assert (await client.get(f"{ENTRIES}/{body['id']}")).content == first[2]


async def test_a_top_up_is_answered_alike(books: World) -> None:
    body = json.dumps(top_up_body(7)).encode()
    first, again = await answers(books, ENTRIES, body, JSON | token(books, MERCHANT))
    assert (first[0], again[0]) == (201, 200)
    assert first[1:] == again[1:]


async def test_a_batch_is_answered_alike(books: World) -> None:
    body = json.dumps({"entries": [transfer(1), unbalanced() | {"id": entry_id(2)}]}).encode()
    first, again = await answers(books, BATCH, body, JSON | token(books))
    assert (first[0], again[0]) == (200, 200)
    assert first[2] == again[2].replace(b'"duplicate"', b'"applied"')


ODD: dict[str, str | bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "not an object": b"[1]",
    "null": b"null",
    "UTF-16 that is no entry": '{"postings": []}'.encode("utf-16"),
    "not a number": b'{"postings": NaN}',
    "half a pair": json.dumps(transfer(metadata={"note": "\ud800"})),
    "deep": b'{"postings": ' + b"[" * 5_000,
    "huge": b'{"postings": ' + b"9" * 5_000 + b"}",
    "unknown field": json.dumps(transfer(more=1)),
    "top-up with postings": json.dumps(top_up_body(7) | {"postings": []}),
    "escaped name": json.dumps(unbalanced()).replace('"postings"', '"\\u0070ostings"'),
    "ledger's own kind": json.dumps(transfer(kind="capture")),
    "amount 0": json.dumps(transfer(amount="0")),
    "amount 1.0": json.dumps(unbalanced()).replace('"99"', "1.0"),
    "amount a number": json.dumps(unbalanced()).replace('"99"', "99"),
    "amount true": json.dumps(unbalanced()).replace('"99"', "true"),
    "number for a text": json.dumps(transfer(metadata={"note": 1})),
    "date that is none": json.dumps(transfer(effective_at="yesterday")),
    "date without a zone": json.dumps(transfer(effective_at="2020-01-01T00:00:00")),
    "date far ahead": json.dumps(transfer(effective_at=4_000_000_000)),
    "named twice": json.dumps(unbalanced()).replace('"kind"', '"kind": "capture", "kind"'),
    "named twice, the last one wrong": json.dumps(transfer()).replace('"transfer"', '"transfer", "kind": "capture"'),
    "not UUIDv7": json.dumps(transfer(id="6f1c2b1e-5d0a-4a53-9d3e-0e6f7b2f4c11")),
    "unbalanced": json.dumps(unbalanced()),
    "euro": json.dumps(in_euro()),
    "no funds": json.dumps(transfer(amount="99999")),
    "no such account": json.dumps(transfer(target=NOBODY)),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("batch", [False, True], ids=["alone", "in a linked batch"])
async def test_what_is_refused_is_refused_alike_and_writes_nothing(books: World, name: str, batch: bool) -> None:
    odd = ODD[name]
    body = odd.encode() if isinstance(odd, str) else odd
    if batch:
        body = b'{"linked": true, "entries": [' + body + b"]}"
    before = await written(books)
    direct, app = await answers(books, BATCH if batch else ENTRIES, body, JSON | token(books))
    assert direct == app
    assert direct[0] >= 400
    assert await written(books) == before


@pytest.mark.parametrize("path", [ENTRIES, BATCH])
async def test_who_is_not_let_in_is_told_alike(books: World, path: str) -> None:
    body = json.dumps({"entries": [transfer(1, "1", CASH)]} if path == BATCH else transfer(1, "1", CASH)).encode()
    before = await written(books)
    strangers = [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic x"}, {"Authorization": "Bearer x"}]
    for headers, status in (*((stranger, 401) for stranger in strangers), (token(books, MERCHANT), 403)):
        direct, app = await answers(books, path, body, JSON | headers)
        assert (direct, direct[0]) == (app, status)
    assert await written(books) == before


async def test_a_dry_run_writes_nothing(books: World) -> None:
    before = await written(books)
    direct, app = await answers(books, f"{ENTRIES}?dry_run=true", json.dumps(transfer()).encode(), JSON | token(books))
    assert (direct[0], app[0]) == (200, 200)
    assert await written(books) == before
