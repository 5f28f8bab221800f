"""One history's world: the loop, the bus, what every service keeps, and which of its processes are up."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from rialto_chain_bridge.adapters.memory import BridgeStore
from rialto_chain_bridge.adapters.memory_chain import ModelChain
from rialto_cli.sim.acquirer import NAMES, Acquirer, AcquirerFaults
from rialto_cli.sim.groups import CONSUMED
from rialto_cli.sim.instruments import Instruments
from rialto_common.bus.memory import Faults, MemoryBus, MemoryStore, MemorySubscription, StoreFaults
from rialto_common.database import is_retryable
from rialto_common.events.envelope import Event
from rialto_common.memory_keyring import KeyStore
from rialto_common.virtual_time import MICROSECONDS, SimulatedProcess, VirtualLoop, let_others_run
from rialto_compliance.adapters.memory import ComplianceStore
from rialto_fraud.adapters.memory import FraudStore
from rialto_gateway.attempts.resolver import AttemptResolver
from rialto_gateway.connectors.port import Answer
from rialto_gateway.increments.service import IncrementService
from rialto_gateway.payments.memory import GatewayStore
from rialto_gateway.payments.service import PaymentService
from rialto_gateway.refunds.service import RefundService
from rialto_gateway.wallets.directory import Wallet
from rialto_ledger.adapters.memory import MemoryLedgers

CHAIN_ID = 31337
SERVICES = ("gateway", "fraud", "compliance", "ledger", "chain_bridge")
FIRST_PASSAGE = 8
"""How much likelier a crash is where a history comes for the first time."""

LEASE_OVER_SECONDS = 5.001
"""When the partitions of a member that fell silent have new holders."""


@dataclass
class Stores:
    """What is durable: each service's tables, its inbox and dead letters, and the keyring."""

    gateway: GatewayStore = field(default_factory=GatewayStore)
    fraud: FraudStore = field(default_factory=FraudStore)
    compliance: ComplianceStore = field(default_factory=ComplianceStore)
    ledger: MemoryLedgers = field(default_factory=MemoryLedgers)
    bridge: BridgeStore = field(default_factory=BridgeStore)
    keyring: KeyStore = field(default_factory=KeyStore)
    wallets: dict[UUID, Wallet] = field(default_factory=dict)
    inboxes: dict[str, MemoryStore] = field(default_factory=lambda: {name: MemoryStore() for name in SERVICES})


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, 0..1, a process waits where a real one waits for the network, and for how long at most."""

    yields: float
    waits: float
    longest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Shape:
    """How the installation is set up: processes by service, the bus's partitions, the consumers' batches, the chain."""

    processes: Mapping[str, int]
    partitions: int
    max_events: int
    linger_seconds: float
    confirmations: int


@dataclass
class Trouble:
    """The faults in force; all zero once a history has calmed down."""

    crash: float = 0.0
    lost_answer: float = 0.0
    acquirers: AcquirerFaults = field(default_factory=AcquirerFaults)
    bus: Faults = field(default_factory=Faults.none)
    store: StoreFaults = field(default_factory=StoreFaults)


@dataclass(frozen=True, slots=True)
class GatewayDoor:
    """What a gateway offers to callers, and to acquirers with news."""

    payments: PaymentService
    refunds: RefundService
    increments: IncrementService
    resolver: AttemptResolver


class Instance:
    """One running process of a service, and its successors after crashes."""

    def __init__(self, service: str, number: int) -> None:
        self.service = service
        self.name = f"{service}-{number}"
        self.process: SimulatedProcess | None = None
        self.door: object = None
        """What the process offers to callers: the gateway its services, the ledger its poster."""

        self.starts = 0

    @property
    def is_up(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.process is not None and self.process.alive


NOW = 0
CONSUMER = ("consumer",)


@dataclass(eq=False, slots=True)
class Ear:
    """A consumer that waits. What it handles wakes it at once; what it will only skip may gather for as long as it
    would wait for the bus: word of new events is a hint, and hints come late. Waking for each costs most of the time.
    """

    process: SimulatedProcess
    subscription: MemorySubscription
    types: frozenset[str]
    patience_ends: int
    due: int | None = None
    is_open: bool = True

    def hear(self, events: Sequence[Event]) -> None:
        """Take notice of events that are in the log now."""
        for event in events:
            if event.topic in self.subscription.topics and self.subscription.holds(event):
                if event.type in self.types:
                    self.due = NOW
                    return
                self.due = self.patience_ends

    def when(self) -> int | None:
        """Return when to wake."""
        return self.due


class World:
    """Everything of one history."""

    def __init__(self, seed: int, instruments: Instruments, *, pace: Pace, shape: Shape) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - a history must be reproducible
        self.instruments = instruments
        self.loop = VirtualLoop(self.random)  # type: ignore[abstract]  # the rest of the API is not for simulations
        self.pace = pace
        self.shape = shape
        self.trouble = Trouble()
        self.bus = MemoryBus(
            self.new_process("bus"),
            faults=self.trouble.bus,
            store_faults=self.trouble.store,
            partitions=shape.partitions,
        )
        self.bus.on_commit = self._announce
        self.stores = Stores()
        self.chain = ModelChain(CHAIN_ID)
        self.chain.on_change = self._changed
        self.acquirers = [Acquirer(name, self) for name in NAMES]
        self.on_news: Callable[[Acquirer, str, Answer], None] | None = None
        """Told of what an acquirer has decided."""

        self.changes = 0
        """Counts what changed anything durable, or the chain."""

        self.instances: list[Instance] = []
        self.failures: list[str] = []
        """What loops raised that no retry can mend: a bug."""

        self.timeline: list[tuple[int, str]] | None = None
        self.crash_points: set[str] = set()
        """Every crash point that a process came through."""

        self.listening: list[Ear] = []
        self._block_is_due = False
        self._outside = copy_context()
        """Of no process: what happens in it happens whoever dies."""

    # Time and processes ---------------------------------------------------------------------------------------------

    def new_process(self, name: str) -> SimulatedProcess:
        """Return a process without loops."""
        return SimulatedProcess(self.loop, name, self._crashes)

    def tell(self, text: str) -> None:
        """Note something on the timeline, where one is kept."""
        if self.timeline is not None:
            self.timeline.append((self.loop.micros, text))

    def micros_of(self, at: datetime) -> int:
        """Return an instant on the loop's clock."""
        return (at - self.loop.start) // timedelta(microseconds=1)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something at a later instant, whatever runs then."""
        self.loop.call_later(seconds, action, context=self._outside)

    def some(self, service: str) -> Instance | None:
        """Return an instance that takes connections, as a load balancer would."""
        running = [item for item in self.instances if item.service == service and item.is_up]
        return running[int(self.random.random() * len(running))] if running else None

    def kill(self, instance: Instance, why: str) -> None:
        """End a process; what it had not committed is gone."""
        if instance.process is not None:
            self.tell(f"{instance.name} dies: {why}")
            instance.process.kill()
            self.bus.fall_silent(instance.process.name)
            self.listening = [ear for ear in self.listening if ear.process is not instance.process]
            self.later(LEASE_OVER_SECONDS, self.wake_consumers)

    def freeze(self, instance: Instance, seconds: float) -> None:
        """Let a process stand still."""
        process = instance.process
        if process is None or not process.alive or process.frozen:
            return
        self.bus.struck["frozen"] += 1
        self.tell(f"{instance.name} freezes for {seconds:.3f} s")
        process.freeze()
        self.bus.fall_silent(process.name)
        self.later(LEASE_OVER_SECONDS, self.wake_consumers)
        self.later(seconds, lambda: self._thaw(process))

    def _thaw(self, process: SimulatedProcess) -> None:
        process.thaw()
        self.wake_consumers()

    def wake_consumers(self) -> None:
        """Let every consumer look again: partitions may have moved."""
        self.loop.wake(lambda wait: wait.topics)

    def calm(self) -> None:
        """End all faults; frozen processes go on."""
        self.tell("the faults end")
        self.trouble = Trouble()
        self.bus.faults, self.bus.store_faults = self.trouble.bus, self.trouble.store
        self.bus.withheld.clear()
        for instance in self.instances:
            if instance.process is not None and instance.process.frozen:
                instance.process.thaw()
        self.wake_consumers()

    def acquirer_faults(self) -> AcquirerFaults:
        """Return the faults in force between us and the acquirers."""
        return self.trouble.acquirers

    def draw(self) -> float:
        """Draw from the seed: 0 to 1."""
        return self.random.random()

    def news(self, acquirer: Acquirer, reference: str, answer: Answer) -> None:
        """Take notice of what an acquirer has decided."""
        self.tell(f"{acquirer.name} says {type(answer).__name__} to {reference[-6:]}")
        self._changed()
        if self.on_news is not None:
            self.on_news(acquirer, reference, answer)

    def strikes(self, fault: str, probability: float) -> bool:
        """Say whether a fault strikes now, and count it."""
        return self.bus.strikes(fault, probability)

    def _crashes(self, process: SimulatedProcess, point: str) -> bool:
        is_new = point not in self.crash_points
        self.crash_points.add(point)
        # Points that are seldom passed would hardly ever be died at otherwise.
        if not self.strikes(f"crashed at {point}", self.trouble.crash * (FIRST_PASSAGE if is_new else 1)):
            return False
        self.tell(f"{process.name} crashes at {point}")
        return True

    def _announce(self, events: Sequence[Event]) -> None:
        self._changed()
        if events:
            self.listening = [ear for ear in self.listening if ear.is_open]
            for ear in self.listening:
                ear.hear(events)
            self.loop.wake(lambda wait: wait.due() == NOW)
        if self.timeline is not None:
            for event in events:
                self.tell(f"{event.source.removeprefix('rialto.')} publishes {describe(event)}")

    def _changed(self) -> None:
        self.changes += 1
        self.loop.changed()

    # What processes are given ---------------------------------------------------------------------------------------

    def give_way(self, process: SimulatedProcess) -> Callable[[], Awaitable[None]]:
        """Return what a process awaits wherever a real one waits for the network."""
        random, pace = self.random, self.pace

        async def wait() -> None:
            drawn = random.random()
            if drawn < pace.waits:
                await process.sleep(random.random() * pace.longest_wait_seconds)
            elif drawn < pace.waits + pace.yields:
                await let_others_run()

        return wait

    def wait_for_events(
        self, process: SimulatedProcess, types: frozenset[str]
    ) -> Callable[[MemorySubscription, float], Awaitable[None]]:
        """Return how a consumer of some types waits."""

        async def wait(subscription: MemorySubscription, seconds: float) -> None:
            ear = Ear(process, subscription, types, self.loop.micros + round(seconds * MICROSECONDS))
            if subscription.is_behind:
                ear.due = ear.patience_ends
            self.listening.append(ear)
            await process.idle(0.0, ear.when, CONSUMER)
            ear.is_open = False

        return wait

    async def keep_stepping(
        self, process: SimulatedProcess, name: str, step: Callable[[], Awaitable[float]], due: Callable[[], int | None]
    ) -> None:
        """Turn a loop as the services' frame does, except that it sleeps while it would find nothing."""
        while True:
            try:
                pause = await step()
            except Exception as error:  # noqa: BLE001 - the frame's loops outlive whatever a step raises, too
                if not is_retryable(error):
                    self.failures.append(f"{process.name}: loop {name} failed: {type(error).__name__}: {error}")
                pause = 1.0
            if pause > 0:
                await process.idle(pause, due)
            else:
                await let_others_run()

    # The chain ------------------------------------------------------------------------------------------------------

    def keep_mining(self) -> None:
        """Have the next block made in a while, when there is something to wait for."""
        if self._block_is_due:
            return
        newest = self.chain.blocks[-self.shape.confirmations - 1 :]
        if self.chain.pool or any(mined.receipts for mined in newest):
            self._block_is_due = True
            self.later(0.5 + self.random.random(), self._mine)

    def _mine(self) -> None:
        self._block_is_due = False
        self.chain.mine()
        self.tell(f"block {self.chain.blocks[-1].block.number} with {len(self.chain.blocks[-1].receipts)} transactions")

    @property
    def lag(self) -> int:
        """Return how many events wait to be handled or acknowledged."""
        return sum(self.bus.lag(group, topics) for group, (topics, _) in CONSUMED.items())


def describe(event: Event) -> str:
    """Return an event in a few words."""
    name = event.type.removeprefix("rialto.").removesuffix(".v1")
    return f"{name} #{event.sequence} of {event.key} [{str(event.id)[-6:]}]"
