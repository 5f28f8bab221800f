"""Settlement: the merchant is paid what was captured less the fees of that, at once or with a payout."""

from dataclasses import replace
from datetime import datetime

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.chapters.change import Change, Deadlines, end, enter, event, line
from rialto_gateway.payments.facts import (
    PayoutStarted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementReorged,
    SettlementSubmitted,
)
from rialto_gateway.payments.states import LOOKED_AT_WHILE_WAITING, Payment, Settlement


def begin(payment: Payment, now: datetime, deadlines: Deadlines) -> tuple[Payment, tuple[EventData, ...]]:
    """Return the payment whose captures are complete, and what is asked for: to be paid now, unless it waits."""
    captured = enter(payment, "captured", None, now, deadlines)
    if payment.payout_schedule == "immediate":
        return captured, (request(payment),)
    waiting = replace(
        captured, reason="awaiting_payout", waits_for_payout=True, deadline_at=now + LOOKED_AT_WHILE_WAITING
    )
    return waiting, ()


def payout_started(payment: Payment, fact: PayoutStarted, now: datetime, deadlines: Deadlines) -> Change | None:
    """A payout takes it in."""
    if payment.state != "captured" or not payment.waits_for_payout:
        return None
    taken = enter(replace(payment, waits_for_payout=False, payout_id=fact.payout_id), "captured", None, now, deadlines)
    detail = {"payout_id": ids.to_text("po", fact.payout_id)}
    return Change(taken, "payout.started", (request(payment),), detail=detail)


def submitted(payment: Payment, fact: SettlementSubmitted, now: datetime, deadlines: Deadlines) -> Change | None:
    """The paying transaction was sent."""
    if payment.state != "captured":
        return None
    settlement = Settlement(fact.batch_id, fact.chain_id, fact.tx_hash)
    sent = replace(payment, settlement=settlement, reason=None)
    return Change(sent, "settlement.submitted", payout=line(payment, "in_transit"))


def confirmed(payment: Payment, fact: SettlementConfirmed, now: datetime, deadlines: Deadlines) -> Change | None:
    """The merchant has the money."""
    if payment.state != "captured":
        return None
    settlement = Settlement(
        fact.batch_id, fact.chain_id, fact.tx_hash, fact.token, fact.token_amount, fact.block_number
    )
    settled = end(replace(payment, settlement=settlement), "settled", None)
    announced = event(
        payment,
        events.PaymentSettled,
        settlement_id=fact.settlement_id,
        amount_minor=payment.amount_net_minor,
        currency=payment.currency,
        chain_id=fact.chain_id,
        tx_hash=fact.tx_hash,
        block_number=fact.block_number,
    )
    detail = {"tx_hash": fact.tx_hash}
    return Change(settled, "settlement.confirmed", (announced,), detail=detail, payout=line(payment, "paid"))


def reorged(payment: Payment, fact: SettlementReorged, now: datetime, deadlines: Deadlines) -> Change | None:
    """The chain dropped the paying transaction."""
    if payment.state != "captured":
        return None
    return Change(replace(payment, reason="settlement_reorged"), "settlement.reorged")


def failed(payment: Payment, fact: SettlementFailed, now: datetime, deadlines: Deadlines) -> Change | None:
    """It cannot be paid as asked."""
    if payment.state != "captured":
        return None
    refused, detail = replace(payment, reason=fact.code), {"code": fact.code}
    return Change(refused, "settlement.failed", detail=detail, payout=line(payment, "failed", fact.code))


def request(payment: Payment) -> EventData:
    """Return the event that asks for the merchant to be paid."""
    return event(
        payment,
        events.SettlementRequested,
        settlement_id=ids.derive(payment.id, "settlement"),
        amount_minor=payment.amount_net_minor,
        currency=payment.currency,
        payee_address=payment.payee_address,
    )
