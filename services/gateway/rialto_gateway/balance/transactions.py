"""The kinds of balance transactions: what can move a merchant's money, and which way.

| type | on `payable` | on `reserve` | what happened |
|---|---|---|---|
| `capture` | more | | a payment, or a part of it, was captured |
| `fee` | less | | what the merchant pays us: for a capture, or for a dispute |
| `refund` | less | | a refund to a wallet |
| `suspended` | less | | a refund was put to an acquirer, which has not answered yet |
| `suspended_returned` | more | | the acquirer did not make that refund |
| `chain_settlement` | less | | a payment was paid to the merchant on chain |
| `chain_settlement_reversal` | more | | the chain took that back, and it is paid again |
| `chargeback_opened` | less | more | a payer disputes |
| `chargeback_won` | more | less | the merchant keeps it |
| `chargeback_lost` | | less | the payer gets it back |
| `reversal` | either | either | the operator undid an entry |

Anything else is an entry of the operator's own, under the kind that it was posted with. A fee is a line of its own in
the entry of the capture or dispute that it is for.
"""

from typing import Literal

Part = Literal["payable", "reserve"]
"""The two accounts of a merchant: what it is owed, and what of that is set aside."""

KINDS: dict[str, tuple[Part, ...]] = {
    "capture": ("payable",),
    "fee": ("payable",),
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

_FEE_FROM_LINE = {"capture": 2, "chargeback_opened": 2}
"""Where the fee stands in the entries that take one: after what was captured or set aside."""


def kind_of(entry_kind: str, line: int) -> str:
    """Return the type of a balance transaction, given the kind of its entry and its line in that (from 0)."""
    fee_from = _FEE_FROM_LINE.get(entry_kind)
    return "fee" if fee_from is not None and line >= fee_from else entry_kind
