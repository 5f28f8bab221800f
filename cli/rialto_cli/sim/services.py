"""Puts the five services together as each one's `main.py` does, on the memory adapters. No handler is a stand-in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rialto_chain_bridge.adapters.memory import MemoryUnit as BridgeUnit
from rialto_chain_bridge.adapters.memory import MemoryUnits as BridgeUnits
from rialto_chain_bridge.adapters.memory_chain import ModelCalls, ModelSigner
from rialto_chain_bridge.application.bridge import PAUSE_AFTER_FAILURE_SECONDS, Bridge, BridgeLoop
from rialto_chain_bridge.application.bridge import Pace as BridgePace
from rialto_chain_bridge.application.deployment import ContractPlan, Deployer
from rialto_chain_bridge.application.facts import Facts
from rialto_chain_bridge.application.requests import TakeRequests, Terms
from rialto_chain_bridge.application.watch import Watcher
from rialto_chain_bridge.domain.batch import BatchPolicy
from rialto_chain_bridge.domain.confirmation import TransactionState
from rialto_cli.sim.acquirer import NAMES, AcquirerLine
from rialto_cli.sim.groups import CONSUMED
from rialto_cli.sim.node import Line
from rialto_cli.sim.scorer import AmountScorer
from rialto_cli.sim.world import CHAIN_ID, SERVICES, GatewayDoor, Instance, World
from rialto_common.bus.consumer import Consumer, Handler
from rialto_common.bus.memory import MemoryTransaction, MemoryUnitOfWork
from rialto_common.events import Event
from rialto_common.memory_keyring import MemoryKeyring
from rialto_common.virtual_time import SimulatedProcess
from rialto_compliance.adapters.memory import MemoryUnit as ComplianceUnit
from rialto_compliance.adapters.people import KeyringPeople
from rialto_compliance.application.handlers import ScreenPayments
from rialto_compliance.application.screener import Screener
from rialto_compliance.domain.policy import POLICY
from rialto_fraud.adapters.memory import MemoryUnit as FraudUnit
from rialto_fraud.application.handlers import AssessPayments
from rialto_fraud.domain.policy import CURRENT
from rialto_gateway.attempts.cards import Cards
from rialto_gateway.attempts.memory import MemoryAttemptReader
from rialto_gateway.attempts.resolver import AttemptResolver
from rialto_gateway.attempts.runner import AttemptRunner
from rialto_gateway.connectors.routes import Acquirer, Routed
from rialto_gateway.connectors.routing import Rule
from rialto_gateway.idempotency import Vault
from rialto_gateway.increments.service import IncrementService
from rialto_gateway.payments import handlers as gateway_handlers
from rialto_gateway.payments.accept import Acceptor
from rialto_gateway.payments.deadlines import DeadlineSweep
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.memory import MemoryUnit as GatewayUnit
from rialto_gateway.payments.memory import MemoryUnits
from rialto_gateway.payments.memory_reader import MemoryPaymentReader, MemoryWallets
from rialto_gateway.payments.ports import NoSavedCards
from rialto_gateway.payments.service import PaymentService
from rialto_gateway.pricing.memory import MemoryFees
from rialto_gateway.refunds.memory import MemoryRefundReader
from rialto_gateway.refunds.service import RefundService
from rialto_gateway.wallets.directory import WalletDirectory
from rialto_ledger.adapters.memory import MemoryLedger
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.sweeper import Sweeper
from rialto_ledger.domain.hold import HoldStatus
from rialto_ledger.entrypoints.consumer import LedgerConsumer

MASTER_KEY = bytes(range(32))
OPERATOR = "0x" + "0e" * 20
TOKEN = "RUSD"  # noqa: S105 - a currency, not a secret
TOKEN_DECIMALS = 6
TREASURY = 10**18
ROUTES = (
    Rule(NAMES, maximum_minor=10_000, retry_declines=frozenset({"do_not_honour"})),
    Rule(NAMES[::-1]),
)
"""Small payments go to the first acquirer and to the other after a soft decline, the rest to the other first."""

WAIT_SECONDS = 3.0
"""How long a consumer waits for the bus; longer than in production, as virtual waits cost real turns."""

Due = Callable[[], int | None]
_PENDING = HoldStatus.PENDING


class Starter:
    """Starts processes of a world's services."""

    def __init__(self, world: World) -> None:
        self._world = world
        gateway, books = world.stores.gateway, world.stores.ledger.books
        self._deadlines_due = Earliest(world, "gateway", lambda: gateway.deadlines.values())
        self._holds_due = Earliest(
            world, "ledger", lambda: [hold.expires_at for hold in books.holds.values() if hold.status is _PENDING]
        )
        self._build: dict[str, Callable[[Instance, SimulatedProcess], None]] = {
            "gateway": self._gateway,
            "fraud": self._fraud,
            "compliance": self._compliance,
            "ledger": self._ledger,
            "chain_bridge": self._chain_bridge,
        }

    def start(self, instance: Instance) -> None:
        """Start a process of the instance's service, with nothing in its memory."""
        instance.starts += 1
        process = instance.process = self._world.new_process(f"{instance.name}.{instance.starts}")
        self._world.tell(f"{process.name} starts")
        self._build[instance.service](instance, process)

    def _gateway(self, instance: Instance, process: SimulatedProcess) -> None:
        world, deadlines = self._world, Deadlines.default()
        keyring = MemoryKeyring(MASTER_KEY, world.stores.keyring, process)
        units = MemoryUnits(self._unit_of_work("gateway", process), world.stores.gateway, keyring)
        reader = MemoryPaymentReader(world.stores.gateway)
        cards = Cards(Vault(MASTER_KEY, process), MASTER_KEY)
        attempts = MemoryAttemptReader(world.stores.gateway.attempts, world.stores.gateway.card_of)
        lines = [AcquirerLine(world, process, each, world.give_way(process)) for each in world.acquirers]
        connectors = Routed([Acquirer(each, ["test"]) for each in lines], ROUTES, process, world.instruments.routes)
        payments = PaymentService(
            units=units,
            reader=reader,
            acceptor=Acceptor(units, cards, process, deadlines),
            attempts=attempts,
            connectors=connectors,
            wallets=WalletDirectory(MemoryWallets(world.stores.wallets)),
            saved=NoSavedCards(),
            fees=MemoryFees(world.stores.gateway.pricing),
            runtime=process,
            deadlines=deadlines,
            currencies=frozenset({"USD"}),
        )
        refunds = RefundService(
            units=units,
            payments=reader,
            reader=MemoryRefundReader(world.stores.gateway.refunds),
            runtime=process,
            deadlines=deadlines,
        )
        increments = IncrementService(
            units=units, reader=reader, runtime=process, deadlines=deadlines, share_bps=5_000, review_major=10_000
        )
        metrics = world.instruments.attempts
        resolver = AttemptResolver(units, attempts, connectors, process, deadlines, metrics)
        instance.door = GatewayDoor(payments, refunds, increments, resolver)

        def unit_of(transaction: MemoryTransaction) -> GatewayUnit:
            return GatewayUnit(world.stores.gateway, keyring, transaction)

        self._consume("gateway", process, gateway_handlers.FactHandler(unit_of, process, deadlines).handle)
        sweep = DeadlineSweep(units, reader, process, deadlines)
        self._loop(process, "deadlines", sweep.step, self._deadlines_due)
        runner = AttemptRunner(units, attempts, resolver, connectors, cards, process, metrics)
        watch = AttemptWatch(world, runner, attempts)
        self._loop(process, "attempts", watch.step, watch.due)

    def _fraud(self, instance: Instance, process: SimulatedProcess) -> None:
        world = self._world
        assess = AssessPayments(AmountScorer(), CURRENT, process, world.instruments.fraud)

        async def handle(transaction: MemoryTransaction, events: Sequence[Event]) -> None:
            await assess(FraudUnit(world.stores.fraud, transaction), events)

        self._consume("fraud", process, handle)

    def _compliance(self, instance: Instance, process: SimulatedProcess) -> None:
        world = self._world
        keyring = MemoryKeyring(MASTER_KEY, world.stores.keyring, process)
        metrics = world.instruments.screening
        screen = ScreenPayments(Screener(world.instruments.index, process, metrics), POLICY, process, metrics)

        async def handle(transaction: MemoryTransaction, events: Sequence[Event]) -> None:
            people = KeyringPeople(keyring, transaction)
            await screen(ComplianceUnit(world.stores.compliance, transaction, people), events)

        self._consume("compliance", process, handle)

    def _ledger(self, instance: Instance, process: SimulatedProcess) -> None:
        world = self._world
        begin = self._unit_of_work("ledger", process).begin

        def ledger_of(transaction: MemoryTransaction) -> MemoryLedger:
            return world.stores.ledger.of(transaction)

        instance.door = CoalescingPoster(begin, ledger_of, process, ahead_commands=1)
        self._consume("ledger", process, LedgerConsumer(ledger_of, process).handle)
        self._loop(process, "sweeper", Sweeper(begin, ledger_of, process).step, self._holds_due)

    def _chain_bridge(self, instance: Instance, process: SimulatedProcess) -> None:
        world = self._world
        signer, calls, facts = ModelSigner(OPERATOR), ModelCalls(), Facts(CHAIN_ID, TOKEN)
        chain = Line(world, process)
        units = BridgeUnits(self._unit_of_work("chain_bridge", process), world.stores.bridge, CHAIN_ID, OPERATOR)
        metrics = world.instruments.bridge
        watcher = Watcher(
            units=units,
            chain=chain,
            signer=signer,
            calls=calls,
            facts=facts,
            metrics=metrics,
            runtime=process,
            confirmations=world.shape.confirmations,
        )
        pace = BridgePace(
            batches=BatchPolicy(max_payments=8, max_age=timedelta(milliseconds=500)),
            max_in_flight=32,
            poll_seconds=0.25,
            resend=timedelta(seconds=5),
            deadline=timedelta(days=1),
        )
        plan = ContractPlan(CHAIN_ID, "test", TOKEN, TOKEN_DECIMALS, None, None, TREASURY)
        bridge = Bridge(
            chain_id=CHAIN_ID,
            units=units,
            chain=chain,
            signer=signer,
            calls=calls,
            deployer=Deployer(plan, signer, calls, chain, process),
            watcher=watcher,
            facts=facts,
            pace=pace,
            metrics=metrics,
            runtime=process,
        )
        terms = Terms("test", TOKEN_DECIMALS, pace.deadline, checksummed=str.lower)
        requests = TakeRequests(terms, facts, process)

        async def take(transaction: MemoryTransaction, events: Sequence[Event]) -> None:
            await requests.handle(BridgeUnit(world.stores.bridge, CHAIN_ID, OPERATOR, transaction), events)

        self._consume("chain_bridge", process, take)
        watch = BridgeWatch(world, BridgeLoop(bridge), pace.batches.max_age)
        self._loop(process, "bridge", watch.step, watch.due)

    # Shared ---------------------------------------------------------------------------------------------------------

    def _unit_of_work(self, service: str, process: SimulatedProcess) -> MemoryUnitOfWork:
        world = self._world
        return MemoryUnitOfWork(
            world.bus,
            process,
            name=service,
            store=world.stores.inboxes[service],
            give_way=world.give_way(process),
        )

    def _consume(self, service: str, process: SimulatedProcess, handler: Handler[Any]) -> None:
        process.spawn(self._run_consumer(service, process, handler), name=f"consumer-{service}")

    async def _run_consumer(self, service: str, process: SimulatedProcess, handler: Handler[Any]) -> None:
        world = self._world
        topics, types = CONSUMED[service]
        consumer: Consumer[Any] = Consumer(
            group=service,
            types=types,
            subscription=await world.bus.subscribe(
                service,
                topics,
                member=process.name,
                give_way=world.give_way(process),
                wait=world.wait_for_events(process, types),
            ),
            unit_of_work=self._unit_of_work(service, process),
            handler=handler,
            runtime=process,
            metrics=world.instruments.bus,
            max_events=world.shape.max_events,
            wait_seconds=WAIT_SECONDS,
            linger_seconds=world.shape.linger_seconds,
        )
        # A consumer that pauses lets a batch gather, or has failed: it goes on by itself.
        await world.keep_stepping(process, "consumer", consumer.step, lambda: 0)

    def _loop(self, process: SimulatedProcess, name: str, step: Callable[[], Any], due: Due) -> None:
        process.spawn(self._world.keep_stepping(process, name, step, due), name=name)


