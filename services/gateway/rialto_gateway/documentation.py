"""The API's documentation: what OpenAPI cannot learn from the routes, and the page that a problem's `type` names."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from rialto_common import problems
from rialto_common.errors import PaymentError
from rialto_common.money import known_currencies
from rialto_gateway.documented_answers import answer_schema, components

VERSION = "1"
DESCRIPTION = """Payments that are accepted durably, decided in the open and settled on chain.

Amounts are whole minor units in strings. Send `Authorization: Bearer sk_test_…`, and an `Idempotency-Key` with every
request that moves money: the same key and body always give the same answer. Every refusal is an RFC 9457 problem whose
`code` never changes; [all of them](/docs/errors) are listed with what to do."""

MEANINGS = {
    400: "The request is wrong as it is.",
    401: "No API key, or one that is unknown or revoked.",
    403: "This key does not reach this far.",
    404: "No such object for this key.",
    409: "The object's state does not allow it.",
    413: "The body is larger than 64 KiB.",
    422: "The Idempotency-Key was used for another request.",
    429: "More requests than this key may send; Retry-After says when to go on.",
    500: "Something broke on our side.",
    503: "A part that is needed is away; Retry-After says when to try again.",
}
WHAT_TO_DO = {
    400: "Mend the field that `param` names; the same request again cannot succeed.",
    401: "Check the Authorization header and the key.",
    403: "Use a key of the right kind (merchant or admin, test or live).",
    404: "Check the id, and that it belongs to this key's merchant and mode.",
    405: "Use one of the methods in the Allow header.",
    409: "Look the object up and act on its present state.",
    413: "Send less than 64 KiB.",
    415: "Send JSON.",
    422: "Use a new Idempotency-Key for a new request.",
    429: "Send the same request again after Retry-After seconds, and slow down as RateLimit says.",
    500: "Send the same request again with the same Idempotency-Key; if it stays, tell us the request-id.",
    503: "Send the same request again with the same Idempotency-Key, after Retry-After seconds.",
}
BY_THE_FRAMEWORK = [
    (400, "json_malformed", "The body is not JSON."),
    (400, "field_missing", "A required field is missing."),
    (400, "unknown_field", "A field this endpoint does not know, perhaps misspelt."),
    (404, "not_found", "No such object, as far as this caller may know; or no such path."),
    (405, "method_not_allowed", "The path knows other methods."),
    (413, "request_too_large", "The body is larger than 64 KiB."),
    (415, "media_type_unsupported", "Not a media type we read."),
    (500, "internal_error", "Something broke on our side; nothing is known to have been done."),
]

PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "code", "retryable"],
    "properties": {
        "type": {"type": "string", "description": "where this code is explained", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "for people; may change"},
        "code": {"type": "string", "description": "for programs; never changes"},
        "retryable": {"type": "boolean", "description": "whether the same request may succeed later"},
        "param": {"type": "string", "description": "the field or header at fault"},
        "decline_code": {"type": "string", "description": "why it was declined, where it was"},
        "doc_url": {"type": "string", "description": "where this code is explained", "format": "uri-reference"},
        "request_id": {"type": "string", "description": "names this request in our logs"},
        "instance": {"type": "string", "description": "this occurrence", "format": "uri-reference"},
    },
}


ID_PREFIXES = {
    "payment_id": "pay",
    "refund_id": "re",
    "wallet_id": "wal",
    "transfer_id": "trf",
    "quote_id": "fxq",
    "customer_id": "cus",
    "method_id": "pm",
    "payment_method_id": "pm",
    "mandate_id": "mdt",
    "link_id": "plink",
    "merchant_id": "mer",
    "key_id": "key",
    "endpoint_id": "we",
    "delivery_id": "msg",
    "event_id": "evt",
    "payout_id": "po",
    "dispute_id": "dp",
    "difference_id": "std",
}
"""What the ids in paths and queries begin with."""

IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "description": "names this request for every retry; the same key and body always give the first answer",
}
WITHOUT_KEY = {
    "/v1/connectors/{name}/settlement_files",
    "/v1/fx_quotes/{quote_id}/convert",
    "/v1/payment_links/{link_id}/deactivate",
    "/v1/payment_methods/{method_id}/detach",
    "/v1/mandates/{mandate_id}/revoke",
}
"""What can happen only once by itself."""


def known_codes() -> list[tuple[int, str, str]]:
    """Return every problem's status, code and meaning: those of our error classes, and the framework's."""
    named = {
        kind.code: (problems.status_of(kind("")), kind.code, (kind.__doc__ or "").strip().splitlines()[0])
        for kind in _kinds(PaymentError)
        if kind.__module__.startswith(("rialto_common.", "rialto_gateway."))
    }
    named |= {code: (status, code, meaning) for status, code, meaning in BY_THE_FRAMEWORK}
    return sorted(named.values())


def document(app: FastAPI) -> None:
    """Complete the OpenAPI document and serve the list of errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            plain = get_openapi(title="Rialto", version=VERSION, description=DESCRIPTION, routes=app.routes)
            app.openapi_schema = _completed(plain)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    app.include_router(_errors_page())


