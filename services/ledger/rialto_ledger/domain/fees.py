"""What a merchant pays for a payment, and how it is rounded."""

from dataclasses import dataclass

from rialto_common.errors import InvalidAmount

_WHOLE_BPS = 10_000


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A price: `fixed_minor` plus `bps` hundredths of a percent of the amount, in the amount's currency.

    `fixed_minor` is in minor units, so a schedule belongs to one currency. Raises: InvalidAmount: a negative part, or
    more than the whole amount (10,000 bps).
    """

    fixed_minor: int
    bps: int

    def __post_init__(self) -> None:
        if self.fixed_minor < 0 or not 0 <= self.bps <= _WHOLE_BPS:
            raise InvalidAmount("a fee's fixed part is at least 0, and its bps are between 0 and 10,000")

    def fee(self, amount_minor: int) -> int:
        """Return the fee of an amount: at least 0, at most the amount, and no less for a greater amount.

        The share is rounded once, to the nearest minor unit, a half to the even one. Prices and percentages are round
        numbers, so exact halves are common (half a cent on every 0.50 at 1 %): rounding them all up would take from
        merchants, all down from us, by an amount that grows with their number.
        """
        if amount_minor < 0:
            raise InvalidAmount("a fee is taken of an amount of at least 0")
        share, rest = divmod(amount_minor * self.bps, _WHOLE_BPS)
        if 2 * rest > _WHOLE_BPS or (2 * rest == _WHOLE_BPS and share % 2 == 1):
            share += 1
        return min(self.fixed_minor + share, amount_minor)


def returned_fee(fee_minor: int, amount_minor: int, refunded_minor: int, refund_minor: int) -> int:
    """Return how much of a payment's fee a refund gives back, in proportion to the amount.

    The sum over all refunds is rounded down, not each: parts that make up the whole amount give back the whole fee,
    in whatever parts and order, and no part ever gives back more than its share. May be 0.

    Args: fee_minor: what was taken for amount_minor; refunded_minor: what earlier refunds gave back of the amount.
    Raises: InvalidAmount: a negative part, or refunds above the amount.
    """
    after = refunded_minor + refund_minor
    if fee_minor < 0 or refunded_minor < 0 or refund_minor < 0 or not 0 < after <= amount_minor:
        raise InvalidAmount("refunds are greater than zero and together at most the payment's amount")
    return fee_minor * after // amount_minor - fee_minor * refunded_minor // amount_minor
