"""The frame around every service, as a real process over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import Database, PostgresServer
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_common.testing import make_event, root_of

SECRET = "a secret of this test, long enough for HS256"
TABLES = """
CREATE SCHEMA tiny;
GRANT USAGE ON SCHEMA tiny TO rialto_fraud;
SELECT bus.create_consumer_tables('tiny', 'rialto_fraud');
CREATE TABLE tiny.handled (number BIGINT GENERATED ALWAYS AS IDENTITY, key TEXT NOT NULL, sequence INT NOT NULL);
GRANT SELECT, INSERT ON tiny.handled TO rialto_fraud;
"""


class Tiny:
    """The service's process and a client for it."""

    def __init__(self, database: Database, folder: Path, *arguments: str) -> None:
        with psycopg.connect(database.dsn("owner")) as connection:
            if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'tiny'").fetchone():
                connection.execute(TABLES)
        self.database = database
        self.folder = folder
        port = free_ports(1)[0]
        environment = {
            **os.environ,
            "RIALTO_TINY_DATABASE_URL": database.dsn("fraud"),
            "RIALTO_TINY_HTTP_PORT": str(port),
            "RIALTO_TINY_FOLDER": str(folder),
            "RIALTO_SERVICE_TOKEN_SECRET": SECRET,
        }
        script = Path(__file__).with_name("tiny_service.py")
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, str(script), *arguments], env=environment, stderr=log)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def until(self, reached: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait for the process to get somewhere; an unanswered request means not yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if reached():
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"the service did not get there:\n{self.log()[-4000:]}")
            time.sleep(0.02)

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log().splitlines()]

    def operator(self, audience: str = "tiny") -> dict[str, str]:
        token = ServiceTokens(SECRET, SystemRuntime()).issue(Caller("cli", None, "test"), audience=audience)
        return {"Authorization": f"Bearer {token}"}

    async def publish(self, *sequences: int, key: int = 1) -> None:
        async with await open_pool(self.database.dsn("owner"), application="publisher") as pool:
            unit_of_work = PostgresUnitOfWork(pool, schema="tiny", runtime=SystemRuntime())
            async with unit_of_work.begin() as transaction:
                transaction.publish(*[make_event(key, sequence) for sequence in sequences])

    def handled(self) -> list[tuple[str, int]]:
        with psycopg.connect(self.database.dsn("owner")) as connection:
            return connection.execute("SELECT key, sequence FROM tiny.handled ORDER BY number").fetchall()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Request-Id"]
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(f"#{code}")
    assert body["title"]
    assert body["detail"]
    return dict(body)


@pytest.fixture(scope="module")
def shared(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """One process for the tests that leave it as it was."""
    tiny = Tiny(module_database, tmp_path_factory.mktemp("tiny"))
    try:
        tiny.until(tiny.ready)
        yield tiny
    finally:
        tiny.end()


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Callable[..., Tiny]]:
    """Start processes of a test's own."""
    started: list[Tiny] = []

    def create(*arguments: str, on: Database = database) -> Tiny:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Tiny(on, folder, *arguments))
        return started[-1]

    yield create
    for tiny in started:
        tiny.end()


def test_a_good_request_is_answered_with_its_id(shared: Tiny) -> None:
    answers = [shared.http.post("/orders", json={"item": "gloves", "count": 2}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == {"characters": 6}
    assert answers[0].headers["Request-Id"] != answers[1].headers["Request-Id"]


def test_health_and_metrics_need_no_credentials(shared: Tiny) -> None:
    assert shared.http.get("/healthz").json() == {"status": "alive"}
    assert shared.http.get("/readyz").json() == {"status": "ready", "missing": {}}
    shared.http.post("/orders", json={"item": "gloves", "count": 2})
    metrics = {family.name: family for family in text_string_to_metric_families(shared.http.get("/metrics").text)}
    assert any(
        sample.labels == {"method": "POST", "route": "/orders", "status": "201"} and sample.value >= 1
        for sample in metrics["rialto_http_requests"].samples
    )
    assert {"rialto_http_request_duration_seconds", "rialto_events_handled", "process_cpu_seconds"} <= set(metrics)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 5_000_000])
def test_a_body_over_the_limit_is_refused_and_the_next_request_is_served(shared: Tiny, size: int) -> None:
    with httpx.Client(base_url=shared.http.base_url) as client:
        problem = is_problem(client.post("/orders", content=b" " * size), 413, "request_too_large")
        assert "65536" in problem["detail"]
    assert shared.http.post("/orders", json={"item": "gloves", "count": 2}).status_code == 201


def test_a_body_without_a_stated_length_is_counted_as_it_comes(shared: Tiny) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"item": "'
        for _ in range(100):
            yield b"x" * 1000
        yield b'", "count": 1}'

    with httpx.Client(base_url=shared.http.base_url) as client:
        is_problem(client.post("/orders", content=chunks()), 413, "request_too_large")


