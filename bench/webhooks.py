"""`make bench-webhooks`: deliveries to a thousand endpoints, with and without one in a hundred that hangs, in turns.

A gateway's worker delivers over real HTTP, on loopback, with PostgreSQL durable. Two measurements, each without and
with dead endpoints, which take a connection and never answer:

- a backlog: all messages are in line before the worker starts; a message's delay runs from when it could start;
- a stream: messages are put in line on a schedule that waits for nobody, a statement a batch as the gateway's handlers
  do; a message's delay runs from when it was put in line to when its endpoint had all of it.

Every payment has three messages, which go one after the other. Only healthy endpoints' delays count; one that never
arrived counts as infinite. Receiver and load share the machine with what is measured.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

import asyncpg
import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from bench import load, machine
from bench.gateway import gateway_environment, wait_for
from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import Database, PostgresServer
from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_gateway.idempotency import Vault
from rialto_gateway.versions import LATEST
from rialto_gateway.webhooks.messages import QUERIES

ENDPOINTS = 1_000
DEAD_IN_A_HUNDRED = 1
STORY = ("payment.authorised", "payment.captured", "payment.settled")
BATCH = 600
BATCHES_A_SECOND = 20
BODY = '{"id":"evt_01kb6w1m8xf0gbb7n5d8jq2c4r","type":"%s","timestamp":"2026-01-01T00:00:00Z","data":{"pad":"%s"}}'
PATIENCE_SECONDS = 120.0


class Receiver(asyncio.Protocol):
    """Takes a message and answers 204; notes which came when."""

    def __init__(self, file: Any, *, hang: bool) -> None:
        self._file = file
        self._hang = hang
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._hang:
            return
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) >= int(lines[b"content-length"]):
            self._file.write(f"{lines[b'webhook-id'].decode()} {time()}\n")
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]
            self._buffer = b""


async def receive(port: int, dead_port: int, path: str) -> None:
    """Serve both kinds of endpoints until stopped."""
    loop = asyncio.get_running_loop()
    with open(path, "w", buffering=1) as file:  # noqa: ASYNC230 - the receiver has nothing else to do
        servers = [
            await loop.create_server(lambda: Receiver(file, hang=False), "127.0.0.1", port, backlog=4096),
            await loop.create_server(lambda: Receiver(file, hang=True), "127.0.0.1", dead_port, backlog=4096),
        ]
        await asyncio.gather(*(server.serve_forever() for server in servers))


@dataclass
class Run:
    """What one run showed: delays of healthy endpoints' messages in seconds, and messages a second to these."""

    p50: float
    p99: float
    per_second: float
    cpu_ms: float
    arrived: int
    expected: int


