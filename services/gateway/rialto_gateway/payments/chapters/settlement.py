"""Settlement: the merchant is paid what was captured."""

from dataclasses import replace
from datetime import datetime

from rialto_common import ids
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments.chapters.change import Change, Deadlines, end, event
from rialto_gateway.payments.facts import (
    SettlementConfirmed,
    SettlementFailed,
    SettlementReorged,
    SettlementSubmitted,
)
from rialto_gateway.payments.states import Payment, Settlement


def submitted(payment: Payment, fact: SettlementSubmitted, now: datetime, deadlines: Deadlines) -> Change | None:
    """The paying transaction was sent."""
    if payment.state != "captured":
        return None
    settlement = Settlement(fact.batch_id, fact.chain_id, fact.tx_hash)
    return Change(replace(payment, settlement=settlement, reason=None), "settlement.submitted")


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
        amount_minor=payment.amount_captured_minor,
        currency=payment.currency,
        chain_id=fact.chain_id,
        tx_hash=fact.tx_hash,
        block_number=fact.block_number,
    )
    return Change(settled, "settlement.confirmed", (announced,), detail={"tx_hash": fact.tx_hash})


def reorged(payment: Payment, fact: SettlementReorged, now: datetime, deadlines: Deadlines) -> Change | None:
    """The chain dropped the paying transaction."""
    if payment.state != "captured":
        return None
    return Change(replace(payment, reason="settlement_reorged"), "settlement.reorged")


def failed(payment: Payment, fact: SettlementFailed, now: datetime, deadlines: Deadlines) -> Change | None:
    """It cannot be paid as asked."""
    if payment.state != "captured":
        return None
    return Change(replace(payment, reason=fact.code), "settlement.failed", detail={"code": fact.code})


def request(payment: Payment) -> EventData:
    """Return the event that asks for the merchant to be paid."""
    return event(
        payment,
        events.SettlementRequested,
        settlement_id=ids.derive(payment.id, "settlement"),
        amount_minor=payment.amount_captured_minor,
        currency=payment.currency,
        payee_address=payment.payee_address,
    )
