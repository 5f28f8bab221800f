"""What a service's control totals look like in Prometheus."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from rialto_common.control.totals import Report


class ControlMetrics:
    """The newest closed day over all merchants: the same series in every service, to be laid over each other."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["kind", "mode", "currency"]
        self._amount = Gauge(
            "rialto_control_total_minor", "Minor units moved on the newest closed day", labels, registry=registry
        )
        self._count = Gauge(
            "rialto_control_total_movements", "Movements on the newest closed day", labels, registry=registry
        )

    def newest_day(self, reports: Iterable[Report]) -> None:
        """Show a day."""
        amounts: Counter[tuple[str, str, str]] = Counter()
        counts: Counter[tuple[str, str, str]] = Counter()
        for report in reports:
            for kind, total in report.totals.items():
                labels = (kind, report.key.mode, report.key.currency)
                amounts[labels] += total.amount_minor
                counts[labels] += total.count
        self._amount.clear()
        self._count.clear()
        for labels, amount in amounts.items():
            self._amount.labels(*labels).set(amount)
            self._count.labels(*labels).set(counts[labels])
