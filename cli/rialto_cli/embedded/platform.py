"""The embedded platform from its first start to its end: what `rialto up` and `rialto demo` run."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape

from rialto_cli.console import Progress
from rialto_cli.embedded import bus, directory, kafka, kafka_jars, migrations, postgres, secrets, services
from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.processes import Identity, end
from rialto_cli.embedded.services import ACQUIRER, ANVIL, GATEWAY, KAFKA, POSTGRES, SERVICES, Installation
from rialto_cli.embedded.state import RunLock, State
from rialto_cli.embedded.supervisor import LONGEST_DELAY_SECONDS, Keeper, Supervisor
from rialto_cli.errors import OperatorError
from rialto_cli.topics.cluster import cluster_of, ensure_topics

T = TypeVar("T")

LEFTOVER_GRACE_SECONDS = 10.0
START_TIMEOUT_SECONDS = 120.0
TITLES = {
    POSTGRES: "PostgreSQL",
    KAFKA: "Kafka",
    ANVIL: "EVM node",
    ACQUIRER: "simulated acquirer",
    GATEWAY: "gateway",
    "chain-bridge": "chain bridge",
}


class Stopped(Exception):
    """The platform was asked to stop while something else was going on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal chose. `bus` and `bus_url` are None for the bus that the directory uses."""

    data_dir: Path
    port: int
    bus: str | None = None
    bus_url: str | None = None
    through: Mapping[str, int] = field(default_factory=dict)
    longest_restart_delay_seconds: float = LONGEST_DELAY_SECONDS


class Platform:
    """A running platform. `installation` has its addresses and secrets."""

    def __init__(
        self, installation: Installation, state: State, progress: Progress, restart_delay_seconds: float
    ) -> None:
        self.installation = installation
        self._state = state
        self._progress = progress
        self._stop_requested = asyncio.Event()
        self._supervisor = Supervisor(installation.logs, self, longest_delay_seconds=restart_delay_seconds)

    async def wait_until_stopped(self) -> None:
        """Return when someone asks the platform to stop: Ctrl-C, SIGTERM, or the terminal is gone."""
        await self._stop_requested.wait()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something, but not longer than until someone asks the platform to stop.

        Raises: Stopped: someone did, and the work was cancelled.
        """
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped
            return task.result()
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def request_stop(self) -> None:
        """Stop in order; asked a second time, at once."""
        if self._stop_requested.is_set():
            self._supervisor.kill()
        self._stop_requested.set()

    async def start(self) -> None:
        """Start everything, and return when all of it is ready.

        Raises: OperatorError: something does not start. Stopped: someone asked to stop meanwhile.
        """
        await self.unless_stopped(self._start())

    async def _start(self) -> None:
        installation = self.installation
        if not (installation.cluster / "PG_VERSION").exists():
            self._progress.waiting("creating the database's files")
            await asyncio.to_thread(postgres.initialise, installation.cluster, installation.secrets.superuser_password)
        own_kafka = KAFKA in installation.programs
        if own_kafka:
            self._progress.waiting("creating Kafka's files")
            await asyncio.to_thread(kafka.initialise, installation.kafka)
        self._progress.waiting("starting PostgreSQL and the EVM node")
        engines = [name for name in installation.programs if name not in SERVICES]
        started = {name: self._supervisor.start(services.program(installation, name)) for name in engines}
        await started[POSTGRES].wait_until_ready()
        self._progress.waiting("migrating the database")
        await asyncio.to_thread(migrate, installation, self._progress)
        if own_kafka:
            self._progress.waiting("starting Kafka")
            await started[KAFKA].wait_until_ready()
        await self._prepare_bus()
        self._progress.waiting("starting the services")
        started |= {name: self._supervisor.start(services.program(installation, name)) for name in SERVICES}
        await self._all_ready(started)
        self._progress.idle()

    async def _prepare_bus(self) -> None:
        """Create the topics; from then on the directory keeps to its bus."""
        installation, data_dir = self.installation, self.installation.data_dir
        choice = installation.bus
        if choice.kind != bus.POSTGRES:
            self._progress.waiting("creating the topics")
            crash_point("supervisor.kafka.before_topics")
            cluster_id, created = await ensure_topics(cluster_of(installation.bus_url))
            crash_point("supervisor.kafka.after_topics")
            if created:
                self._progress.done(f"the topics are as they should be ({created} changed)")
            if choice.kind == bus.CLUSTER:
                choice = bus.confirm_cluster(data_dir, choice, cluster_id)
        crash_point("supervisor.before_bus_remembered")
        await asyncio.to_thread(bus.remember, data_dir, choice)
        crash_point("supervisor.after_bus_remembered")

    async def _all_ready(self, started: dict[str, Keeper]) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await asyncio.gather(*(keeper.wait_until_ready() for keeper in started.values()))
        except TimeoutError as error:
            late = [name for name, keeper in started.items() if not keeper.was_ready.is_set()]
            raise OperatorError(
                f"{', '.join(map(title, late))} did not get ready in {START_TIMEOUT_SECONDS:.0f} s",
                "the process runs, but its /readyz does not answer with 200",
                f"read {self.installation.logs / late[0]}.log, then run the command again",
            ) from error

    async def stop(self) -> None:
        """Stop everything: first who uses the others, then PostgreSQL and the chain."""
        self._stop_requested.set()
        self._progress.waiting("stopping")
        crash_point("supervisor.before_stop")
        await self._supervisor.stop(tuple(reversed(SERVICES)), (ACQUIRER, ANVIL, KAFKA, POSTGRES))
        crash_point("supervisor.after_stop")
        self._progress.idle()
        self._state.supervisor = None
        self._state.processes = {}
        with suppress(OSError):  # a full disk must not keep the platform from stopping
            self._state.save(self.installation.data_dir)

    # What the supervisor tells us.
    def ready(self, name: str, port: int, seconds: float) -> None:
        """A program answered."""
        self._progress.done(f"{title(name)} is ready on port {port} ({seconds:.1f} s)")

    def died(self, name: str, reason: str, delay_seconds: float) -> None:
        """A program ended by itself."""
        when = "now" if delay_seconds == 0 else f"in {delay_seconds:.1f} s"
        self._progress.warn(f"{title(name)} {escape(reason)}. It starts again {when}.")

    def stopped(self, name: str) -> None:
        """A program was stopped."""
        self._progress.done(f"{title(name)} has stopped")

    def processes_changed(self) -> None:
        """Remember the processes, for `rialto status` and for whoever cleans up after a crash."""
        self._state.processes = self._supervisor.identities()
        try:
            self._state.save(self.installation.data_dir)
        except OSError as error:
            self._progress.warn(f"state.json could not be written: {escape(str(error))}")

    def disk_is_full(self, free_bytes: int) -> None:
        """Say so before the programs do."""
        self._progress.warn(
            f"The disk of {escape(str(self.installation.data_dir))} is full ({free_bytes // 2**20} MB free). "
            "Free some space: nothing that was accepted is lost, and the platform goes on by itself."
        )


