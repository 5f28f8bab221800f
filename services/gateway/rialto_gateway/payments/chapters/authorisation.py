"""Authorisation: the ledger holds the amount of a wallet's payment, an acquirer that of a card's.

An authorisation that an acquirer gives too late, or beside the one the payment stands on, is let go of at once.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.chapters.captures import ask_capture
from rialto_gateway.payments.chapters.change import (
    AttemptChange,
    Change,
    Deadlines,
    about,
    decline,
    end,
    enter,
    event,
    resolved,
    told,
    void_at_acquirer,
)
from rialto_gateway.payments.facts import (
    AcquirerAuthorised,
    AcquirerRefusedAuthorisation,
    ActionNeeded,
    AuthorisationRefused,
    HoldPlaced,
    OutcomeUnknown,
)
from rialto_gateway.payments.states import FINAL, HOLD_LASTS, Payment

AWAITS_ACQUIRER = frozenset({"approved", "unknown", "requires_action"})


def ask(payment: Payment, now: datetime) -> tuple[tuple[EventData, ...], tuple[AttemptChange, ...]]:
    """Return what asks for the authorisation: an event for the ledger, or an attempt at an acquirer."""
    if payment.method == "card":
        ordinal = payment.authorisations + 1
        question = AttemptChange(
            attempt_id=ids.derive(payment.id, "attempt.authorise", ordinal),
            step="authorise",
            ordinal=ordinal,
            amount_minor=payment.amount_minor,
            asked_at=now,
        )
        return (), (question,)
    approved = event(
        payment,
        events.PaymentApproved,
        wallet_id=payment.wallet_id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        expires_at=now + HOLD_LASTS,
    )
    return (approved,), ()


def hold_placed(payment: Payment, fact: HoldPlaced, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger holds the amount."""
    if payment.state != "approved":
        return None  # unknown: its cancellation is on the way, in order behind this hold
    announced = event(
        payment,
        events.PaymentAuthorised,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        hold_id=fact.hold_id,
    )
    return _authorised(payment, (announced,), "hold.placed", now, deadlines)


def _authorised(
    payment: Payment, announced: tuple[EventData, ...], name: str, now: datetime, deadlines: Deadlines
) -> Change:
    authorised = replace(enter(payment, "authorised", None, now, deadlines), authorised_at=now, next_action_url=None)
    if payment.capture_method == "manual":
        return Change(authorised, name, announced)
    captured = ask_capture(authorised, payment.amount_minor, final=True, name=name, now=now)
    return replace(captured, outgoing=(*announced, *captured.outgoing))


def refused(payment: Payment, fact: AuthorisationRefused, now: datetime, deadlines: Deadlines) -> Change | None:
    """The ledger will not hold the amount."""
    if payment.state not in ("approved", "unknown"):
        return None
    change = decline(payment, fact.code, "posting.refused", {"code": fact.code})
    if payment.state == "unknown":
        known = event(payment, events.AttemptResolved, step="authorise", outcome="declined")
        return replace(change, outgoing=(known, *change.outgoing))
    return change


def by_acquirer(payment: Payment, fact: AcquirerAuthorised, now: datetime, deadlines: Deadlines) -> Change | None:
    """An acquirer holds the amount."""
    attempt = fact.attempt
    if payment.method != "card":
        return None
    known = resolved(payment, attempt, "succeeded")
    if payment.state not in AWAITS_ACQUIRER:
        is_own = (payment.connector, payment.authorisation) == (attempt.connector, fact.authorisation)
        if payment.state in ("created", "review") or (is_own and payment.authorised_at is not None):
            return None
        return _let_go(payment, attempt.connector, fact.authorisation, known, now, detail=about(attempt, late=True))
    held = replace(payment, connector=attempt.connector, authorisation=fact.authorisation)
    announced = event(
        payment,
        events.PaymentAuthorised,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        hold_id=ids.derive(payment.id, "hold"),
        acquirer=attempt.connector,
    )
    change = _authorised(held, (*known, announced), "attempt.succeeded", now, deadlines)
    return replace(change, detail=(change.detail or {}) | about(attempt))


def _let_go(
    payment: Payment,
    connector: str | None,
    authorisation: str,
    outgoing: tuple[EventData, ...],
    now: datetime,
    *,
    detail: dict[str, Any],
) -> Change:
    question = void_at_acquirer(payment, connector, authorisation, now)
    counted = replace(payment, voids=question.ordinal)
    return Change(counted, "attempt.succeeded", outgoing, detail=detail, attempts=(question,))


def refused_by_acquirer(
    payment: Payment, fact: AcquirerRefusedAuthorisation, now: datetime, deadlines: Deadlines
) -> Change | None:
    """An acquirer certainly holds nothing: another is asked, or the payment ends."""
    attempt = fact.attempt
    if payment.method != "card" or payment.state not in AWAITS_ACQUIRER:
        return None
    known = resolved(payment, attempt, "failed")
    detail = about(attempt, code=fact.code)
    if fact.elsewhere:
        again = replace(
            enter(payment, "approved", None, now, deadlines),
            authorisations=payment.authorisations + 1,
            next_action_url=None,
        )
        _, questions = ask(payment, now)
        detail["next"] = "another_acquirer"
        return Change(again, "attempt.failed", known, detail=detail, attempts=questions)
    if fact.is_decline:
        change = decline(payment, fact.code, "attempt.failed", detail)
    else:
        failed = event(payment, events.PaymentFailed, reason=fact.code)
        change = Change(end(payment, "failed", fact.code), "attempt.failed", (failed,), detail=detail)
    return replace(change, outgoing=(*known, *change.outgoing))


def action_needed(payment: Payment, fact: ActionNeeded, now: datetime, deadlines: Deadlines) -> Change | None:
    """The payer must do something first; a payment that has ended meanwhile does not want it any more."""
    attempt = fact.attempt
    if payment.method != "card" or payment.state in ("created", "review"):
        return None
    if payment.state in FINAL and payment.state != "settled" and payment.voids == 0:
        return _let_go(payment, attempt.connector, fact.authorisation, (), now, detail=about(attempt, late=True))
    if payment.state not in ("approved", "unknown"):
        return None
    waiting = replace(
        enter(payment, "requires_action", None, now, deadlines),
        connector=attempt.connector,
        authorisation=fact.authorisation,
        next_action_url=fact.url,
    )
    needed = event(payment, events.PaymentRequiresAction, action="redirect")
    outgoing = (*resolved(payment, attempt, "requires_action"), needed)
    return Change(waiting, "attempt.requires_action", outgoing, detail=about(attempt))


def outcome_unknown(payment: Payment, fact: OutcomeUnknown, now: datetime, deadlines: Deadlines) -> Change | None:
    """A question may have arrived at the acquirer, and no answer did."""
    attempt = fact.attempt
    if payment.method != "card" or payment.state in ("created", "review"):
        return None
    unknown = payment
    if attempt.step == "authorise" and payment.state == "approved":
        unknown = enter(payment, "unknown", "acquirer_did_not_answer", now, deadlines)
    elif attempt.step in ("increment", "capture", "void") and payment.state == "authorised":
        unknown = replace(payment, reason=f"{attempt.step}_unknown")
    announced = event(payment, events.AttemptUnknown, **told(payment, attempt))
    return Change(unknown, "attempt.unknown", (announced,), detail=about(attempt, code=fact.code))
