"""Reading requests: the body straight into a strict model in one pass, the caller from the Authorization header."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.types import Receive, Scope, Send

from rialto_gateway.merchants.keys import ApiKeys, Principal


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response itself.

    For the one path that decides how many payments a gateway can accept: FastAPI's solving of parameters, and its
    stacks for what dependencies leave open, cost more than our parsing. The OpenAPI document is as for any other route,
    and errors become problems in the application's own handlers.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response: Response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one cannot be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def read_body(model: type[Model], raw: bytes) -> Model:
    """Return the body as a model.

    Raises: RequestValidationError, which becomes a problem naming the first field at fault.
    """
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def headers_of(request: Request) -> Callable[[bytes], str | None]:
    """Return a look-up of headers by their name in lower case; one pass, where Starlette's makes one a look-up."""
    headers = dict(request.scope["headers"])

    def header(name: bytes) -> str | None:
        value: bytes | None = headers.get(name)
        return None if value is None else value.decode("latin-1")

    return header


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(header: str | None) -> str | None:
    """Return a W3C traceparent that can be gone on with; anything else is as good as none."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None


def documented_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI part for a body that is read by `read_body`."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"schema": _inlined(schema, definitions), "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema with its references replaced by what they name: a body stands alone in the OpenAPI document."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}


def caller_of(keys: ApiKeys) -> Callable[[Request], Awaitable[Principal]]:
    """Return the dependency that says who calls."""

    async def caller(request: Request) -> Principal:
        return await keys.authenticate(request.headers.get("authorization"))

    return caller
