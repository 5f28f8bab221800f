"""`make bench-pipeline`: open-loop load through the whole platform, accepted → authorised, on each bus.

`rialto up` runs everything as a user would, PostgreSQL durable. A latency runs from when a request was *due* to the
commit of the decision (authorised, declined or review), read from the commit timestamps that PostgreSQL keeps; a
payment that was not decided counts as infinite. CPU and WAL are per payment, over its whole way to settlement.

The buses take turns, each with a platform of its own: rates, then rates again on the other, and so on; a figure is the
median of the rounds. `python -m bench.pipeline kafka` measures one bus alone.
"""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter, sleep, time
from typing import Any

import aiohttp
import psutil
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from bench import load, machine
from rialto_cli.embedded.processes import free_ports

BUSES = ("postgres", "kafka")
ROUNDS = 2
RATES = (100, 200, 300)
SECONDS = 20.0
HELD_SECONDS = 60.0
SEARCH_FROM, SEARCH_STEP, SEARCH_SECONDS = 300, 100, 12.0
P99_HELD_SECONDS = 1.0
WALLETS = 1_000
CONNECTIONS = 64

DECISIONS = """
SELECT p.idempotency_key, min(extract(EPOCH FROM pg_xact_commit_timestamp(t.xmin)))
FROM gateway.payments AS p
LEFT JOIN gateway.timeline AS t ON t.payment_id = p.payment_id AND t.state IN ('authorised', 'declined', 'review')
WHERE p.idempotency_key LIKE %s
GROUP BY p.idempotency_key
"""
STATES = "SELECT state, count(*) FROM gateway.payments WHERE idempotency_key LIKE %s GROUP BY state"
UNFINISHED = """
SELECT count(*) FROM gateway.payments
WHERE state NOT IN ('settled', 'declined', 'review', 'voided', 'expired', 'failed')
"""


@dataclass
class Rialto:
    """A running platform."""

    port: int
    test_key: str
    admin_key: str
    dsn: str
    data_dir: Path

    def pids(self) -> dict[str, int]:
        """Return each program's process id as it is now; the supervisor may have restarted one."""
        services = status(self.data_dir)["services"]
        return {name: service["pid"] for name, service in services.items()}


@dataclass
class Run:
    """What one rate showed."""

    rate: float
    p50_ms: float
    p99_ms: float
    states: dict[str, int]
    late: int
    cpu_ms: dict[str, float]
    wal_bytes: float

    @property
    def held(self) -> bool:
        """Whether the rate was held with p99 under a second."""
        return self.p99_ms < P99_HELD_SECONDS * 1000


def status(data_dir: Path) -> dict[str, Any]:
    """Return what `rialto status` says; empty while nothing runs."""
    command = [sys.executable, "-m", "rialto_cli", "status", "--data-dir", str(data_dir), "--json"]
    answer = subprocess.run(command, capture_output=True)
    return json.loads(answer.stdout) if answer.stdout else {}


def start(data_dir: Path, port: int, bus: str) -> tuple[subprocess.Popen[bytes], Rialto]:
    """Start the platform and return it once `rialto status` says that all is ready."""
    command = [sys.executable, "-m", "rialto_cli"]
    process = subprocess.Popen(
        [*command, "up", "--data-dir", str(data_dir), "--port", str(port), "--bus", bus], stdout=subprocess.DEVNULL
    )
    deadline = monotonic() + 120
    while monotonic() < deadline:
        found = status(data_dir)
        if found.get("ready"):
            return process, Rialto(port, found["test_key"], found["admin_key"], found["auditor_dsn"], data_dir)
        if process.poll() is not None:
            break
        sleep(0.5)
    process.send_signal(signal.SIGINT)
    raise SystemExit("the platform did not start; try `make up` and read what it says")


