"""Time: a state lasted too long."""

from dataclasses import replace
from datetime import datetime

from rialto_common.events import payments as events
from rialto_gateway.payments.chapters import settlement
from rialto_gateway.payments.chapters.captures import ask_void
from rialto_gateway.payments.chapters.change import (
    Change,
    Deadlines,
    ask,
    decline,
    end,
    enter,
    event,
    void_at_acquirer,
)
from rialto_gateway.payments.chapters.verdicts import ASSESSMENT_MISSING
from rialto_gateway.payments.facts import DeadlinePassed
from rialto_gateway.payments.states import LOOKED_AT_WHILE_WAITING, Payment

NAME = "deadline.passed"


def passed(payment: Payment, fact: DeadlinePassed, now: datetime, deadlines: Deadlines) -> Change | None:
    """Move on what waited long enough."""
    if payment.deadline_at is None or payment.deadline_at > now:
        return None
    match payment.state:
        case "created":
            opened = event(payment, events.PaymentReviewOpened, reasons=[ASSESSMENT_MISSING])
            return Change(enter(payment, "review", ASSESSMENT_MISSING, now, deadlines), NAME, (opened,))
        case "review":
            return decline(payment, "review_expired", NAME, {})
        case "requires_action":
            return _payer_did_nothing(payment, now)
        case "approved":
            return _no_answer(payment, now, deadlines)
        case "unknown" if payment.method == "card":
            # Its attempt is being asked about; money that may be held somewhere is never given up by a clock.
            return Change(ask(payment, now), NAME)
        case "unknown":
            return ask_void(payment, "ledger_did_not_answer", now, name=NAME)
        case "authorised" if payment.capture_pending_minor > 0:
            # It has been asked for and will be answered: never let time overtake money.
            return Change(replace(ask(payment, now), reason=payment.reason or "capture_unanswered"), NAME)
        case "authorised" if payment.increment_to_minor is not None and payment.void_reason is None:
            return Change(replace(ask(payment, now), reason=payment.reason or "increment_unanswered"), NAME)
        case "authorised":
            return ask_void(payment, payment.void_reason or "expired", now, name=NAME)
        case "captured" if payment.waits_for_payout:
            return Change(replace(payment, deadline_at=now + LOOKED_AT_WHILE_WAITING), NAME)
        case "captured":
            again = replace(ask(payment, now), reason=payment.reason or "settlement_overdue")
            return Change(again, NAME, (settlement.request(payment),))
        case _:
            return None


def _no_answer(payment: Payment, now: datetime, deadlines: Deadlines) -> Change:
    announced = event(payment, events.AttemptUnknown, step="authorise")
    if payment.method == "card":
        unknown = enter(payment, "unknown", "acquirer_did_not_answer", now, deadlines)
        return Change(unknown, NAME, (announced,))
    unknown = enter(payment, "unknown", "ledger_did_not_answer", now, deadlines)
    cancelled = ask_void(unknown, "ledger_did_not_answer", now, name=NAME)
    return replace(cancelled, outgoing=(announced, *cancelled.outgoing))


def _payer_did_nothing(payment: Payment, now: datetime) -> Change:
    """The payer's time is over: the acquirer is told, so that nothing they still do holds their money."""
    expired = end(payment, "expired", None)
    announced = (event(payment, events.PaymentExpired),)
    if payment.authorisation is None:
        return Change(expired, NAME, announced)
    question = void_at_acquirer(payment, payment.connector, payment.authorisation, now)
    return Change(replace(expired, voids=question.ordinal), NAME, announced, attempts=(question,))