def test_a_body_at_the_limit_is_served(shared: Tiny) -> None:
    body = b'{"count": 1, "item": "%b"}'
    filled = body % (b"x" * (64 * 1024 - len(body) + 2))
    assert len(filled) == 64 * 1024
    answer = shared.http.post("/orders", content=filled, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


NOT_JSON = {
    "open": b"{",
    "words": b"not json",
    "cut": b'{"item": "a", "count": 1',
    "not-utf-8": b"\xff\xfe",
    "huge-number": b'{"count": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 60_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_refused(shared: Tiny, body: bytes) -> None:
    answer = shared.http.post("/orders", content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 400, "json_malformed")


def test_a_body_that_is_not_there_is_missing(shared: Tiny) -> None:
    is_problem(shared.http.post("/orders"), 400, "field_missing")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"item": "gloves"}, "field_missing", "count"),
        ({"item": "gloves", "count": 0}, "invalid_request", "count"),
        ({"item": "gloves", "count": 1, "colour": "swordfish"}, "unknown_field", "colour"),
        ({"item": ["swordfish"], "count": 1}, "invalid_request", "item"),
        (["swordfish"], "invalid_request", None),
    ],
)
def test_input_that_does_not_fit_names_its_field_and_is_not_echoed(
    shared: Tiny, body: object, code: str, param: str | None
) -> None:
    answer = shared.http.post("/orders", json=body)
    problem = is_problem(answer, 400, code)
    assert problem.get("param") == param
    assert problem["retryable"] is False
    assert "swordfish" not in answer.text


def test_an_unknown_path_and_a_wrong_method_are_problems(shared: Tiny) -> None:
    is_problem(shared.http.get("/nowhere"), 404, "not_found")
    answer = shared.http.delete("/orders")
    is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_refusal_carries_its_own_code_and_its_parents_status(shared: Tiny) -> None:
    problem = is_problem(shared.http.get("/refused"), 409, "takes_no_text")
    assert (problem["detail"], problem["param"], problem["retryable"]) == ("not now", "item", False)


def test_an_unexpected_error_shows_the_request_id_and_nothing_of_the_inside(shared: Tiny) -> None:
    answer = shared.http.get("/broken")
    problem = is_problem(answer, 500, "internal_error")
    assert answer.headers["Request-Id"] in problem["detail"]
    assert "swordfish" not in answer.text
    assert "RuntimeError" not in answer.text

    def logged() -> dict[str, str]:
        failed = [line for line in shared.lines() if line["event"] == "request.failed"]
        return {line["request_id"]: line["exception"] for line in failed}

    shared.until(lambda: answer.headers["Request-Id"] in logged())
    assert "RuntimeError" in logged()[answer.headers["Request-Id"]]


def test_dead_letters_are_for_the_operator_alone(shared: Tiny) -> None:
    tokens = ServiceTokens(SECRET, SystemRuntime())
    merchant = tokens.issue(Caller("gateway", root_of(1), "test"), audience="tiny")
    forged = ServiceTokens(SECRET[::-1], SystemRuntime()).issue(Caller("cli", None, "test"), audience="tiny")
    for method, path in (
        ("GET", "/internal/dead_letters"),
        ("GET", "/internal/dead_letters/tiny/key-1"),
        ("POST", "/internal/dead_letters/replay"),
    ):
        body: dict[str, str] | None = {} if method == "POST" else None
        answer = shared.http.request(method, path, json=body)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        for headers in (
            {"Authorization": "Basic b3BlcmF0b3I="},
            {"Authorization": "Bearer"},
            {"Authorization": f"Bearer {forged}"},
            shared.operator(audience="ledger"),
        ):
            is_problem(shared.http.request(method, path, json=body, headers=headers), 401, "unauthenticated")
        bearer = {"Authorization": f"Bearer {merchant}"}
        is_problem(shared.http.request(method, path, json=body, headers=bearer), 403, "forbidden")


async def test_an_operator_lists_shows_and_replays_dead_letters(start: Callable[..., Tiny]) -> None:
    tiny = start()
    tiny.until(tiny.ready)
    operator = tiny.operator()
    assert tiny.http.get("/internal/dead_letters", headers=operator).json() == {"service": "tiny", "data": []}
    is_problem(tiny.http.get("/internal/dead_letters/tiny/key-1", headers=operator), 404, "not_found")

    await tiny.publish(12, 13, 14)
    await tiny.publish(1, key=2)
    tiny.until(lambda: tiny.http.get("/handled").json() == {"events": 2})
    tiny.until(lambda: tiny.http.get("/internal/dead_letters", headers=operator).json()["data"][0]["events"] == 2)
    (row,) = tiny.http.get("/internal/dead_letters", headers=operator).json()["data"]
    assert (row["consumer_group"], row["key"], row["error"]) == ("tiny", "key-1", "event_malformed: unlucky")
    shown = tiny.http.get("/internal/dead_letters/tiny/key-1", headers=operator).json()
    assert [(event["data"], event["error"]) for event in shown["events"]] == [
        ('{"n":13}', "event_malformed: unlucky"),
        ('{"n":14}', None),
    ]
    (tiny.folder / "healed").touch()
    answer = tiny.http.post("/internal/dead_letters/replay", headers=operator, json={"key": "key-1"})
    assert (answer.status_code, answer.json()) == (202, {"service": "tiny", "keys": 1})
    tiny.until(lambda: tiny.http.get("/handled").json() == {"events": 4})
    assert [event for event in tiny.handled() if event[0] == "key-1"] == [("key-1", 12), ("key-1", 13), ("key-1", 14)]
    assert tiny.http.get("/internal/dead_letters", headers=operator).json()["data"] == []


