"""What is measured of attempts. Unknown ones should be few and young."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.attempts.ports import Standing

SECONDS = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600, 72 * 3600)


class AttemptMetrics:
    """The metrics of one process; the gauges are of all attempts, as the database has them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        of = ["step", "connector"]
        self._outcomes = Counter(
            "rialto_attempts_total",
            "Attempts at acquirers by state they came to",
            [*of, "state"],
            registry=registry,
        )
        self._resolved = Histogram(
            "rialto_attempt_resolution_seconds",
            "How long outcomes were unknown, by what they came to",
            [*of, "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._contradicted = Counter(
            "rialto_attempts_contradicted_total", "Answers that deny what was certain", of, registry=registry
        )
        self._failed_over = Counter(
            "rialto_attempts_failed_over_total",
            "Authorisations that another acquirer was asked for, by the one that certainly did not give them",
            ["connector", "code"],
            registry=registry,
        )
        self._unknown = Gauge("rialto_attempts_unknown", "Attempts whose outcome is unknown now", of, registry=registry)
        self._overdue = Gauge(
            "rialto_attempts_overdue", "Unknown attempts past their deadline, for a person", of, registry=registry
        )
        self._oldest = Gauge(
            "rialto_attempts_oldest_unknown_seconds", "How long the oldest has been unknown", of, registry=registry
        )

    def became(self, attempt: Attempt) -> None:
        """Count a state that an attempt came to."""
        self._outcomes.labels(attempt.step, attempt.connector or "none", attempt.state).inc()

    def resolved(self, attempt: Attempt, seconds: float) -> None:
        """Note what an unknown outcome came to, and after how long."""
        self._resolved.labels(attempt.step, attempt.connector or "none", attempt.state).observe(seconds)

    def contradicted(self, attempt: Attempt) -> None:
        """Count an answer that denies what was certain."""
        self._contradicted.labels(attempt.step, attempt.connector or "none").inc()

    def failed_over(self, attempt: Attempt) -> None:
        """Count an authorisation that goes on to another acquirer."""
        self._failed_over.labels(attempt.connector or "none", attempt.code or "none").inc()

    def standing(self, found: Sequence[Standing], now: datetime) -> None:
        """Show the attempts that are unknown now; what is gone reads nothing."""
        for gauge in (self._unknown, self._overdue, self._oldest):
            gauge.clear()
        for each in found:
            self._unknown.labels(each.step, each.connector).set(each.count)
            self._overdue.labels(each.step, each.connector).set(each.overdue)
            self._oldest.labels(each.step, each.connector).set(max(0.0, (now - each.since).total_seconds()))
