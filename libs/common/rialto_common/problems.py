"""Errors as RFC 9457 problems: the one place that knows HTTP statuses."""

from contextvars import ContextVar

import asyncpg
import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rialto_common import errors
from rialto_common.database import is_unavailable

log = structlog.get_logger()

DOCS = "/docs/errors"
RETRY_AFTER_SECONDS = 1

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being served; the frame sets it, a task a request."""

# By class; a subclass without an entry of its own takes its nearest parent's.
STATUSES: dict[type[errors.PaymentError], int] = {
    errors.PaymentError: 400,
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.IdempotencyKeyReused: 422,
    errors.TooManyRequests: 429,
    errors.ServiceUnavailable: 503,
    errors.CommitUnknown: 503,
    errors.MalformedEvent: 500,
}


# What the framework refuses by itself; 400 is its word for a body that is not JSON in a way that has no place in it.
HTTP_CODES = {
    400: "json_malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "media_type_unsupported",
}


def status_of(error: errors.PaymentError) -> int:
    """Return the HTTP status of an error."""
    for parent in type(error).__mro__:
        if parent in STATUSES:
            return STATUSES[parent]
    return 400


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    param: str | None = None,
    decline_code: str | None = None,
    retryable: bool = False,
    title: str | None = None,
    retry_after: int = RETRY_AFTER_SECONDS,
) -> Response:
    """Return a problem+json answer; one that may be sent again carries Retry-After, in seconds."""
    body: dict[str, object] = {
        "type": f"{DOCS}#{code}",
        "doc_url": f"{DOCS}#{code}",
        "title": title or code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
    }
    if param is not None:
        body["param"] = param
    if decline_code is not None:
        body["decline_code"] = decline_code
    if (request_id := REQUEST_ID.get()) is not None:
        body["request_id"] = request_id
        body["instance"] = f"/requests/{request_id}"
    headers = {"Retry-After": str(retry_after)} if status in (429, 503) or retryable else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


def problem_of(error: errors.PaymentError) -> Response:
    """Return the answer to an error."""
    return problem(
        status_of(error),
        error.stable_code,
        error.detail,
        param=error.param,
        decline_code=error.decline_code,
        retryable=error.retryable,
        retry_after=error.retry_after_seconds,
    )


def broken(request_id: str) -> Response:
    """Return the answer to an error that is ours: what broke stays in the log, under the request's id."""
    return problem(500, "internal_error", f"something broke on our side; quote request {request_id}", retryable=True)


def answer_to(error: Exception) -> Response | None:
    """Return the answer to an error; None: it is ours, see `broken`."""
    if isinstance(error, errors.PaymentError):
        return problem_of(error)
    if isinstance(error, RequestValidationError):
        return invalid_request(error)
    if isinstance(error, HTTPException):
        answer = problem(error.status_code, HTTP_CODES.get(error.status_code, "http_error"), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer
    if is_unavailable(error):
        log.warning("request.unavailable", error=type(error).__name__)
        return problem(
            503,
            "service_unavailable",
            "the database does not answer just now; send the same request again, with the same Idempotency-Key",
            retryable=True,
        )
    return None


def install(app: FastAPI) -> None:
    """Make the app answer every error as a problem."""

    async def told(_request: Request, error: Exception) -> Response:
        answer = answer_to(error)
        if answer is None:
            raise error
        return answer

    async def unexpected(request: Request, _error: Exception) -> Response:
        return broken(request.scope.get("state", {}).get("request_id", "without an id"))

    app.add_exception_handler(Exception, unexpected)
    for refused in (errors.PaymentError, RequestValidationError, HTTPException):
        app.add_exception_handler(refused, told)
    for kind in (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        app.add_exception_handler(kind, told)


def invalid_request(error: RequestValidationError) -> Response:
    """Return the answer to input that does not fit the schema: its first fault, by field, never echoing values."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    param = ".".join(location) or None
    kind = str(first["type"])
    if kind == "json_invalid":
        return problem(
            400, "json_malformed", "the body is not JSON; send a JSON object with Content-Type application/json"
        )
    code = {"extra_forbidden": "unknown_field", "missing": "field_missing"}.get(kind)
    if code is None:
        context = first.get("ctx", {}).get("error")
        code = context.code if isinstance(context, errors.InvalidField) else "invalid_request"
    where = f"{param}: " if param else ""
    return problem(400, code, f"{where}{str(first['msg']).removeprefix('Value error, ')}", param=param)
