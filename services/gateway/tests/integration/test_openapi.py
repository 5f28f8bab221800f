"""The whole API against its own OpenAPI document, judged by schemathesis over real HTTP."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from schemathesis import APIOperation, Case, GenerationMode, Response
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.openapi.checks import RejectedPositiveData

from rialto_cli.testing import Database
from rialto_common.http import RequestFrame
from rialto_common.metrics import HttpMetrics
from rialto_gateway.settlement_files.file import Line, write

from .merchant_server import Shop
from .platform_in_process import ADMIN_KEY, Merchant, Platform, plant_dispute, started

_ID = re.compile(r"[a-z]+_[0-7][0-9a-hjkmnp-tv-z]{25}")
EXAMPLES = 20
SEED = 6

BEYOND_A_SCHEMA = {
    "amount_invalid",  # 1250.0 is an integer to JSON Schema, and refused here as everything with a point in it
    "capture_above_authorised",
    "cursor_invalid",
    "currency_not_supported",
    "expand_invalid",
    "fx_same_currency",
    "idempotency_key_reused",
    "increment_above_limit",
    "increment_not_above_amount",
    "invalid_request",
    "refund_above_captured",
    "settlement_file_invalid",
    "webhook_url_refused",
}
"""Refusals of what a schema cannot tell from what is right."""

UNKNOWN_LINE = Line(2, "captured", "op_1", "att_of_nobody", "auth_1", "USD", 100, 1, 99, date(2026, 3, 1))

OPERATORS = {
    "GET /v1/attempts",
    "GET /v1/connectors/{name}/webhooks",
    "GET /v1/connectors/{name}/settlement_differences",
    "GET /v1/merchants/{merchant_id}/payout_settings",
    "PATCH /v1/merchants/{merchant_id}/payout_settings",
    "GET /v1/merchants/{merchant_id}/pricing",
    "PUT /v1/merchants/{merchant_id}/pricing",
    "POST /v1/connectors/{name}/settlement_files",
    "POST /v1/connectors/{name}/settlement_differences/{difference_id}/resolve",
    "POST /v1/merchants",
    "POST /v1/merchants/{merchant_id}/keys",
    "POST /v1/payments/{payment_id}/review",
}
"""What is done with the operator's key."""

ENDS_ITS_OBJECT = (
    "POST /v1/payments/{payment_id}/void",
    "POST /v1/mandates/{mandate_id}/revoke",
    "POST /v1/payment_methods/{method_id}/detach",
    "DELETE /v1/customers/{customer_id}",
    "DELETE /v1/webhook_endpoints/{endpoint_id}",
    "POST /v1/api_keys/{key_id}/roll",
    "DELETE /v1/api_keys/{key_id}",
)
"""Done last, in this order: what others need is gone then."""

Operation = APIOperation[Any, Any, Any, Any]


@dataclass
class World:
    """An API with one of each object in it: what the names of parameters and fields stand for."""

    merchant: Merchant
    objects: dict[str, list[str]]
    made_for: dict[str, dict[str, str]] = field(default_factory=dict)

    def known(self, label: str, name: str) -> list[str]:
        """Return the objects that an operation's parameter can name."""
        special = self.made_for.get(label, {}).get(name)
        return self.objects.get(name, []) if special is None else [special]

    def key(self, label: str) -> str:
        """Return the key that an operation needs."""
        return ADMIN_KEY if label in OPERATORS else self.merchant.test_key

    def filled(self, body: Any) -> Any:
        """Return an example's body with this world's wallets."""
        if not isinstance(body, dict):
            return body
        wallets = self.objects["wallet_id"]
        own = {
            "wallet_id": wallets[0],
            "from_wallet_id": wallets[0],
            "to_wallet_id": wallets[1],
            "payment_method_id": self.objects["payment_method_id"][0],
        }
        return {name: own.get(name, self.filled(value)) for name, value in body.items()}


