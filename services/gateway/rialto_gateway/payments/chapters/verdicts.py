"""Verdicts: fraud's and compliance's, and a person's where they are not enough."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.chapters import authorisation
from rialto_gateway.payments.chapters.change import Change, Deadlines, decline, enter, event
from rialto_gateway.payments.errors import PaymentNotInReview
from rialto_gateway.payments.facts import ComplianceVerdict, FraudVerdict, ReviewDecided
from rialto_gateway.payments.states import Payment

ASSESSMENT_MISSING = "assessment_missing"
"""Why a payment is in review when a verdict did not come in time; the late verdict still counts."""


def fraud(payment: Payment, fact: FraudVerdict, now: datetime, deadlines: Deadlines) -> Change | None:
    """The fraud service scored it."""
    if payment.fraud is not None or not _takes_verdicts(payment):
        return None
    assessed = replace(payment, fraud=fact.outcome)
    return _decide(assessed, "fraud.assessed", {"outcome": fact.outcome}, now, deadlines)


def compliance(payment: Payment, fact: ComplianceVerdict, now: datetime, deadlines: Deadlines) -> Change | None:
    """The compliance service screened it."""
    if payment.compliance is not None or not _takes_verdicts(payment):
        return None
    screened = replace(payment, compliance=fact.outcome)
    return _decide(screened, "compliance.screened", {"outcome": fact.outcome}, now, deadlines)


def _takes_verdicts(payment: Payment) -> bool:
    return payment.state == "created" or (payment.state == "review" and payment.reason == ASSESSMENT_MISSING)


def _decide(payment: Payment, name: str, detail: dict[str, Any], now: datetime, deadlines: Deadlines) -> Change:
    """Decide from the verdicts so far: one block is enough to decline; only two clear ones let it pass."""
    if payment.compliance == "block":
        return decline(payment, "sanctions_hit", name, detail)
    if payment.fraud == "block":
        return decline(payment, "fraud_suspected", name, detail)
    if payment.fraud is None or payment.compliance is None:
        return Change(payment, name, detail=detail)
    reasons = [
        reason
        for reason, raised in (
            ("fraud_review", payment.fraud == "review"),
            ("compliance_review", payment.compliance == "review"),
        )
        if raised
    ]
    if reasons:
        reviewed = enter(payment, "review", ",".join(reasons), now, deadlines)
        if payment.state == "review":
            # It has stood in review since its deadline passed; that time goes on counting.
            reviewed = replace(reviewed, deadline_at=payment.deadline_at)
        return Change(reviewed, name, (event(payment, events.PaymentReviewOpened, reasons=reasons),), detail=detail)
    closed: tuple[EventData, ...] = ()
    if payment.state == "review":
        closed = (event(payment, events.PaymentReviewClosed, decision="approved", decided_by="assessments"),)
    return _approve(payment, closed, name, detail, now, deadlines)


def _approve(
    payment: Payment,
    before: tuple[EventData, ...],
    name: str,
    detail: dict[str, Any],
    now: datetime,
    deadlines: Deadlines,
) -> Change:
    approved, questions = authorisation.ask(payment, now)
    entered = replace(
        enter(payment, "approved", None, now, deadlines), authorisations=payment.authorisations + len(questions)
    )
    return Change(entered, name, (*before, *approved), detail=detail, attempts=questions)


def review_decided(payment: Payment, fact: ReviewDecided, now: datetime, deadlines: Deadlines) -> Change | None:
    """A person decided. Raises: PaymentNotInReview."""
    if payment.state != "review":
        raise PaymentNotInReview(f"the payment is {payment.state}; only one in review can be decided")
    decision: Literal["approved", "declined"] = "approved" if fact.decision == "approve" else "declined"
    closed = event(payment, events.PaymentReviewClosed, decision=decision, decided_by=fact.by)
    detail = {"decision": decision}
    if fact.decision == "approve":
        return _approve(payment, (closed,), "payment.review_closed", detail, now, deadlines)
    change = decline(payment, "review_declined", "payment.review_closed", detail)
    return replace(change, outgoing=(closed, *change.outgoing))
