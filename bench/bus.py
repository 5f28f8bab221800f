"""`make bench-bus`: events a second, added latency and CPU of each bus, at several batch sizes, in turns.

Two processes, as in production: one appends batches in units of work (and relays them, on Kafka), the other reads them
in a group, with an inbox and a transaction for each batch it gets, and a handler that does nothing. Throughput: batches
follow each other for some seconds, and the clock stops when the last event has been handled. Latency: batches come
at a steady pace, and each event's runs from its commit to its handler. CPU is that of both, PostgreSQL and the broker.
The in-memory bus, which runs in virtual time, has CPU only.
"""

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time, time
from typing import Any

import psutil
import uvloop
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from bench import load, machine
from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import Database, PostgresServer
from rialto_common import ids
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.kafka import KafkaBus
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.memory import Faults, MemoryBus, MemoryTransaction, MemoryUnitOfWork
from rialto_common.bus.port import Bus
from rialto_common.bus.postgres import PostgresBus, PostgresTransaction, PostgresUnitOfWork
from rialto_common.bus.relay import Relay
from rialto_common.database import open_pool
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics, RelayMetrics
from rialto_common.runtime import SystemRuntime
from rialto_common.simulation import SimulatedRuntime
from rialto_common.telemetry import configure_logs
from rialto_common.testing import START, TYPE, root_of

BUSES = ("postgres", "kafka")
SIZES = (1, 10, 100, 1_000)
ROUNDS = 3
SECONDS = 2.0
PACED_BATCHES = 40
PACE_SECONDS = 0.05
PACED_EVENTS_PER_SECOND = 2_000
"""A pace that every bus keeps up with, so that what is seen is latency and no queue."""
KEYS = 5_000
PADDING = "x" * 300
"""Our events carry about this much."""

TABLES = "CREATE SCHEMA bench; SELECT bus.create_consumer_tables('bench', 'rialto_fraud')"


@dataclass
class Round:
    """What one round at one batch size showed."""

    events: int
    per_second: float
    cpu_us: dict[str, float]
    latencies_ms: list[float]


def make_batch(run: int, number: int, size: int) -> list[Event]:
    """Return a batch of events that know their batch."""
    batch = []
    for nth in range(size):
        key = (number * size + nth) % KEYS
        root = root_of(key)
        batch.append(
            Event(
                id=ids.derive(root, TYPE, run * 100_000_000 + number * size + nth),
                source="rialto.bench",
                type=TYPE,
                topic=FRAUD,
                key=f"key-{key}",
                shard=ids.shard_of(root),
                time=START,
                sequence=number * size + nth,
                correlation_id=f"key-{key}",
                causation_id=None,
                traceparent=None,
                data=f'{{"batch":{number},"padding":"{PADDING}"}}'.encode(),
            )
        )
    return batch


async def write(dsn: str, url: str, run: int, size: int, paced: bool) -> None:
    """The writing process: append batches; print when each was committed."""
    configure_logs("bench", "WARNING")  # which go to stderr: stdout is for the figures
    runtime = SystemRuntime()
    relay = None
    if url != "postgres":
        relay = Relay(
            "bench",
            [FRAUD],
            dsn=dsn,
            cluster=KafkaCluster.from_url(url),
            runtime=runtime,
            metrics=RelayMetrics(CollectorRegistry()),
            owner=f"writer-{run}",
            backlog_limit=100_000_000,
        )

    async def keep_relaying(active: Relay) -> None:
        while True:
            await runtime.sleep(await active.step())

    async with await open_pool(dsn, application="bench-writer") as pool:
        unit_of_work = PostgresUnitOfWork(pool, schema="bench", runtime=runtime, tell=relay.tell if relay else None)
        relaying = None
        if relay is not None:
            relaying = asyncio.create_task(keep_relaying(relay))
            while not relay.tell(frozenset({FRAUD})):  # noqa: ASYNC110 - it leads when it leads
                await asyncio.sleep(0.01)
        pace = max(PACE_SECONDS, size / PACED_EVENTS_PER_SECOND)
        started_cpu = process_time()
        committed: list[float] = []
        started = time()
        while len(committed) < PACED_BATCHES if paced else time() - started < SECONDS:
            batch = make_batch(run, len(committed), size)
            if paced:
                await asyncio.sleep(max(0.0, started + len(committed) * pace - time()))
            async with unit_of_work.begin() as transaction:
                transaction.publish(*batch)
            committed.append(time())
        print(json.dumps({"started": started, "committed": committed}), flush=True)
        # The relay has to bring the last ones over; the reader says when it has them.
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps({"cpu": process_time() - started_cpu}), flush=True)
        if relaying is not None and relay is not None:
            relaying.cancel()
            await relay.close()


