"""A merchant's balance from the ledger's accounts and the payments that are on their way."""

from hypothesis import given
from hypothesis import strategies as st

from rialto_gateway.balance.balance import Balance, balances

amounts = st.dictionaries(st.sampled_from(["EUR", "JPY", "USD"]), st.integers(-(10**38), 10**38))


@given(amounts, amounts, amounts)
def test_the_parts_add_up_to_the_accounts_whatever_is_on_its_way(
    payable: dict[str, int], reserve: dict[str, int], pending: dict[str, int]
) -> None:
    found = {each.currency: each for each in balances(payable, reserve, pending)}
    assert list(found) == sorted({*payable, *reserve, *pending})
    for currency, each in found.items():
        assert each.available_minor + each.pending_minor == payable.get(currency, 0)
        assert each.reserved_minor == reserve.get(currency, 0)
        assert each.total_minor == payable.get(currency, 0) + reserve.get(currency, 0)


def test_a_merchant_who_owes_us_has_less_than_nothing_available() -> None:
    assert balances({"USD": -300}, {}, {}) == [Balance("USD", -300, 0, 0)]
