"""Taking a settlement file: read → match → keep → tell the ledger, in one transaction, once for the same bytes.

A line may tell first that a capture or refund was done whose outcome was unknown; it is taken as the acquirer's answer
before the file is matched.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from rialto_common import ids
from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Pool
from rialto_common.errors import Conflict
from rialto_common.events.envelope import Event, compose
from rialto_common.events.payments import AcquirerSettled
from rialto_common.runtime import Runtime
from rialto_gateway.connectors.port import Succeeded
from rialto_gateway.connectors.webhooks import Hear
from rialto_gateway.settlement_files.file import Line, parse
from rialto_gateway.settlement_files.matching import Known, match, match_early, shows_done
from rialto_gateway.settlement_files.metrics import SettlementMetrics
from rialto_gateway.settlement_files.store import (
    SettlementDifferences,
    clear_early,
    early_lines,
    file_of_hash,
    keep_file,
    known_by_reference,
)
from rialto_gateway.source import SOURCE

log = structlog.get_logger()

SWEEP_EVERY_SECONDS = 60.0
SWEEP_SIZE = 1_000


class SettlementFileChanged(Conflict):
    """Another file of this acquirer has come under this name before; ask the acquirer which one is right."""

    code = "settlement_file_changed"


class SettlementImporter:
    """Takes files."""

    def __init__(
        self,
        unit_of_work: UnitOfWork[PostgresTransaction],
        pool: Pool,
        hear: Hear,
        runtime: Runtime,
        metrics: SettlementMetrics,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._pool = pool
        self._hear = hear
        self._runtime = runtime
        self._metrics = metrics

    async def take(self, connector: str, body: bytes) -> tuple[Mapping[str, Any], bool]:
        """Return the row of a file, and whether it had been taken before.

        Raises: SettlementFileInvalid, SettlementFileChanged.
        """
        digest = sha256(body).digest()
        taken = await file_of_hash(self._pool, connector, digest)
        if taken is not None:
            return taken, True
        file = await asyncio.to_thread(parse, body)  # a large file would hold up everyone else for a second
        await self._answer_open_questions(connector, file.lines)
        now, file_id = self._runtime.now(), self._runtime.ids.mint()
        try:
            async with self._unit_of_work.begin() as transaction:
                connection = transaction.connection
                known = await known_by_reference(connection, connector, file.lines, lock=True)
                matched = match(file.lines, known)
                await keep_file(connection, file_id, connector, digest, file, matched, now)
                transaction.publish(*(self._settled(connector, file_id, line, of) for line, of in matched.cleared))
                self._runtime.crash_point("gateway.settlement_file.before_commit")
        except asyncpg.UniqueViolationError as error:
            taken = await file_of_hash(self._pool, connector, digest)
            if taken is not None:
                return taken, True
            if error.constraint_name == "settlement_files_name":
                raise SettlementFileChanged(
                    f"{connector} sent another file named {file.name} before; nothing of this one was taken"
                ) from error
            raise
        self._runtime.crash_point("gateway.settlement_file.after_commit")
        self._metrics.took(connector, len(matched.cleared), [each.reason for each in matched.differences])
        log.info(
            "settlement_file.taken",
            connector=connector,
            file_id=ids.to_text("stf", file_id),
            cleared=len(matched.cleared),
            differing=len(matched.differences),
        )
        row = await file_of_hash(self._pool, connector, digest)
        return row or {}, False

    async def clear_early(self, connector: str, limit: int) -> int:
        """Let lines that came before we knew that what they name was done clear it; return how many there were.

        The acquirer may have paid for a capture, or taken a lost dispute back, before we heard of either.
        """
        lines = await early_lines(self._pool, connector, limit)
        if not lines:
            return 0
        async with self._unit_of_work.begin() as transaction:
            known = await known_by_reference(
                transaction.connection, connector, [early.line for early in lines], lock=True
            )
            cleared = match_early(lines, known)
            await clear_early(transaction.connection, cleared, self._runtime.now())
            transaction.publish(*(self._settled(connector, early.file_id, early.line, of) for early, of in cleared))
            self._runtime.crash_point("gateway.settlement_file.before_early_commit")
        self._runtime.crash_point("gateway.settlement_file.after_early_commit")
        self._metrics.took(connector, len(cleared), [])
        return len(cleared)

    async def _answer_open_questions(self, connector: str, lines: Sequence[Line]) -> None:
        known = await known_by_reference(self._pool, connector, lines, lock=False)
        for line in lines:
            of = known.get(line.reference)
            if of is not None and shows_done(line, of):
                await self._hear(connector, line.reference, Succeeded(line.acquirer_id, of.amount_minor))

    def _settled(self, connector: str, file_id: UUID, line: Line, known: Known) -> Event:
        step: Any = known.step
        return compose(
            AcquirerSettled(
                payment_id=known.payment_id,
                merchant_id=known.merchant_id,
                mode=known.mode,
                attempt_id=known.attempt_id,
                dispute_id=known.id if known.step == "chargeback" else None,
                acquirer=connector,
                step=step,
                amount_minor=known.amount_minor,
                fee_minor=line.fee_minor,
                currency=known.currency,
                file_id=file_id,
                line=line.number,
            ),
            source=SOURCE,
            root=known.id,
            key=ids.to_text("dp" if known.step == "chargeback" else "att", known.id),
            shard=ids.shard_of(known.merchant_id),
            time=self._runtime.now(),
            sequence=1,
        )


class SettlementWatch:
    """Clears what came early, makes differences of what was not settled in time, and shows how many are open."""

    def __init__(
        self,
        importer: SettlementImporter,
        differences: SettlementDifferences,
        connectors: Sequence[str],
        runtime: Runtime,
        metrics: SettlementMetrics,
        *,
        overdue_after: timedelta,
    ) -> None:
        self._importer = importer
        self._differences = differences
        self._connectors = connectors
        self._runtime = runtime
        self._metrics = metrics
        self._overdue_after = overdue_after

    async def step(self) -> float:
        """Look once at each acquirer; come again at once while there is more."""
        now = self._runtime.now()
        found = [await self._importer.clear_early(connector, SWEEP_SIZE) for connector in self._connectors]
        found += [
            await self._differences.add_missing(connector, now - self._overdue_after, now, SWEEP_SIZE)
            for connector in self._connectors
        ]
        self._metrics.standing(await self._differences.count_open())
        return 0.0 if SWEEP_SIZE in found else SWEEP_EVERY_SECONDS
