"""What is done with disputes: hearing acquirers, and merchants' answers.

Dispute, payment and events change in one commit, and the payment is locked before its dispute, so that what comes at
the same time takes turns.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from uuid import UUID

import orjson
import structlog

from rialto_common import ids
from rialto_common.errors import InvalidId
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.ports import AttemptReader
from rialto_gateway.connectors.disputes import Standing
from rialto_gateway.disputes.dispute import (
    Dispute,
    Happening,
    accept,
    contradicts,
    dispute_id,
    heard,
    not_heard,
    opened,
    submit,
)
from rialto_gateway.disputes.errors import DisputeNotAnswerable, DisputeNotFound, DisputeNotPlausible, EvidenceMissing
from rialto_gateway.disputes.store import DisputeReader, DisputeUnit, DisputeUnits
from rialto_gateway.payments.facts import DisputeMoved
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.states import REFUNDABLE, Payment

log = structlog.get_logger()

Decide = Callable[[Dispute, DisputeUnit, datetime], Awaitable[tuple[Dispute, Happening | None]]]


class DisputeService:
    """Hears and answers."""

    def __init__(
        self,
        *,
        units: DisputeUnits,
        reader: DisputeReader,
        attempts: AttemptReader,
        runtime: Runtime,
        deadlines: Deadlines,
        fee_minor: int,
    ) -> None:
        """`fee_minor` is what a merchant pays for a dispute, in minor units of its currency."""
        self._units = units
        self._reader = reader
        self._attempts = attempts
        self._runtime = runtime
        self._deadlines = deadlines
        self._fee_minor = fee_minor

    async def hear(self, connector: str, standing: Standing) -> bool:
        """Take in what an acquirer says of a dispute, the first time or again.

        False where it is of no payment of ours at that acquirer. Raises: DisputeNotPlausible: of more than is known to
        be captured and not disputed yet; told again later, it may be.
        """
        payment_id = await self._payment_of(connector, standing.attempt)
        if payment_id is None:
            return False
        now = self._runtime.now()
        async with self._units.begin() as work:
            payment = (await work.unit.payments.lock([payment_id]))[payment_id]
            before = await work.disputes.lock(dispute_id(connector, standing))
            if before is None:
                _check_plausible(payment, standing)
                before = opened(standing, connector, payment.id, payment.merchant_id, payment.mode, self._fee_minor)
                await work.disputes.add(before, now)
                await self._tell(work, before, "opened", now)
            await self._record(work, before, *heard(before, standing, now), now=now)
            self._runtime.crash_point("gateway.dispute.before_heard")
        self._runtime.crash_point("gateway.dispute.after_heard")
        if contradicts(before, standing.status):
            log.error("dispute.contradicted", connector=connector, state=before.state, says=standing.status)
        return True

    async def conclude(self, known: Dispute, standing: Standing | None) -> None:
        """Record the answer to a question about a dispute, or that there was none."""
        if standing is not None:
            await self.hear(known.connector, standing)
            return

        async def unanswered(before: Dispute, _: DisputeUnit, now: datetime) -> tuple[Dispute, None]:
            return not_heard(before, now), None

        await self._change(known, unanswered)

    async def keep_evidence(self, known: Dispute, evidence: Mapping[str, str]) -> None:
        """Keep the merchant's evidence, sealed under the payer's key, in place of any before.

        Raises: DisputeNotAnswerable; PersonErased: the payer is to be forgotten, and nothing more is kept of them.
        """

        async def keep(before: Dispute, work: DisputeUnit, now: datetime) -> tuple[Dispute, None]:
            _check_answerable(before, now)
            party_id = await work.disputes.payer(before.payment_id)
            [sealed] = await work.unit.people.seal([(party_id, orjson.dumps(dict(evidence)))])
            await work.disputes.keep_evidence(before.id, sealed, now)
            return before, None

        await self._change(known, keep)

    async def submit(self, known: Dispute) -> None:
        """Send the evidence to the acquirer. Raises: DisputeNotAnswerable, EvidenceMissing."""

        async def send(before: Dispute, _: DisputeUnit, now: datetime) -> tuple[Dispute, None]:
            _check_answerable(before, now)
            if not before.has_evidence:
                raise EvidenceMissing("post the evidence first")
            return submit(before, now), None

        await self._change(known, send)

    async def accept(self, known: Dispute) -> None:
        """Give the dispute up. Raises: DisputeNotAnswerable."""

        async def give_up(before: Dispute, _: DisputeUnit, now: datetime) -> tuple[Dispute, Happening]:
            _check_answerable(before, now)
            return accept(before, now), "accepted"

        await self._change(known, give_up)

    async def _change(self, known: Dispute, decide: Decide) -> None:
        now = self._runtime.now()
        async with self._units.begin() as work:
            await work.unit.payments.lock([known.payment_id])
            before = await work.disputes.lock(known.id)
            if before is None:
                raise DisputeNotFound(f"there is no dispute {ids.to_text('dp', known.id)} for this key")
            await self._record(work, before, *await decide(before, work, now), now=now)
            self._runtime.crash_point("gateway.dispute.before_commit")
        self._runtime.crash_point("gateway.dispute.after_commit")

    async def _record(
        self, work: DisputeUnit, before: Dispute, after: Dispute, happening: Happening | None, *, now: datetime
    ) -> None:
        if after != before:
            await work.disputes.save(after, now)
        if happening is not None:
            await self._tell(work, after, happening, now)

    async def _tell(self, work: DisputeUnit, dispute: Dispute, happening: Happening, now: datetime) -> None:
        fact = DisputeMoved(
            dispute.id,
            happening,
            dispute.connector,
            dispute.amount_minor,
            dispute.fee_minor,
            dispute.reason,
            dispute.respond_by,
            dispute.cause,
        )
        actor = "merchant" if happening == "accepted" else f"acquirer:{dispute.connector}"
        await apply_all(
            [Occurrence(dispute.payment_id, fact, actor=actor)], work.unit, now=now, deadlines=self._deadlines
        )

    async def _payment_of(self, connector: str, reference: str) -> UUID | None:
        try:
            attempt = await self._attempts.find(ids.from_text("att", reference))
        except InvalidId:
            return None
        return None if attempt is None or attempt.connector != connector else attempt.payment_id


def _check_plausible(payment: Payment, standing: Standing) -> None:
    left = payment.amount_captured_minor - payment.amount_disputed_minor
    if payment.state not in REFUNDABLE or payment.currency != standing.currency or standing.amount_minor > left:
        raise DisputeNotPlausible(
            f"{standing.amount_minor} {standing.currency} is disputed of a payment that is {payment.state} with {left} "
            f"{payment.currency} captured and not disputed"
        )


def _check_answerable(dispute: Dispute, now: datetime) -> None:
    if not dispute.answerable(now):
        raise DisputeNotAnswerable(
            f"the dispute is {dispute.state}, and was to be answered by {dispute.respond_by.isoformat()}; "
            "what was sent stays"
        )
