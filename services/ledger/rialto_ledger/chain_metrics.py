"""What the sealing of the chains reports to Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ChainMetrics:
    """Blocks, and what waits for one: the oldest entry waits some seconds, or the sealer is in trouble."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._blocks = Counter("rialto_ledger_blocks_sealed_total", "Blocks sealed", registry=registry)
        self._entries = Counter("rialto_ledger_entries_sealed_total", "Entries sealed in blocks", registry=registry)
        self._unsealed = Gauge("rialto_ledger_entries_unsealed", "Entries that no block seals yet", registry=registry)
        self._oldest = Gauge(
            "rialto_ledger_oldest_unsealed_seconds", "How long the oldest unsealed entry has waited", registry=registry
        )

    def waiting(self, entries: int, oldest_seconds: float) -> None:
        """Report what is not sealed yet."""
        self._unsealed.set(entries)
        self._oldest.set(oldest_seconds)

    def sealed(self, entries: int) -> None:
        """Report a block."""
        self._blocks.inc()
        self._entries.inc(entries)
