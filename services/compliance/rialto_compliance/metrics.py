"""What screening reports to Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rialto_common.runtime import Runtime
from rialto_compliance.domain.rules import Outcome
from rialto_compliance.domain.sanctions import SanctionsList

_BUCKETS = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


class ScreeningMetrics:
    """Outcomes, how long a name takes, and how large and how old the lists are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "rialto_compliance_screenings_total", "Payments screened", ["outcome"], registry=registry
        )
        self._hits = Counter("rialto_compliance_hits_total", "Hits, by list", ["list_id"], registry=registry)
        self._unreadable = Counter(
            "rialto_compliance_unreadable_parties_total", "Parties whose name could not be read", registry=registry
        )
        self._duration = Histogram(
            "rialto_compliance_name_duration_seconds",
            "Time to screen one name that was not remembered",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._remembered = Counter(
            "rialto_compliance_names_remembered_total", "Names whose hits were remembered", registry=registry
        )
        self._entities = Gauge("rialto_compliance_list_entities", "Entities on a list", ["list_id"], registry=registry)
        self._names = Gauge("rialto_compliance_list_names", "Names on a list", ["list_id"], registry=registry)
        self._age = Gauge(
            "rialto_compliance_list_age_seconds", "Time since a list was loaded", ["list_id"], registry=registry
        )

    def decided(self, outcome: Outcome, hit_lists: Sequence[str], unreadable: int) -> None:
        """Count one payment's verdict."""
        self._outcomes.labels(outcome).inc()
        for list_id in hit_lists:
            self._hits.labels(list_id).inc()
        if unreadable:
            self._unreadable.inc(unreadable)

    def screened(self, seconds: float) -> None:
        """Note how long a new name took."""
        self._duration.observe(seconds)

    def remembered(self) -> None:
        """Count a name that was screened before."""
        self._remembered.inc()

    def loaded(self, lists: Sequence[SanctionsList], loaded_at: datetime, runtime: Runtime) -> None:
        """Report the lists in force; their age goes on by itself."""
        for source in lists:
            self._entities.labels(source.list_id).set(len(source.entities))
            self._names.labels(source.list_id).set(source.name_count)
            self._age.labels(source.list_id).set_function(lambda: (runtime.now() - loaded_at).total_seconds())
