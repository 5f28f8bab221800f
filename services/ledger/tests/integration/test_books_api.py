"""The API of the books: accounts with limits and a status, entries in batches, dry runs, reversals, holds."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_ledger.domain.identifier import is_valid
from rialto_ledger.testing import merchant_id, number_id, wallet

from .api_world import MERCHANT, STRANGER, World, running, top_up_body, wallet_body

WALLETS = [ids.to_text("wal", wallet(number).id) for number in range(3)]


def entry_id(number: int) -> str:
    return ids.to_text("je", number_id("entry", number))


def hold_id(number: int) -> str:
    return ids.to_text("hold", number_id("api hold", number))


def transfer(number: int, amount: object, source: str = WALLETS[0], target: str = WALLETS[1]) -> dict[str, Any]:
    lines = ((source, "debit"), (target, "credit"))
    return {
        "id": entry_id(number),
        "kind": "transfer",
        "postings": [
            {"account_id": account, "side": side, "amount_minor": str(amount), "currency": "USD"}
            for account, side in lines
        ],
    }


@pytest.fixture
async def books(world: World) -> World:
    """Three wallets of the platform, the first with 15.00."""
    async with world.client() as client:
        for number in range(3):
            await client.post("/v1/accounts", json=wallet_body(number))
        assert (await client.post("/v1/journal_entries", json=top_up_body())).status_code == 201
    return world


async def balance(client: httpx.AsyncClient, number: int) -> int:
    return int((await client.get(f"/v1/accounts/{WALLETS[number]}")).json()["ledger_balance_minor"])


async def entries(world: World) -> int:
    return int(await world.service.pool.fetchval("SELECT count(*) FROM ledger.journal_entries"))


async def test_the_operator_opens_an_account_of_any_type_with_limits(books: World) -> None:
    body = {
        "code": "expense:postage",
        "type": "expense",
        "currency": "USD",
        "owner": "back office",
        "maximum_balance_minor": "1000",
        "minimum_available_minor": "-5",
        "metadata": {"budget": "2026"},
    }
    async with books.client() as client:
        opened, again = [await client.post("/v1/accounts", json=body) for _ in range(2)]
        assert (opened.status_code, again.status_code, opened.json()) == (201, 200, again.json())
        account = opened.json()
        asked = {**body, "normal_side": "debit", "merchant_id": None, "status": "open"}
        assert {key: account[key] for key in asked} == asked
        posted = await client.post("/v1/journal_entries", json=transfer(0, 1000, account["id"], WALLETS[1]))
        assert posted.status_code == 201
        over = await client.post("/v1/journal_entries", json=transfer(1, 1, account["id"], WALLETS[1]))
        assert (over.status_code, over.json()["code"]) == (409, "balance_above_maximum")
    async with books.client(MERCHANT) as client:
        refused = await client.post("/v1/accounts", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "operator_only")


async def test_wallets_get_numbers_for_the_outside_where_configured(database: Database) -> None:
    async with running(database, account_identifier_prefix="XR:RLTO0001") as world, world.client() as client:
        numbers = [(await client.post("/v1/accounts", json=wallet_body(n))).json()["identifier"] for n in range(3)]
    assert len(set(numbers)) == 3
    assert all(is_valid(number) and number.startswith("XR") and "RLTO0001" in number for number in numbers)


async def test_an_account_is_frozen_opened_again_and_closed_and_each_change_keeps_its_reason(books: World) -> None:
    async with books.client() as client:

        async def change(verb: str) -> httpx.Response:
            return await client.post(f"/v1/accounts/{WALLETS[0]}/{verb}", json={"reason": f"to {verb}"})

        assert (await change("freeze")).json()["status"] == "frozen"
        refused = await client.post("/v1/journal_entries", json=transfer(0, 1))
        assert (refused.status_code, refused.json()["code"]) == (409, "account_frozen")
        assert (await change("close")).json()["code"] == "account_not_empty"
        assert (await change("unfreeze")).json()["status"] == "open"
        assert (await client.post("/v1/journal_entries", json=transfer(0, 1500))).status_code == 201
        assert (await change("close")).json()["status"] == "closed"
        assert (await change("unfreeze")).json()["code"] == "account_closed"
        assert (await client.post("/v1/journal_entries", json=top_up_body(1))).json()["code"] == "account_closed"
    kept = await books.service.pool.fetch(
        "SELECT status, reason FROM ledger.account_status_changes WHERE account_id = $1 ORDER BY sequence", wallet().id
    )
    assert [tuple(row) for row in kept] == [("frozen", "to freeze"), ("open", "to unfreeze"), ("closed", "to close")]


async def test_a_merchant_changes_only_its_own_accounts(books: World) -> None:
    own = wallet_body(7, merchant_id=ids.to_text("mer", merchant_id(0)))
    freeze = f"/v1/accounts/{own['id']}/freeze"
    async with books.client(MERCHANT) as client:
        assert (await client.post("/v1/accounts", json=own)).status_code == 201
        platforms = await client.post(f"/v1/accounts/{WALLETS[0]}/freeze", json={"reason": "mine?"})
        assert (platforms.status_code, platforms.json()["code"]) == (403, "operator_only")
        assert (await client.post(freeze, json={"reason": "lost phone"})).status_code == 200
    async with books.client(STRANGER) as client:
        assert (await client.post(freeze, json={"reason": "spite"})).status_code == 404


async def test_an_entry_is_posted_once_and_other_content_under_its_id_is_refused(books: World) -> None:
    async with books.client() as client:
        first, again = [await client.post("/v1/journal_entries", json=transfer(0, 400)) for _ in range(2)]
        assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
        other = await client.post("/v1/journal_entries", json=transfer(0, 401))
        assert (other.status_code, other.json()["code"]) == (422, "entry_id_reused_with_other_content")
        assert [await balance(client, n) for n in range(2)] == [1100, 400]
    async with books.client(MERCHANT) as client:
        assert (await client.post("/v1/journal_entries", json=transfer(1, 1))).json()["code"] == "operator_only"


async def test_a_dry_run_answers_as_posting_would_and_writes_nothing(books: World) -> None:
    before = await entries(books)
    dry = {"dry_run": "true"}
    async with books.client() as client:
        would = await client.post("/v1/journal_entries", json=transfer(0, 400), params=dry)
        assert (would.status_code, would.json()["id"]) == (200, entry_id(0))
        refused = await client.post("/v1/journal_entries", json=transfer(0, 4000), params=dry)
        assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_funds")
        batch = {"entries": [transfer(0, 1000), transfer(1, 1000)]}
        results = (await client.post("/v1/journal_entries/batch", json=batch, params=dry)).json()["data"]
        assert [result["status"] for result in results] == ["applied", "refused"]
        opened = {"id": "je_" + entry_id(3)[3:], "kind": "top_up", "wallet_id": WALLETS[0], "currency": "EUR"}
        await client.post("/v1/journal_entries", json={**opened, "amount_minor": "5"}, params=dry)
    assert await entries(books) == before
    assert await books.service.pool.fetchval("SELECT count(*) FROM ledger.accounts WHERE currency = 'EUR'") == 0


async def test_each_entry_of_a_batch_has_its_own_result(books: World) -> None:
    wrong = transfer(2, 5)
    wrong["postings"][1]["amount_minor"] = "4"
    batch = [transfer(0, 1000), transfer(1, 1000), transfer(0, 1000), transfer(3, 200, WALLETS[2], WALLETS[0])]
    async with books.client() as client:
        results = (await client.post("/v1/journal_entries/batch", json={"entries": batch})).json()["data"]
        told = [(result["status"], result["code"]) for result in results]
        assert told == [
            ("applied", None),
            ("refused", "insufficient_funds"),
            ("duplicate", None),
            ("refused", "insufficient_funds"),
        ]
        unbalanced = await client.post("/v1/journal_entries/batch", json={"entries": [transfer(5, 1), wrong]})
        assert [result["code"] for result in unbalanced.json()["data"]] == [None, "entry_unbalanced"]
        assert [await balance(client, n) for n in range(3)] == [499, 1001, 0]


async def test_a_linked_batch_is_posted_whole_or_not_at_all(books: World) -> None:
    async with books.client() as client:

        async def post(*batch: dict[str, Any]) -> httpx.Response:
            return await client.post("/v1/journal_entries/batch", json={"linked": True, "entries": list(batch)})

        refused = await post(transfer(0, 1000), transfer(1, 1000))
        assert (refused.status_code, refused.json()["code"]) == (409, "linked_entries_refused")
        assert "number 1 is refused (insufficient_funds)" in refused.json()["detail"]
        assert await balance(client, 0) == 1500
        whole = [transfer(0, 1000), transfer(1, 900, WALLETS[1], WALLETS[2])]
        for status in ("applied", "duplicate"):
            assert [result["status"] for result in (await post(*whole)).json()["data"]] == [status] * 2
        partly = await post(transfer(0, 1000), transfer(9, 1))
        assert (partly.status_code, partly.json()["code"]) == (422, "linked_entries_partly_posted")
        assert [await balance(client, n) for n in range(3)] == [500, 100, 900]


async def test_a_full_batch_is_taken_and_one_entry_more_is_refused(books: World) -> None:
    batch = [transfer(n, 1, *((WALLETS[1], WALLETS[0]) if n % 2 else (WALLETS[0], WALLETS[1]))) for n in range(8190)]
    async with books.client() as client:
        results = (await client.post("/v1/journal_entries/batch", json={"entries": batch}, timeout=60)).json()["data"]
        assert {result["status"] for result in results} == {"applied"}
        assert [await balance(client, n) for n in range(2)] == [1500, 0]
        more = await client.post("/v1/journal_entries/batch", json={"entries": [*batch, transfer(9000, 1)]}, timeout=60)
        assert more.status_code == 400
    assert await entries(books) == 8191


async def test_bulks_and_single_entries_at_once_lose_nothing_and_starve_nobody(books: World) -> None:
    async with books.client() as client:
        bulk = [{"entries": [transfer(1000 * n + k, 1) for k in range(100)]} for n in range(5)]
        linked = [{"linked": True, "entries": [transfer(50_000 + 100 * n + k, 1) for k in range(50)]} for n in range(5)]
        singles = [transfer(90_000 + n, 1) for n in range(50)]
        async with asyncio.timeout(60):
            answers = await asyncio.gather(
                *(client.post("/v1/journal_entries/batch", json=body) for body in (*bulk, *linked)),
                *(client.post("/v1/journal_entries", json=body) for body in singles),
            )
        assert {answer.status_code for answer in answers} == {200, 201}
        assert [await balance(client, n) for n in range(2)] == [1500 - 800, 800]


async def test_an_entry_is_reversed_once(books: World) -> None:
    async with books.client() as client:
        await client.post("/v1/journal_entries", json=transfer(0, 700))
        reverse = f"/v1/journal_entries/{entry_id(0)}/reversal"
        first, again = [await client.post(reverse, json={"metadata": {"why": "typo"}}) for _ in range(2)]
        assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
        assert (first.json()["reverses"], first.json()["kind"]) == (entry_id(0), "reversal")
        assert [await balance(client, n) for n in range(2)] == [1500, 0]
        twice = await client.post(f"/v1/journal_entries/{first.json()['id']}/reversal", json={})
        assert (twice.status_code, twice.json()["code"]) == (409, "entry_not_reversible")
        none = await client.post(f"/v1/journal_entries/{entry_id(77)}/reversal", json={})
        assert (none.status_code, none.json()["code"]) == (404, "entry_not_found")


async def test_a_hold_is_placed_extended_captured_in_parts_and_voided(books: World) -> None:
    soon = books.service.runtime.now() + timedelta(hours=1)
    body = {"id": hold_id(0), "account_id": WALLETS[0], "amount_minor": "1000", "currency": "USD"}
    async with books.client() as client:
        placed = [await client.post("/v1/holds", json={**body, "expires_at": soon.isoformat()}) for _ in range(2)]
        assert [answer.status_code for answer in placed] == [201, 200]
        assert placed[0].json()["remaining_minor"] == "1000"
        account = (await client.get(f"/v1/accounts/{WALLETS[0]}")).json()
        assert (account["ledger_balance_minor"], account["available_balance_minor"]) == ("1500", "500")
        later = (soon + timedelta(days=1)).isoformat()
        extended = await client.post(f"/v1/holds/{hold_id(0)}/extend", json={"expires_at": later})
        assert extended.json()["expires_at"].startswith(later[:19])
        part = {"id": entry_id(1), "to_account_id": WALLETS[1], "amount_minor": "300", "final": False}
        for _ in range(2):
            captured = (await client.post(f"/v1/holds/{hold_id(0)}/capture", json=part)).json()
            assert (captured["captured_minor"], captured["remaining_minor"]) == ("300", "700")
        above = await client.post(
            f"/v1/holds/{hold_id(0)}/capture", json={**part, "id": entry_id(2), "amount_minor": "701"}
        )
        assert (above.status_code, above.json()["code"]) == (409, "capture_above_hold")
        for _ in range(2):
            voided = (await client.post(f"/v1/holds/{hold_id(0)}/void")).json()
            assert (voided["status"], voided["released_minor"]) == ("voided", "700")
        assert [await balance(client, n) for n in range(2)] == [1200, 300]
    assert await books.service.pool.fetchval("SELECT count(*) FROM bus.log WHERE type LIKE 'rialto.hold.%'") == 0


async def test_another_merchants_hold_looks_like_none(books: World) -> None:
    soon = (books.service.runtime.now() + timedelta(hours=1)).isoformat()
    body = {"id": hold_id(0), "account_id": WALLETS[0], "amount_minor": "10", "currency": "USD", "expires_at": soon}
    async with books.client(MERCHANT) as client:
        assert (await client.post("/v1/holds", json=body)).status_code == 201
    async with books.client(STRANGER) as client:
        assert (await client.get(f"/v1/holds/{hold_id(0)}")).json()["code"] == "hold_not_found"
        assert (await client.post(f"/v1/holds/{hold_id(0)}/void")).json()["code"] == "hold_not_found"
        taken = await client.post("/v1/holds", json=body)
        assert (taken.status_code, taken.json()["code"]) == (422, "hold_id_reused_with_other_content")


async def test_an_entry_from_the_future_is_refused(books: World) -> None:
    late = (books.service.runtime.now() + timedelta(hours=1)).isoformat()
    async with books.client() as client:
        answer = await client.post("/v1/journal_entries", json={**transfer(0, 1), "effective_at": late})
        assert (answer.status_code, answer.json()["code"]) == (400, "effective_in_future")
