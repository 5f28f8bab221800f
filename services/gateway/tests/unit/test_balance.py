"""A merchant's balance from the ledger's accounts and the payments that are on their way."""

from hypothesis import given
from hypothesis import strategies as st

from rialto_gateway.balance.balance import Balance, balances

amounts = st.dictionaries(st.sampled_from(["EUR", "JPY", "USD"]), st.integers(-(10**38), 10**38))


shares = st.dictionaries(st.sampled_from(["EUR", "USD"]), st.integers(0, 10**38))


@given(amounts, amounts, amounts, shares)
def test_the_parts_add_up_to_the_accounts_whatever_is_on_its_way(
    payable: dict[str, int], reserve: dict[str, int], pending: dict[str, int], held: dict[str, int]
) -> None:
    found = {each.currency: each for each in balances(payable, reserve, pending, held)}
    assert list(found) == sorted({*payable, *reserve, *pending, *held})
    for currency, each in found.items():
        assert each.available_minor + each.pending_minor + each.held_back_minor == payable.get(currency, 0)
        assert each.reserved_minor - each.held_back_minor == reserve.get(currency, 0)
        assert 0 <= each.held_back_minor <= held.get(currency, 0)
        assert each.available_minor >= 0 or each.held_back_minor == 0, "nobody owes us for what is held back"
        assert each.total_minor == payable.get(currency, 0) + reserve.get(currency, 0)


def test_a_merchant_who_owes_us_has_less_than_nothing_available() -> None:
    assert balances({"USD": -300}, {}, {}, {"USD": 100}) == [Balance("USD", -300, 0, 0, 0)]
