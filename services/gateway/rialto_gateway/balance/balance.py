"""What a merchant has in a currency, in three parts that add up to the ledger's accounts. Pure.

| part | what it is | in the ledger |
|---|---|---|
| `available` | can be paid out; below zero, the merchant owes us | `payable` less `pending` |
| `pending` | captured, and either still being captured or on its way to the merchant | within `payable` |
| `reserved` | set aside while it is disputed | `reserve` |

`available + pending` is the balance of `merchant:{id}:payable`, and `reserved` that of `merchant:{id}:reserve`; the sum
of each account's balance transactions is its balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """A merchant's money in one currency, in minor units."""

    currency: str
    available_minor: int
    pending_minor: int
    reserved_minor: int

    @property
    def total_minor(self) -> int:
        """What we owe the merchant altogether."""
        return self.available_minor + self.pending_minor + self.reserved_minor


def balances(payable: Mapping[str, int], reserve: Mapping[str, int], pending: Mapping[str, int]) -> list[Balance]:
    """Return a balance for each currency that something was ever booked in, in the order of their codes.

    Args: payable, reserve: the accounts' ledger balances by currency. pending: what of it is captured and cannot be
        paid out now, by currency.
    """
    return [
        Balance(
            currency=currency,
            available_minor=payable.get(currency, 0) - pending.get(currency, 0),
            pending_minor=pending.get(currency, 0),
            reserved_minor=reserve.get(currency, 0),
        )
        for currency in sorted({*payable, *reserve, *pending})
    ]
