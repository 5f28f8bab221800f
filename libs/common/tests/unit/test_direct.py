"""The short way: it serves the plain request, and whatever it leaves reaches the app as it came."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rialto_common.direct import Answer, Direct
from rialto_common.errors import Forbidden, NotFound
from rialto_common.http import MAX_BODY_BYTES, RequestFrame
from rialto_common.metrics import HttpMetrics
from rialto_common.simulation import SimulatedRuntime

PLAIN = {"Authorization": "Bearer x", "Content-Type": "application/json"}


class World:
    """A frame around an app that says what reached it, and what its `Direct` was given."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.given: list[tuple[str, bytes]] = []
        self.result: Answer | Exception | None = Answer(201, b'{"by":"direct"}')

    async def direct(self, authorization: str, body: bytes) -> Answer | None:
        self.given.append((authorization, body))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await Response(b"app got " + body[:20], 200)(scope, receive, send)

    async def ask(self, method: str = "POST", path: str = "/short", **options: Any) -> httpx.Response:
        directs = {"/short": Direct(lambda authorization: authorization != "Bearer nobody", self.direct)}
        frame = RequestFrame(self.app, runtime=SimulatedRuntime(1), metrics=HttpMetrics(self.registry), directs=directs)
        transport = httpx.ASGITransport(app=frame, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.request(method, path, **options)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_plain_request_is_served_past_the_app(world: World) -> None:
    answer = await world.ask(content=b"{}", headers=PLAIN)
    assert (answer.status_code, answer.content) == (201, b'{"by":"direct"}')
    assert (answer.headers["content-type"], answer.headers["content-length"]) == ("application/json", "15")
    assert len(answer.headers["request-id"]) == 36
    assert world.given == [("Bearer x", b"{}")]
    labels = {"method": "POST", "route": "/short", "status": "201"}
    assert world.registry.get_sample_value("rialto_http_requests_total", labels) == 1


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("PUT", "/short", PLAIN),
        ("POST", "/short/", PLAIN),
        ("POST", "/short?dry_run=true", PLAIN),
        ("POST", "/short", {"Content-Type": "application/json"}),
        ("POST", "/short", {"Authorization": "Bearer x"}),
        ("POST", "/short", {**PLAIN, "Content-Type": "text/plain"}),
        ("POST", "/short", {**PLAIN, "Authorization": "Bearer nobody"}),
        ("POST", "/short", [*PLAIN.items(), ("Authorization", "Bearer y")]),
        ("POST", "/short", [*PLAIN.items(), ("Content-Type", "text/plain")]),
    ],
    ids=str,
)
async def test_any_other_request_goes_to_the_app(
    world: World, method: str, path: str, headers: dict[str, str] | Sequence[tuple[str, str]]
) -> None:
    answer = await world.ask(method, path, content=b"body", headers=headers)
    assert (answer.content, world.given) == (b"app got body", [])


async def test_what_is_left_reaches_the_app_whole(world: World) -> None:
    async def pieces() -> Any:
        for piece in (b"one ", b"two ", b"three"):
            yield piece

    world.result = None
    answer = await world.ask(content=pieces(), headers=PLAIN)
    assert world.given == [("Bearer x", b"one two three")]
    assert answer.content == b"app got one two three"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Forbidden("no"), 403, "forbidden"),
        (HTTPException(404, "no"), 404, "not_found"),
        (TimeoutError(), 503, "service_unavailable"),
        (ValueError("a bug"), 500, "internal_error"),
    ],
    ids=str,
)
async def test_an_error_is_answered_as_the_app_would(world: World, error: Exception, status: int, code: str) -> None:
    world.result = error
    answer = await world.ask(content=b"{}", headers=PLAIN)
    assert (answer.status_code, answer.json()["code"], len(world.given)) == (status, code, 1)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_over_the_limit_is_refused_before_anything_is_done(world: World) -> None:
    answer = await world.ask(content=b" " * (MAX_BODY_BYTES + 1), headers=PLAIN)
    assert (answer.status_code, answer.json()["code"], world.given) == (413, "request_too_large", [])


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ("order-1001-try-2", True),
        ("short", False),
        ("x" * 65, False),
        ("a b c d e f g", False),
        ("-leading-dash", False),
    ],
)
async def test_a_callers_request_id_is_taken_where_it_is_well_formed(sent: str, taken: bool) -> None:
    for result in (Answer(201, b"{}"), NotFound("no such thing"), RuntimeError("a bug")):
        world = World()
        world.result = result
        answer = await world.ask(content=b"{}", headers={**PLAIN, "Request-Id": sent})
        assert (answer.headers["request-id"] == sent) == taken
        if answer.status_code >= 400:
            assert answer.json()["request_id"] == answer.headers["request-id"]
