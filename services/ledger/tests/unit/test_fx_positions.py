"""Realised and unrealised gain of positions, at average cost."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rialto_ledger.domain.fx import rate_between
from rialto_ledger.domain.fx_positions import Position, Positions, Trade, book
from rialto_ledger.fx_testing import euro_rate

amounts = st.integers(1, 10**12)
trades = st.builds(
    lambda sells_euro, euro, dollar: (
        Trade("EUR", euro, "USD", dollar) if sells_euro else Trade("USD", dollar, "EUR", euro)
    ),
    st.booleans(),
    amounts,
    amounts,
)


def position_after(*done: Trade) -> Position:
    positions: Positions = {("EUR", "USD"): Position("EUR", "USD")}
    for trade in done:
        book(positions, trade)
    return positions["EUR", "USD"]


def test_selling_a_part_realises_its_share_of_the_cost() -> None:
    bought = position_after(Trade("EUR", 100, "USD", 110), Trade("EUR", 100, "USD", 130))
    assert (bought.base_minor, bought.cost_minor, bought.realised_minor) == (200, 240, 0)
    sold = bought.after(Trade("USD", 65, "EUR", 50))
    assert (sold.base_minor, sold.cost_minor, sold.realised_minor) == (150, 180, 5)


def test_a_position_that_turns_realises_what_it_closes_and_opens_with_the_rest() -> None:
    turned = position_after(Trade("EUR", 100, "USD", 110), Trade("USD", 360, "EUR", 300))
    assert (turned.base_minor, turned.cost_minor, turned.realised_minor) == (-200, -240, 10)


def test_a_reversed_conversion_leaves_nothing_behind() -> None:
    trade = Trade("EUR", 333, "USD", 361)
    assert position_after(trade, trade.backwards()) == Position("EUR", "USD")


def test_each_pair_has_a_position_of_its_own() -> None:
    positions: Positions = {}
    for trade in (Trade("USD", 5, "EUR", 4), Trade("GBP", 3, "USD", 4), Trade("EUR", 4, "USD", 5)):
        book(positions, trade)
    assert set(positions) == {("EUR", "USD"), ("GBP", "USD")}


@given(st.lists(trades, max_size=30), st.decimals("0.0001", "1000", places=4))
def test_realised_and_unrealised_gain_are_what_the_two_accounts_are_worth(done: list[Trade], closing: object) -> None:
    position = position_after(*done)
    euros = sum(t.sell_amount_minor if t.sell_currency == "EUR" else -t.buy_amount_minor for t in done)
    dollars = sum(t.sell_amount_minor if t.sell_currency == "USD" else -t.buy_amount_minor for t in done)
    assert (position.base_minor, position.quote_minor) == (euros, dollars)
    rate = rate_between("EUR", "USD", {"USD": euro_rate("USD", str(closing))})
    worth = euros * Fraction(str(closing)) + dollars
    assert position.realised_minor + position.unrealised(rate) == worth


@given(st.lists(trades, max_size=30))
def test_a_flat_position_has_no_cost_and_any_other_a_cost_of_its_sign(done: list[Trade]) -> None:
    positions: Positions = {}
    for trade in done:
        book(positions, trade)
        position = positions["EUR", "USD"]
        assert position.base_minor != 0 or position.cost_minor == 0
        assert position.base_minor * position.cost_minor >= 0