class Reader:
    """The reading process: a member of a group that notes when each batch's events reach its handler."""

    def __init__(self) -> None:
        self.handled: dict[int, list[float]] = defaultdict(list)
        self.count = 0

    async def __call__(self, _transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        now = time()
        self.count += len(events)
        for event in events:
            self.handled[int(event.data[9 : event.data.index(b",")])].append(now)


async def one_round(server: PostgresServer, kafka: KafkaBroker, bus: str, run: int, size: int, paced: bool) -> Round:
    """Run a writer beside a reader on a bus of their own."""
    database = await asyncio.to_thread(server.create_database)
    try:
        await prepare(database)
        return await write_and_read(database, kafka, bus, run, size, paced)
    finally:
        await asyncio.to_thread(server.drop_database, database)


async def write_and_read(database: Database, kafka: KafkaBroker, bus: str, run: int, size: int, paced: bool) -> Round:
    """Start the writer, read until everything has come, and return what both took."""
    dsn = database.dsn("owner")
    runtime = SystemRuntime()
    url = "postgres"
    source: Bus = PostgresBus(dsn, runtime)
    if bus == "kafka":
        cluster = kafka.cluster(f"bench-{run}")
        await asyncio.to_thread(create_topics, cluster)
        url = f"{kafka.url}/{cluster.prefix}"
        source = KafkaBus(cluster, runtime)
    reader = Reader()
    async with await open_pool(dsn, application="bench-reader") as pool:
        consumer = Consumer(
            group=f"bench-{run}",
            types=frozenset({TYPE}),
            subscription=await source.subscribe(f"bench-{run}", [FRAUD], member="reader"),
            unit_of_work=PostgresUnitOfWork(pool, schema="bench", runtime=runtime),
            handler=reader,
            runtime=runtime,
            metrics=BusMetrics(CollectorRegistry()),
            max_events=1_000,
        )
        for _ in range(3):
            await consumer.step()
        before = cpu(database.server.pid), cpu(kafka.pid), process_time()
        arguments = [dsn, url, str(run), str(size), "paced" if paced else "fast"]
        writer = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.bus",
            "--writer",
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=1 << 26,
        )
        assert writer.stdin is not None
        assert writer.stdout is not None
        said = asyncio.create_task(writer.stdout.readline())
        while not said.done() or reader.count < len(json.loads(said.result())["committed"]) * size:
            await runtime.sleep(await consumer.step())
        at = max(map(max, reader.handled.values()))
        writer.stdin.write(b"done\n")
        told = json.loads(said.result())
        writer_cpu = json.loads(await writer.stdout.readline())["cpu"]
        await writer.wait()
        after = cpu(database.server.pid), cpu(kafka.pid), process_time()
        await consumer.close()
    events = len(told["committed"]) * size
    used = {
        "writer": writer_cpu,
        "reader": after[2] - before[2],
        "PostgreSQL": after[0] - before[0],
        "Kafka": after[1] - before[1] if bus == "kafka" else 0.0,
    }
    return Round(
        events,
        events / (at - told["started"]),
        {name: value / events * 1e6 for name, value in used.items()},
        [
            (handled - committed) * 1000
            for number, committed in enumerate(told["committed"])
            for handled in reader.handled[number]
        ],
    )


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process and its children have used, those that ended included."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    total = float(times.user + times.system + times.children_user + times.children_system)
    for child in process.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


