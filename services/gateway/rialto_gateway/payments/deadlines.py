"""The clock's part: payments whose state lasted too long move on. A deadline is a row, so no restart forgets one."""

from collections.abc import Sequence

from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Pool
from rialto_common.runtime import Runtime
from rialto_gateway.payments.facts import DeadlinePassed
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.store import QUERIES, PostgresPayments
from rialto_gateway.webhooks.messages import PostgresMessages

BATCH = 200
PAUSE_SECONDS = 0.5


class DeadlineSweep:
    """Applies passed deadlines in batches."""

    def __init__(
        self, pool: Pool, unit_of_work: UnitOfWork[PostgresTransaction], runtime: Runtime, deadlines: Deadlines
    ) -> None:
        self._pool = pool
        self._unit_of_work = unit_of_work
        self._runtime = runtime
        self._deadlines = deadlines

    async def step(self) -> float:
        """Move on what is due; come again at once after a full batch."""
        rows: Sequence[object] = await self._pool.fetch(QUERIES["due"], self._runtime.now(), BATCH)
        if not rows:
            return PAUSE_SECONDS
        now = self._runtime.now()
        async with self._unit_of_work.begin() as transaction:
            await apply_all(
                [Occurrence(row["payment_id"], DeadlinePassed(), actor="clock") for row in rows],  # type: ignore[index]
                transaction=transaction,
                payments=PostgresPayments(transaction.connection),
                messages=PostgresMessages(transaction.connection),
                now=now,
                deadlines=self._deadlines,
            )
        return 0.0 if len(rows) == BATCH else PAUSE_SECONDS
