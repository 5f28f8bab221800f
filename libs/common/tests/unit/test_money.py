"""Money: whole minor units within 38 digits, and nothing that only looks like them."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import InvalidAmount, UnknownCurrency
from rialto_common.money import MAX_MINOR, Money, currency_exponent, parse_minor, to_major

AMOUNTS = st.integers(1, MAX_MINOR)


@given(AMOUNTS)
def test_an_amount_reads_the_same_as_a_number_and_as_text(amount: int) -> None:
    assert parse_minor(amount) == parse_minor(str(amount)) == amount


@given(AMOUNTS, st.integers(1, 10))
def test_leading_zeroes_change_nothing_within_38_digits(amount: int, zeroes: int) -> None:
    text = "0" * zeroes + str(amount)
    if len(text) <= 38:
        assert parse_minor(text) == amount
    else:
        with pytest.raises(InvalidAmount):
            parse_minor(text)


@given(st.one_of(st.integers(max_value=0), st.integers(min_value=MAX_MINOR + 1)))
def test_an_amount_out_of_range_is_refused(amount: int) -> None:
    with pytest.raises(InvalidAmount):
        parse_minor(amount)
    with pytest.raises(InvalidAmount):
        parse_minor(str(amount))


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    plain = 0 < len(text) <= 38 and set(text) <= set("0123456789") and int(text) > 0
    if not plain:
        with pytest.raises(InvalidAmount):
            parse_minor(text)


NOT_AMOUNTS: list[Any] = [
    1.0,
    1e3,
    float("nan"),
    Decimal(1),
    True,
    False,
    None,
    "",
    " ",
    "+1",
    "-1",
    "1 ",
    " 1",
    "1\n",
    "1_000",
    "1,000",
    "1.0",
    "1e3",
    "0x10",
    "٣",
    "१",
    "\uff11",
    "²",
    "0",
    "000",
    "9" * 39,
    b"1",
    [1],
    {"amount_minor": 1},
]


@pytest.mark.parametrize("value", NOT_AMOUNTS, ids=repr)
def test_what_only_looks_like_an_amount_is_refused(value: object) -> None:
    with pytest.raises(InvalidAmount):
        parse_minor(value)


@pytest.mark.parametrize(
    ("currency", "exponent"),
    [("USD", 2), ("EUR", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("USDC", 6), ("RUSD", 6), ("ETH", 18), ("BTC", 8)],
)
def test_currencies_have_their_minor_units(currency: str, exponent: int) -> None:
    assert currency_exponent(currency) == exponent


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDX", "XXX", "XAU", "DEM", "usdc", " USD", "USD ", "x" * 999])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency) as caught:
        currency_exponent(currency)
    assert len(caught.value.detail) < 100


@given(AMOUNTS, AMOUNTS, st.sampled_from(["USD", "JPY", "ETH"]))
def test_adding_and_taking_away_are_exact(one: int, other: int, currency: str) -> None:
    total = Money(one, currency) + Money(other, currency)
    assert total == Money(one + other, currency)
    assert total - Money(other, currency) == Money(one, currency)


def test_two_currencies_do_not_mix() -> None:
    with pytest.raises(InvalidAmount):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(InvalidAmount):
        Money(1, "USD") - Money(1, "USDC")


@given(AMOUNTS, st.sampled_from(["USD", "JPY", "BHD", "ETH"]))
def test_the_readable_form_keeps_every_digit(amount: int, currency: str) -> None:
    assert Fraction(to_major(amount, currency)) * 10 ** currency_exponent(currency) == amount


def test_money_reads_as_people_write_it() -> None:
    assert str(Money(1250, "USD")) == "12.50 USD"
    assert str(Money(1250, "JPY")) == "1250 JPY"
    assert str(Money(1, "BHD")) == "0.001 BHD"
    assert str(Money(1, "ETH")) == "0.000000000000000001 ETH"
    assert str(Money(-5, "USD")) == "-0.05 USD"
    assert str(Money(MAX_MINOR, "USD")) == "9" * 36 + ".99 USD"
