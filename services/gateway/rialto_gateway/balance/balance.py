"""What a merchant has in a currency, in three parts that add up to the ledger's accounts. Pure.

| part | what it is | in the ledger |
|---|---|---|
| `available` | can be paid out; below zero, the merchant owes us | `payable` less `pending` and what is held back |
| `pending` | captured, and either still being captured or on its way to the merchant | within `payable` |
| `reserved` | `held_back`: the rolling reserve, no more than there is | within `payable` |
| | `disputed`: set aside while it is disputed | `reserve` |

`available + pending + held_back` is the balance of `merchant:{id}:payable`, and `disputed` that of
`merchant:{id}:reserve`; the sum of each account's balance transactions is its balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """A merchant's money in one currency, in minor units."""

    currency: str
    available_minor: int
    pending_minor: int
    held_back_minor: int
    disputed_minor: int

    @property
    def reserved_minor(self) -> int:
        """What is set aside altogether."""
        return self.held_back_minor + self.disputed_minor

    @property
    def total_minor(self) -> int:
        """What we owe the merchant altogether."""
        return self.available_minor + self.pending_minor + self.reserved_minor


def balances(
    payable: Mapping[str, int], reserve: Mapping[str, int], pending: Mapping[str, int], held: Mapping[str, int]
) -> list[Balance]:
    """Return a balance for each currency that something was ever booked in, in the order of their codes.

    Args: payable, reserve: the accounts' ledger balances by currency. pending: what of it is captured and cannot be
        paid out now, by currency. held: the rolling reserve, by currency.
    """
    found = []
    for currency in sorted({*payable, *reserve, *pending, *held}):
        free = payable.get(currency, 0) - pending.get(currency, 0)
        held_back = min(held.get(currency, 0), max(free, 0))
        found.append(Balance(currency, free - held_back, pending.get(currency, 0), held_back, reserve.get(currency, 0)))
    return found
