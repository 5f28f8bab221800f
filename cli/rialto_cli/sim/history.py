"""One seed's history, from the first process to the last payment at rest, and what came of it."""

from asyncio.events import _get_running_loop, _set_running_loop
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from random import Random

from rialto_cli.sim.customers import Customers, open_wallet
from rialto_cli.sim.instruments import Instruments
from rialto_cli.sim.invariants import Checker
from rialto_cli.sim.notices import Notices
from rialto_cli.sim.plans import (
    SECOND_TROUBLE_SECONDS,
    TROUBLE_ENDS_SECONDS,
    Saboteur,
    merchants_of,
    payments_of,
    shape_of,
    trouble_of,
)
from rialto_cli.sim.services import Starter, instances
from rialto_cli.sim.world import Instance, World
from rialto_common.events.envelope import Event
from rialto_common.ids import Ids

MOST_STEPS_A_PAYMENT = 50_000
LONGEST = timedelta(days=10)
"""Every deadline but those of a settlement that can never be paid has passed by then."""


@dataclass
class Outcome:
    """What came of a seed."""

    seed: int
    hash: str
    payments: int
    violations: list[str]
    events: int
    steps: int
    looks: int
    crashes: int
    faults: Counter[str]
    states: Counter[str]
    attempts: Counter[str]
    """What came of questions to acquirers, by step and outcome; `unknown for a time`: of all of them, how many."""

    refunds: Counter[str]
    crash_points: set[str]
    timeline: list[tuple[int, str]] = field(default_factory=list)


def run(seed: int, payments: int, instruments: Instruments, *, trace: bool = False) -> Outcome:
    """Run the history of a seed until everything is at rest, or something is wrong."""
    history = _History(seed, payments, instruments, trace)
    outer = _get_running_loop()
    _set_running_loop(history.world.loop)
    try:
        return history.run()
    finally:
        _set_running_loop(outer)


class _History:
    def __init__(self, seed: int, payments: int, instruments: Instruments, trace: bool) -> None:
        draws = Random(seed)  # noqa: S311 - a history must be reproducible
        pace, shape = shape_of(draws)
        self.world = World(draws.getrandbits(64), instruments, pace=pace, shape=shape)
        self.seed = seed
        if trace:
            self.world.timeline = []
        self._count = payments
        self._trouble = trouble_of(draws)
        self._draws = draws
        self._starter = Starter(self.world)
        self._people = self.world.new_process("customers")
        self._customers = Customers(self.world, self._people)
        self.world.on_news = Notices(self.world, self.world.new_process("acquirers")).decided
        self._checker = Checker(self.world, self._customers.memory)
        self._changes_checked = -1

    def run(self) -> Outcome:
        world = self.world
        self._begin_trouble()
        world.instances = instances(world.shape.processes)
        for instance in world.instances:
            self._starter.start(instance)
        Saboteur(world, self._restart).plan()
        world.later(TROUBLE_ENDS_SECONDS, self._calm)
        world.later(SECOND_TROUBLE_SECONDS, self._begin_trouble)
        world.later(SECOND_TROUBLE_SECONDS + TROUBLE_ENDS_SECONDS, self._calm)
        self._people.spawn(self._live(), name="customers")
        return self._outcome(self._until_rest())

    async def _live(self) -> None:
        """Open the wallets, and then let the customers pay."""
        minted = Ids(lambda: int(self.world.loop.start.timestamp() * 1000), self.world.random.getrandbits)
        merchants, funded = merchants_of(self._draws, minted.mint)
        plans = payments_of(self._draws, merchants, self._count)
        for item in funded:
            await open_wallet(self._customers, self.world, item.wallet, item.funds_minor)
        self._customers.begin(plans)

    def _begin_trouble(self) -> None:
        world = self.world
        world.tell("faults may strike")
        world.trouble = self._trouble
        world.bus.faults, world.bus.store_faults = self._trouble.bus, self._trouble.store
        self._checker.calm_since = None

    def _restart(self, instance: Instance, seconds: float) -> None:
        self.world.later(seconds, lambda: None if instance.is_up else self._starter.start(instance))

    def _calm(self) -> None:
        world = self.world
        world.calm()
        world.chain.come_back()
        for acquirer in world.acquirers:
            acquirer.is_away = False
        for instance in world.instances:
            if not instance.is_up:
                self._starter.start(instance)
        self._checker.calm_since = world.loop.now()

    def _until_rest(self) -> list[str]:
        world, loop = self.world, self.world.loop
        most = MOST_STEPS_A_PAYMENT * self._count
        while True:
            while loop.run_ready():
                if loop.crashed:
                    self._bury()
            if loop.steps > most:
                return [f"I3: nothing comes to rest within {most} steps"]
            if violations := self._look():
                return violations
            if loop.now() - loop.start > LONGEST or not loop.advance():
                return self._checker.look(at_rest=world.lag == 0, at_end=True) + self._unrest()

    def _bury(self) -> None:
        """Processes that died at a crash point come back after a while."""
        loop = self.world.loop
        while loop.crashed:
            process = loop.crashed.pop()
            for instance in self.world.instances:
                if instance.process is process:
                    self.world.kill(instance, "crashed")
                    self._restart(instance, 0.05 + self.world.random.random() * 10)

    def _look(self) -> list[str]:
        """Check what must hold now, whenever nothing can run and something has changed."""
        world = self.world
        if world.changes == self._changes_checked and not world.loop.errors and not world.failures:
            return []
        self._changes_checked = world.changes
        world.keep_mining()
        return self._checker.look(at_rest=world.lag == 0) + world.failures + world.loop.errors

    def _unrest(self) -> list[str]:
        lag = self.world.lag
        return [f"I8: {lag} events wait although nothing happens any more"] if lag else []

    def _outcome(self, violations: list[str]) -> Outcome:
        world = self.world
        crashes = sum(count for fault, count in world.bus.struck.items() if fault.startswith(("crashed", "killed")))
        return Outcome(
            seed=self.seed,
            hash=hash_of(world.bus.log),
            payments=len(world.stores.gateway.payments),
            violations=list(dict.fromkeys(violations)),
            events=len(world.bus.log),
            steps=world.loop.steps,
            looks=self._checker.looks,
            crashes=crashes,
            faults=world.bus.struck,
            states=Counter(payment.state for payment in world.stores.gateway.payments.values()),
            attempts=_attempts(world),
            refunds=Counter(row["state"] for row in world.stores.gateway.refunds.rows.values()),
            crash_points=world.crash_points,
            timeline=world.timeline or [],
        )


def _attempts(world: World) -> Counter[str]:
    attempts = world.stores.gateway.attempts.rows.values()
    counted = Counter(f"{each.step} {each.state}" for each in attempts)
    counted["unknown for a time"] = sum(each.unknown_since is not None for each in attempts)
    return counted


def hash_of(events: list[Event]) -> str:
    """Return SHA-256 over every event in the order of the commits, each attribute with its length before it."""
    digest = sha256()
    for event in events:
        for part in (
            event.id.bytes,
            event.source.encode(),
            event.type.encode(),
            event.topic.encode(),
            event.key.encode(),
            b"%d" % event.shard,
            event.time.isoformat(timespec="microseconds").encode(),
            b"%d" % event.sequence,
            event.correlation_id.encode(),
            (event.causation_id or "").encode(),
            (event.traceparent or "").encode(),
            event.data,
        ):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.hexdigest()