@asynccontextmanager
async def served(platform: Platform) -> AsyncIterator[str]:
    """Serve the gateway as its process does; yield its address."""
    frame = RequestFrame(platform.gateway.app, runtime=platform.runtime, metrics=HttpMetrics(CollectorRegistry()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(frame, log_level="warning", lifespan="off"))
        task = asyncio.ensure_future(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await task


async def world_of(platform: Platform, shop: Shop) -> World:
    """Make one of each object."""
    merchant = await platform.merchant()
    key = merchant.test_key

    async def made(path: str, body: Any, key: str = key) -> dict[str, Any]:
        answer = await platform.call("POST", path, body, key=key)
        assert answer.status_code < 300, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def ids_of(path: str, at: str = "data") -> list[str]:
        answer = await platform.call("GET", path, key=key)
        return [each["id"] for each in answer.json()[at]]

    pricing = f"/v1/merchants/{merchant.id}/pricing?mode=test"
    assert (await platform.call("PUT", pricing, {"prices": [{"bps": 100}]})).status_code == 200
    captured = await platform.pay(merchant)
    await platform.decide(captured)
    await platform.ask_ledger()
    held, to_void, to_raise = [await platform.pay(merchant, capture_method="manual") for _ in range(3)]
    await platform.decide(held)
    await platform.decide(to_raise)
    await platform.decide(to_void)
    settings = await platform.call("PATCH", "/v1/payout_settings", {"schedule": "manual"}, key=key)
    assert settings.status_code == 200, settings.text
    waiting = [await platform.pay(merchant) for _ in range(2)]
    for each in waiting[:1]:
        await platform.decide(each)
        await platform.ask_ledger()
    payout = await made("/v1/payouts", {"currency": "USD"})
    for each in waiting[1:]:
        await platform.decide(each)
        await platform.ask_ledger()
    file = write("file_of_another", [UNKNOWN_LINE]).encode()
    disputes = [await plant_dispute(platform, captured, f"dispute_{nth}") for nth in range(2)]
    taken = await platform.call("POST", "/v1/connectors/sim/settlement_files", file)
    assert taken.status_code == 201, taken.text
    differences = await platform.call("GET", "/v1/connectors/sim/settlement_differences")
    doubtful = await platform.pay(merchant)
    await platform.hear(platform.assessed(doubtful, "review"), platform.screened(doubtful))
    await platform.ledger.steps["fx-rates"]()
    refund = await made(f"/v1/payments/{captured['id']}/refunds", {"amount_minor": "100"})
    endpoint = await made("/v1/webhook_endpoints", {"url": shop.url})
    await made(f"/v1/webhook_endpoints/{endpoint['id']}/test", {"type": "payment.captured"})
    await platform.send_webhooks()
    customer = await made("/v1/customers", {"name": "Ada Example"})
    method = await made(f"/v1/customers/{customer['id']}/payment_methods", {"token": "tok_approve"})
    mandate = await made(
        "/v1/mandates", {"payment_method_id": method["id"], "currency": "USD", "max_amount_minor": "5"}
    )
    link = await made("/v1/payment_links", {"amount_minor": "500", "currency": "USD", "description": "Tea"})
    other = await platform.wallet(key, funds=1000)
    euros = (await made("/v1/wallets", {"currency": "EUR"}))["id"]
    transfer = await made(
        "/v1/transfers", {"from_wallet_id": merchant.wallet_id, "to_wallet_id": other, "amount_minor": "10"}
    )
    platform.runtime.ahead += timedelta(minutes=2)  # balance transactions are listed up to a minute ago
    quote = await made("/v1/fx_quotes", {"sell_currency": "USD", "sell_amount_minor": "100", "buy_currency": "EUR"})
    spare, rolled = [await made(f"/v1/merchants/{merchant.id}/keys", {}, ADMIN_KEY) for _ in range(2)]
    return World(
        merchant,
        {
            "payment_id": [captured["id"], held["id"]],
            "refund_id": [refund["id"]],
            "endpoint_id": [endpoint["id"]],
            "delivery_id": await ids_of(f"/v1/webhook_endpoints/{endpoint['id']}/deliveries"),
            "customer_id": [customer["id"]],
            "method_id": [method["id"]],
            "payment_method_id": [method["id"]],
            "mandate_id": [mandate["id"]],
            "link_id": [link["id"]],
            "wallet_id": [merchant.wallet_id, other],
            "transfer_id": [transfer["id"]],
            "quote_id": [quote["id"]],
            "event_id": (await ids_of("/v1/events"))[:1],
            "merchant_id": [merchant.id],
            "key_id": [spare["id"]],
            "currency": ["USD"],
            "mode": ["test"],
            "payout_id": [payout["id"]],
            "name": ["sim"],
            "dispute_id": [disputes[0]],
            "difference_id": [each["id"] for each in differences.json()["data"]],
        },
        {
            "POST /v1/payments/{payment_id}/capture": {"payment_id": held["id"]},
            "POST /v1/payments/{payment_id}/increments": {"payment_id": to_raise["id"]},
            "POST /v1/payments/{payment_id}/void": {"payment_id": to_void["id"]},
            "POST /v1/payments/{payment_id}/review": {"payment_id": doubtful["id"]},
            "POST /v1/disputes/{dispute_id}/accept": {"dispute_id": disputes[1]},
            "POST /v1/payments/{payment_id}/refunds": {"payment_id": captured["id"]},
            "POST /v1/api_keys/{key_id}/roll": {"key_id": rolled["id"]},
            "POST /v1/fx_quotes/{quote_id}/convert": {"to_wallet_id": euros},
        },
    )


def with_nothing_beside(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document, made to refuse answers with properties it does not name."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return document


class Judge:
    """Sends requests of an operation and keeps what is wrong with the answers."""

    def __init__(self, operation: Operation, world: World, address: str) -> None:
        self.operation, self.world, self.address = operation, world, address
        self.wrong: dict[str, str] = {}

    def send(self, case: Case[Any], key: str) -> Response:
        """Send a request and hold the answer to the document."""
        headers = {"Authorization": f"Bearer {key}"}
        response = case.call(base_url=self.address, headers=headers, timeout=30)
        try:
            case.validate_response(response, headers=headers)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                self._keep(failure, case, response, headers)
        return response

    def _keep(self, failure: Failure, case: Case[Any], response: Response, headers: Mapping[str, str]) -> None:
        if isinstance(failure, RejectedPositiveData) and response.json()["code"] in BEYOND_A_SCHEMA:
            return
        sent = case.as_curl_command(headers)
        self.wrong[failure.title] = f"{failure.message}\n{sent}\n{response.status_code} {response.text[:600]}"

    def example(self) -> None:
        """Send what the document shows as an example, with objects that are there."""
        label, world = self.operation.label, self.world
        raw = self.operation.definition.raw
        contents = raw.get("requestBody", {}).get("content", {})
        media_type = next(iter(contents), None)
        body = contents[media_type]["example"] if media_type else None
        named = [each for each in raw.get("parameters", []) if each.get("required")]
        case = self.operation.Case(
            path_parameters={
                each["name"]: world.known(label, each["name"])[0] for each in named if each["in"] == "path"
            },
            query={each["name"]: world.known(label, each["name"])[0] for each in named if each["in"] == "query"},
            headers={each["name"]: f"the example of {label}" for each in named if each["in"] == "header"},
            **({} if body is None else {"body": self._body(body)}),
            media_type=media_type,
        )
        response = self.send(case, world.key(label))
        if response.status_code >= 300:
            self.wrong["The example is refused"] = f"{json.dumps(body)}\n{response.status_code} {response.text[:600]}"

    def _body(self, example: Any) -> Any:
        if not isinstance(example, dict):
            return example
        body = self.world.filled(example)
        special = self.world.made_for.get(self.operation.label, {})
        return {name: special.get(name, value) for name, value in body.items()}

    def anything(self) -> None:
        """Send what fits the document and what does not, to objects that are there and others."""

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @seed(SEED)
        @given(
            case=self.operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            | self.operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
            known=st.booleans(),
            data=st.data(),
        )
        def conform(case: Case[Any], known: bool, data: st.DataObject) -> None:
            for name, value in dict(case.path_parameters if known else {}).items():
                # What is malformed on purpose stays so.
                if _ID.fullmatch(str(value)):
                    there = self.world.known(self.operation.label, name)
                    case.path_parameters[name] = data.draw(st.sampled_from(there))
            self.send(case, data.draw(st.sampled_from([self.world.merchant.test_key, ADMIN_KEY])))

        conform()

    def findings(self) -> Iterator[str]:
        """Send all of it; yield what is wrong."""
        self.example()
        self.anything()
        for title, text in self.wrong.items():
            yield f"{self.operation.label}: {title}\n{text}"


def in_order(operation: Operation) -> int:
    """Return when an operation is tried."""
    label = operation.label
    return 1 + ENDS_ITS_OBJECT.index(label) if label in ENDS_ITS_OBJECT else 0


@pytest.mark.timeout(600)
async def test_every_operation_and_example_keeps_to_the_openapi_document(database: Database, shop: Shop) -> None:
    settings: dict[str, Any] = {
        "acquirer_url": "http://127.0.0.1:9",  # it is named in requests, and never asked
        "acquirer_key": "key",
        "acquirer_webhook_secret": "whsec_" + "c2VjcmV0" * 4,
        "rate_limit_per_second": 1_000_000,
    }
    async with started(database.dsn, **settings) as platform, served(platform) as address:
        world = await world_of(platform, shop)
        document = with_nothing_beside((await platform.http.get("/openapi.json")).json())
        schema = schemathesis.openapi.from_dict(document)
        operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
        assert len(operations) == sum(len(path) for path in document["paths"].values())
        wrong = []
        for operation in sorted(operations, key=in_order):
            wrong += await asyncio.to_thread(list, Judge(operation, world, address).findings())
        assert not wrong, "\n\n".join(wrong)
