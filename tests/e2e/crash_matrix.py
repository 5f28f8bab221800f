"""`kill -9` at every crash point of one running platform, one after the other in each program, under load.

Each program is a lane of its own: a point is armed, the process that comes to it dies, its supervisor starts it again,
and the books are looked at before the lane goes on. The supervisor's own points come first, at the very first start,
and once more at the end, under load.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from rialto_cli.audit import books, bus_url
from rialto_cli.dead_letters.client import DeadLetters
from rialto_cli.embedded.processes import free_ports
from rialto_cli.embedded.services import ANVIL, SERVICES
from rialto_cli.errors import OperatorError
from rialto_cli.replay.api import Api
from rialto_cli.torture import verdict
from rialto_cli.torture.book import Book
from rialto_cli.torture.control import Control
from rialto_cli.torture.customers import Customers, Merchant, Receiver
from rialto_cli.torture.stage import Stage, comes_true
from rialto_common import ids
from rialto_common.faults import FAULTS_DIR_VARIABLE

from .crash_points import SUPERVISOR, crash_points, program_of

REACH_SECONDS = 90.0
RECOVER_SECONDS = 90.0
START_SECONDS = 180.0
"""All far longer than it should take, as the machine may be busy with other things."""
LEASE_SECONDS = "1.5"
"""How long a dead worker's work waits for the next one: five seconds a point would be most of the time."""
CLIENTS, PAUSE_SECONDS = 8, 0.3
DRAIN_SECONDS = 150.0
LOOK_SECONDS = 0.05
EIGHT_DAYS, A_QUARTER_HOUR = 8 * 86_400.0, 900.0

# Where what a service has to save can be made to fail for good, for one merchant's payments and for no others.
POISONED = {
    "gateway": ("gateway.payments", "merchant_id <> '{merchant}' OR (fraud IS NULL AND compliance IS NULL)"),
    "fraud": ("fraud.assessments", "merchant_id <> '{merchant}'"),
    "compliance": ("compliance.screenings", "merchant_id <> '{merchant}'"),
    "ledger": ("ledger.holds", "merchant_id <> '{merchant}'"),
    "chain-bridge": ("chain_bridge.intents", "merchant_id <> '{merchant}'"),
}
# What only a first start comes to, or a start: everything else is armed under load.
AT_THE_START = (
    *("secrets_written", "cluster_named", "database_created", "migration_commit", "demo_written", "storage_named"),
    *("deployment_recorded", "lists_recorded"),
)
# Loops that wait for the time: days and minutes pass when the service's clock says so.
BY_THE_CLOCK = {"ledger.sweeper": EIGHT_DAYS, "gateway.deadlines": A_QUARTER_HOUR}

Provocation = Callable[[], Coroutine[Any, Any, object]]
"""What makes a service come to a point that the everyday load does not lead to."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one point was survived, in seconds: armed until dead, and dead until ready."""

    point: str
    reached: float
    recovered: float


