"""Watches what is in transit: the other ledger answers everything, so what stays long says that it does not run."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from rialto_common.runtime import Runtime
from rialto_ledger.transfer_metrics import TransferMetrics

PAUSE_SECONDS = 5.0

UnderWay = Callable[[], Awaitable[tuple[int, datetime | None]]]
"""How many transfers are sent and not ended, and since when the oldest is."""


class TransferWatch:
    """Reports how many transfers are under way, and the age of the oldest."""

    def __init__(self, under_way: UnderWay, metrics: TransferMetrics, runtime: Runtime) -> None:
        self._under_way = under_way
        self._metrics = metrics
        self._runtime = runtime

    async def step(self) -> float:
        """Look once."""
        count, oldest = await self._under_way()
        seconds = 0.0 if oldest is None else (self._runtime.now() - oldest).total_seconds()
        self._metrics.under_way(count, max(0.0, seconds))
        return PAUSE_SECONDS
