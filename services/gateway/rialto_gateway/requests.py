"""Reading requests: routes that take them as they come, strict bodies, the caller from the Authorization header."""

import re
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send

from rialto_common.errors import InvalidRequest
from rialto_gateway.merchants.keys import ApiKeys, Principal


class ParameterUnknown(InvalidRequest):
    """A query parameter this endpoint does not know, perhaps misspelt."""

    code = "unknown_parameter"


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


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one cannot be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


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


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query that names what the route does not know: a misspelt filter would quietly show everything.

    Raises: ParameterUnknown.
    """
    if not request.url.query:
        return
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            offered = ", ".join(sorted(known)) or "none"
            raise ParameterUnknown(
                f"'{name[:40]}' is not a parameter of this request; there are: {offered}", param=name[:40]
            )


def caller_of(keys: ApiKeys) -> Callable[[Request], Awaitable[Principal]]:
    """Return the dependency that says who calls."""

    async def caller(request: Request) -> Principal:
        refuse_unknown_parameters(request)
        headers = request.headers
        return await keys.admit(request.scope, headers.get("authorization"), headers.get("rialto-version"))

    return caller
