"""Disputes: objects of their own, which never change the payment's state, only what of it may be refunded.

What an acquirer says of a dispute is a fact: the ledger sets the amount aside, and gives it back or away at the end.
"""

from dataclasses import replace
from datetime import datetime

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.chapters.change import Change, Deadlines, charge, event
from rialto_gateway.payments.facts import DisputeMoved
from rialto_gateway.payments.states import REFUNDABLE, Payment
from rialto_gateway.pricing.price import Fee, Rate


def moved(payment: Payment, fact: DisputeMoved, now: datetime, deadlines: Deadlines) -> Change | None:
    """A dispute was opened, answered, given up, won or lost."""
    if payment.state not in REFUNDABLE:
        return None
    disputed = payment.amount_disputed_minor
    if fact.what == "opened":
        disputed += fact.amount_minor
    elif fact.what == "won":
        disputed -= fact.amount_minor
    detail = {"dispute_id": ids.to_text("dp", fact.dispute_id), "disputed_minor": str(fact.amount_minor)}
    outgoing = _told(payment, fact)
    after = replace(payment, amount_disputed_minor=disputed)
    charged: tuple[Fee, ...] = ()
    if fact.what == "opened":
        charged = charge(payment, "dispute", fact.dispute_id, fact.fee_minor, Rate(0, fact.fee_minor))
    detail |= {"cause": fact.cause} if fact.cause else {}
    return Change(after, f"dispute.{fact.what}", outgoing, detail=detail, fees=charged)


def _told(payment: Payment, fact: DisputeMoved) -> tuple[EventData, ...]:
    common = {
        "dispute_id": fact.dispute_id,
        "amount_minor": fact.amount_minor,
        "currency": payment.currency,
        "acquirer": fact.acquirer,
    }
    match fact.what:
        case "opened":
            more = {"reason": fact.reason, "respond_by": fact.respond_by, "fee_minor": fact.fee_minor}
            return (event(payment, events.DisputeOpened, **common, **more),)
        case "evidence_submitted":
            return (event(payment, events.DisputeEvidenceSubmitted, **common),)
        case "won":
            return (event(payment, events.DisputeWon, **common),)
        case "lost":
            return (event(payment, events.DisputeLost, **common, cause=fact.cause or "decided"),)
        case "accepted":
            return ()
