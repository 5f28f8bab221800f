"""The loop that tells acquirers merchants' answers and asks how disputes stand. Timers are rows.

What is to be sent is recorded in a commit before the call and may be sent again: an acquirer takes it once. A dispute
whose process died in a call is taken up when its lease ends. No connection to the database is held during a call.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import orjson
import structlog

from rialto_common import ids
from rialto_common.bus.consumer import describe
from rialto_common.database import is_unavailable
from rialto_common.errors import CommitUnknown
from rialto_common.runtime import Runtime
from rialto_gateway.connectors.disputes import DisputeAnswer, DisputeConnector, Standing
from rialto_gateway.connectors.port import Unknown
from rialto_gateway.disputes.dispute import Dispute
from rialto_gateway.disputes.service import DisputeService
from rialto_gateway.disputes.store import DisputeReader

log = structlog.get_logger()

BATCH = 20
PAUSE_SECONDS = 0.5
CALL_SECONDS = 30.0
LEASE = timedelta(seconds=60)


class DisputeDesk:
    """Tells and asks what is due."""

    def __init__(
        self,
        reader: DisputeReader,
        service: DisputeService,
        connectors: Mapping[str, DisputeConnector],
        runtime: Runtime,
    ) -> None:
        """`connectors` by name."""
        self._reader = reader
        self._service = service
        self._connectors = connectors
        self._runtime = runtime

    async def step(self) -> float:
        """Take up what is due, side by side; come again at once after a full batch."""
        now = self._runtime.now()
        due = await self._reader.claim(now, now + LEASE, BATCH)
        if due:
            await asyncio.gather(*(self._take_up(dispute) for dispute in due))
        return 0.0 if len(due) == BATCH else PAUSE_SECONDS

    async def _take_up(self, dispute: Dispute) -> None:
        name = ids.to_text("dp", dispute.id)
        connector = self._connectors.get(dispute.connector)
        if connector is None:
            log.error("dispute.acquirer_missing", dispute_id=name, connector=dispute.connector)
        try:
            answer: DisputeAnswer = Unknown("no_acquirer")
            if connector is not None:
                self._runtime.crash_point("gateway.dispute.before_call")
                answer = await self._ask(connector, dispute)
                self._runtime.crash_point("gateway.dispute.after_call")
            if not isinstance(answer, Standing):
                log.warning("dispute.not_answered", dispute_id=name, answer=type(answer).__name__)
            await self._service.conclude(dispute, answer if isinstance(answer, Standing) else None)
        except Exception as error:  # noqa: BLE001 - the lease runs out and it is taken up again
            away = is_unavailable(error) or isinstance(error, CommitUnknown)
            tell = log.warning if away else log.error
            tell("dispute.not_recorded", dispute_id=name, error=describe(error))

    async def _ask(self, connector: DisputeConnector, dispute: Dispute) -> DisputeAnswer:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if dispute.sending == "acceptance":
                    return await connector.accept_dispute(dispute.reference)
                kept = await self._reader.evidence(dispute.id) if dispute.sending == "evidence" else None
                if kept is not None:
                    return await connector.submit_evidence(dispute.reference, orjson.loads(kept))
                return await connector.look_up_dispute(dispute.reference)
        except TimeoutError:
            return Unknown("timed_out")
