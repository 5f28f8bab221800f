"""What a ledger of several reports to Prometheus about the money it has sent to others."""

from prometheus_client import CollectorRegistry, Gauge


class TransferMetrics:
    """Transfers in transit: some for seconds, none once all is quiet."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Gauge(
            "rialto_ledger_transfers_under_way",
            "Transfers that were sent to another ledger and have not ended",
            registry=registry,
        )
        self._oldest = Gauge(
            "rialto_ledger_oldest_transfer_under_way_seconds",
            "How long the oldest of them has been in transit; minutes mean that a ledger is away",
            registry=registry,
        )

    def under_way(self, count: int, oldest_seconds: float) -> None:
        """Report what is in transit."""
        self._count.set(count)
        self._oldest.set(oldest_seconds)
