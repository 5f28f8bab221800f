"""The service's own HTTP API, through its real app."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from rialto_chain_bridge.testing import Bench, Request, bench
from rialto_cli.testing import AnvilNode, Database
from rialto_common import ids
from rialto_common.events.payments import SettlementRequested
from rialto_common.service_tokens import Caller


@pytest.fixture
async def bridge(database: Database, anvil: AnvilNode) -> AsyncIterator[Bench]:
    async with bench(database.dsn, anvil.url) as started:
        yield started


@pytest.fixture
async def api(bridge: Bench) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(bridge.service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chain-bridge") as client:
        yield client


def authorised(
    bridge: Bench, merchant_id: UUID | None, *, mode: str = "test", audience: str = "chain-bridge"
) -> dict[str, str]:
    token = bridge.service.tokens.issue(Caller("gateway", merchant_id, mode), audience=audience)
    return {"Authorization": f"Bearer {token}"}


def path_of(request: Request) -> str:
    return f"/v1/settlements/{ids.to_text('pay', request.payment_id)}"


def merchant_of(request: Request) -> UUID:
    return request.event.read(SettlementRequested).merchant_id


async def test_the_deployment_is_unknown_until_there_is_one(bridge: Bench, api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/deployment")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_deployed")
    assert (await api.get("/readyz")).status_code == 503
    await bridge.turn()
    assert (await api.get("/readyz")).status_code == 200
    deployment = (await api.get("/v1/deployment")).json()
    token, contract = await bridge.contracts()
    assert deployment["token_address"].lower() == token
    assert deployment["settlement_address"].lower() == contract
    assert deployment["token_decimals"] == 6
    assert deployment["treasury_amount"] == str(bridge.settings.treasury_amount)
    assert (deployment["chain_id"], deployment["token"], deployment["mode"]) == (31337, "RUSD", "test")


async def test_a_settlement_shows_its_transaction(bridge: Bench, api: httpx.AsyncClient) -> None:
    [request] = await bridge.ask_for(1)
    headers = authorised(bridge, merchant_of(request))
    before = (await api.get(path_of(request), headers=headers)).json()
    assert (before["state"], before["tx_hash"]) == ("requested", None)
    await bridge.until_confirmed([request])
    after = (await api.get(path_of(request), headers=headers)).json()
    assert after["state"] == "confirmed"
    assert after["amount_minor"] == str(request.amount_minor)
    assert after["token_amount"] == str(request.amount_minor * 10_000)
    receipt = await bridge.node.ask("eth_getTransactionReceipt", after["tx_hash"])
    assert receipt["blockHash"] == after["block_hash"]


async def test_a_settlement_is_seen_by_its_merchant_and_the_operator_only(
    bridge: Bench, api: httpx.AsyncClient
) -> None:
    [request] = await bridge.ask_for(1)
    merchant = merchant_of(request)
    stranger = bridge.runtime.ids.mint()
    seen = [
        (authorised(bridge, merchant), 200),
        (authorised(bridge, None), 200),
        (authorised(bridge, stranger), 404),
        (authorised(bridge, merchant, mode="live"), 404),
        (authorised(bridge, merchant, audience="ledger"), 401),
        ({}, 401),
    ]
    for headers, status in seen:
        assert (await api.get(path_of(request), headers=headers)).status_code == status


async def test_an_id_of_another_kind_is_refused(bridge: Bench, api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/settlements/mer_123", headers=authorised(bridge, None))
    assert (answer.status_code, answer.json()["code"]) == (400, "id_invalid")
