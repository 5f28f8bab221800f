"""What the fraud service reports to Prometheus beside what the frame reports."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from rialto_fraud.domain.policy import Outcome

SCORE_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0)
SECONDS_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1)


class FraudMetrics:
    """Counts verdicts. A batch that is rolled back and tried again counts twice: rates, not books."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "rialto_fraud_assessments_total", "Payments assessed, by outcome", ["outcome"], registry=registry
        )
        self._scores = Histogram("rialto_fraud_score", "Probability of fraud", buckets=SCORE_BUCKETS, registry=registry)
        self._seconds = Histogram(
            "rialto_fraud_scoring_seconds",
            "Time to compute the features and scores of a batch, without the database",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._scored = Counter("rialto_fraud_scored_total", "Rows the model scored for payments", registry=registry)
        for outcome in Outcome:
            self._outcomes.labels(outcome.value)

    def scored(self, rows: int, seconds: float) -> None:
        """Count a batch that the model scored."""
        self._scored.inc(rows)
        self._seconds.observe(seconds)

    def assessed(self, outcome: Outcome, score: float) -> None:
        """Count a verdict."""
        self._outcomes.labels(outcome.value).inc()
        self._scores.observe(score)