def title(name: str) -> str:
    """A program's name in a sentence."""
    return TITLES.get(name, name)


def migrate(installation: Installation, progress: Progress) -> list[migrations.Migration]:
    """Create what is missing of roles, database and schemas; say what was applied."""
    postgres.ensure_roles(installation.access.superuser_dsn(), installation.access.passwords)
    postgres.ensure_database(installation.access.superuser_dsn())
    applied = migrations.migrate(
        installation.access.dsn(postgres.OWNER),
        migrations.available(),
        lambda migration: progress.waiting(f"migrating the database: {migration}"),
    )
    if applied:
        progress.done(f"the database is migrated ({len(applied)} migrations applied)")
    return applied


def open_installation(options: Options, state: State, progress: Progress) -> Installation:
    """Secrets, ports and bus of a data directory whose lock we hold; what a crashed run left behind is ended first.

    Raises: OperatorError: something in the way that only a person can remove.
    """
    postgres.programs()
    choice = bus.choose(options.data_dir, options.bus, options.bus_url)
    if choice.kind == bus.KAFKA:
        kafka_jars.install(progress)
    end_leftovers(state)
    # Ports of a bus that is not used now stay remembered.
    state.ports |= directory.choose_ports(state.ports, options.port, services.port_names(choice))
    made = secrets.load_or_create(options.data_dir)
    installation = Installation(options.data_dir, made, dict(state.ports), choice, options.through)
    state.supervisor = Identity.of(os.getpid())
    state.processes = {}
    state.save(options.data_dir)
    return installation


def end_leftovers(state: State) -> None:
    """End processes of an earlier run that was killed. Only those whose pid and start time are both remembered."""
    living = [(n, process) for n, identity in state.processes.items() if (process := identity.process()) is not None]
    end([p for name, p in living if name not in (KAFKA, POSTGRES)], grace_seconds=LEFTOVER_GRACE_SECONDS)
    end([p for name, p in living if name == KAFKA], grace_seconds=LEFTOVER_GRACE_SECONDS)
    end([p for name, p in living if name == POSTGRES], grace_seconds=LEFTOVER_GRACE_SECONDS, first=signal.SIGINT)


@asynccontextmanager
async def running(options: Options, progress: Progress) -> AsyncIterator[Platform]:
    """Start the platform, hand it over when it is ready, and stop it at the end.

    Raises: OperatorError: it cannot start. Stopped: someone asked to stop before it was ready.
    """
    started = time.monotonic()
    directory.prepare(options.data_dir)
    with RunLock(options.data_dir):
        state = State.load(options.data_dir)
        try:
            installation = await asyncio.to_thread(open_installation, options, state, progress)
        except OSError as error:
            raise directory.explain(error, options.data_dir) from error
        platform = Platform(installation, state, progress, options.longest_restart_delay_seconds)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, platform.request_stop)
        try:
            await platform.start()
            progress.done(f"Rialto is ready ({time.monotonic() - started:.1f} s)")
            yield platform
        except OSError as error:
            raise _unexpected(error, options.data_dir) from error
        finally:
            await platform.stop()


def _unexpected(error: OSError, data_dir: Path) -> BaseException:
    """A full disk shows itself anywhere; any other refusal is a bug and keeps its traceback."""
    return directory.explain(error, data_dir) if error.errno in directory.NO_SPACE else error
