"""The state machine: a payment and a fact give the next payment and what to tell the others. Pure.

`apply` returns None where a fact changes nothing: it came late, or twice, and the payment has moved on. Commands
(capture, void, refund, review) that the state does not allow raise instead, as a person waits for the answer. What each
fact does is told by chapters, in `chapters/`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from rialto_gateway.payments import facts
from rialto_gateway.payments.chapters import (
    authorisation,
    captures,
    deadline,
    disputes,
    increments,
    refunds,
    settlement,
    verdicts,
)
from rialto_gateway.payments.chapters.change import (
    AttemptChange,
    CaptureChange,
    Change,
    Deadlines,
    IncrementChange,
    RefundChange,
)
from rialto_gateway.payments.chapters.verdicts import ASSESSMENT_MISSING
from rialto_gateway.payments.facts import Fact
from rialto_gateway.payments.states import Payment

__all__ = [
    "ASSESSMENT_MISSING",
    "AttemptChange",
    "CaptureChange",
    "Change",
    "Deadlines",
    "IncrementChange",
    "RefundChange",
    "apply",
]


def apply(payment: Payment, fact: Fact, now: datetime, deadlines: Deadlines) -> Change | None:
    """Return what the fact changes, or None where it changes nothing.

    Raises: PaymentNotCapturable, CaptureAboveAuthorised, PaymentNotVoidable, PaymentNotInReview, PaymentNotRefundable,
    RefundAboveCaptured, PaymentNotIncrementable, IncrementUnderWay, IncrementNotAbove, IncrementAboveLimit: a command
    that the state does not allow.
    """
    step = _STEPS[type(fact)]
    return step(payment, fact, now, deadlines)


_STEPS: dict[type[Any], Callable[[Payment, Any, datetime, Deadlines], Change | None]] = {
    facts.FraudVerdict: verdicts.fraud,
    facts.ComplianceVerdict: verdicts.compliance,
    facts.ReviewDecided: verdicts.review_decided,
    facts.HoldPlaced: authorisation.hold_placed,
    facts.AuthorisationRefused: authorisation.refused,
    facts.AcquirerAuthorised: authorisation.by_acquirer,
    facts.AcquirerRefusedAuthorisation: authorisation.refused_by_acquirer,
    facts.ActionNeeded: authorisation.action_needed,
    facts.OutcomeUnknown: authorisation.outcome_unknown,
    facts.IncrementAsked: increments.asked,
    facts.HoldIncreased: increments.hold_increased,
    facts.IncrementRefused: increments.refused,
    facts.AcquirerIncremented: increments.by_acquirer,
    facts.AcquirerRefusedIncrement: increments.refused_by_acquirer,
    facts.CaptureAsked: captures.asked,
    facts.HoldCaptured: captures.hold_captured,
    facts.CaptureRefused: captures.refused,
    facts.AcquirerCaptured: captures.at_acquirer,
    facts.AcquirerRefusedCapture: captures.refused_by_acquirer,
    facts.CaptureBooked: captures.booked,
    facts.VoidAsked: captures.void_asked,
    facts.HoldVoided: captures.hold_voided,
    facts.HoldExpired: captures.hold_expired,
    facts.AcquirerVoided: captures.voided_by_acquirer,
    facts.AcquirerRefusedVoid: captures.void_refused_by_acquirer,
    facts.RefundAsked: refunds.asked,
    facts.RefundBooked: refunds.booked,
    facts.RefundRefused: refunds.refused,
    facts.AcquirerRefunded: refunds.by_acquirer,
    facts.AcquirerRefusedRefund: refunds.refused_by_acquirer,
    facts.DisputeMoved: disputes.moved,
    facts.PayoutStarted: settlement.payout_started,
    facts.SettlementSubmitted: settlement.submitted,
    facts.SettlementConfirmed: settlement.confirmed,
    facts.SettlementReorged: settlement.reorged,
    facts.SettlementFailed: settlement.failed,
    facts.DeadlinePassed: deadline.passed,
}
