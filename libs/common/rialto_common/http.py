"""The HTTP frame of every service: request ids, a body limit, metrics, health, and problems for errors."""

import re
from collections.abc import Awaitable, Callable, Mapping

import orjson
import structlog
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rialto_common import problems
from rialto_common.direct import Direct, DirectRoute
from rialto_common.metrics import HttpMetrics
from rialto_common.runtime import Runtime

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024

_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
"""What we take of a caller as its own name for a request: long enough to tell requests apart, safe in any log."""

ReadyCheck = Callable[[], Awaitable[None]]
"""Raises, with a sentence for the operator, while its part is not ready."""


class RequestFrame:
    """Plain ASGI, as a middleware class of Starlette's costs more than the whole accept path's SQL."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Runtime,
        metrics: HttpMetrics,
        body_limits: Mapping[str, int] | None = None,
        directs: Mapping[str, Direct] | None = None,
    ) -> None:
        """By path: `body_limits`, where more bytes than MAX_BODY_BYTES are taken; `directs`, which go first."""
        self._app = app
        self._body_limits = body_limits or {}
        self._directs = {path: DirectRoute(path, direct, app) for path, direct in (directs or {}).items()}
        self._runtime = runtime
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._runtime.monotonic()
        request_id = self._request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        problems.REQUEST_ID.set(request_id)
        status = 0
        received = 0
        path = scope["path"]
        limit = self._body_limits.get(path, MAX_BODY_BYTES)

        async def bounded_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, f"the body is larger than {limit} bytes")
            return message

        async def marked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"request-id", request_id.encode()),
                    *state.get("answer_headers", ()),
                ]
            await send(message)

        try:
            await self._directs.get(path, self._app)(scope, bounded_receive, marked_send)
        except Exception as error:
            log.error("request.failed", request_id=request_id, path=path, exc_info=error)
            if status == 0:
                await problems.broken(request_id)(scope, receive, marked_send)
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.answered(scope["method"], route, status, self._runtime.monotonic() - started)

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"request-id":
                if _REQUEST_ID.fullmatch(value):
                    text: str = value.decode()
                    return text
                break
        return str(self._runtime.ids.mint())


def install_health(app: FastAPI, registry: CollectorRegistry, checks: Mapping[str, ReadyCheck]) -> None:
    """Add /healthz (the process lives), /readyz (it can work; names what is missing) and /metrics."""

    async def healthz(_request: Request) -> Response:
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def readyz(_request: Request) -> Response:
        missing = {}
        for name, check in checks.items():
            try:
                await check()
            except Exception as error:  # noqa: BLE001 - any failure of a check means not ready, and is shown
                missing[name] = f"{type(error).__name__}: {error}"[:300]
        body = {"status": "waiting" if missing else "ready", "missing": missing}
        return Response(orjson.dumps(body), 503 if missing else 200, media_type="application/json")

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_route(path, endpoint, include_in_schema=False)
