"""Rates, rounding and quotes."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common import ids
from rialto_common.errors import InvariantViolated, PaymentError
from rialto_common.money import MAX_MINOR, currency_exponent
from rialto_common.problems import status_of
from rialto_ledger.domain import fx_errors
from rialto_ledger.domain.account import Account, Side
from rialto_ledger.domain.chart import fx_position, merchant_payable
from rialto_ledger.domain.chart import test_acquirer as acquirer_in
from rialto_ledger.domain.fx import (
    Ask,
    EuroRate,
    check_convertible,
    conversion,
    convert,
    make_quote,
    pair_of,
    rate_between,
)
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.fx_testing import OBSERVED, PUBLISHED, TERMS, euro_rate, quote, rate, wallet_in
from rialto_ledger.testing import NOW, merchant_id, number_id

currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "RUSD", "ETH"])
decimals = st.decimals("0.000001", "999999", places=6)


@st.composite
def rates(draw: st.DrawFn) -> tuple[str, str, dict[str, EuroRate]]:
    """Draw two currencies and what each costs."""
    base, other = draw(st.lists(currencies, min_size=2, max_size=2, unique=True))
    return base, other, {name: EuroRate(name, draw(decimals), "ecb", OBSERVED) for name in (base, other)}


def test_a_rate_goes_through_the_euro_with_its_legs_on_record() -> None:
    cross = rate("USD", "GBP")
    assert (cross.value, cross.legs) == (Fraction(4, 5), (PUBLISHED["USD"], PUBLISHED["GBP"]))
    assert (rate("EUR", "USD").value, rate("EUR", "USD").legs) == (Fraction(27, 25), (PUBLISHED["USD"],))
    assert rate("USD", "EUR").value == Fraction(25, 27), "no decimal says this exactly"
    assert str(rate("USD", "EUR")) == "0.925925925925926"


def test_a_cross_rate_is_as_old_as_its_older_leg_and_names_both_sources() -> None:
    older = euro_rate("GBP", "0.8640", source="file", observed_at=OBSERVED - timedelta(days=1))
    cross = rate_between("USD", "GBP", {**PUBLISHED, "GBP": older})
    assert (cross.observed_at, cross.source) == (older.observed_at, "ecb+file")


def test_a_currency_without_a_rate_and_one_against_itself_are_refused() -> None:
    with pytest.raises(fx_errors.RateNotFound, match="JPY"):
        rate_between("EUR", "JPY", PUBLISHED)
    with pytest.raises(fx_errors.SameCurrency):
        rate_between("EUR", "EUR", PUBLISHED)


@pytest.mark.parametrize("wrong", ["0", "-1", "NaN", "Infinity"])
def test_what_is_not_greater_than_zero_is_no_rate(wrong: str) -> None:
    with pytest.raises(InvariantViolated):
        EuroRate("USD", Decimal(wrong), "ecb", OBSERVED)


@pytest.mark.parametrize(
    ("sell", "amount", "buy", "per_euro", "bought"),
    [
        ("EUR", 10_000, "USD", "1.08", 10_800),
        ("EUR", 1, "USD", "2.5", 2),
        ("EUR", 1, "USD", "3.5", 4),
        ("EUR", 10_000, "JPY", "162", 16_200),
        ("JPY", 16_200, "EUR", "162", 10_000),
        ("EUR", 100, "KWD", "0.3333", 333),
        ("EUR", 100, "RUSD", "1.08", 1_080_000),
        ("EUR", 100, "ETH", "0.00045", 450_000_000_000_000),
    ],
)
def test_minor_units_follow_each_currencys_decimals_and_halves_go_to_even(
    sell: str, amount: int, buy: str, per_euro: str, bought: int
) -> None:
    other = buy if sell == "EUR" else sell
    assert convert(amount, rate_between(sell, buy, {other: euro_rate(other, per_euro)})) == bought


@given(rates(), st.integers(1, MAX_MINOR), st.integers(0, 9_999))
def test_rounding_moves_at_most_half_a_minor_unit_either_way(
    drawn: tuple[str, str, dict[str, EuroRate]], amount: int, spread_bps: int
) -> None:
    base, other, published = drawn
    exact = Fraction(amount) / 10 ** currency_exponent(base) * 10 ** currency_exponent(other)
    exact *= (1 if other == "EUR" else Fraction(published[other].per_euro)) * (1 - Fraction(spread_bps, 10_000))
    exact /= 1 if base == "EUR" else Fraction(published[base].per_euro)
    remainder = convert(amount, rate_between(base, other, published), spread_bps) - exact
    assert abs(remainder) <= Fraction(1, 2)


@given(rates(), st.integers(1, 10**20))
def test_there_and_back_never_brings_more_than_rounding(
    drawn: tuple[str, str, dict[str, EuroRate]], amount: int
) -> None:
    base, other, published = drawn
    there, back = rate_between(base, other, published), rate_between(other, base, published)
    assert there.value * back.value == 1
    unit = back.in_minor_units()
    assert abs(convert(convert(amount, there), back) - amount) <= (unit + 1) / 2


@given(st.integers(1, 10**30), st.integers(0, 9_999))
def test_a_wider_spread_never_brings_the_customer_more(amount: int, spread_bps: int) -> None:
    assert convert(amount, rate(), spread_bps) <= convert(amount, rate(), 0)


def test_a_rate_is_fresh_up_to_its_limit_and_never_before_its_time() -> None:
    limit = timedelta(hours=2)
    assert rate().is_fresh(OBSERVED, limit)
    assert rate().is_fresh(OBSERVED + limit, limit)
    assert not rate().is_fresh(OBSERVED + limit + timedelta(microseconds=1), limit)
    assert not rate().is_fresh(OBSERVED - timedelta(microseconds=1), limit)


def test_a_quote_holds_the_price_for_a_while() -> None:
    made = quote(amount_minor=10_000)
    assert (made.buy_amount_minor, made.spread_bps, made.used_by) == (10_746, 50, None)
    assert (made.quoted_at, made.expires_at) == (NOW, NOW + TERMS.hold)


def test_nothing_is_quoted_at_a_stale_rate() -> None:
    ask = Ask(None, "test", "EUR", 100, "USD")
    with pytest.raises(fx_errors.RateStale) as refused:
        make_quote(number_id("fx_quote", 0), ask, rate(), TERMS, OBSERVED + timedelta(hours=127))
    assert (refused.value.observed_at, refused.value.retryable) == (OBSERVED, True)


def test_sample_rates_never_price_live_money() -> None:
    made_up = rate_between("EUR", "USD", {"USD": euro_rate("USD", "1.08", source="sample")})
    ask = Ask(None, "test", "EUR", 100, "USD")
    assert make_quote(number_id("fx_quote", 0), ask, made_up, TERMS, NOW).buy_amount_minor == 107
    with pytest.raises(fx_errors.SampleRateInLiveMode):
        make_quote(number_id("fx_quote", 0), replace(ask, mode="live"), made_up, TERMS, NOW)


def test_what_buys_nothing_or_more_than_38_digits_is_refused() -> None:
    per_yen = {"JPY": euro_rate("JPY", "162"), "ETH": euro_rate("ETH", "0.00045")}
    small = Ask(None, "test", "JPY", 0, "EUR")
    with pytest.raises(fx_errors.ConversionTooSmall):
        make_quote(number_id("fx_quote", 0), small, rate_between("JPY", "EUR", per_yen), TERMS, NOW)
    large = Ask(None, "test", "JPY", MAX_MINOR, "ETH")
    with pytest.raises(fx_errors.ConversionTooLarge):
        make_quote(number_id("fx_quote", 0), large, rate_between("JPY", "ETH", per_yen), TERMS, NOW)


def test_a_quote_is_used_by_one_entry_which_may_ask_again_after_the_deadline() -> None:
    made, first, other = quote(), number_id("conversion", 0), number_id("conversion", 1)
    made.check_usable(first, made.expires_at - timedelta(microseconds=1))
    with pytest.raises(fx_errors.QuoteExpired):
        made.check_usable(first, made.expires_at)
    used = replace(made, used_by=first)
    used.check_usable(first, made.expires_at + timedelta(days=1))
    with pytest.raises(fx_errors.QuoteUsed):
        used.check_usable(other, NOW)


@given(rates(), st.integers(1, 10**20))
def test_every_conversion_balances_in_both_currencies_and_carries_its_rate(
    drawn: tuple[str, str, dict[str, EuroRate]], amount: int
) -> None:
    sell, buy, published = drawn
    ask = Ask(merchant_id(), "test", sell, amount, buy)
    try:
        made = make_quote(number_id("fx_quote", 0), ask, rate_between(sell, buy, published), TERMS, NOW)
    except (fx_errors.ConversionTooSmall, fx_errors.ConversionTooLarge):
        return
    source, target = wallet_in(sell), wallet_in(buy)
    command = conversion(made, number_id("conversion", 0), source, target.id, NOW)
    entry = JournalEntry(
        command.entry_id, command.kind, "test", 0, None, None, NOW, NOW, command.postings, command.metadata
    )
    assert [(line.account_id, line.side, line.amount_minor) for line in (entry.postings[0], entry.postings[3])] == [
        (source.id, Side.DEBIT, amount),
        (target.id, Side.CREDIT, made.buy_amount_minor),
    ]
    assert [spec.id for spec in command.opens] == [entry.postings[1].account_id, entry.postings[2].account_id]
    assert ids.from_text("fxq", entry.metadata["fx_quote_id"]) == made.id
    assert entry.metadata["fx_rate_source"] == "ecb"
    assert entry.metadata["fx_rate_observed_at"] == OBSERVED.isoformat()
    assert entry.metadata["fx_rate_legs"].count("EUR/") == len(made.rate.legs)


@given(currencies, currencies)
def test_a_pair_is_called_the_same_whichever_side_is_sold(one: str, other: str) -> None:
    assert pair_of(one, other) == pair_of(other, one)


def test_the_euro_comes_first_and_a_token_last_as_settlements_call_it() -> None:
    assert pair_of("AUD", "EUR") == ("EUR", "AUD")
    assert pair_of("USD", "RUSD") == ("USD", "RUSD")
    assert pair_of("BTC", "EUR") == ("EUR", "BTC")
    assert pair_of("USD", "GBP") == ("GBP", "USD")


def test_only_money_that_cannot_be_overdrawn_is_sold() -> None:
    wallet, payable = Account(wallet_in("EUR")), Account(merchant_payable(merchant_id(), "USD", "test"))
    check_convertible(wallet, payable)
    for source, target in (
        (payable, wallet),
        (Account(acquirer_in("EUR")), wallet),
        (wallet, Account(acquirer_in("EUR"))),
        (wallet, Account(fx_position("EUR", "USD", "USD", "test"))),
    ):
        with pytest.raises(fx_errors.AccountNotConvertible):
            check_convertible(source, target)


def test_every_refusal_has_its_own_code_in_the_tree_and_a_status_of_its_kind() -> None:
    leaves = fx_errors.FxError.__subclasses__()
    codes = {leaf.code for leaf in leaves}
    assert len(codes) == len(leaves) == 10
    for leaf in leaves:
        assert f"{leaf.__name__} " in str(fx_errors.__doc__)
        assert f" {leaf.code} " in str(fx_errors.__doc__)
    kinds: dict[type[PaymentError], int] = {
        fx_errors.RateNotFound: 404,
        fx_errors.RateStale: 503,
        fx_errors.SampleRateInLiveMode: 403,
        fx_errors.SameCurrency: 400,
        fx_errors.QuoteNotFound: 404,
        fx_errors.QuoteExpired: 409,
        fx_errors.QuoteUsed: 409,
        fx_errors.AccountNotConvertible: 400,
    }
    assert {kind: status_of(kind.__new__(kind)) for kind in kinds} == kinds
