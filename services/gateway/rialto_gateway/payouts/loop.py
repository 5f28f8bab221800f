"""The clock's part: schedules whose time has come, and payouts that have not ended in time. Timers are rows."""

from datetime import timedelta

import structlog

from rialto_common import ids
from rialto_common.bus.consumer import describe
from rialto_common.database import is_unavailable
from rialto_common.errors import PaymentError, ServiceUnavailable
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.payments.ports import Units
from rialto_gateway.payouts.ports import PayoutReader, Settings
from rialto_gateway.payouts.progress import progress
from rialto_gateway.payouts.service import PayoutService

log = structlog.get_logger()

BATCH = 50
PAUSE_SECONDS = 0.5
FAILED_PAUSE = timedelta(seconds=30)
"""When a schedule that could not be kept, as the ledger was away, is tried again."""


class PayoutClock:
    """Pays out what is due and counts what is overdue."""

    def __init__(self, units: Units, reader: PayoutReader, service: PayoutService, runtime: Runtime) -> None:
        self._units = units
        self._reader = reader
        self._service = service
        self._runtime = runtime

    async def step(self) -> float:
        """Keep the schedules that are due; come again at once after a full batch."""
        due = await self._reader.due(self._runtime.now(), BATCH)
        for settings in due:
            await self._pay_out(settings)
        overdue = await self._reader.overdue(self._runtime.now(), BATCH)
        if overdue:
            async with self._units.begin() as unit:
                unit.publish(*await progress(unit, [], now=self._runtime.now(), counted=overdue))
        return 0.0 if BATCH in (len(due), len(overdue)) else PAUSE_SECONDS

    async def _pay_out(self, settings: Settings) -> None:
        """One merchant that cannot be paid now must not hold up the others, nor come first again at every look."""
        mode: Mode = "live" if settings.mode == "live" else "test"
        try:
            await self._service.pay_what_is_due(settings, mode)
        except Exception as error:
            if is_unavailable(error) and not isinstance(error, ServiceUnavailable):
                raise  # our own database; the ledger being away is said otherwise
            tell = log.warning if isinstance(error, PaymentError) else log.error
            tell("payout.postponed", merchant_id=ids.to_text("mer", settings.merchant_id), error=describe(error))
            await self._service.postpone(settings, self._runtime.now() + FAILED_PAUSE)
