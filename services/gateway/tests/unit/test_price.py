"""Laws of fees: whatever the price and the parts, they add up, leave something to settle, and never fall."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rialto_gateway.pricing.api import SetPricing
from rialto_gateway.pricing.price import FREE, Price, Rate, rate_for

RATES = st.builds(Rate, bps=st.integers(0, 10_000), fixed_minor=st.integers(0, 10**6))
AMOUNTS = st.integers(1, 10**12)


@pytest.mark.parametrize(
    ("rate", "captured", "fee"),
    [
        (Rate(290, 30), 10_000, 320),
        (Rate(290, 30), 0, 0),
        (Rate(100, 0), 50, 0),
        (Rate(100, 0), 150, 2),
        (Rate(100, 0), 250, 2),
        (Rate(0, 30), 31, 30),
        (Rate(0, 30), 30, 29),
        (Rate(0, 30), 1, 0),
        (Rate(10_000, 0), 500, 499),
        (FREE, 10**38, 0),
    ],
)
def test_a_fee_is_the_share_rounded_half_to_even_and_the_fixed_part(rate: Rate, captured: int, fee: int) -> None:
    assert rate.fee_of(captured) == fee


@given(RATES, st.lists(AMOUNTS, min_size=1, max_size=8))
@example(Rate(0, 30), [1, 1, 1, 40])
@example(Rate(9_999, 10**6), [1] * 8)
def test_the_fees_of_parts_add_up_to_that_of_the_whole_and_each_is_within_its_part(
    rate: Rate, parts: list[int]
) -> None:
    captured = charged = 0
    for part in parts:
        fee = rate.fee_with(part, before_minor=captured, charged_minor=charged)
        assert 0 <= fee <= part
        captured, charged = captured + part, charged + fee
        assert charged == rate.fee_of(captured) < captured


@given(RATES, AMOUNTS, st.integers(0, 10**6))
def test_a_fee_never_falls_as_the_amount_grows_and_is_within_half_a_unit_of_exact(
    rate: Rate, amount: int, more: int
) -> None:
    assert rate.fee_of(amount) <= rate.fee_of(amount + more)
    exact = rate.fixed_minor + Fraction(amount * rate.bps, 10_000)
    assert rate.fee_of(amount) == amount - 1 or abs(rate.fee_of(amount) - exact) <= Fraction(1, 2)


@given(RATES, AMOUNTS, st.integers(0, 10**12), st.integers(0, 10**12))
def test_what_was_charged_too_little_is_made_up_for_and_too_much_never_given_back(
    rate: Rate, part: int, before: int, charged: int
) -> None:
    fee = rate.fee_with(part, before_minor=before, charged_minor=charged)
    due = rate.fee_of(before + part)
    assert 0 <= fee <= part
    assert fee == 0 if charged >= due else charged + fee == min(due, charged + part)


def test_the_price_that_names_most_is_a_payments_own() -> None:
    any_, euros, cards = Price(Rate(1)), Price(Rate(2), None, "EUR"), Price(Rate(3), "card")
    both = Price(Rate(4), "card", "EUR")
    assert rate_for([], "card", "EUR") == FREE
    assert rate_for([any_, both, cards, euros], "card", "EUR") == both.rate
    assert rate_for([any_, cards, euros], "card", "EUR") == cards.rate
    assert rate_for([any_, cards, euros], "wallet", "EUR") == euros.rate
    assert rate_for([any_, cards, euros, both], "wallet", "USD") == any_.rate
    assert rate_for([cards, both], "wallet", "EUR") == FREE


@pytest.mark.parametrize(
    "prices",
    [
        [{"bps": 10_001}],
        [{"bps": -1}],
        [{"fixed_minor": 1}],
        [{"currency": "USD", "fixed_minor": -1}],
        [{"currency": "XYZ", "bps": 1}],
        [{"method": "crypto", "bps": 1}],
        [{"bps": 1}, {"bps": 2}],
        [{"bps": 1, "fixed": 1}],
    ],
)
def test_prices_that_cannot_be_charged_are_refused(prices: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        SetPricing.model_validate({"prices": prices})
