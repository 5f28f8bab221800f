"""What is kept of events and deliveries, and for how long; and how many endpoints are left alone just now."""

from datetime import timedelta
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge

from rialto_common.database import Pool
from rialto_common.runtime import Runtime
from rialto_gateway.webhooks.messages import QUERIES

SWEEP = 1_000
"""How many rows of a kind a step forgets at most, in one statement: a second's work for the disk, never a minute's."""
PAUSE_SECONDS = 10.0


class Retention:
    """Forgets events and deliveries that are at their end and older than `keep`. What is in line is never forgotten."""

    def __init__(self, pool: Pool, runtime: Runtime, registry: CollectorRegistry, *, keep: timedelta) -> None:
        self._pool = pool
        self._runtime = runtime
        self._keep = keep
        self._open = Gauge(
            "rialto_webhook_endpoints_left_alone",
            "Webhook endpoints whose circuit breaker is open or half open",
            registry=registry,
        )
        self._forgotten = Counter(
            "rialto_webhook_rows_forgotten_total", "Events and deliveries past retention", ["kind"], registry=registry
        )

    async def step(self) -> float:
        """Forget a batch of each; come again at once after a full one."""
        self._open.set(await self._pool.fetchval(QUERIES["open_breakers"]))
        before = self._runtime.now() - self._keep
        # Ids begin with their payment's time, which is never after the row's: the index of ids leads to what is old.
        below = UUID(int=int(before.timestamp() * 1000) << 80)
        counts = {}
        for kind in ("deliveries", "events"):
            tag: str = await self._pool.execute(QUERIES[f"sweep_{kind}"], below, before, SWEEP)
            counts[kind] = int(tag.rpartition(" ")[2])
            self._forgotten.labels(kind).inc(counts[kind])
        return 0.0 if SWEEP in counts.values() else PAUSE_SECONDS
