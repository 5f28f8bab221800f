"""The OpenAPI document and the page of errors, as an integrator's tools and eyes meet them."""

import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from rialto_common import problems
from rialto_common.service import Service
from rialto_gateway.customers.api import ChangeCustomer, CreateCustomer
from rialto_gateway.disputes.api import Evidence
from rialto_gateway.disputes.api import Nothing as NoFields
from rialto_gateway.documentation import MEANINGS, WHAT_TO_DO, known_codes
from rialto_gateway.documented_answers import ANSWERS, LISTS
from rialto_gateway.funds.api import Convert, CreateFxQuote, CreateTransfer
from rialto_gateway.main import build
from rialto_gateway.merchants.api import CreateMerchant
from rialto_gateway.merchants.key_api import CreateKey, RollKey
from rialto_gateway.payment_links.api import CreatePaymentLink
from rialto_gateway.payments.bodies import CapturePayment, CreatePayment, IncrementPayment, ReviewPayment, VoidPayment
from rialto_gateway.payouts.api import CreatePayout
from rialto_gateway.refunds.api import CreateRefund
from rialto_gateway.saved_methods.api import AttachMethod, CreateMandate
from rialto_gateway.settings import GatewaySettings
from rialto_gateway.settlement_files.api import ResolveDifference
from rialto_gateway.wallets.api import CreateWallet, TopUp
from rialto_gateway.webhooks.bodies import CreateWebhookEndpoint, RedeliverRange, RotateSecret, SendTest
from rialto_gateway.webhooks.deliveries_api import Nothing

from ..integration.platform_in_process import TestRuntime, gateway_settings

BODIES: dict[str, type[BaseModel]] = {
    "/v1/payments": CreatePayment,
    "/v1/payments/{payment_id}/capture": CapturePayment,
    "/v1/payments/{payment_id}/increments": IncrementPayment,
    "/v1/payments/{payment_id}/void": VoidPayment,
    "/v1/payments/{payment_id}/review": ReviewPayment,
    "/v1/payments/{payment_id}/refunds": CreateRefund,
    "/v1/wallets": CreateWallet,
    "/v1/wallets/{wallet_id}/top_ups": TopUp,
    "/v1/merchants": CreateMerchant,
    "/v1/merchants/{merchant_id}/keys": CreateKey,
    "/v1/api_keys/{key_id}/roll": RollKey,
    "/v1/webhook_endpoints": CreateWebhookEndpoint,
    "/v1/payment_links": CreatePaymentLink,
    "/v1/customers": CreateCustomer,
    "/v1/customers/{customer_id}": ChangeCustomer,
    "/v1/customers/{customer_id}/payment_methods": AttachMethod,
    "/v1/mandates": CreateMandate,
    "/v1/disputes/{dispute_id}/evidence": Evidence,
    "/v1/disputes/{dispute_id}/submit": NoFields,
    "/v1/disputes/{dispute_id}/accept": NoFields,
    "/v1/payouts": CreatePayout,
    "/v1/transfers": CreateTransfer,
    "/v1/fx_quotes": CreateFxQuote,
    "/v1/fx_quotes/{quote_id}/convert": Convert,
    "/v1/webhook_endpoints/{endpoint_id}/rotate_secret": RotateSecret,
    "/v1/webhook_endpoints/{endpoint_id}/redeliver": RedeliverRange,
    "/v1/webhook_endpoints/{endpoint_id}/test": SendTest,
    "/v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": Nothing,
    "/v1/connectors/{name}/settlement_differences/{difference_id}/resolve": ResolveDifference,
}
NO_JSON = {
    "/v1/payment_links/{link_id}/deactivate",
    "/v1/payment_methods/{method_id}/detach",
    "/v1/mandates/{mandate_id}/revoke",
    "/v1/connectors/{name}/settlement_files",
}


@pytest.fixture
async def http() -> httpx.AsyncClient:
    """The gateway's HTTP side; nothing here needs a database."""
    service: Service[GatewaySettings] = Service("gateway", gateway_settings("postgresql://nowhere"), TestRuntime())
    await service.open()
    await build(service)
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://gateway")


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    """The document that is served."""
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    served: dict[str, Any] = answer.json()
    return served


def nested(value: Any) -> list[dict[str, Any]]:
    """Return every object in a document."""
    if isinstance(value, list):
        return [found for item in value for found in nested(item)]
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in nested(item))]
    return []


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of every endpoint."""
    return [(path, method, body) for path, methods in document["paths"].items() for method, body in methods.items()]


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) > 10
    for item in nested(document):
        if "$ref" in item:
            place: Any = document
            for step in item["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            assert place


def test_every_schema_is_one_and_every_example_fits_it_and_the_model(document: dict[str, Any]) -> None:
    posts = {path: operation for path, method, operation in operations(document) if method == "post"}
    assert set(posts) == set(BODIES) | NO_JSON
    for path, model in BODIES.items():
        content = posts[path]["requestBody"]["content"]["application/json"]
        Draft202012Validator.check_schema(content["schema"])
        standalone = content["schema"] | {"components": document["components"]}
        Draft202012Validator(standalone).validate(content["example"])
        model.model_validate(content["example"])
        assert content["schema"]["additionalProperties"] is False
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            Draft202012Validator.check_schema(parameter["schema"])


def test_every_operation_names_its_problems_and_the_key_it_needs(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    for path, method, operation in operations(document):
        assert operation["security"] == [{"api_key": []}], (path, method)
        assert {str(status) for status in MEANINGS} <= set(operation["responses"]), (path, method)
        assert any(status.startswith("2") for status in operation["responses"]), (path, method)
        assert operation["summary"], (path, method)
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in str(document)


def test_every_operation_says_what_it_answers_and_no_other_is_described(document: dict[str, Any]) -> None:
    described = set()
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status in ("200", "201", "202"):
                described.add(f"{method.upper()} {path}")
                Draft202012Validator.check_schema(answer["content"]["application/json"]["schema"])
    assert described == set(ANSWERS)
    assert set(ANSWERS) >= LISTS


async def test_a_problem_is_as_the_document_says_and_its_type_is_a_place_on_the_page(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    answer = await http.get("/v1/payments")
    problem = answer.json()
    Draft202012Validator(document["components"]["schemas"]["Problem"]).validate(problem)
    page_path, _, anchor = problem["type"].partition("#")
    page = await http.get(page_path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert f'id="{anchor}"' in page.text
    assert "<script" not in page.text
    assert "//" not in page.text, "the page needs nothing from elsewhere"


async def test_the_page_lists_every_code_with_its_meaning_and_what_to_do(http: httpx.AsyncClient) -> None:
    page = (await http.get(problems.DOCS)).text
    codes = known_codes()
    assert len({code for _, code, _ in codes}) == len(codes) > 30
    for status, code, meaning in codes:
        assert re.fullmatch("[a-z_]+", code)
        assert f'id="{code}"' in page
        assert meaning
        assert WHAT_TO_DO[status]


async def test_the_reference_for_people_is_served(http: httpx.AsyncClient) -> None:
    assert (await http.get("/docs")).status_code == 200
