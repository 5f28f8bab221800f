"""Keeps the newest published rates on record."""

import structlog

from rialto_common.database import is_retryable
from rialto_common.runtime import Runtime
from rialto_ledger.application.quotes import FxBook
from rialto_ledger.application.rates import RateSource
from rialto_ledger.metrics import RateMetrics

log = structlog.get_logger()

POLL_SECONDS = 900.0
RETRY_SECONDS = 60.0


class RateKeeper:
    """Fetches rates and stores the new ones, as long as it is stepped; a failure changes nothing on record."""

    def __init__(self, source: RateSource, book: FxBook, runtime: Runtime, metrics: RateMetrics) -> None:
        self._source = source
        self._book = book
        self._runtime = runtime
        self._metrics = metrics
        self._stored: str | None = None
        """The version that is on record. Kept only here: after a restart it is fetched again, and adds nothing."""

    async def step(self) -> float:
        """Fetch once; due again in a quarter of an hour, or in a minute after a failure."""
        try:
            sheet = await self._source.fetch(self._stored)
            if sheet is None:
                return POLL_SECONDS
            added = await self._book.add_rates(sheet.rates, self._runtime.now())
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("fx_rates.not_updated", error=type(error).__name__, detail=str(error)[:300])
            return RETRY_SECONDS
        # Only now: had it been noted before, a failed write would wait for the next day's rates.
        self._stored = sheet.version
        if sheet.rates:
            self._metrics.stored(max(rate.observed_at for rate in sheet.rates))
        log.info("fx_rates.updated", rates=len(sheet.rates), added=added)
        return POLL_SECONDS
