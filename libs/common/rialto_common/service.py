"""The frame around every service: pool, bus, HTTP app, consumer loops, and a graceful end on SIGTERM.

`main.py` of a service fills a `Service` and runs it:

    async def build(service: Service[LedgerSettings]) -> None:
        await service.consume("ledger", topics, types, handler)
        service.add_router(http.router(...))

    if __name__ == "__main__":
        run("ledger", LedgerSettings, build, publishes=[LEDGER])
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import asyncpg
import structlog
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import ValidationError

from rialto_common import problems
from rialto_common.bus.consumer import Consumer, Handler
from rialto_common.bus.kafka import SESSION_SECONDS, KafkaBus
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.port import DEAD_LETTER_SUFFIX, Bus
from rialto_common.bus.postgres import LEASE, PostgresBus, PostgresTransaction, PostgresUnitOfWork
from rialto_common.bus.relay import Relay
from rialto_common.database import open_pool
from rialto_common.dead_letter_api import dead_letter_router
from rialto_common.direct import Direct
from rialto_common.errors import ServiceUnavailable
from rialto_common.faulty_runtime import system_runtime
from rialto_common.http import ReadyCheck, RequestFrame, install_health
from rialto_common.metrics import BusMetrics, HttpMetrics, RelayMetrics
from rialto_common.runtime import Runtime, Step
from rialto_common.service_tokens import ServiceTokens
from rialto_common.settings import Role, ServiceSettings
from rialto_common.telemetry import configure_logs

log = structlog.get_logger()

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

FAILED_LOOP_PAUSE_SECONDS = 1.0
DRAIN_SECONDS = 10.0
CANCEL_SECONDS = 2.0
READY_SECONDS = 2.0


class Service(Generic[SettingsT]):
    """One service in one process; several can live side by side, as nothing here is global."""

    def __init__(
        self, name: str, settings: SettingsT, runtime: Runtime, role: Role = "all", *, publishes: Sequence[str] = ()
    ) -> None:
        """`name` is the schema's and the environment prefix's, such as `chain_bridge`; `publishes`: its topics.

        `instance` is what the outside knows it by: another name only where an installation has several of a service,
        each on a database of its own.
        """
        self.name = name
        self.instance = settings.instance_name or name
        self._publishes = [topic + suffix for topic in publishes for suffix in ("", DEAD_LETTER_SUFFIX)]
        self.settings = settings
        self.runtime = runtime
        self.role = role
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.bus_metrics = BusMetrics(self.registry)
        self.tokens = ServiceTokens(settings.service_token_secret.get_secret_value(), runtime)
        self.app = FastAPI(title=f"Rialto {name.replace('_', ' ')}", version="1", docs_url="/docs", redoc_url=None)
        self.stopping = asyncio.Event()
        self._http_metrics = HttpMetrics(self.registry)
        self._body_limits: dict[str, int] = {}
        self._directs: dict[str, Direct] = {}
        self._loops: dict[str, Step] = {}
        self._checks: dict[str, ReadyCheck] = {}
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._consumed: frozenset[str] = frozenset()

    async def open(self) -> None:
        """Make the pool, the unit of work and the bus. Connects to nothing yet."""
        dsn = self.settings.database_url.get_secret_value()
        self.pool = await open_pool(
            dsn, application=f"rialto-{self.instance}", max_size=self.settings.database_connections
        )
        self.on_close(self._close_pool)
        self.add_ready_check("database", self._database_answers)
        log_of_events = PostgresBus(dsn, self.runtime, lease=self._lease())
        self.add_loop("bus-maintenance", log_of_events.maintain)
        cluster = self.settings.kafka()
        relay = None if cluster is None or self.role == "api" else self._relay(dsn, cluster)
        self.bus: Bus = log_of_events
        if cluster is not None:
            session_seconds = self.settings.bus_lease_seconds or SESSION_SECONDS
            self.bus = KafkaBus(cluster, self.runtime, session_seconds=session_seconds)
        self.unit_of_work = PostgresUnitOfWork(
            self.pool, schema=self.name, runtime=self.runtime, tell=None if relay is None else relay.tell
        )
        problems.install(self.app)
        self.app.include_router(dead_letter_router(self.unit_of_work, self.tokens, self.name), include_in_schema=False)
        install_health(self.app, self.registry, self._checks)

    def _relay(self, dsn: str, cluster: KafkaCluster) -> Relay:
        """Let this process copy the service's events to Kafka, or stand by to."""
        relay = Relay(
            self.instance,
            self._publishes,
            dsn=dsn,
            cluster=cluster,
            runtime=self.runtime,
            metrics=RelayMetrics(self.registry),
            owner=self._member(self.instance),
            backlog_limit=self.settings.bus_backlog_limit,
            lease=self._lease(),
        )
        self.add_loop("relay", relay.step)
        self.on_close(relay.close)
        return relay

    def _lease(self) -> timedelta:
        """How long a silent worker keeps its work in PostgreSQL."""
        seconds = self.settings.bus_lease_seconds
        return LEASE if seconds is None else timedelta(seconds=seconds)

    def _member(self, group: str) -> str:
        return f"{group}-{os.getpid()}-{self.runtime.ids.mint()}"

    def add_router(self, router: APIRouter) -> None:
        """Serve these routes; a worker serves only health and metrics."""
        if self.role != "worker":
            self.app.include_router(router)

    def add_loop(self, name: str, step: Step) -> None:
        """Run a step whenever it is due, on workers."""
        self._loops[name] = step

    def add_ready_check(self, name: str, check: ReadyCheck) -> None:
        """Hold /readyz at 503 while the check raises."""
        self._checks[name] = check

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Await this at the end; the last added goes first."""
        self._closers.append(closer)

    async def consume(
        self,
        group: str,
        topics: Sequence[str],
        types: frozenset[str],
        handler: Handler[PostgresTransaction],
        *,
        shards: frozenset[int] | None = None,
    ) -> None:
        """Feed the group's events of these types to a handler, in batches; of these shards alone, unless it is None.

        Raises: ValueError: another consumer of this service takes one of the types; they would share the inbox, and
        each event would reach only one of them.
        """
        if shared := types & self._consumed:
            raise ValueError(f"{group} and another consumer of {self.name} both take {', '.join(sorted(shared))}")
        self._consumed |= types
        consumer = Consumer(
            group=group,
            types=types,
            subscription=await self.bus.subscribe(group, topics, member=self._member(group)),
            unit_of_work=self.unit_of_work,
            handler=handler,
            runtime=self.runtime,
            metrics=self.bus_metrics,
            max_events=self.settings.max_batch_events,
            linger_seconds=self.settings.linger_seconds,
            shards=shards,
        )
        self.add_loop(f"consumer-{group}", consumer.step)
        self.on_close(consumer.close)

    def take_bodies(self, path: str, max_bytes: int) -> None:
        """Take larger bodies than usual on a path."""
        self._body_limits[path] = max_bytes

    def answer_directly(self, path: str, direct: Direct) -> None:
        """Take POSTs on the path of a route past the framework, where they are plain; a worker has no routes."""
        if self.role != "worker":
            self._directs[path] = direct

    def frame(self) -> RequestFrame:
        """Return the ASGI app that is served."""
        return RequestFrame(
            self.app,
            runtime=self.runtime,
            metrics=self._http_metrics,
            body_limits=self._body_limits,
            directs=self._directs,
        )

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT, then finish what is in hand: requests, the current steps, the database."""
        server = _Server(
            uvicorn.Config(
                self.frame(),
                host=self.settings.http_host,
                port=self.settings.http_port,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                lifespan="off",
                timeout_graceful_shutdown=int(DRAIN_SECONDS),
                timeout_keep_alive=75,
                backlog=2048,
            )
        )
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self.stopping.set()
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loops = self._loops if self.role != "api" else {}
        tasks = [self.runtime.spawn(self._keep_stepping(name, step), name=name) for name, step in loops.items()]
        log.info("service.started", port=self.settings.http_port, role=self.role)
        await server.serve()
        stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CANCEL_SECONDS)
        for closer in reversed(self._closers):
            try:
                await closer()
            except Exception as error:
                log.error("service.close_failed", exc_info=error)
        log.info("service.stopped")

    async def _keep_stepping(self, name: str, step: Step) -> None:
        while not self.stopping.is_set():
            try:
                pause = await step()
            except Exception as error:
                log.error("loop.failed", loop=name, exc_info=error)
                pause = FAILED_LOOP_PAUSE_SECONDS
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self.stopping.wait()

    async def _database_answers(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):  # also over the wait for a connection
                await self.pool.fetchval("SELECT 1")
        except (
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            raise ServiceUnavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error

    async def _close_pool(self) -> None:
        try:
            async with asyncio.timeout(3):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


class _Server(uvicorn.Server):
    """Leaves the signals to the service, which has loops to stop as well."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


Build = Callable[[Service[SettingsT]], Awaitable[None]]


def run(name: str, settings_type: type[SettingsT], build: Build[SettingsT], *, publishes: Sequence[str]) -> None:
    """Run a service as this process: `--role api | worker | all`. `publishes`: the topics that only it writes to."""
    parser = argparse.ArgumentParser(prog=f"rialto-{name.replace('_', '-')}")
    parser.add_argument("--role", choices=("api", "worker", "all"), default="all")
    role: Role = parser.parse_args().role
    try:
        settings = settings_type()
    except ValidationError as error:
        fields = ", ".join(f"{'.'.join(str(part) for part in item['loc'])} ({item['msg']})" for item in error.errors())
        sys.exit(f"rialto-{name}: the settings are not complete: {fields}. See .env.example for each one's meaning.")
    configure_logs(name, settings.log_level)
    uvloop.run(_serve(name, settings, role, build, publishes))


def settle_collector() -> None:
    """Keep Python's collector of cycles off what lives as long as the process, and let it look less often.

    A sanctions index is a million objects: looking through it stopped the event loop for 64 ms. And requests make so
    many short-lived objects that a look after every 700 of them, the default, took a fifth of the accept path's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _serve(name: str, settings: SettingsT, role: Role, build: Build[SettingsT], publishes: Sequence[str]) -> None:
    runtime = system_runtime(name, settings.faults_dir)
    service = Service(name, settings, runtime, role, publishes=publishes)
    await service.open()
    await build(service)
    settle_collector()
    await service.serve()
