"""What a merchant pays for a payment. Pure.

A fee is taken with each capture and rounded over the captures of a payment together, so that parts cost what the whole
does: the fixed part comes with the first. A fee always leaves at least one minor unit of what was captured, as there
would be nothing to settle otherwise. A refund gives no fee back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Method = Literal["wallet", "card"]
FeeKind = Literal["processing", "dispute"]

WHOLE_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`bps` hundredths of a percent of what is captured, and `fixed_minor` once a payment, in its currency."""

    bps: int = 0
    fixed_minor: int = 0

    def fee_of(self, captured_minor: int) -> int:
        """Return the fee of a payment of which so much is captured: at least 0, and less than that.

        The share is rounded to the nearest minor unit, a half to the even one: prices and amounts are round numbers,
        so that exact halves are common, and rounding them all one way would add up.
        """
        share, rest = divmod(captured_minor * self.bps, WHOLE_BPS)
        if 2 * rest > WHOLE_BPS or (2 * rest == WHOLE_BPS and share % 2 == 1):
            share += 1
        return max(0, min(self.fixed_minor + share, captured_minor - 1))

    def fee_with(self, amount_minor: int, *, before_minor: int, charged_minor: int) -> int:
        """Return the fee of one more capture, no more than the capture itself.

        Args: before_minor: what was captured before, and charged_minor: what was charged for that.
        """
        due = self.fee_of(before_minor + amount_minor) - charged_minor
        return max(0, min(due, amount_minor))


FREE = Rate()


@dataclass(frozen=True, slots=True)
class Price:
    """A rate for payments by a method and in a currency; None: by any, in any."""

    rate: Rate
    method: Method | None = None
    currency: str | None = None


def rate_for(prices: Sequence[Price], method: Method, currency: str) -> Rate:
    """Return the rate of the price that names most: both, the method alone, the currency alone, neither."""
    fitting = [each for each in prices if each.method in (None, method) and each.currency in (None, currency)]
    best = max(fitting, key=lambda each: (each.method is not None, each.currency is not None), default=None)
    return FREE if best is None else best.rate


@dataclass(frozen=True, slots=True)
class Fee:
    """What a merchant was charged, in minor units; `id` is that of the capture or the dispute that it is for."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    currency: str
    kind: FeeKind
    amount_minor: int
    rate: Rate