async def test_the_service_waits_for_its_database_and_recovers_without_a_restart(
    start: Callable[..., Tiny], postgres_factory: Callable[..., PostgresServer]
) -> None:
    server = postgres_factory(durable=True)
    tiny = start(on=server.create_database())
    tiny.until(tiny.ready)
    await tiny.publish(1)
    tiny.until(lambda: tiny.http.get("/handled").json() == {"events": 1})

    server.kill()
    answer = tiny.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "waiting"
    assert set(answer.json()["missing"]) == {"database"}
    assert tiny.http.get("/healthz").status_code == 200
    answer = tiny.http.get("/handled")
    problem = is_problem(answer, 503, "service_unavailable")
    assert problem["retryable"] is True
    assert int(answer.headers["Retry-After"]) >= 1

    server.start()
    tiny.until(tiny.ready)
    await tiny.publish(2, 3)
    tiny.until(lambda: tiny.http.get("/handled").json() == {"events": 3})
    assert tiny.handled() == [("key-1", 1), ("key-1", 2), ("key-1", 3)]
    assert tiny.stop() == 0


def test_a_service_starts_before_its_database(
    start: Callable[..., Tiny], postgres_factory: Callable[..., PostgresServer]
) -> None:
    server = postgres_factory()
    database = server.create_database()
    with psycopg.connect(database.dsn("owner")) as connection:
        connection.execute(TABLES)
    tiny = start(on=database)
    tiny.until(tiny.ready)
    assert tiny.stop() == 0
    server.stop()
    port, environment = tiny.http.base_url.port, dict(os.environ)
    environment |= {
        "RIALTO_TINY_DATABASE_URL": database.dsn("fraud"),
        "RIALTO_TINY_HTTP_PORT": str(port),
        "RIALTO_TINY_FOLDER": str(tiny.folder),
        "RIALTO_SERVICE_TOKEN_SECRET": SECRET,
    }
    script = Path(__file__).with_name("tiny_service.py")
    with (tiny.folder / "log").open("ab") as log:
        tiny.process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=log)
    tiny.until(lambda: tiny.http.get("/readyz").status_code == 503)
    server.start()
    tiny.until(tiny.ready)


def test_sigterm_finishes_the_request_in_flight_and_leaves_the_group_though_a_part_fails_to_close(
    start: Callable[..., Tiny],
) -> None:
    tiny = start()
    tiny.until(tiny.ready)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tiny.http.get, "/slow")
        tiny.until((tiny.folder / "entered").exists)
        tiny.process.send_signal(signal.SIGTERM)
        tiny.until(lambda: refuses(tiny))
        assert not answer.done()
        (tiny.folder / "leave").touch()
        assert answer.result(timeout=20).json() == {"status": "finished"}
    assert tiny.process.wait(20) == 0
    assert [line["event"] for line in tiny.lines()][-2:] == ["service.close_failed", "service.stopped"]
    with psycopg.connect(tiny.database.dsn("owner")) as connection:
        owners = connection.execute("SELECT DISTINCT owner FROM bus.cursors").fetchall()
        members = connection.execute("SELECT member FROM bus.members").fetchall()
    assert (owners, members) == ([(None,)], [])


def refuses(tiny: Tiny) -> bool:
    """Say whether new connections are refused."""
    try:
        httpx.get(f"{tiny.http.base_url}/healthz")
    except httpx.ConnectError:
        return True
    return False


async def test_the_api_role_consumes_nothing_and_the_worker_role_serves_no_api(start: Callable[..., Tiny]) -> None:
    api = start("--role", "api")
    api.until(api.ready)
    await api.publish(1)
    assert api.http.get("/handled").json() == {"events": 0}
    worker = start("--role", "worker")
    worker.until(worker.ready)
    api.until(lambda: api.http.get("/handled").json() == {"events": 1})
    is_problem(worker.http.get("/handled"), 404, "not_found")
    assert (api.stop(), worker.stop()) == (0, 0)


def test_incomplete_settings_are_named_without_their_values() -> None:
    script = Path(__file__).with_name("tiny_service.py")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RIALTO_")}
    environment |= {"RIALTO_TINY_HTTP_PORT": "swordfish"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "database_url" in done.stderr
    assert "RIALTO_SERVICE_TOKEN_SECRET" in done.stderr
    assert "swordfish" not in done.stderr
    assert "Traceback" not in done.stderr
