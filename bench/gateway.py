"""`make bench-gateway`: payments accepted a second, beside an empty FastAPI POST, at 64 connections, in turns.

Accepting is durable: PostgreSQL with fsync and synchronous_commit on, the payment and its event in one commit before
the answer. The empty POST is the same route shape, pydantic models and server, with neither authorisation nor database.
Each side has one server process; the load comes from a third.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import psycopg
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from bench import load, machine
from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import PostgresServer
from rialto_common import ids
from rialto_common.service import settle_collector

CONNECTIONS = 64
ROUNDS = 5
SECONDS = 6.0
ADMIN_KEY = "ak_bench"


class Wallet(BaseModel):
    """As in the gateway's body."""

    model_config = ConfigDict(extra="forbid")

    type: str
    wallet_id: str


class Person(BaseModel):
    """As in the gateway's body."""

    model_config = ConfigDict(extra="forbid")

    name: str
    country: str | None = None


class Payment(BaseModel):
    """The gateway's body, without its checks."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: str
    currency: str
    payment_method: Wallet
    payer: Person
    capture_method: str = "automatic"
    terminal_id: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}


def empty_app() -> FastAPI:
    """Return the baseline: the body in, a small object out."""
    app = FastAPI()

    @app.post("/v1/payments", status_code=202)
    async def create(payment: Payment) -> dict[str, str]:
        return {"status": "created", "amount_minor": payment.amount_minor, "currency": payment.currency}

    return app


def serve_empty(port: int) -> None:
    """Serve the baseline with the same server and collector settings as a service."""
    settle_collector()
    uvicorn.run(
        empty_app(), host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off", loop="uvloop"
    )


def gateway_environment(server: PostgresServer, dsn: str, port: int) -> dict[str, str]:
    """Return a gateway's settings for a throw-away database."""
    secret = b64encode(os.urandom(32)).decode()
    return {
        **os.environ,
        "RIALTO_GATEWAY_DATABASE_URL": dsn,
        "RIALTO_GATEWAY_HTTP_PORT": str(port),
        "RIALTO_GATEWAY_ADMIN_KEY": ADMIN_KEY,
        "RIALTO_GATEWAY_API_KEY_PEPPER": secret,
        "RIALTO_GATEWAY_LEDGER_URL": "http://127.0.0.1:1",
        "RIALTO_GATEWAY_OVERLOAD_AGE_SECONDS": "86400",  # nobody handles here what is accepted
        "RIALTO_SERVICE_TOKEN_SECRET": secret,
        "RIALTO_KEYRING_MASTER_KEY": secret,
    }


def wait_for(url: str) -> None:
    """Return when a GET is answered; the process under test has just been started."""
    deadline = monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.05)


def make_merchant(port: int, name: str = "Bench") -> tuple[str, str]:
    """Return a new merchant's id and test key."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/merchants",
        json.dumps({"name": name}).encode(),
        {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": f"bench-merchant-{name}"},
    )
    answer = json.load(urllib.request.urlopen(request))
    return answer["id"], answer["keys"]["test"]


def add_wallet(dsn: str) -> str:
    """Return a wallet of the platform; straight into the gateway's directory, as no ledger runs here."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO gateway.wallets (wallet_id, merchant_id, mode, currency, metadata, created_at)"
            " VALUES ('01980000-0000-7000-8000-000000000001', NULL, 'test', 'USD', '{}', '2026-01-01Z')"
        )
    return ids.to_text("wal", UUID("01980000-0000-7000-8000-000000000001"))


async def measure(gateway_port: int, empty_port: int, key: str, wallet_id: str) -> dict[str, Any]:
    """Run both sides in turns and return every round's rate."""
    body = json.dumps(
        {
            "amount_minor": "1250",
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": wallet_id},
            "payer": {"name": "Ada Lovelace", "country": "GB"},
            "capture_method": "automatic",
            "terminal_id": "terminal-1",
            "description": "Order 1001",
            "metadata": {"order": "1001"},
        }
    ).encode()

    def request(number: int) -> bytes:
        return load.post("/v1/payments", body, {"Authorization": f"Bearer {key}", "Idempotency-Key": f"bench-{number}"})

    rates: dict[str, list[float]] = {"gateway": [], "empty": []}
    latencies: list[float] = []
    first = 0
    for round_number in range(ROUNDS + 1):
        for side, port in (("gateway", gateway_port), ("empty", empty_port)):
            result = await load.closed_loop(port, request, connections=CONNECTIONS, seconds=SECONDS, first=first)
            first += 10_000_000
            if set(result.statuses) != {202}:
                raise SystemExit(f"{side} answered {result.statuses}; only 202 was expected")
            if round_number > 0:  # the first warms up
                rates[side].append(result.per_second)
                if side == "gateway":
                    latencies += result.latencies
            print(f"  {side}: {result.per_second:,.0f}/s", file=sys.stderr)
    return {"rates": rates, "p50": load.percentile(latencies, 0.5), "p99": load.percentile(latencies, 0.99)}


def main() -> None:
    """Measure, print, write."""
    console = Console()
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory() as directory:
        server = PostgresServer(Path(directory), durable=True)
        server.start()
        processes: list[subprocess.Popen[bytes]] = []
        try:
            database = server.create_database()
            gateway_port, empty_port = free_ports(2)
            environment = gateway_environment(server, database.dsn("gateway"), gateway_port)
            processes.append(
                subprocess.Popen([sys.executable, "-m", "rialto_gateway", "--role", "api"], env=environment)
            )
            processes.append(subprocess.Popen([sys.executable, "-m", "bench.gateway", "--empty", str(empty_port)]))
            wait_for(f"http://127.0.0.1:{gateway_port}/readyz")
            wait_for(f"http://127.0.0.1:{empty_port}/openapi.json")
            wallet_id = add_wallet(database.superuser_dsn())
            _, key = make_merchant(gateway_port)
            found = uvloop.run(measure(gateway_port, empty_port, key, wallet_id))
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=20)
            server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    gateway, empty = (statistics.median(found["rates"][side]) for side in ("gateway", "empty"))
    ratio = gateway / empty
    table = Table("", "median /s", "rounds")
    for side, rate in (("gateway accept", gateway), ("empty FastAPI POST", empty)):
        rounds = found["rates"]["gateway" if side.startswith("gateway") else "empty"]
        table.add_row(side, f"{rate:,.0f}", " ".join(f"{value:,.0f}" for value in rounds))
    console.print(table)
    console.print(f"accept / empty = {ratio:.2f} (budget 0.40, aim 0.60); p99 {found['p99'] * 1000:.0f} ms; {about}")
    figures = {
        "accept_per_second": round(gateway),
        "empty_post_per_second": round(empty),
        "accept_latency_ms": {"p50": round(found["p50"] * 1000, 1), "p99": round(found["p99"] * 1000, 1)},
        "connections": CONNECTIONS,
        "rounds": found["rates"],
        "fsync": "on",
        "synchronous_commit": "on",
    }
    console.print(f"written to {machine.write('gateway', {'accept': round(ratio, 3)}, figures, about)}")


if __name__ == "__main__":
    if "--empty" in sys.argv:
        serve_empty(int(sys.argv[sys.argv.index("--empty") + 1]))
    else:
        main()