class Earliest:
    """The earliest of some instants that a service keeps, looked up once a commit."""

    def __init__(self, world: World, service: str, instants: Callable[[], Iterable[datetime | None]]) -> None:
        self._world = world
        self._store = world.stores.inboxes[service]
        self._instants = instants
        self._commits = -1
        self._earliest: int | None = None

    def __call__(self) -> int | None:
        """Return it on the loop's clock."""
        if self._commits != self._store.commits:
            self._commits = self._store.commits
            earliest = min((at for at in self._instants() if at is not None), default=None)
            self._earliest = None if earliest is None else self._world.micros_of(earliest)
        return self._earliest

    def forget(self) -> None:
        """Look it up again the next time."""
        self._commits = -1


class AttemptWatch:
    """The attempts' loop, and when turning it is of use."""

    def __init__(self, world: World, runner: AttemptRunner, attempts: MemoryAttemptReader) -> None:
        self._runner = runner
        self.due = Earliest(world, "gateway", attempts.due)

    async def step(self) -> float:
        """Take one turn. Claims are no commits of a unit of work, so what is due is looked up anew after them."""
        pause = await self._runner.step()
        self.due.forget()
        return pause


class BridgeWatch:
    """The bridge's loop, and when turning it is of use: it looks at a chain and at tables that may not have changed."""

    def __init__(self, world: World, loop: BridgeLoop, batch_age: timedelta) -> None:
        self._world = world
        self._loop = loop
        self._batch_age = batch_age
        self._seen = -1
        self._next = Earliest(world, "chain_bridge", self._instants)

    async def step(self) -> float:
        """Take one turn."""
        version = self._world.chain.version
        pause = await self._loop.step()
        if pause != PAUSE_AFTER_FAILURE_SECONDS:
            self._seen = version
        return pause

    def due(self) -> int | None:
        """Return when the next turn has something to do."""
        world = self._world
        if world.chain.is_away:
            return None
        if self._seen != world.chain.version:
            return 0
        return self._next()

    def _instants(self) -> list[datetime | None]:
        bridge = self._world.stores.bridge
        batches: list[datetime | None] = [
            row.next_attempt_at + self._batch_age
            for row in bridge.intents.values()
            if row.transaction_id is None and row.failure_code is None
        ]
        sendings = [
            row.next_attempt_at
            for row in bridge.transactions.values()
            if row.standing.state is TransactionState.PENDING
        ]
        return batches + sendings


def instances(counts: Mapping[str, int]) -> list[Instance]:
    """Return so many instances of each service, none of them started."""
    return [Instance(service, number) for service in SERVICES for number in range(counts[service])]
