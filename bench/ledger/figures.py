"""What was measured, a value each round."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import load


def _lists() -> defaultdict[str, list[float]]:
    return defaultdict(list)


@dataclass
class Figures:
    """By name: transfers a second, seconds that requests took, their p99 over their p50, CPU of a request."""

    rates: dict[str, list[float]] = field(default_factory=_lists)
    latencies: dict[str, list[float]] = field(default_factory=_lists)
    tails: dict[str, list[float]] = field(default_factory=_lists)
    cpu_us: dict[str, list[float]] = field(default_factory=_lists)

    def add(self, name: str, rate: float, took: Sequence[float] = (), cpu_us: float | None = None) -> None:
        """Keep a round's figures."""
        self.rates[name].append(rate)
        if took:
            values = list(took)
            self.latencies[name] += values
            self.tails[name].append(load.percentile(values, 0.99) / load.percentile(values, 0.5))
        if cpu_us is not None:
            self.cpu_us[name].append(cpu_us)

    def median(self, name: str) -> float:
        """Return a rate's median."""
        return statistics.median(self.rates[name])

    def best(self, names: Sequence[str]) -> float:
        """Return the highest of these medians."""
        return max(map(self.median, names))

    def milliseconds(self, name: str, share: float) -> float:
        """Return the latency that a share of all rounds' requests did not exceed."""
        return load.percentile(self.latencies[name], share) * 1000

    def worst_tail(self, name: str) -> float:
        """Return the highest p99/p50 of a round."""
        return max(self.tails[name])


Say = Callable[[str], None]
"""Tells whoever waits how far it is."""
