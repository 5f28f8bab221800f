"""Assess payments as they are created: load the histories, decide, save, publish; a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import MalformedEvent, UnknownCurrency
from rialto_common.events import Event, compose
from rialto_common.events.fraud import FraudAssessed
from rialto_common.events.fraud import Reason as PublishedReason
from rialto_common.events.payments import PaymentCreated, PaymentCreatedV2, WalletMethod
from rialto_common.runtime import Runtime
from rialto_fraud.application.ports import Scorer, Unit
from rialto_fraud.domain.assessment import Assessment, Versions
from rialto_fraud.domain.features import FEATURE_VERSION, FloatArray, Observation, Row, extract_in_order
from rialto_fraud.domain.policy import Outcome, Policy
from rialto_fraud.domain.reasons import GROUPS, Reason, explain, usual, variants
from rialto_fraud.domain.reference_amount import reference_cents
from rialto_fraud.metrics import FraudMetrics

SOURCE = "rialto.fraud"
LONGEST_TERMINAL = 64

Created = tuple[Event, PaymentCreatedV2]


@dataclass(frozen=True, slots=True)
class Judged:
    """A payment's score, outcome and reasons."""

    score: float
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class AssessPayments:
    """Handles `payment.created`. A payment keeps its first verdict and is counted once."""

    scorer: Scorer
    policy: Policy
    runtime: Runtime
    metrics: FraudMetrics

    async def __call__(self, unit: Unit, events: Sequence[Event]) -> None:
        """Assess the payments of a batch, in order, inside the transaction that the unit stands for."""
        payments = [(event, event.read(PaymentCreatedV2)) for event in events]
        known = await unit.assessments.known({payment.payment_id for _, payment in payments})
        new = _first_of_each(payments, known)
        if not new:
            return
        observations = [observe(event, payment) for event, payment in new]
        histories = await unit.histories.lock(_subjects(observations))

        started = self.runtime.monotonic()
        features = extract_in_order(observations, histories, histories)
        rows = [tuple(row) for row in features.tolist()]
        judged = await self._judge(features, rows)
        self.metrics.scored(len(rows), self.runtime.monotonic() - started)

        now = self.runtime.now()
        assessments = [
            self._assessment(event, payment, row, verdict, now)
            for (event, payment), row, verdict in zip(new, rows, judged, strict=True)
        ]
        await unit.histories.save(histories)
        await unit.assessments.save(assessments)
        for assessment, (event, _) in zip(assessments, new, strict=True):
            unit.publish(announcement(assessment, event))
            self.metrics.assessed(assessment.outcome, assessment.score)

    async def _judge(self, features: FloatArray, rows: Sequence[Row]) -> list[Judged]:
        """Return the verdict on each row; those that are not allowed cost one more call of the model, for reasons."""
        scores = (await self.scorer.score_batch(features)).probability.tolist()
        outcomes = [self.policy.decide(score, row) for score, row in zip(scores, rows, strict=True)]
        suspect = [index for index, outcome in enumerate(outcomes) if outcome is not Outcome.ALLOW]
        reasons: dict[int, tuple[Reason, ...]] = {}
        if suspect:
            answers = await self.scorer.score_batch(variants([rows[index] for index in suspect]))
            log_odds = answers.log_odds.reshape(len(suspect), 1 + len(GROUPS)).tolist()
            for index, answer in zip(suspect, log_odds, strict=True):
                reasons[index] = explain(rows[index], answer, self.policy)
        return [
            Judged(score, outcome, reasons[index] if index in reasons else (usual(rows[index]),))
            for index, (score, outcome) in enumerate(zip(scores, outcomes, strict=True))
        ]

    def _assessment(
        self, event: Event, payment: PaymentCreatedV2, row: Row, judged: Judged, now: datetime
    ) -> Assessment:
        return Assessment(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            shard=event.shard,
            score=judged.score,
            outcome=judged.outcome,
            reasons=judged.reasons,
            features=row,
            versions=Versions(FEATURE_VERSION, self.scorer.version, self.policy.version),
            occurred_at=payment.occurred_at,
            assessed_at=now,
        )


def observe(event: Event, payment: PaymentCreated | PaymentCreatedV2) -> Observation:
    """Return what the model needs to know of a payment.

    A payment cannot have happened after it was accepted: a clock that is ahead would push everything that follows out
    of the wallet's windows. A terminal's name is its merchant's own, so two merchants' "1" are two terminals.
    Raises: MalformedEvent: the currency is not one we know.
    """
    try:
        cents = reference_cents(payment.amount_minor, payment.currency)
    except UnknownCurrency as error:
        raise MalformedEvent(f"payment {event.key} is in a currency we do not know") from error
    return Observation(
        wallet=_payer_subject(payment),
        terminal=_terminal_subject(payment),
        at=max(0, int(min(payment.occurred_at, event.time).timestamp())),
        amount_cents=cents,
    )


def _payer_subject(payment: PaymentCreated | PaymentCreatedV2) -> str:
    """Return whose spending the payment belongs to: a wallet's, or a card's by its fingerprint."""
    method = payment.payment_method
    name = ids.to_text("wal", method.wallet_id) if isinstance(method, WalletMethod) else f"card_{method.fingerprint}"
    return f"{payment.mode}/{name}"


def _terminal_subject(payment: PaymentCreated | PaymentCreatedV2) -> str | None:
    name = payment.terminal_id
    if not name:
        return None
    if len(name) > LONGEST_TERMINAL:
        name = sha256(name.encode()).hexdigest()
    return f"{payment.mode}/{ids.to_text('mer', payment.merchant_id)}/{name}"


def _first_of_each(payments: Sequence[Created], known: set[UUID]) -> list[Created]:
    """Return the payments that are new, each once, in order."""
    seen = set(known)
    new = []
    for event, payment in payments:
        if payment.payment_id not in seen:
            seen.add(payment.payment_id)
            new.append((event, payment))
    return new


def _subjects(observations: Sequence[Observation]) -> set[str]:
    wallets = {observation.wallet for observation in observations}
    return wallets | {observation.terminal for observation in observations if observation.terminal is not None}


def announcement(assessment: Assessment, cause: Event) -> Event:
    """Return the event that tells the gateway; the only one of this service per payment."""
    data = FraudAssessed(
        payment_id=assessment.payment_id,
        merchant_id=assessment.merchant_id,
        mode=assessment.mode,
        score=assessment.score,
        outcome=assessment.outcome.value,
        reasons=[
            PublishedReason(
                code=reason.code, feature=reason.feature, value=reason.value, contribution=reason.contribution
            )
            for reason in assessment.reasons
        ],
        model_version=assessment.versions.model,
        policy_version=assessment.versions.policy,
    )
    return compose(
        data,
        source=SOURCE,
        root=assessment.payment_id,
        key=cause.key,
        shard=cause.shard,
        time=assessment.assessed_at,
        sequence=1,
        cause=cause,
    )
