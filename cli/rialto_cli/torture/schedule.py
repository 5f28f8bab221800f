"""What is broken when: a pure function of the seed, so that a run can be repeated."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rialto_cli.embedded.services import ANVIL, KAFKA, POSTGRES, SERVICES

Kind = Literal["kill", "pause", "cut", "refuse", "delay", "throttle", "blackhole", "clock", "repeat", "late"]
Card = TypeVar("Card")

SUPERVISOR = "supervisor"
KAFKA_BUS = "kafka"

FIRST_FAULT_SECONDS = 4.0
LAST_FAULT_SECONDS = 12.0
"""How long before the end the last fault begins: then it is over by then."""
GAP_SECONDS = (4.5, 8.0)
"""So that two minutes hold a whole round."""
LEASE_SECONDS = 5.0

# Twice what is worth most.
ROUND: tuple[Kind, ...] = (
    *("kill", "kill", "pause", "pause", "cut", "refuse", "delay", "throttle", "blackhole"),
    *("clock", "clock", "repeat", "late"),
)
DURATIONS: dict[Kind, tuple[float, float]] = {
    "kill": (0.0, 0.0),
    "pause": (LEASE_SECONDS + 1, LEASE_SECONDS + 5),  # longer than any lease: others must have taken over
    "cut": (0.0, 0.0),
    "refuse": (2.0, 6.0),
    "delay": (3.0, 8.0),
    "throttle": (3.0, 8.0),
    "blackhole": (2.0, 8.0),
    "clock": (3.0, 8.0),
    "repeat": (0.0, 0.0),
    "late": (0.0, 0.0),
}
DELAY_SECONDS = (0.02, 0.5)
BYTES_A_SECOND = (5_000, 100_000)
CLOCK_JUMPS_SECONDS = (-600, -60, -5, -1, 1, 5, 60, 600)
REPEATED_EVENTS = (20, 200)
LATE_EVENTS = (500, 2_000)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, `at` seconds after the start, for so long.

    `amount` is what its kind counts: seconds of delay or of a clock's error, bytes a second, events delivered again.
    """

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0
    amount: float = 0.0

    @property
    def ends_at(self) -> float:
        """When it is over."""
        return self.at + self.seconds


def links(bus: str) -> tuple[str, ...]:
    """Every connection that a proxy is in: `SERVICE:PROGRAM`; all services share Kafka's."""
    databases = tuple(f"{service}:{POSTGRES}" for service in SERVICES)
    others = ("gateway:ledger", f"chain-bridge:{ANVIL}")
    return databases + others + ((f"all:{KAFKA}",) if bus == KAFKA_BUS else ())


def programs(bus: str) -> tuple[str, ...]:
    """Every process that can be killed or paused."""
    return (POSTGRES, *((KAFKA,) if bus == KAFKA_BUS else ()), ANVIL, *SERVICES, SUPERVISOR)


def schedule(seed: int, seconds: float, bus: str) -> list[Fault]:
    """Return the faults of a run, in the order of their beginning.

    Every kind comes in each round of thirteen, and of each kind every target before one comes again.
    """
    draw = random.Random(f"{seed}/{bus}")  # noqa: S311 - reproducible on purpose
    kinds = _shuffled_for_ever(draw, ROUND)
    targets = {
        kind: _shuffled_for_ever(draw, _targets(kind, bus))
        for kind in sorted(set(ROUND))
        if kind not in ("clock", "repeat", "late")
    }
    services = {kind: _shuffled_for_ever(draw, SERVICES) for kind in ("clock", "late", "repeat")}
    jumps = _shuffled_for_ever(draw, CLOCK_JUMPS_SECONDS)
    faults = []
    at = FIRST_FAULT_SECONDS
    while at < seconds - LAST_FAULT_SECONDS:
        kind = next(kinds)
        lasts = round(draw.uniform(*DURATIONS[kind]), 1)
        target = next(targets[kind]) if kind in targets else next(services[kind])
        faults.append(Fault(round(at, 1), kind, target, lasts, _amount(draw, kind, jumps)))
        at += draw.uniform(*GAP_SECONDS)
    return faults


def _targets(kind: Kind, bus: str) -> Sequence[str]:
    return programs(bus) if kind in ("kill", "pause") else links(bus)


def _amount(draw: random.Random, kind: Kind, jumps: Iterator[int]) -> float:
    match kind:
        case "delay":
            return round(draw.uniform(*DELAY_SECONDS), 2)
        case "throttle":
            return draw.randrange(*BYTES_A_SECOND)
        case "clock":
            return next(jumps)
        case "repeat":
            return draw.randrange(*REPEATED_EVENTS)
        case "late":
            return draw.randrange(*LATE_EVENTS)
    return 0.0


def _shuffled_for_ever(draw: random.Random, cards: Sequence[Card]) -> Iterator[Card]:
    """Deal every card before any comes again."""
    while True:
        yield from draw.sample(cards, len(cards))
