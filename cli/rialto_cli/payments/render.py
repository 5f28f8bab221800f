"""Payments as a person reads them."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from rialto import Payment
from rialto_common.errors import UnknownCurrency
from rialto_common.money import to_major

ID_WIDTH = 30
FILE_WIDTH = 200
"""Where there is no terminal, a payment is a line."""


def amount(amount_minor: int, currency: str) -> str:
    """Return an amount in major units: 12.50 USD."""
    try:
        return f"{to_major(amount_minor, currency):f} {currency}"
    except UnknownCurrency:
        return f"{amount_minor} minor units of {currency}"


def story(payment: Payment) -> list[str]:
    """Return a payment in lines: how it stands, what to do, how it came there."""
    money = [f"{amount(payment.amount_minor, payment.currency)}"]
    for name, part in (
        ("captured", payment.amount_captured_minor),
        ("to capture", payment.amount_capturable_minor),
        ("refunded", payment.amount_refunded_minor),
        ("fees", payment.fee_minor),
    ):
        if part:
            money.append(f"{name} {amount(part, payment.currency)}")
    lines = [f"{payment.id}  {status(payment)}  {', '.join(money)}"]
    if payment.next_action is not None and payment.next_action.url is not None:
        lines.append(f"  the payer must confirm at {payment.next_action.url}")
    if payment.settlement is not None and payment.settlement.tx_hash is not None:
        lines.append(f"  paid out in transaction {payment.settlement.tx_hash}")
    for line in payment.timeline or ():
        lines.append(f"  {line.at:%H:%M:%S.%f}  {line.status:<15} {line.event or ''}")
    for attempt in payment.attempts or ():
        if attempt.unknown_since is not None and attempt.asked_next_at is not None:
            since, again = f"{attempt.unknown_since:%H:%M:%S}", f"{attempt.asked_next_at:%H:%M:%S}"
            lines.append(f"  the outcome of {attempt.step} is unknown since {since}; asked about at {again}")
    return lines


def status(payment: Payment) -> str:
    """Return the status with the reason for it."""
    why = payment.decline_code or payment.status_reason
    return payment.status if why is None else f"{payment.status} ({why})"


def show(payments: Iterable[Payment]) -> None:
    """Print payments as a table."""
    table = Table(box=None, pad_edge=False)
    # What is copied from here must be whole, however narrow the terminal.
    table.add_column("payment", no_wrap=True, min_width=ID_WIDTH)
    for title in ("created", "amount", "method", "status"):
        table.add_column(title, overflow="fold")
    for each in payments:
        table.add_row(
            each.id,
            "" if each.created_at is None else f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            amount(each.amount_minor, each.currency),
            "" if each.payment_method is None else each.payment_method.type,
            status(each),
        )
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(highlight=False, markup=False, file=sys.stdout, width=width).print(table)
