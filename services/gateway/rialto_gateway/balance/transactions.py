"""The kinds of balance transactions: what can move a merchant's money, and which way.

| type | on `payable` | on `reserve` | what happened |
|---|---|---|---|
| `capture` | more | | a payment, or a part of it, was captured |
| `refund` | less | | a refund to a wallet |
| `suspended` | less | | a refund was put to an acquirer, which has not answered yet |
| `suspended_returned` | more | | the acquirer did not make that refund |
| `chain_settlement` | less | | a payment was paid to the merchant on chain |
| `chain_settlement_reversal` | more | | the chain took that back, and it is paid again |
| `chargeback_opened` | less | more | a payer disputes; our fee for it is within what `payable` lost |
| `chargeback_won` | more | less | the merchant keeps it |
| `chargeback_lost` | | less | the payer gets it back |
| `reversal` | either | either | the operator undid an entry |

Anything else is an entry of the operator's own, under the kind that it was posted with.
"""

from typing import Literal

Part = Literal["payable", "reserve"]
"""The two accounts of a merchant: what it is owed, and what of that is set aside."""

KINDS: dict[str, tuple[Part, ...]] = {
    "capture": ("payable",),
    "refund": ("payable",),
    "suspended": ("payable",),
    "suspended_returned": ("payable",),
    "chain_settlement": ("payable",),
    "chain_settlement_reversal": ("payable",),
    "chargeback_opened": ("payable", "reserve"),
    "chargeback_won": ("payable", "reserve"),
    "chargeback_lost": ("reserve",),
    "reversal": ("payable", "reserve"),
}
"""The kinds that the platform posts by itself, and the accounts of a merchant that each is found on."""
