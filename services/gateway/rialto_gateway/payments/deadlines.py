"""The clock's part: payments whose state lasted too long move on. A deadline is a row, so no restart forgets one."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from rialto_common import ids
from rialto_common.bus.consumer import describe
from rialto_common.database import is_retryable
from rialto_common.runtime import Runtime
from rialto_gateway.payments.facts import DeadlinePassed
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import PaymentReader, Units

log = structlog.get_logger()

BATCH = 200
PAUSE_SECONDS = 0.5
FAILED_PAUSE = timedelta(seconds=30)
"""When a payment that could not be moved on is tried again."""


class DeadlineSweep:
    """Applies passed deadlines in batches."""

    def __init__(self, units: Units, reader: PaymentReader, runtime: Runtime, deadlines: Deadlines) -> None:
        self._units = units
        self._reader = reader
        self._runtime = runtime
        self._deadlines = deadlines

    async def step(self) -> float:
        """Move on what is due; come again at once after a full batch."""
        payment_ids = await self._reader.due(self._runtime.now(), BATCH)
        if not payment_ids:
            return PAUSE_SECONDS
        try:
            await self._move_on(payment_ids)
        except Exception as error:
            if is_retryable(error):
                raise
            await self._move_on_one_by_one(payment_ids)
        return 0.0 if len(payment_ids) == BATCH else PAUSE_SECONDS

    async def _move_on(self, payment_ids: Sequence[UUID]) -> None:
        async with self._units.begin() as unit:
            occurrences = [Occurrence(payment_id, DeadlinePassed(), actor="clock") for payment_id in payment_ids]
            await apply_all(occurrences, unit, now=self._runtime.now(), deadlines=self._deadlines)
            self._runtime.crash_point("gateway.deadlines.before_commit")
        self._runtime.crash_point("gateway.deadlines.after_commit")

    async def _move_on_one_by_one(self, payment_ids: Sequence[UUID]) -> None:
        """One that fails for good must not hold up the others, nor come first again at every look."""
        for payment_id in payment_ids:
            try:
                await self._move_on([payment_id])
            except Exception as error:
                if is_retryable(error):
                    raise
                log.error("deadline.failed", payment_id=ids.to_text("pay", payment_id), error=describe(error))
                await self._reader.postpone(payment_id, self._runtime.now() + FAILED_PAUSE)
