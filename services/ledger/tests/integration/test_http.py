"""The API on a real PostgreSQL: wallets, top-ups, balances, entries, and clear problems on bad input."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from rialto_cli.testing import PostgresServer
from rialto_common import ids
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.testing import NOW, Payment, merchant_id, number_id, wallet

from .api_world import MERCHANT, OPERATOR, STRANGER, World, running, top_up_body, wallet_body


async def test_a_wallet_is_opened_once_and_read_back(world: World) -> None:
    async with world.client() as client:
        opened = await client.post("/v1/accounts", json=wallet_body())
        again = await client.post("/v1/accounts", json=wallet_body())
        assert (opened.status_code, again.status_code) == (201, 200)
        assert opened.json() == again.json()
        body = opened.json()
        assert body == {
            "id": ids.to_text("acc", wallet().id),
            "code": wallet().code,
            "type": "liability",
            "normal_side": "credit",
            "currency": "USD",
            "merchant_id": None,
            "mode": "test",
            "status": "open",
            "owner": None,
            "identifier": None,
            "minimum_available_minor": "0",
            "maximum_balance_minor": None,
            "ledger_balance_minor": "0",
            "available_balance_minor": "0",
            "held_minor": "0",
            "debits_minor": "0",
            "credits_minor": "0",
            "version": 0,
            "metadata": {},
        }
        for name in (body["id"], ids.to_text("wal", wallet().id), str(wallet().id)):
            assert (await client.get(f"/v1/accounts/{name}")).json() == body
        by_code = await client.get("/v1/accounts", params={"code": body["code"]})
        assert by_code.json() == {"data": [body]}


async def test_a_merchants_wallet_is_its_own_by_its_token(world: World) -> None:
    async with world.client(MERCHANT) as client:
        opened = (await client.post("/v1/accounts", json=wallet_body())).json()
    assert (opened["merchant_id"], opened["mode"]) == (ids.to_text("mer", merchant_id(0)), "test")


async def test_a_wallet_id_may_be_a_plain_uuid(world: World) -> None:
    async with world.client() as client:
        wallet_id = uuid4()
        opened = await client.post("/v1/accounts", json=wallet_body(id=str(wallet_id)))
        assert opened.json()["id"] == ids.to_text("acc", wallet_id)


async def test_a_top_up_is_posted_once_and_repeats_its_first_answer(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
        first = await client.post("/v1/journal_entries", json=top_up_body(metadata={"note": "first"}))
        again = await client.post("/v1/journal_entries", json=top_up_body(metadata={"note": "first"}))
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert (first.json()["ledger_balance_minor"], first.json()["available_balance_minor"]) == ("1500", "1500")
        assert [(line["account"], line["side"], line["amount_minor"]) for line in first.json()["postings"]] == [
            ("acquirer:test:receivable", "debit", "1500"),
            (wallet().code, "credit", "1500"),
        ]
        entry = (await client.get(f"/v1/journal_entries/{first.json()['id']}")).json()
        assert entry.items() <= first.json().items()
        balance = (await client.get(f"/v1/accounts/{first.json()['postings'][1]['account_id']}")).json()
        assert (balance["ledger_balance_minor"], balance["available_balance_minor"]) == ("1500", "1500")


async def test_the_same_entry_id_with_another_amount_is_refused(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
        await client.post("/v1/journal_entries", json=top_up_body())
        answer = await client.post("/v1/journal_entries", json=top_up_body(amount="1501"))
        assert (answer.status_code, answer.json()["code"]) == (422, "entry_id_reused_with_other_content")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("accounts", wallet_body(currency="ZZZ"), 400, "currency_unknown"),
        ("accounts", wallet_body(currency="US"), 400, "invalid_request"),
        ("accounts", wallet_body(mode="live"), 403, "mode_not_allowed"),
        ("accounts", wallet_body(id="wal_nonsense"), 400, "id_invalid"),
        ("accounts", wallet_body(id=7), 400, "id_invalid"),
        ("accounts", wallet_body(balance="100"), 400, "unknown_field"),
        ("accounts", {"currency": "USD"}, 400, "invalid_request"),
        ("journal_entries", top_up_body(amount="0"), 400, "amount_invalid"),
        ("journal_entries", top_up_body(amount="-5"), 400, "amount_invalid"),
        ("journal_entries", top_up_body(amount=1.5), 400, "amount_invalid"),
        ("journal_entries", top_up_body(amount="9" * 39), 400, "amount_invalid"),
        ("journal_entries", top_up_body(number=5), 404, "account_not_found"),
        ("journal_entries", top_up_body(currency="EUR"), 400, "currency_mismatch"),
        ("journal_entries", top_up_body(kind="mint"), 400, "invalid_request"),
        ("journal_entries", top_up_body(id=str(UUID(int=5, version=4))), 400, "id_invalid"),
        ("journal_entries", top_up_body(metadata={"k": "v" * 501}), 400, "invalid_request"),
    ],
)
async def test_bad_input_gets_a_problem_with_a_code_and_changes_nothing(
    world: World, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
        count = "SELECT (SELECT count(*) FROM ledger.accounts), (SELECT count(*) FROM ledger.journal_entries)"
        before = await world.service.pool.fetchrow(count)
        answer = await client.post(f"/v1/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        after = await world.service.pool.fetchrow(count)
        assert before is not None
        assert after is not None
        assert after[1] == before[1]
        assert after[0] - before[0] <= (1 if path == "journal_entries" else 0), "at most the acquirer's account"


async def test_malformed_and_oversized_bodies_are_refused(world: World) -> None:
    async with world.client() as client:
        malformed = await client.post("/v1/accounts", content=b"{", headers={"content-type": "application/json"})
        assert (malformed.status_code, malformed.json()["code"]) == (400, "json_malformed")
        huge = await client.post("/v1/accounts", json=wallet_body(padding="x" * 70_000))
        assert huge.status_code == 413


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.post("/v1/accounts", json=wallet_body()),
        lambda client: client.post("/v1/journal_entries", json=top_up_body()),
        lambda client: client.get("/v1/accounts", params={"code": "fees:income"}),
        lambda client: client.get(f"/v1/accounts/{wallet().id}"),
        lambda client: client.get(f"/v1/journal_entries/{number_id('top_up', 0)}"),
        lambda client: client.get(f"/v1/payments/{Payment().id}/entries"),
    ],
)
async def test_every_route_needs_a_token_for_the_ledger(world: World, call: Callable[[httpx.AsyncClient], Any]) -> None:
    async with world.client(None) as client:
        assert (await call(client)).status_code == 401
    async with world.client(OPERATOR, audience="gateway") as client:
        answer = await call(client)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_another_merchants_wallet_looks_like_none_on_every_route(world: World) -> None:
    own = wallet_body(owner := 3, merchant_id=ids.to_text("mer", merchant_id(0)))
    async with world.client(MERCHANT) as client:
        assert (await client.post("/v1/accounts", json=own)).status_code == 201
        entry = await client.post("/v1/journal_entries", json=top_up_body(number=owner))
        assert entry.status_code == 201
    async with world.client(STRANGER) as client:
        answers = [
            await client.post("/v1/accounts", json=own),
            await client.post("/v1/journal_entries", json=top_up_body(9, number=owner)),
            await client.get(f"/v1/accounts/{wallet(owner).id}"),
            await client.get(f"/v1/journal_entries/{entry.json()['id']}"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert (await client.get("/v1/accounts", params={"code": wallet(owner).code})).json() == {"data": []}


async def test_a_merchant_reaches_the_platforms_wallets_but_not_its_other_accounts(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
        await client.post("/v1/journal_entries", json=top_up_body())
        acquirer = (await client.get("/v1/accounts", params={"code": "acquirer:test:receivable"})).json()["data"][0]
        assert acquirer["ledger_balance_minor"] == "1500"
    async with world.client(MERCHANT) as client:
        assert (await client.get(f"/v1/accounts/{wallet().id}")).status_code == 200
        assert (await client.post("/v1/journal_entries", json=top_up_body(2))).status_code == 201
        assert (await client.get(f"/v1/accounts/{acquirer['id']}")).status_code == 404


async def test_a_live_token_sees_no_test_account_and_cannot_top_up(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
    async with world.client(Caller("gateway", None, "live")) as client:
        assert (await client.get(f"/v1/accounts/{wallet().id}")).status_code == 404
        answer = await client.post("/v1/journal_entries", json=top_up_body())
        assert (answer.status_code, answer.json()["code"]) == (403, "test_mode_only")


async def test_concurrent_requests_share_commits_and_each_gets_its_own_answer(
    world: World, check_books: Callable[[], Any]
) -> None:
    async with world.client() as client:
        opened = await asyncio.gather(*(client.post("/v1/accounts", json=wallet_body(n % 50)) for n in range(100)))
        assert sorted(answer.status_code for answer in opened) == [200] * 50 + [201] * 50
        bodies = [top_up_body(n % 150, n % 50, str(100 + n % 150)) for n in range(200)]
        bodies.append(top_up_body(500, 77))
        before = await world.service.pool.fetchval("SELECT pg_current_xact_id()::TEXT::BIGINT")
        answers = await asyncio.gather(*(client.post("/v1/journal_entries", json=body) for body in bodies))
        commits = await world.service.pool.fetchval("SELECT pg_current_xact_id()::TEXT::BIGINT") - before
        assert sorted(answer.status_code for answer in answers) == [200] * 50 + [201] * 150 + [404]
        for body, answer in zip(bodies[:-1], answers, strict=False):
            assert (answer.json()["id"], answer.json()["postings"][1]["amount_minor"]) == (
                body["id"],
                body["amount_minor"],
            )
        assert commits < 100, "201 requests must not need 201 commits"
        total = sum(100 + n for n in range(150))
        acquirer = (await client.get("/v1/accounts", params={"code": "acquirer:test:receivable"})).json()["data"][0]
        assert acquirer["ledger_balance_minor"] == str(total)
        assert await check_books() == 150


async def test_a_payments_entries_are_listed_for_its_merchant_only(world: World) -> None:
    payment = Payment(amount_minor=900)
    async with world.client() as client:
        await client.post("/v1/accounts", json=wallet_body())
        await client.post("/v1/journal_entries", json=top_up_body())
    async with world.service.unit_of_work.begin() as transaction:
        await post(PostgresLedger(transaction.connection), [payment.place(), payment.capture(), payment.confirm()], NOW)
    path = f"/v1/payments/{ids.to_text('pay', payment.id)}/entries"
    async with world.client(MERCHANT) as client:
        entries = (await client.get(path)).json()["data"]
        assert sorted(entry["kind"] for entry in entries) == ["capture", "chain_settlement"]
        assert {entry["payment_id"] for entry in entries} == {ids.to_text("pay", payment.id)}
    async with world.client(STRANGER) as client:
        assert (await client.get(path)).json() == {"data": []}
        assert (await client.get("/v1/payments/pay_nonsense/entries")).json()["code"] == "id_invalid"


async def test_without_postgresql_it_says_503_and_recovers_without_a_restart(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory(durable=True)
    async with running(server.create_database()) as world, world.client() as client:
        assert (await client.post("/v1/accounts", json=wallet_body())).status_code == 201
        await asyncio.to_thread(server.kill)
        for answer in (
            await client.post("/v1/journal_entries", json=top_up_body()),
            await client.get(f"/v1/accounts/{wallet().id}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
            assert answer.headers["retry-after"]
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while (answer := await client.post("/v1/journal_entries", json=top_up_body())).status_code == 503:
                await world.service.runtime.sleep(0.05)
        assert answer.status_code == 201
        assert answer.json()["ledger_balance_minor"] == "1500"