@dataclass
class Matrix:
    """One platform on one bus, and what each of its crash points came to."""

    bus: str
    directory: Path
    results: dict[str, Result] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    audits: int = 0

    def __post_init__(self) -> None:
        self.points = crash_points(self.bus)
        self.control = Control(self.directory / "faults")
        self.stage = Stage(
            self.directory / "data",
            port=free_ports(1)[0],
            bus=self.bus,
            environment={FAULTS_DIR_VARIABLE: str(self.control.directory), "RIALTO_BUS_LEASE_SECONDS": LEASE_SECONDS},
            longest_restart_delay_seconds=0.2,
        )
        self.book = Book()
        self._audit_wanted = asyncio.Event()

    async def run(self) -> None:
        """Go through all points; what is wrong is in `failures`."""
        try:
            await self._first_start()
            async with AsyncExitStack() as stack:
                customers = await stack.enter_async_context(self._customers())
                stop = asyncio.Event()
                trading = asyncio.create_task(customers.trade(stop, clients=CLIENTS, pause_seconds=PAUSE_SECONDS))
                async with asyncio.TaskGroup() as group:
                    auditing = group.create_task(self._audit_on())
                    await asyncio.gather(*(self._lane(service, customers) for service in SERVICES))
                    auditing.cancel()
                await self._audit(in_flight=True)
                await self._supervisor_under_load()
                stop.set()
                await trading
                await self._to_rest(customers)
        finally:
            self.control.put_clocks_right()
            for point in self.points:
                self.control.disarm(point)
            if await self.stage.stop() != 0:
                self.failures.append(f"`rialto up` did not end well:\n{self.stage.output.read_text()[-2000:]}")

    @asynccontextmanager
    async def _customers(self) -> AsyncIterator[Customers]:
        installation = self.stage.installation
        async with Api(installation.url("gateway"), patience_seconds=180, connections=64) as api:
            customers = Customers(api, self.book, installation.secrets.gateway_admin_key, seed=1, tag="matrix")
            receiver = Receiver(self.book, customers.draw)
            await receiver.open()
            try:
                await customers.open(4, 4, receiver.url)
                yield customers
            finally:
                await receiver.close()

    # The supervisor -----------------------------------------------------------------------------------------------

    async def _first_start(self) -> None:
        """Start a new data directory, dying at each point on the way, until nothing kills it any more."""
        ours = [point for point in self.points if point.endswith(AT_THE_START)]
        self._arm(ours)
        await self._die_and_start(ours)

    async def _supervisor_under_load(self) -> None:
        """The same again while customers pay: everything dies with the supervisor, and comes back."""
        ours = [point for point in self.points if program_of(point) == SUPERVISOR and point not in self.results]
        self._arm(ours)
        if not await self.stage.wait_until_dead(REACH_SECONDS):  # each second it copies the chain
            self.failures.append("no crash point of the supervisor was reached under load")
        # anvil writes its state when it is told to end, and would write over the next line.
        if not await comes_true(lambda: self.stage.pid(ANVIL) is None, RECOVER_SECONDS):
            self.failures.append("anvil outlived its supervisor")
        # As after a kill in the middle of a write: the last good copy has to serve.
        (self.stage.data_dir / ANVIL / "state.json").write_text("{")
        await self._die_and_start(ours)
        await self._audit(in_flight=True)
        for _ in ("before_stop", "after_stop"):
            self._arm(ours)
            self.stage.ask_to_stop()
            await self.stage.wait_until_dead(RECOVER_SECONDS)
            await self._die_and_start(ours)
            await self._audit(in_flight=True)

    def _arm(self, points: Sequence[str]) -> None:
        """Arm those that nobody has died of yet."""
        for point in points:
            if self.control.victim(point) is None:
                self.control.arm(point)

    async def _die_and_start(self, points: Sequence[str]) -> None:
        """Start again after each death, until the platform is ready and nothing is armed; note what it died of."""
        for _ in range(len(points) + 2):
            began = time.monotonic()
            self.stage.raise_curtain()
            await comes_true(lambda: not self.stage.is_up or self.stage.is_ready(), START_SECONDS, every=LOOK_SECONDS)
            if self.stage.is_up:
                for point in points:
                    self.control.disarm(point)
            newly = self._died(points)
            for point in newly:
                self.results[point] = Result(point, time.monotonic() - began, 0.0)
            # Looked at once more: it may have died between its readiness and the disarming.
            if self.stage.is_up and await asyncio.to_thread(self.stage.is_ready):
                return
            if not newly:
                raise OperatorError("`rialto up` ended by itself", self.stage.output.read_text()[-2000:], "mend it")
            await self.stage.wait_until_dead(RECOVER_SECONDS)
        raise OperatorError("`rialto up` does not get ready", self.stage.output.read_text()[-2000:], "mend it")

    def _died(self, points: Sequence[str]) -> list[str]:
        """Those of the points that somebody has died of, and that have no result yet."""
        return [point for point in points if point not in self.results and self.control.victim(point) is not None]

    # The services -------------------------------------------------------------------------------------------------

    async def _lane(self, service: str, customers: Customers) -> None:
        points = [point for point in self.points if program_of(point) == service and point not in self.results]
        poison = [point for point in points if point.endswith(("_parked", "_replayed"))]
        timed = [point for point in points if point.startswith(tuple(BY_THE_CLOCK))]
        for point in points:
            if point not in poison and point not in timed:
                await self._die_at(point)
        await self._poison(service, poison, customers)
        for point in timed:
            # Something has to wait for its time: an authorisation that its merchant neither captures nor voids.
            await customers.authorised(customers.merchants[0])
            self.control.set_clock(service, BY_THE_CLOCK[point.rpartition(".")[0]])
            await self._die_at(point)
            self.control.set_clock(service, 0)

    async def _poison(self, service: str, points: Sequence[str], customers: Customers) -> None:
        """Have events of one merchant set aside, dying around it, and then replay them, dying around that."""
        if not points:
            return
        merchant = await customers.open_merchant(f"poison-{service}", 1, trades=False)
        async with self._a_bug(service, merchant):
            for point in points:
                if point.endswith("_parked"):
                    await self._die_at(point, lambda: customers.pay(merchant, amount_minor=1_000))
            while len(await asyncio.to_thread(self._parked, service)) < len(points):
                await customers.pay(merchant, amount_minor=1_000)
        for point in points:
            if point.endswith("_replayed"):  # a key for each, as the one that was replayed is parked no longer
                [key, *_] = await asyncio.to_thread(self._parked, service)
                await self._die_at(point, lambda key=key: self._replay(service, key))  # type: ignore[misc]
        await self._replay(service, None)
        if not await comes_true(lambda: not self._parked(service), REACH_SECONDS):
            self.failures.append(f"{service} keeps parked events that could be handled")

    @asynccontextmanager
    async def _a_bug(self, service: str, merchant: Merchant) -> AsyncIterator[None]:
        table, rule = POISONED[service]
        check = rule.format(merchant=ids.from_text("mer", merchant.id))
        await asyncio.to_thread(
            self._as_superuser, f"ALTER TABLE {table} ADD CONSTRAINT a_bug CHECK ({check}) NOT VALID"
        )
        try:
            yield
        finally:
            await asyncio.to_thread(self._as_superuser, f"ALTER TABLE {table} DROP CONSTRAINT a_bug")

    def _as_superuser(self, statement: str) -> None:
        dsn = self.stage.installation.access.superuser_dsn("rialto")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    async def _replay(self, service: str, key: str | None) -> None:
        def ask() -> None:
            with DeadLetters(self.stage.installation) as letters:
                letters.replay(service, None, key)

        try:
            await asyncio.to_thread(ask)
        except OperatorError:
            return  # it is just dying of it

    def _parked(self, service: str) -> list[str]:
        with DeadLetters(self.stage.installation) as letters:
            rows, _ = letters.overview([service])
        return [str(row["key"]) for row in rows]

    async def _die_at(self, point: str, provoke: Provocation | None = None) -> None:
        background: set[asyncio.Task[object]] = set()
        service = program_of(point)
        before = self.stage.pid(service)
        armed_at = time.monotonic()
        self.control.arm(point)
        provoked_at = 0.0
        while self.control.victim(point) is None:
            if time.monotonic() - armed_at > REACH_SECONDS:
                self.control.disarm(point)
                self.failures.append(f"{point} was not reached within {REACH_SECONDS:.0f} s")
                return
            if provoke is not None and time.monotonic() - provoked_at > 1.0:
                provoked_at = time.monotonic()
                background.add(asyncio.create_task(provoke()))
            await asyncio.sleep(LOOK_SECONDS)
        died_at = time.monotonic()
        if self.control.victim(point) != before:
            self.failures.append(f"{point} killed {self.control.victim(point)}, not {before}")
        if not await comes_true(lambda: self.stage.is_program_ready(service), RECOVER_SECONDS, every=LOOK_SECONDS):
            self.failures.append(f"{service} did not come back within {RECOVER_SECONDS:.0f} s after {point}")
            return
        ready_at = time.monotonic()
        self.results[point] = Result(point, died_at - armed_at, ready_at - died_at)
        self._audit_wanted.set()

    # The books ----------------------------------------------------------------------------------------------------

    async def _audit_on(self) -> None:
        """Audit after every recovery: the lanes go on meanwhile, and the next audit is after all that they survived."""
        while True:
            await self._audit_wanted.wait()
            self._audit_wanted.clear()
            await self._audit(in_flight=True)

    async def _audit(self, *, in_flight: bool) -> None:
        installation = self.stage.installation
        found = await asyncio.to_thread(
            books.run,
            installation.access.dsn("auditor"),
            installation.url(ANVIL),
            cluster=bus_url.of(installation),
            settle_seconds=15,
        )
        self.audits += 1
        for name, book in found:
            if book.violations or not (in_flight or book.holds):
                after = ", ".join(list(self.results)[-8:])
                self.failures.append(
                    f"{name} after {after}: {json.dumps(book.to_dict(), indent=1, default=str)[:3000]}"
                )

    async def _to_rest(self, customers: Customers) -> None:
        installation = self.stage.installation
        dsn = installation.access.dsn("auditor")
        left = await verdict.drain(customers, dsn, timeout_seconds=DRAIN_SECONDS)
        if left:
            self.failures.append(f"not at rest after {DRAIN_SECONDS:.0f} s: {left}")
        await customers.confirm_captures()
        facts = await asyncio.to_thread(verdict.read, dsn, installation.url(ANVIL))
        self.failures += verdict.weigh(self.book, facts)
        await self._audit(in_flight=False)
