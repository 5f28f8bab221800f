"""Fees: what the merchant pays for each capture, decided as the ledger is asked to book it, and known once it has.

They are rounded over what the ledger was asked to book together (`fee_basis_minor`): parts cost what the whole does.
"""

from dataclasses import replace

from rialto_gateway.payments.states import Payment
from rialto_gateway.pricing.price import FREE


def ask(payment: Payment, amount_minor: int) -> tuple[Payment, int]:
    """Return the payment with one more capture on its way to the ledger, and the fee to book with it."""
    if payment.rate == FREE:
        return payment, 0
    charged = payment.fee_minor + payment.fee_pending_minor
    fee_minor = payment.rate.fee_with(amount_minor, before_minor=payment.fee_basis_minor, charged_minor=charged)
    asked = replace(
        payment,
        fee_basis_minor=payment.fee_basis_minor + amount_minor,
        fee_pending_minor=payment.fee_pending_minor + fee_minor,
    )
    return asked, fee_minor


def booked(payment: Payment, fee_minor: int) -> Payment:
    """Return the payment with a fee that the ledger has booked."""
    pending = max(0, payment.fee_pending_minor - fee_minor)
    return replace(payment, fee_pending_minor=pending, fee_minor=payment.fee_minor + fee_minor)


def refused(payment: Payment, amount_minor: int, fee_minor: int) -> Payment:
    """Return the payment without the fee of a capture that the ledger has refused."""
    if payment.rate == FREE:
        return payment
    return replace(
        payment,
        fee_basis_minor=max(0, payment.fee_basis_minor - amount_minor),
        fee_pending_minor=max(0, payment.fee_pending_minor - fee_minor),
    )
