"""What the ledger reports to Prometheus, beside what every service does."""

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from rialto_ledger.domain.control import COUNTERPARTS, Reason


class RateMetrics:
    """From when the rates are that quotes are made of: their age grows on weekends, and when a source fails."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._observed = Gauge(
            "rialto_ledger_fx_observed_timestamp_seconds",
            "When the market was looked at for the newest rates on record; 0 before the first fetch of this process",
            registry=registry,
        )

    def stored(self, observed_at: datetime) -> None:
        """Say from when the newest rates are."""
        self._observed.set(observed_at.timestamp())


class DifferenceMetrics:
    """Differences between the ledger's totals and the others'; both should read 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "rialto_ledger_open_differences",
            "Control totals that are not those of the service that moves the same money",
            ["kind", "reason"],
            registry=registry,
        )
        self._age = Gauge(
            "rialto_ledger_oldest_open_difference_seconds",
            "Age of the difference that has been open for longest; 0 when there is none",
            ["kind"],
            registry=registry,
        )
        for kind in COUNTERPARTS:
            self._age.labels(kind).set(0)
            for reason in Reason:
                self._open.labels(kind, reason).set(0)

    def open(self, found: Mapping[tuple[str, str], tuple[int, datetime]], now: datetime) -> None:
        """Say how many are open and since when, by kind and reason."""
        for kind in COUNTERPARTS:
            ages = [0.0]
            for reason in Reason:
                count, since = found.get((kind, reason), (0, now))
                self._open.labels(kind, reason).set(count)
                ages.append((now - since).total_seconds())
            self._age.labels(kind).set(max(ages))