async def memory_round(size: int) -> Round:
    """The in-memory bus: as many events through writer, inbox and handler, in one process."""
    runtime = SimulatedRuntime(1)
    bus = MemoryBus(runtime, faults=Faults.none())
    unit_of_work = MemoryUnitOfWork(bus, runtime)
    count = 0

    async def handle(_transaction: MemoryTransaction, events: Sequence[Event]) -> None:
        nonlocal count
        count += len(events)

    consumer = Consumer(
        group="bench",
        types=frozenset({TYPE}),
        subscription=await bus.subscribe("bench", [FRAUD], member="one"),
        unit_of_work=unit_of_work,
        handler=handle,
        runtime=runtime,
        metrics=BusMetrics(CollectorRegistry()),
        max_events=1_000,
    )
    batches = [make_batch(0, number, size) for number in range(max(1, 20_000 // size))]
    started = process_time()
    for batch in batches:
        async with unit_of_work.begin() as transaction:
            transaction.publish(*batch)
        await consumer.step()
    while count < len(batches) * size:
        await consumer.step()
    used = process_time() - started
    return Round(count, count / used, {"both": used / count * 1e6}, [])


def median_of(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return a bus's figures at one size."""
    latencies = [latency for one in rounds for latency in one.latencies_ms]
    return {
        "events_per_second": round(statistics.median(one.per_second for one in rounds)),
        "cpu_us_per_event": {
            part: round(statistics.median(one.cpu_us[part] for one in rounds), 1) for part in rounds[0].cpu_us
        },
        "latency_ms": {
            "p50": round(load.percentile(latencies, 0.5), 1),
            "p99": round(load.percentile(latencies, 0.99), 1),
        }
        if latencies
        else None,
    }


async def measure(server: PostgresServer, kafka: KafkaBroker, console: Console) -> dict[str, dict[int, dict[str, Any]]]:
    """Run all sizes on both buses, in turns; the first of each warms up and does not count."""
    fast: dict[tuple[str, int], list[Round]] = defaultdict(list)
    paced: dict[tuple[str, int], list[Round]] = defaultdict(list)
    run = 0
    for size in SIZES:
        for number in range(ROUNDS + 1):
            for bus in BUSES:
                run += 2
                throughput = await one_round(server, kafka, bus, run, size, paced=False)
                latency = await one_round(server, kafka, bus, run + 1, size, paced=True)
                if number > 0:
                    fast[bus, size].append(throughput)
                    paced[bus, size].append(latency)
                console.print(
                    f"  {bus}, batches of {size}: {throughput.per_second:,.0f} events/s,"
                    f" p50 {load.percentile(latency.latencies_ms, 0.5):.1f} ms"
                )
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for bus in BUSES:
        found[bus] = {
            size: median_of(fast[bus, size]) | {"latency_ms": median_of(paced[bus, size])["latency_ms"]}
            for size in SIZES
        }
    found["memory"] = {size: median_of([await memory_round(size) for _ in range(ROUNDS)]) for size in SIZES}
    return found


def main() -> None:
    """Measure, print, write."""
    console = Console(stderr=True)
    # Topics that are a moment old have no leader yet, which its client tells loudly and mends by itself.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    about = machine.describe() | {"fsync_per_second_before": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        for name in ("postgres", "kafka"):
            (home / name).mkdir()
        home.chmod(0o755)
        server, kafka = PostgresServer(home / "postgres", durable=True), KafkaBroker(home / "kafka")
        try:
            server.start()
            kafka.start()
            found = uvloop.run(measure(server, kafka, console))
        finally:
            kafka.stop()
            server.stop()
    about["fsync_per_second_after"] = round(machine.fsync_rate())
    table = Table("bus", "batch", "events/s", "added p50 ms", "added p99 ms", "CPU µs an event", "of which")
    for bus, sizes in found.items():
        for size, figures in sizes.items():
            latency = figures["latency_ms"] or {"p50": "", "p99": ""}
            parts = figures["cpu_us_per_event"]
            table.add_row(
                bus,
                f"{size:,}",
                f"{figures['events_per_second']:,}",
                str(latency["p50"]),
                str(latency["p99"]),
                f"{sum(parts.values()):.0f}",
                ", ".join(f"{part} {value:.0f}" for part, value in parts.items() if value),
            )
    Console().print(table)
    ratios = {
        f"kafka_to_postgres_{size}": round(
            found["kafka"][size]["events_per_second"] / found["postgres"][size]["events_per_second"], 2
        )
        for size in SIZES
    }
    figures = {"buses": found, "rounds": ROUNDS, "seconds": SECONDS, "fsync": "on", "synchronous_commit": "on"}
    Console().print(f"Kafka / PostgreSQL, events a second: {ratios}; {about}")
    Console().print(f"written to {machine.write('bus', ratios, figures, about)}")


async def prepare(database: Database) -> None:
    """Make the consumer's tables."""
    async with await open_pool(database.dsn("owner"), application="bench") as pool:
        await pool.execute(TABLES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--writer", nargs=5, metavar=("DSN", "URL", "RUN", "SIZE", "PACE"))
    chosen = parser.parse_args().writer
    if chosen:
        uvloop.run(write(chosen[0], chosen[1], int(chosen[2]), int(chosen[3]), chosen[4] == "paced"))
    else:
        main()
