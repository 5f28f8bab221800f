"""Recording what is heard of an attempt, whoever says it: the call's answer, a look-up, the acquirer's webhook.

Attempt, payment, timeline and events change in one transaction, and the payment is locked before its attempt, so that
answers that come at the same time take turns and the second finds what the first made certain.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from rialto_common import ids
from rialto_common.errors import InvalidId
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.attempt import Attempt, contradicts, heard, may_go_elsewhere
from rialto_gateway.attempts.metrics import AttemptMetrics
from rialto_gateway.attempts.outcome import fact_of
from rialto_gateway.attempts.ports import AttemptReader, Connectors, RouteAsked
from rialto_gateway.connectors.port import Answer, Declined, Succeeded
from rialto_gateway.payments.facts import AcquirerRefusedAuthorisation
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import Units

log = structlog.get_logger()

Outcome = Literal["applied", "known", "contradicts"]
"""What an answer made of its attempt: something, nothing new, or it denies what was certain."""


class AttemptResolver:
    """Applies answers."""

    def __init__(
        self,
        units: Units,
        reader: AttemptReader,
        connectors: Connectors,
        runtime: Runtime,
        deadlines: Deadlines,
        metrics: AttemptMetrics,
    ) -> None:
        self._units = units
        self._reader = reader
        self._connectors = connectors
        self._runtime = runtime
        self._deadlines = deadlines
        self._metrics = metrics

    async def hear(self, connector: str, reference: str, answer: Answer) -> Outcome | None:
        """Take in what an acquirer's own webhook says; None where it is about no attempt of ours at that acquirer.

        It may come late, twice, out of order or before the answer to the call: what is certain stays.
        """
        try:
            attempt_id = ids.from_text("att", reference)
        except InvalidId:
            return None
        attempt = await self._reader.find(attempt_id)
        if attempt is None or attempt.connector != connector:
            return None
        found = await self._recorded(attempt, answer)
        return None if found is None else found[1]

    async def conclude(self, known: Attempt, answer: Answer) -> Attempt | None:
        """Record an answer and tell the payment; return the attempt as it is then, None where it is not there."""
        found = await self._recorded(known, answer)
        return None if found is None else found[0]

    async def _recorded(self, known: Attempt, answer: Answer) -> tuple[Attempt, Outcome] | None:
        now = self._runtime.now()
        elsewhere = await self._elsewhere(known, answer)
        async with self._units.begin() as unit:
            await unit.payments.lock([known.payment_id])
            before = await unit.attempts.lock(known.id)
            if before is None:
                return None
            after = heard(before, answer, now)
            outcome: Outcome = "known" if after is before else "applied"
            if contradicts(before, answer):
                self._contradicted(before, answer)
                outcome = "contradicts"
            if after is before:
                return before, outcome
            await unit.attempts.save(after)
            fact = fact_of(before, after, answer, elsewhere=elsewhere)
            if isinstance(fact, AcquirerRefusedAuthorisation) and fact.elsewhere:
                self._metrics.failed_over(after)
            if fact is not None:
                actor = f"acquirer:{after.connector}"
                occurrence = Occurrence(after.payment_id, fact, actor=actor, reference=after.reference)
                await apply_all([occurrence], unit, now=now, deadlines=self._deadlines)
            self._runtime.crash_point("gateway.attempt.before_recorded")
        self._runtime.crash_point("gateway.attempt.after_recorded")
        self._count(before, after, now)
        return after, outcome

    async def _elsewhere(self, attempt: Attempt, answer: Answer) -> bool:
        """Whether another acquirer may be asked, and there is one that was not."""
        if attempt.step != "authorise" or not (may_go_elsewhere(answer) or isinstance(answer, Declined)):
            return False
        tried = await self.tried(attempt.payment_id)
        return self._connectors.choose(route_of(attempt, tried, answer)) is not None

    async def tried(self, payment_id: UUID) -> set[str]:
        """Return the acquirers that an authorisation of the payment was put to."""
        attempts = await self._reader.of_payment(payment_id)
        return {each.connector for each in attempts if each.step == "authorise" and each.connector is not None}

    def _contradicted(self, attempt: Attempt, answer: Answer) -> None:
        self._metrics.contradicted(attempt)
        log.error(
            "attempt.contradicted",
            attempt_id=attempt.reference,
            connector=attempt.connector,
            step=attempt.step,
            state=attempt.state,
            says="succeeded" if isinstance(answer, Succeeded) else type(answer).__name__,
        )

    def _count(self, before: Attempt, after: Attempt, now: datetime) -> None:
        if after.state != before.state:
            self._metrics.became(after)
            if before.state == "unknown" and before.unknown_since is not None:
                self._metrics.resolved(after, (now - before.unknown_since).total_seconds())


def route_of(attempt: Attempt, tried: set[str], answer: Answer | None = None) -> RouteAsked:
    """Return what an acquirer is chosen by; `answer` is what the one before it said."""
    return RouteAsked(
        attempt.payment_id,
        attempt.mode,
        attempt.amount_minor,
        attempt.currency,
        frozenset(tried),
        decline=answer.code if isinstance(answer, Declined) and not answer.retry_elsewhere else None,
    )
