"""What a history is going to be, drawn from its seed: the installation, the payments, and the troubles on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from rialto_cli.sim.acquirer import TOKENS, Acquirer, AcquirerFaults
from rialto_cli.sim.customers import LISTED, NAMES, NEARLY_LISTED, Merchant, Plan
from rialto_cli.sim.world import SERVICES, Instance, Pace, Shape, Trouble, World
from rialto_common import ids
from rialto_common.bus.memory import Faults, StoreFaults
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.bodies import CreatePayment
from rialto_gateway.wallets.directory import Wallet

Choice = TypeVar("Choice")

PAYMENTS_WITHIN_SECONDS = (5.0, 20.0, 60.0)
TROUBLE_ENDS_SECONDS = 240.0
SECOND_TROUBLE_SECONDS = 7 * 86_400.0
"""When chance faults come back for as long: holds and reviews that nobody ended come to their deadlines then."""
BY_CARD = (0.0, 0.25, 0.5, 0.75)
"""Which share of a history's payments is by card."""

REFUNDS = (*((),) * 8, ("part",), ("part", "part"), ("all",), ("part", "all"), ("above",))
"""What of a payment is given back once something is captured; of most, nothing."""

MANUAL_FOLLOW_UPS = (
    *("all", "all", "parts", "part_final", "part_void", "void", "void", "above", "nothing"),
    *("raise_all", "raise_twice", "raise_void"),
)
KINDS = ("ordinary",) * 14 + ("large", "suspicious", "fraud", "listed", "nearly_listed", "payee_listed")


@dataclass(frozen=True, slots=True)
class Funded:
    """A wallet and what is paid into it."""

    wallet: Wallet
    funds_minor: int


def shape_of(random: Random) -> tuple[Pace, Shape]:
    """Draw how the installation is set up and how its parts interleave."""
    doubled = {service: 2 if random.random() < 0.4 else 1 for service in SERVICES}
    pace = Pace(yields=random.random() * 0.3, waits=random.random() * 0.15, longest_wait_seconds=_pick(random, _WAITS))
    shape = Shape(
        doubled,
        partitions=1 + int(random.random() * 4),
        max_events=int(_pick(random, (1.0, 3.0, 20.0, 400.0))),
        confirmations=1 + int(random.random() * 3),
        linger_seconds=_pick(random, (0.0, 0.015, 0.015, 0.2)),
    )
    return pace, shape


_WAITS = (0.002, 0.05, 0.5, 2.0)


def trouble_of(random: Random) -> Trouble:
    """Draw which faults there are in this history, and how often; each is missing from some histories."""

    def some(most: float) -> float:
        return random.random() * most if random.random() < 0.5 else 0.0

    return Trouble(
        crash=some(0.03),
        lost_answer=some(0.2),
        acquirers=AcquirerFaults(
            question_lost=some(0.2),
            question_late=some(0.2),
            answer_lost=some(0.3),
            busy=some(0.2),
            lookup_lost=some(0.4),
            tells=random.random(),
        ),
        bus=Faults(redeliver=some(0.3), lose_acknowledgement=some(0.3), hold_back=some(0.4)),
        store=StoreFaults(away=some(0.1), refused=some(0.1), unknown_committed=some(0.1), unknown_lost=some(0.1)),
    )


def merchants_of(random: Random, mint: Callable[[], UUID]) -> tuple[list[Merchant], list[Funded]]:
    """Draw merchants, each with wallets of its own, and wallets of the platform that all may charge."""
    shared = [Funded(Wallet(mint(), None, "test", "USD"), _funds(random)) for _ in range(1 + int(random.random() * 2))]
    merchants, funded = [], list(shared)
    for number in range(2 + int(random.random() * 3)):
        merchant_id = mint()
        own = [Funded(Wallet(mint(), merchant_id, "test", "USD"), _funds(random)) for _ in range(1 + number % 2)]
        funded += own
        address = "0x" + ids.derive(merchant_id, "address").hex + "00000000"
        wallets = tuple(item.wallet.wallet_id for item in (*own, *shared))
        merchants.append(Merchant(Principal(merchant_id, "test", address), wallets))
    return merchants, funded


def payments_of(random: Random, merchants: list[Merchant], count: int) -> list[Plan]:
    """Draw so many payments."""
    within, by_card = _pick(random, PAYMENTS_WITHIN_SECONDS), _pick(random, BY_CARD)
    return [_payment(random, merchants, number, random.random() * within, by_card) for number in range(count)]


def _payment(random: Random, merchants: list[Merchant], number: int, at: float, by_card: float) -> Plan:
    merchant, kind = _pick(random, merchants), _pick(random, KINDS)
    manual = random.random() < 0.45
    body: dict[str, Any] = {
        "amount_minor": _amount(random, kind),
        "currency": "USD",
        "payment_method": _method(random, merchant, by_card),
        "payer": {"name": _payer(random, kind), "country": "GB"},
        "capture_method": "manual" if manual else "automatic",
        "terminal_id": _pick(random, (None, "T1", "T2")),
    }
    if kind == "payee_listed" or random.random() < 0.2:
        body["payee"] = {"name": _pick(random, LISTED) if kind == "payee_listed" else _pick(random, NAMES)}
    return Plan(
        number=number,
        merchant=merchant,
        at=at,
        body=CreatePayment.model_validate(body),
        key=f"order-{number}",
        copies=1 + (random.random() < 0.25) + (random.random() < 0.1),
        reuses_key=random.random() < 0.1,
        follow_up=_pick(random, MANUAL_FOLLOW_UPS) if manual else "nothing",
        refunds=_pick(random, REFUNDS),
    )