def _completed(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the document with our problems in place of the framework's, our answers, and what each request needs."""
    for path, operations in plain["paths"].items():
        for method, operation in operations.items():
            _complete_answers(f"{method.upper()} {path}", operation)
            operation["security"] = [{"api_key": []}]
            parameters = operation.setdefault("parameters", [])
            for parameter in parameters:
                _complete_parameter(parameter)
            if method == "post" and path not in WITHOUT_KEY:
                others = [each for each in parameters if each["name"].lower() != "idempotency-key"]
                operation["parameters"] = [*others, IDEMPOTENCY_HEADER]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if body:
                body["schema"] = _exact(body["schema"])
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    later = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    plain["components"] = {
        "schemas": {"Problem": PROBLEM, "KnownCurrency": {"enum": sorted(known_currencies())}, **components()},
        "responses": {
            str(status): {"description": meaning, "content": content}
            | ({"headers": later} if status in (429, 503) else {})
            for status, meaning in MEANINGS.items()
        },
        "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer", "description": "sk_test_… or sk_live_…"}},
    }
    return plain


def _complete_answers(name: str, operation: dict[str, Any]) -> None:
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    schema = answer_schema(name)
    for status, answer in answers.items():
        if status != "204" and schema is not None:
            answer["content"] = {"application/json": {"schema": schema}}
    refusals = {str(status): {"$ref": f"#/components/responses/{status}"} for status in MEANINGS}
    operation["responses"] = answers | refusals


def _complete_parameter(parameter: dict[str, Any]) -> None:
    prefix = ID_PREFIXES.get(parameter["name"])
    if prefix is not None:
        parameter["schema"] = {"type": "string", "pattern": f"^{prefix}_{ID_DIGITS}$"}
    elif parameter["name"] == "currency":
        parameter["schema"] = CURRENCY


ID_DIGITS = "[0-7][0-9a-hjkmnp-tv-z]{25}"
CURRENCY = {"$ref": "#/components/schemas/KnownCurrency"}
AMOUNT = {
    "anyOf": [
        {"type": "string", "pattern": "^0*[1-9][0-9]*$", "maxLength": 38},
        {"type": "integer", "minimum": 1, "maximum": 10**38 - 1},
    ]
}


def _exact(schema: Any, name: str = "") -> Any:
    """Return a body's schema that says of amounts, currencies and ids what the models check by functions."""
    if isinstance(schema, list):
        return [_exact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("pattern") == "^[0-9]{1,38}$":
        return {key: value for key, value in schema.items() if key not in ("type", "pattern")} | AMOUNT
    if name.endswith("currency") and schema.get("type") == "string":
        return CURRENCY
    if "pattern" in schema:
        return schema | {"pattern": schema["pattern"].replace("[0-9a-hjkmnp-tv-z]{26}", ID_DIGITS)}
    return {key: _exact(value, key) for key, value in schema.items()}


def _errors_page() -> APIRouter:
    router = APIRouter()
    rows = "\n".join(
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{status}</td>'
        f"<td>{escape(meaning)}</td><td>{escape(WHAT_TO_DO.get(status, ''))}</td></tr>"
        for status, code, meaning in known_codes()
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Rialto: errors</title>'
        "<style>body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem}td,th{text-align:left;padding:.3rem}"
        "tr:target{background:#fe9}</style><h1>Errors</h1><p>Every refusal is <code>application/problem+json</code> "
        "(RFC 9457); programs should look at <code>code</code>, which never changes.</p>"
        f"<table><tr><th>code</th><th>HTTP</th><th>meaning</th><th>what to do</th></tr>\n{rows}\n</table></html>"
    )

    @router.get(problems.DOCS, include_in_schema=False)
    async def list_errors() -> HTMLResponse:
        return HTMLResponse(page)

    return router


def _kinds(root: type[PaymentError]) -> Iterator[type[PaymentError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)