class Stage:
    """A database with endpoints, a receiver and a gateway's worker."""

    def __init__(self, database: Database, directory: Path, *, dead: bool) -> None:
        self.database, self.dead = database, dead
        self._gateway_port, self._port, self._dead_port = free_ports(3)
        self._times = directory / f"{database.name}.times"
        self._environment = gateway_environment(database.server, database.dsn("gateway"), self._gateway_port) | {
            "RIALTO_GATEWAY_WEBHOOK_ALLOW_PRIVATE": "true",
            "RIALTO_LOG_LEVEL": "WARNING",
        }
        self._number = 0
        self._runtime = SystemRuntime()
        ports = [str(self._port), str(self._dead_port)]
        self._receiver = subprocess.Popen(
            [sys.executable, "-m", "bench.webhooks", "--receive", *ports, str(self._times)]
        )
        self._gateway: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        """Make merchants with an endpoint each, every hundredth of them dead if any is."""
        self.connection = await asyncpg.connect(self.database.superuser_dsn())
        while True:  # the receiver has only just been started
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._dead_port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                break
        vault = Vault(b64decode(self._environment["RIALTO_KEYRING_MASTER_KEY"]), self._runtime)
        now = datetime.now(UTC)
        merchants = [self._runtime.ids.mint() for _ in range(ENDPOINTS)]
        self.merchants = merchants
        self.healthy = {
            merchant for nth, merchant in enumerate(merchants) if not (self.dead and nth % 100 < DEAD_IN_A_HUNDRED)
        }
        secret = b"whsec_" + b64encode(bytes(32))
        await self.connection.executemany(
            "INSERT INTO gateway.merchants VALUES ($1, 'Bench', NULL, '0x', $2)", [(each, now) for each in merchants]
        )
        rows: list[tuple[Any, ...]] = [
            (
                each,
                each,
                "test",
                f"http://127.0.0.1:{self._port if each in self.healthy else self._dead_port}/",
                [],
                vault.close(secret, each.bytes),
                now,
                LATEST,
            )
            for each in merchants
        ]
        await self.connection.executemany(QUERIES["add_endpoint"], rows)

    async def put_in_line(self, messages: int) -> None:
        """Put messages in line in one statement, of the merchants in turns."""
        events, merchants, payments, sequences, types, bodies = [], [], [], [], [], []
        for _ in range(messages // len(STORY)):
            merchant = self.merchants[self._number % ENDPOINTS]
            self._number += 1
            payment = self._runtime.ids.mint()
            for sequence, name in enumerate(STORY):
                events.append(ids.derive(payment, name, sequence))
                merchants.append(merchant)
                payments.append(payment)
                sequences.append(sequence)
                types.append(name)
                bodies.append(BODY % (name, "x" * 400))
        modes = ["test"] * len(events)
        columns = (events, merchants, modes, payments, sequences, types, bodies)
        await self.connection.execute(QUERIES["enqueue"], datetime.now(UTC), *columns, LATEST)

    def start(self) -> None:
        """Start the worker, and return once it could send."""
        command = [sys.executable, "-m", "rialto_gateway", "--role", "worker"]
        self._gateway = subprocess.Popen(command, env=self._environment)
        wait_for(f"http://127.0.0.1:{self._gateway_port}/readyz")

    def cpu_seconds(self) -> float:
        """The worker's CPU so far."""
        assert self._gateway is not None
        times = psutil.Process(self._gateway.pid).cpu_times()
        return float(times.user + times.system)

    async def until_arrived(self) -> None:
        """Wait until all of the healthy endpoints' messages were taken, or long enough."""
        deadline = monotonic() + PATIENCE_SECONDS
        left, before = -1, -1
        query = "SELECT count(*) FROM gateway.webhook_deliveries WHERE endpoint_id = ANY ($1) AND state <> 'delivered'"
        while left != 0 and monotonic() < deadline:
            left = await self.connection.fetchval(query, list(self.healthy))
            if left != before:
                deadline, before = monotonic() + PATIENCE_SECONDS, left
            await asyncio.sleep(1.0)

    async def delays(self, since: float | None) -> tuple[list[float], float]:
        """Return each healthy delivery's delay, from `since` or when it was put in line, and when the last came."""
        arrived: dict[str, float] = {}
        for line in self._times.read_text().splitlines():
            message_id, _, at = line.partition(" ")
            arrived.setdefault(message_id, float(at))
        rows = await self.connection.fetch(
            "SELECT delivery_id, created_at FROM gateway.webhook_deliveries WHERE endpoint_id = ANY ($1)",
            list(self.healthy),
        )
        found = [
            arrived.get(ids.to_text("msg", row["delivery_id"]), float("inf"))
            - (row["created_at"].timestamp() if since is None else since)
            for row in rows
        ]
        return found, max(arrived.values(), default=float("inf"))

    async def close(self) -> None:
        """End everything."""
        for process in filter(None, (self._gateway, self._receiver)):
            process.terminate()
            process.wait(timeout=30)
        await self.connection.close()


async def backlog(stage: Stage, messages: int) -> Run:
    """Send what is in line already."""
    for _ in range(messages // BATCH):
        await stage.put_in_line(BATCH)
    await stage.connection.execute("VACUUM ANALYZE")
    stage.start()
    began, cpu = time(), stage.cpu_seconds()
    await stage.until_arrived()
    delays, last = await stage.delays(began)
    return _run(delays, last - began, stage.cpu_seconds() - cpu)


async def stream(stage: Stage, rate: int, seconds: float) -> Run:
    """Send what comes in meanwhile."""
    stage.start()
    await stage.put_in_line(3 * ENDPOINTS)  # each endpoint once, so that none is new
    await stage.until_arrived()
    await stage.connection.execute("DELETE FROM gateway.webhook_attempts")
    await stage.connection.execute("DELETE FROM gateway.webhook_deliveries WHERE state = 'delivered'")
    began, cpu = time(), stage.cpu_seconds()
    for due in _schedule(seconds):
        await asyncio.sleep(max(0.0, began + due - time()))
        await stage.put_in_line(rate // BATCHES_A_SECOND)
    await stage.until_arrived()
    delays, last = await stage.delays(None)
    return _run(delays, last - began, stage.cpu_seconds() - cpu)


def _schedule(seconds: float) -> Iterator[float]:
    return (nth / BATCHES_A_SECOND for nth in range(int(seconds * BATCHES_A_SECOND)))


def _run(delays: list[float], seconds: float, cpu_seconds: float) -> Run:
    arrived = sum(delay != float("inf") for delay in delays)
    return Run(
        p50=load.percentile(delays, 0.5),
        p99=load.percentile(delays, 0.99),
        per_second=arrived / seconds,
        cpu_ms=1000 * cpu_seconds / max(arrived, 1),
        arrived=arrived,
        expected=len(delays),
    )


async def measure(server: PostgresServer, directory: Path, options: argparse.Namespace) -> dict[str, list[Run]]:
    """Run each measurement without and with dead endpoints, in turns."""
    found: dict[str, list[Run]] = {}
    for _ in range(options.rounds):
        for kind in ("stream", "backlog"):
            for dead in (False, True):
                database = server.create_database()
                stage = Stage(database, directory, dead=dead)
                try:
                    await stage.open()
                    if kind == "backlog":
                        run = await backlog(stage, options.deliveries)
                    else:
                        run = await stream(stage, options.rate, options.seconds)
                finally:
                    await stage.close()
                    server.drop_database(database)
                name = f"{kind}, {DEAD_IN_A_HUNDRED} % dead" if dead else f"{kind}, none dead"
                found.setdefault(name, []).append(run)
                print(f"  {name}: {run}", file=sys.stderr)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deliveries", type=int, default=100_000, help="how long the backlog is")
    parser.add_argument("--rate", type=int, default=300, help="messages a second of the stream")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the stream is")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "postgres").mkdir()
        directory.chmod(0o755)
        server = PostgresServer(directory / "postgres", durable=True)
        server.start()
        try:
            found = uvloop.run(measure(server, directory, options))
        finally:
            server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    medians = {name: sorted(runs, key=lambda run: run.p99)[(len(runs) - 1) // 2] for name, runs in found.items()}
    table = Table("", "deliveries/s", "p50", "p99", "CPU ms a delivery", "arrived")
    for title, run in medians.items():
        table.add_row(
            title,
            f"{run.per_second:,.0f}",
            f"{run.p50:.3f} s",
            f"{run.p99:.3f} s",
            f"{run.cpu_ms:.2f}",
            f"{run.arrived:,} of {run.expected:,}",
        )
    Console().print(table)
    ratios: dict[str, float] = {}
    for kind in ("stream", "backlog"):
        healthy, dead = medians[f"{kind}, none dead"], medians[f"{kind}, {DEAD_IN_A_HUNDRED} % dead"]
        ratios |= {
            f"{kind}_p50_dead_to_none": round(dead.p50 / healthy.p50, 2),
            f"{kind}_p99_dead_to_none": round(dead.p99 / healthy.p99, 2),
            f"{kind}_rate_dead_to_none": round(dead.per_second / healthy.per_second, 2),
        }
    Console().print(ratios, about)
    figures = {name: [vars(run) for run in runs] for name, runs in found.items()} | {
        "options": vars(options),
        "endpoints": ENDPOINTS,
        "load_average": os.getloadavg(),
        "fsync": "on",
        "synchronous_commit": "on",
    }
    Console().print(f"written to {machine.write('webhooks', ratios, figures, about)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        uvloop.run(receive(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    else:
        main()
