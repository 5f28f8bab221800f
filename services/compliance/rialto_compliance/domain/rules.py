"""Rules on a payment as such, whoever the parties are. Each has an id and a version that the verdict carries.

| id | version | says |
|---|---|---|
| `amount_over_limit` | 1 | review from 10,000.00 major units of the payment's currency, without conversion |
| `payer_unreadable` | 1 | review when the payer's data key was destroyed: nobody can screen who cannot be read |
| `payee_unreadable` | 1 | the same for the payee, where there is one |
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rialto_common.money import Money, to_major

Outcome = Literal["clear", "review", "block"]
Party = Literal["payer", "payee"]

AMOUNT_LIMIT_MAJOR = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule said, with the version of it that ran."""

    id: str
    version: str
    outcome: Outcome


def amount_over_limit(amount: Money) -> RuleOutcome:
    """Return review from the limit on: what reporting duties call a large transfer.

    Raises: UnknownCurrency: the currency has no known exponent.
    """
    over = to_major(amount.amount_minor, amount.currency) >= AMOUNT_LIMIT_MAJOR
    return RuleOutcome("amount_over_limit", "1", "review" if over else "clear")


def unreadable(party: Party) -> RuleOutcome:
    """Return the verdict on a party whose name nobody can read any more."""
    return RuleOutcome(f"{party}_unreadable", "1", "review")
