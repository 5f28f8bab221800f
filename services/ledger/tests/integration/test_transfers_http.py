"""Transfers over HTTP: within one ledger, and the sending half of those between two."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.events.common import LEDGER
from rialto_common.events.ledger import TransferSent
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.postgres_transfers import PostgresTransferReader
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.transfer import first_entry_id
from rialto_ledger.testing import merchant_id, number_id
from rialto_ledger.transfer_testing import EAST, MAP, WEST, number_in, wallet_in

from .api_world import MERCHANT, OPERATOR, STRANGER, World, running, top_up_body, wallet_body

HERE, ALSO_HERE, THERE = wallet_in(EAST, 0), wallet_in(EAST, 1), wallet_in(WEST, 0)
ACQUIRER = chart.test_acquirer("USD")


def text(spec: AccountSpec) -> str:
    return ids.to_text("wal" if chart.is_wallet(spec) else "acc", spec.id)


def transfer_id(number: int = 0) -> str:
    return ids.to_text("trf", number_id("transfer", number))


def body(number: int = 0, source: AccountSpec = HERE, target: AccountSpec = THERE, **changes: Any) -> dict[str, Any]:
    return {
        "id": transfer_id(number),
        "from_account_id": text(source),
        "to_account_id": text(target),
        "amount_minor": "400",
        "currency": "USD",
        **changes,
    }


@pytest.fixture
async def east(database: Database) -> AsyncIterator[World]:
    """The API of one ledger of two; its other half is not there."""
    async with running(database, name="east", shards=MAP, bus_url="kafka://127.0.0.1:9") as world:
        await open_wallets(world, 0, 1)
        yield world


@pytest.fixture
async def alone(world: World) -> World:
    """The API of the only ledger."""
    await open_wallets(world, 0, 1)
    return world


async def open_wallets(world: World, *nths: int) -> None:
    """Open wallets that `east` keeps, the last one the merchant's, and put 15.00 into each."""
    async with world.client() as client:
        for nth in nths:
            number = number_in(EAST, nth)
            owner = {"merchant_id": ids.to_text("mer", merchant_id())} if nth == nths[-1] else {}
            assert (await client.post("/v1/accounts", json=wallet_body(number, **owner))).status_code == 201
        number = number_in(EAST, nths[0])
        assert (await client.post("/v1/journal_entries", json=top_up_body(0, number))).status_code == 201
    async with world.client(MERCHANT) as client:
        number = number_in(EAST, nths[-1])
        assert (await client.post("/v1/journal_entries", json=top_up_body(1, number))).status_code == 201


async def ask(world: World, json: dict[str, Any], caller: Caller = OPERATOR, path: str = "transfers") -> httpx.Response:
    async with world.client(caller) as client:
        return await client.post(f"/v1/{path}", json=json)


async def read(world: World, path: str, caller: Caller = OPERATOR) -> httpx.Response:
    async with world.client(caller) as client:
        return await client.get(f"/v1/{path}")


async def balance(world: World, spec: AccountSpec) -> str:
    found = await read(world, f"accounts/{text(spec)}")
    return str(found.json()["ledger_balance_minor"])


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_within_one_ledger_a_transfer_is_received_at_once(alone: World) -> None:
    first = await ask(alone, body(target=ALSO_HERE))
    assert (first.status_code, first.json()["state"]) == (201, "received")
    again = await ask(alone, body(target=ALSO_HERE))
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await read(alone, f"transfers/{transfer_id()}")).json() == first.json()
    assert (await balance(alone, HERE), await balance(alone, ALSO_HERE)) == ("1100", "1900")
    entry = (await read(alone, f"journal_entries/{first.json()['entry_id']}")).json()
    assert (entry["kind"], entry["metadata"]["transfer_id"]) == ("transfer_booked", transfer_id())


async def test_between_ledgers_it_is_sent_and_waits_in_transit(east: World) -> None:
    answer = await ask(east, body(metadata={"note": "rent"}))
    assert (answer.status_code, answer.json()["state"], answer.json()["to_shard"]) == (201, "sent", THERE.shard)
    assert (await ask(east, body(metadata={"note": "rent"}))).status_code == 200
    count, oldest_at = await PostgresTransferReader(east.service.pool).under_way()
    assert (count, oldest_at) == (1, datetime.fromisoformat(answer.json()["asked_at"]))
    transit = chart.shard_in_transit(THERE.shard, "USD", "test")
    assert (await balance(east, HERE), await balance(east, transit)) == ("1100", "400")
    told = await east.service.pool.fetch(
        "SELECT * FROM bus.log WHERE topic = $1 AND type = $2", LEDGER, TransferSent.type
    )
    assert [(row["key"], row["shard"], row["sequence"]) for row in told] == [(transfer_id(), THERE.shard, 1)]
    data = TransferSent.model_validate_json(told[0]["data"])
    assert (data.to_account_id, data.amount_minor, data.from_shard) == (THERE.id, 400, HERE.shard)


