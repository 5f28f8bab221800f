"""Screens payments as they are created: load the names, decide, save, publish; a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rialto_common.events import Event, compose
from rialto_common.events.common import Sealed
from rialto_common.events.compliance import ComplianceScreened
from rialto_common.events.compliance import Hit as PublishedHit
from rialto_common.events.compliance import RuleOutcome as PublishedRule
from rialto_common.events.payments import PaymentCreatedV2
from rialto_common.money import Money
from rialto_common.runtime import Runtime
from rialto_compliance.application.ports import People, Screening, Unit
from rialto_compliance.application.screener import Screener
from rialto_compliance.domain.policy import Policy
from rialto_compliance.domain.rules import Party
from rialto_compliance.domain.screening import ScreenedParty, Verdict, decide
from rialto_compliance.metrics import ScreeningMetrics

SOURCE = "rialto.compliance"


@dataclass(frozen=True, slots=True)
class ScreenPayments:
    """Handles `payment.created`. A payment that has a verdict keeps it, and is not announced again."""

    screener: Screener
    policy: Policy
    runtime: Runtime
    metrics: ScreeningMetrics

    async def __call__(self, unit: Unit, events: Sequence[Event]) -> None:
        """Screen the payments of a batch inside the transaction that the unit stands for."""
        created = {payment.payment_id: (event, payment) for event, payment in _read(events)}
        parties = await self._screened_parties(unit.people, [payment for _, payment in created.values()])
        now = self.runtime.now()
        verdicts = {
            payment_id: decide(parties[payment_id], Money(payment.amount_minor, payment.currency), self.policy)
            for payment_id, (_, payment) in created.items()
        }
        screenings = [self._screening(*created[payment_id], verdict, now) for payment_id, verdict in verdicts.items()]
        new = await unit.screenings.save(screenings)
        for screening in screenings:
            if screening.payment_id in new:
                event, _ = created[screening.payment_id]
                unit.publish(announcement(screening, event))
                self._count(screening.verdict)

    async def _screened_parties(
        self, people: People, payments: Sequence[PaymentCreatedV2]
    ) -> dict[UUID, list[ScreenedParty]]:
        """Return every payment's parties with their hits; all names of the batch are opened by one query."""
        sealed = [(payment.payment_id, party, sealed) for payment in payments for party, sealed in _parties(payment)]
        names = await people.names([item for _, _, item in sealed])
        hits = iter(await self.screener.screen([name for name in names if name is not None]))
        parties: dict[UUID, list[ScreenedParty]] = {payment.payment_id: [] for payment in payments}
        for (payment_id, party, _), name in zip(sealed, names, strict=True):
            parties[payment_id].append(ScreenedParty(party, None if name is None else next(hits)))
        return parties

    def _screening(self, event: Event, payment: PaymentCreatedV2, verdict: Verdict, now: datetime) -> Screening:
        return Screening(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            shard=event.shard,
            verdict=verdict,
            list_versions=self.screener.list_versions,
            screened_at=now,
        )

    def _count(self, verdict: Verdict) -> None:
        unreadable = sum(rule.id.endswith("_unreadable") for rule in verdict.rules)
        self.metrics.decided(verdict.outcome, [hit.list_id for _, hit in verdict.hits], unreadable)


def _read(events: Sequence[Event]) -> list[tuple[Event, PaymentCreatedV2]]:
    return [(event, event.read(PaymentCreatedV2)) for event in events]


def _parties(payment: PaymentCreatedV2) -> list[tuple[Party, Sealed]]:
    parties: list[tuple[Party, Sealed]] = [("payer", payment.payer)]
    if payment.payee is not None:
        parties.append(("payee", payment.payee))
    return parties


def announcement(screening: Screening, cause: Event) -> Event:
    """Return the event that tells the gateway; the only one of this service per payment."""
    verdict = screening.verdict
    data = ComplianceScreened(
        payment_id=screening.payment_id,
        merchant_id=screening.merchant_id,
        mode=screening.mode,
        outcome=verdict.outcome,
        hits=published_hits(verdict),
        rules=[PublishedRule(id=rule.id, version=rule.version, outcome=rule.outcome) for rule in verdict.rules],
    )
    return compose(
        data,
        source=SOURCE,
        root=screening.payment_id,
        key=cause.key,
        shard=cause.shard,
        time=screening.screened_at,
        sequence=1,
        cause=cause,
    )


def published_hits(verdict: Verdict) -> list[PublishedHit]:
    """Return the hits as they may leave the service: listed entities and figures, never a party's name."""
    return [
        PublishedHit(
            party=party,
            list_id=hit.list_id,
            list_version=hit.list_version,
            entity_id=hit.entity_id,
            score=hit.score,
            features=hit.features.as_figures(),
        )
        for party, hit in verdict.hits
    ]