def _method(random: Random, merchant: Merchant, by_card: float) -> dict[str, str]:
    if random.random() < by_card:
        return {"type": "card", "token": _pick(random, TOKENS)}
    return {"type": "wallet", "wallet_id": ids.to_text("wal", _pick(random, merchant.wallets))}


def _amount(random: Random, kind: str) -> int:
    if kind == "suspicious":
        return 70_000 + int(random.random() * 20_000)
    if kind == "fraud":
        return 90_000 + int(random.random() * 50_000)
    if kind == "large":
        return 1_000_000 + int(random.random() * 100_000)
    return 100 + int(random.random() * 20_000)


def _payer(random: Random, kind: str) -> str:
    names = {"listed": LISTED, "nearly_listed": NEARLY_LISTED}.get(kind, NAMES)
    return _pick(random, names)


def _funds(random: Random) -> int:
    """Some wallets soon have nothing left."""
    return int(_pick(random, (15_000.0, 60_000.0, 500_000.0, 5_000_000.0)))


def _pick(random: Random, choices: Sequence[Choice]) -> Choice:
    return choices[int(random.random() * len(choices))]


class Saboteur:
    """Makes the troubles that are not met by chance: processes killed and frozen, services and the chain away."""

    def __init__(self, world: World, restart: Callable[[Instance, float], None]) -> None:
        """`restart(instance, seconds)` has a dead instance started again after so long."""
        self._world = world
        self._random = world.random
        self._restart = restart

    def plan(self) -> None:
        """Draw the troubles and their instants."""
        random = self._random
        actions = [
            (self._kill, 0.5, 6),
            (self._freeze, 0.5, 6),
            (self._silence, 0.4, 2),
            (self._chain_away, 0.4, 2),
            (self._reorganise, 0.5, 4),
            (self._forget, 0.3, 2),
            (self._withhold, 0.4, 4),
            (self._acquirer_away, 0.4, 2),
        ]
        for action, chance, most in actions:
            if random.random() < chance:
                for _ in range(1 + int(random.random() * most)):
                    self._world.later(random.random() * TROUBLE_ENDS_SECONDS * 0.6, action)

    def _kill(self) -> None:
        instance = _pick(self._random, self._world.instances)
        if instance.is_up:
            self._world.bus.struck["killed"] += 1
            self._world.kill(instance, "killed")
            self._restart(instance, 0.05 + self._random.random() * 8)

    def _freeze(self) -> None:
        longest = _pick(self._random, (0.2, 3.0, 12.0, 40.0))
        self._world.freeze(_pick(self._random, self._world.instances), self._random.random() * longest)

    def _silence(self) -> None:
        service = _pick(self._random, SERVICES)
        seconds = 20 + self._random.random() * 100
        self._world.bus.struck[f"silent {service}"] += 1
        self._world.tell(f"{service} falls silent for {seconds:.0f} s")
        for instance in self._world.instances:
            if instance.service == service:
                if instance.is_up:
                    self._world.kill(instance, "the service is away")
                self._restart(instance, seconds)

    def _chain_away(self) -> None:
        world, seconds = self._world, 1 + self._random.random() * 90
        world.bus.struck["chain away"] += 1
        world.tell(f"the chain's node is away for {seconds:.0f} s")
        world.chain.go_away()
        world.later(seconds, self._chain_back)

    def _chain_back(self) -> None:
        self._world.tell("the chain's node is back")
        self._world.chain.come_back()

    def _acquirer_away(self) -> None:
        acquirer, seconds = _pick(self._random, self._world.acquirers), 1 + self._random.random() * 90
        self._world.bus.struck["acquirer away"] += 1
        self._world.tell(f"{acquirer.name} is away for {seconds:.0f} s")
        acquirer.is_away = True
        self._world.later(seconds, lambda: self._acquirer_back(acquirer))

    def _acquirer_back(self, acquirer: Acquirer) -> None:
        self._world.tell(f"{acquirer.name} is back")
        acquirer.is_away = False

    def _reorganise(self) -> None:
        depth = 1 + int(self._random.random() * 4)
        keep = self._random.random() < 0.6
        self._world.bus.struck["reorganised"] += 1
        self._world.tell(f"the chain takes {depth} blocks back and {'keeps' if keep else 'forgets'} their transactions")
        self._world.chain.reorganise(depth, keep_in_pool=keep)

    def _forget(self) -> None:
        self._world.bus.struck["pool forgotten"] += 1
        self._world.tell("the chain's node forgets what waits")
        self._world.chain.forget_pool()

    def _withhold(self) -> None:
        world = self._world
        place = (
            (_pick(self._random, sorted(world.bus.logs)), 1 + self._random.random() * 40) if world.bus.logs else None
        )
        if place is None:
            return
        (topic, partition), seconds = place
        world.bus.struck["partition withheld"] += 1
        world.tell(f"partition {partition} of {topic} gives nothing for {seconds:.0f} s")
        world.bus.withheld[topic, partition] = world.loop.time() + seconds
        world.later(seconds + 0.001, world.wake_consumers)
