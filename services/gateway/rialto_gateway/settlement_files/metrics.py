"""What is measured of settlement files. Open differences should read 0."""

from collections.abc import Mapping, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from rialto_gateway.settlement_files.matching import Reason


class SettlementMetrics:
    """The metrics of one process; the gauge is of all differences, as the database has them."""

    def __init__(self, registry: CollectorRegistry, connectors: Sequence[str]) -> None:
        self._connectors = connectors
        self._lines = Counter(
            "rialto_settlement_lines_total",
            "Lines of settlement files by what they came to: cleared, or how they differ",
            ["connector", "outcome"],
            registry=registry,
        )
        self._open = Gauge(
            "rialto_settlement_differences_open",
            "Differences between acquirers' settlement files and our books that nobody has resolved; should be 0",
            ["connector", "reason"],
            registry=registry,
        )

    def took(self, connector: str, cleared: int, differing: Sequence[Reason]) -> None:
        """Count a file's lines."""
        self._lines.labels(connector, "cleared").inc(cleared)
        for reason in differing:
            self._lines.labels(connector, reason).inc()

    def standing(self, found: Mapping[tuple[str, str], int]) -> None:
        """Show how many differences are open; 0 is shown, too."""
        for connector in {*self._connectors, *(name for name, _ in found)}:
            for reason in get_args(Reason):
                self._open.labels(connector, reason).set(found.get((connector, reason), 0))
