"""What the bridge reports to Prometheus."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class BridgeMetrics:
    """Batches, sendings, confirmations, and what is late; unknown and overdue should read 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.chain_up = Gauge("rialto_chain_up", "Whether the EVM node answered last time", registry=registry)
        self.head = Gauge("rialto_chain_head_block", "The newest block seen", registry=registry)
        self.batch_payments = Histogram(
            "rialto_chain_batch_payments",
            "Payments a batch",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200),
            registry=registry,
        )
        self.attempts = Counter(
            "rialto_chain_attempts_total", "Transactions handed to the node", ["outcome"], registry=registry
        )
        self.confirmed = Counter(
            "rialto_chain_settlements_confirmed_total", "Payments confirmed on chain", registry=registry
        )
        self.reorged = Counter(
            "rialto_chain_settlements_reorged_total", "Payments whose block the chain dropped", registry=registry
        )
        self.reverted = Counter(
            "rialto_chain_transactions_void_total", "Transactions that had no effect", registry=registry
        )
        self.gas = Counter("rialto_chain_gas_used_total", "Gas used by confirmed transactions", registry=registry)
        self._stock = Gauge(
            "rialto_chain_stock",
            "Settlements waiting for a batch; transactions pending, of unknown outcome, past their deadline",
            ["what"],
            registry=registry,
        )

    def stock(self, overview: Mapping[str, int]) -> None:
        """Report how much is where."""
        for what, count in overview.items():
            self._stock.labels(what).set(count)
