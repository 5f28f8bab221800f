"""Amounts of every currency on one scale."""

import pytest

from rialto_common.errors import UnknownCurrency
from rialto_common.money import currency_exponent
from rialto_fraud.domain.reference_amount import LARGEST_CENTS, MICROS_PER_UNIT, reference_cents


@pytest.mark.parametrize(
    ("minor", "currency", "cents"),
    [
        (1_250, "USD", 1_250),
        (12_500_000, "USDC", 1_250),
        (5_000, "JPY", 3_350),
        (10**18, "ETH", 300_000),
        (1, "RUSD", 1),
        (10**38 - 1, "USD", LARGEST_CENTS),
        (4_000, "KWD", 1_300),
    ],
)
def test_amounts_are_brought_to_dollar_cents(minor: int, currency: str, cents: int) -> None:
    assert reference_cents(minor, currency) == cents


def test_a_currency_without_a_rate_counts_one_to_one() -> None:
    assert "FJD" not in MICROS_PER_UNIT
    assert reference_cents(1_250, "FJD") == 1_250


def test_every_rate_is_of_a_known_currency() -> None:
    assert all(currency_exponent(currency) >= 0 for currency in MICROS_PER_UNIT)


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        reference_cents(100, "QQQ")