async def open_wallets(rialto: Rialto) -> list[str]:
    """Open and fund the wallets that pay."""
    gate = asyncio.Semaphore(16)
    headers = {"Authorization": f"Bearer {rialto.admin_key}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{rialto.port}", headers=headers) as session:

        async def one(number: int) -> str:
            async with gate:
                opened = {"Idempotency-Key": f"bench-wallet-{number}"}
                async with session.post("/v1/wallets", json={"currency": "USD"}, headers=opened) as answer:
                    answer.raise_for_status()
                    wallet_id: str = (await answer.json())["id"]
                async with session.post(
                    f"/v1/wallets/{wallet_id}/top_ups",
                    json={"amount_minor": "100000000"},
                    headers={"Idempotency-Key": f"bench-top-up-{number}"},
                ) as answer:
                    answer.raise_for_status()
                return wallet_id

        return await asyncio.gather(*(one(number) for number in range(WALLETS)))


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """Return the CPU that each program has used so far, with its children (PostgreSQL's backends, also ended ones)."""
    used = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        times = process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            try:
                total += sum(child.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        used[name] = total
    return used


def query(rialto: Rialto, sql: str, *parameters: Any) -> list[Any]:
    """Ask the database as the auditor."""
    with psycopg.connect(rialto.dsn) as connection:
        return connection.execute(sql, parameters).fetchall()


def wait_until_settled(rialto: Rialto) -> None:
    """Return when no payment is under way, so that one rate's work is not counted with the next."""
    deadline = monotonic() + 120
    while query(rialto, UNFINISHED)[0][0] > 0 and monotonic() < deadline:
        sleep(0.5)


async def run_at(rialto: Rialto, wallets: list[str], rate: float, seconds: float) -> Run:
    """Send `rate` payments a second and return what was seen."""
    name = f"b{int(time() * 1000):x}"
    headers = {"Authorization": f"Bearer {rialto.test_key}"}

    def request(number: int) -> bytes:
        body = {
            "amount_minor": str(1000 + number % 9000),
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": wallets[number % len(wallets)]},
            "payer": {"name": f"Payer Number {number % len(wallets)}", "country": "GB"},
            "terminal_id": f"terminal-{number % 97}",
            "metadata": {"order": str(number)},
        }
        return load.post("/v1/payments", json.dumps(body).encode(), headers | {"Idempotency-Key": f"{name}-{number}"})

    cpu, wal = cpu_seconds(rialto.pids()), query(rialto, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0]
    started = time()
    skew = started - perf_counter()
    result = await load.open_loop(rialto.port, request, rate=rate, seconds=seconds, connections=CONNECTIONS, first=0)
    first_due = result.started + skew
    await asyncio.to_thread(wait_until_settled, rialto)
    used = cpu_seconds(rialto.pids())
    wal_used = query(rialto, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0] - wal
    total = int(rate * seconds)
    latencies = [math.inf] * total
    for key, decided_at in query(rialto, DECISIONS, f"{name}-%"):
        number = int(key.rsplit("-", 1)[1])
        if decided_at is not None:
            latencies[number] = float(decided_at) - (first_due + number / rate)
    return Run(
        rate=rate,
        p50_ms=load.percentile(latencies, 0.5) * 1000,
        p99_ms=load.percentile(latencies, 0.99) * 1000,
        states=dict(query(rialto, STATES, f"{name}-%")),
        late=result.late,
        cpu_ms={program: max(0.0, used[program] - cpu[program]) / total * 1000 for program in used},
        wal_bytes=float(wal_used) / total,
    )


async def search(rialto: Rialto, wallets: list[str], console: Console) -> Run | None:
    """Return the highest rate held for a minute with p99 under a second."""
    rate = float(SEARCH_FROM)
    while (await show(rialto, wallets, rate + SEARCH_STEP, SEARCH_SECONDS, console)).held:
        rate += SEARCH_STEP
    while rate > 0:
        run = await show(rialto, wallets, rate, HELD_SECONDS, console)
        if run.held:
            return run
        rate -= SEARCH_STEP / 2
    return None


async def show(rialto: Rialto, wallets: list[str], rate: float, seconds: float, console: Console) -> Run:
    """Run at a rate and say what came of it."""
    run = await run_at(rialto, wallets, rate, seconds)
    console.print(f"  {rate:g}/s for {seconds:g} s: p50 {run.p50_ms:.0f} ms, p99 {run.p99_ms:.0f} ms, {run.states}")
    return run


async def measure(rialto: Rialto, console: Console, *, last: bool) -> tuple[list[Run], Run | None]:
    """Warm up, run each rate; in the last round also look for the highest."""
    console.print(f"· opening {WALLETS} wallets")
    wallets = await open_wallets(rialto)
    console.print("· warming up")
    await show(rialto, wallets, 100, 5, console)
    console.print("· measuring")
    runs = [await show(rialto, wallets, rate, SECONDS, console) for rate in RATES]
    if not last:
        return runs, None
    console.print("· looking for the highest rate held")
    return runs, await search(rialto, wallets, console)


def one_round(bus: str, console: Console, *, last: bool) -> tuple[list[Run], Run | None]:
    """Run a platform on a bus through all rates."""
    console.print(f"[bold]{bus}[/bold]")
    with tempfile.TemporaryDirectory() as directory:
        process, rialto = start(Path(directory) / "data", free_ports(1)[0], bus)
        try:
            return uvloop.run(measure(rialto, console, last=last))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def median_run(runs: Sequence[Run]) -> Run:
    """Return the run with the median p99."""
    return sorted(runs, key=lambda run: run.p99_ms)[(len(runs) - 1) // 2]


def main() -> None:
    """Measure, print, write."""
    console = Console(stderr=True)
    buses = tuple(sys.argv[1:]) or BUSES
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    rounds: dict[str, list[list[Run]]] = {bus: [] for bus in buses}
    highest: dict[str, Run | None] = {}
    for number in range(ROUNDS):
        for bus in buses:
            runs, highest[bus] = one_round(bus, console, last=number == ROUNDS - 1)
            rounds[bus].append(runs)
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    found = {
        bus: {rate: median_run([runs[nth] for runs in rounds[bus]]) for nth, rate in enumerate(RATES)} for bus in buses
    }
    Console().print(table_of(found, highest))
    for bus, held in highest.items():
        Console().print(
            f"{bus}: highest rate held for {HELD_SECONDS:g} s with p99 < 1 s: {held.rate if held else 0:g}/s"
        )
    Console().print(about)
    figures = {
        bus: {
            "rates": [vars(run) for run in found[bus].values()],
            "all_rounds": [[vars(run) for run in runs] for runs in rounds[bus]],
            "highest_held": vars(held) if (held := highest[bus]) else None,
        }
        for bus in buses
    } | {"load_average": os.getloadavg(), "fsync": "on", "synchronous_commit": "on"}
    ratios = {}
    for bus in buses:
        held = highest[bus]
        ratios[f"{bus}_highest_held_to_300"] = round((held.rate if held else 0.0) / 300, 2)
        ratios[f"{bus}_p99_300_to_budget_250ms"] = round(min(found[bus][300].p99_ms, 1e9) / 250, 3)
    Console().print(f"written to {machine.write('pipeline', ratios, figures, about)}")


def table_of(found: dict[str, dict[int, Run]], highest: dict[str, Run | None]) -> Table:
    """Return the figures, the buses beside each other."""
    table = Table("rate", "bus", "p50 ms", "p99 ms", "CPU ms a payment", "WAL kB a payment", "of which")
    lines = [(run, bus) for rate in RATES for bus in found for run in [found[bus][rate]]]
    lines += [(run, bus) for bus, run in highest.items() if run is not None]
    for run, bus in lines:
        table.add_row(
            f"{run.rate:g}/s",
            bus,
            f"{run.p50_ms:.0f}",
            f"{run.p99_ms:.0f}",
            f"{sum(run.cpu_ms.values()):.2f}",
            f"{run.wal_bytes / 1000:.1f}",
            ", ".join(f"{name} {value:.2f}" for name, value in run.cpu_ms.items()),
        )
    return table


if __name__ == "__main__":
    main()