async def test_a_target_that_is_no_wallet_needs_its_shard(east: World) -> None:
    """The platform has an account of that id in every ledger: which one is meant, its shard says."""
    shard = THERE.shard
    sent = await ask(east, body(target=ACQUIRER, to_shard=shard))
    assert (sent.json()["state"], sent.json()["to_shard"]) == ("sent", shard)
    booked = await ask(east, body(1, target=ACQUIRER))
    assert booked.json()["state"] == "received"
    back = await ask(east, body(2, source=ACQUIRER))
    assert back.json()["state"] == "sent"
    assert EAST.keeps(back.json()["from_shard"]), "the answer has to come here, whatever the account's own shard"


async def test_the_same_id_with_other_content_is_refused_wherever_it_would_go(east: World) -> None:
    assert (await ask(east, body())).status_code == 201
    for other in (body(amount_minor="401"), body(target=ALSO_HERE), body(to_shard=63), body(source=ALSO_HERE)):
        assert code_of(await ask(east, other)) == (422, "transfer_id_reused_with_other_content")


async def test_a_merchant_sends_from_its_own_accounts_to_its_own_and_to_wallets(east: World) -> None:
    assert code_of(await ask(east, body(), MERCHANT)) == (403, "operator_only")
    assert code_of(await ask(east, body(source=ALSO_HERE), STRANGER)) == (404, "account_not_found")
    assert code_of(await ask(east, body(source=ALSO_HERE, target=ACQUIRER), MERCHANT)) == (404, "account_not_found")
    assert (await ask(east, body(0, source=ALSO_HERE), MERCHANT)).json()["state"] == "sent"
    assert (await ask(east, body(1, source=ALSO_HERE, target=HERE), MERCHANT)).json()["state"] == "received"
    path = f"transfers/{transfer_id()}"
    assert (await read(east, path, MERCHANT)).status_code == (await read(east, path)).status_code == 200
    assert code_of(await read(east, path, STRANGER)) == (404, "transfer_not_found")
    assert code_of(await read(east, path, Caller("gateway", None, "live"))) == (404, "transfer_not_found")


async def test_what_another_ledger_keeps_is_elsewhere_and_named(east: World) -> None:
    number = number_in(WEST, 0)
    refused = [
        await ask(east, wallet_body(number), path="accounts"),
        await ask(east, top_up_body(5, number), path="journal_entries"),
        await ask(east, body(source=THERE, target=HERE)),
    ]
    for answer in refused:
        assert code_of(answer) == (409, "account_elsewhere")
        assert "'west'" in answer.json()["detail"]


async def test_a_transfers_entries_are_neither_posted_nor_reversed_by_hand(east: World) -> None:
    assert (await ask(east, body())).status_code == 201
    entry = ids.to_text("je", first_entry_id(number_id("transfer", 0)))
    assert code_of(await ask(east, {}, path=f"journal_entries/{entry}/reversal")) == (409, "entry_not_reversible")
    lines = [
        {"account_id": text(spec), "side": side, "amount_minor": "5", "currency": "USD"}
        for spec, side in ((HERE, "debit"), (ALSO_HERE, "credit"))
    ]
    by_hand = {"id": ids.to_text("je", number_id("by hand", 0)), "kind": "transfer_sent", "postings": lines}
    assert code_of(await ask(east, by_hand, path="journal_entries"))[0] == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"to_shard": 64},
        {"to_shard": -1},
        {"id": "trf_x"},
        {"amount_minor": "0"},
        {"note": "x"},
        {"to_account_id": text(HERE)},
    ],
    ids=str,
)
async def test_a_body_that_cannot_be_read_is_refused(east: World, changes: dict[str, Any]) -> None:
    assert (await ask(east, body(**changes))).status_code == 400


async def test_what_the_source_does_not_have_is_not_sent(east: World) -> None:
    assert code_of(await ask(east, body(amount_minor="1501"))) == (409, "insufficient_funds")
    assert code_of(await read(east, f"transfers/{transfer_id()}")) == (404, "transfer_not_found")
    assert code_of(await ask(east, body(currency="EUR"))) == (400, "currency_mismatch")


async def test_a_merchant_sends_nothing_that_is_not_there(alone: World) -> None:
    """A merchant's payable may stand below zero, for what the chain has paid; nobody may spend from it."""
    payable = chart.merchant_payable(merchant_id(), "USD", "test")
    opened = {"code": payable.code, "type": "liability", "currency": "USD"}
    owner = {"merchant_id": ids.to_text("mer", merchant_id())}
    assert (await ask(alone, {**opened, **owner}, path="accounts")).status_code == 201
    refused = await ask(alone, body(source=payable, target=HERE), MERCHANT)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_has_no_minimum")
    assert await balance(alone, payable) == "0"


async def test_asked_again_after_the_map_has_changed_it_is_the_same_transfer(database: Database, alone: World) -> None:
    async with alone.client() as client:
        assert (await client.post("/v1/accounts", json=wallet_body(number_in(WEST, 0)))).status_code == 201
    first = await ask(alone, body(metadata={"why": "a test"}))
    assert (first.status_code, first.json()["state"]) == (201, "received")
    async with running(database, name="east", shards=MAP, bus_url="kafka://127.0.0.1:9") as east:
        again = await ask(east, body(metadata={"why": "a test"}))
        assert (again.status_code, again.json()) == (200, first.json())
        for changes in ({"metadata": {"why": "another"}}, {"metadata": {"why": "a test"}, "amount_minor": "401"}):
            refused = await ask(east, body(**changes))
            assert refused.json()["code"] == "transfer_id_reused_with_other_content"
