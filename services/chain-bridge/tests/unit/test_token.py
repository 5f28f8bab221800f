"""Amounts, ids and addresses as the contract knows them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_chain_bridge.adapters.contracts import checksummed
from rialto_chain_bridge.domain.errors import AmountNotPayable, PayeeInvalid
from rialto_chain_bridge.domain.token import MAX_TOKEN_AMOUNT, payee_address, payment_bytes, token_amount
from rialto_common.errors import UnknownCurrency


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (1250, "USD", 12_500_000),
        (7, "JPY", 7_000_000),
        (1, "KWD", 1_000),
        (5, "RUSD", 5),
        (10**12, "ETH", 1),
    ],
)
def test_amounts_are_scaled_one_to_one(amount_minor: int, currency: str, expected: int) -> None:
    assert token_amount(amount_minor, currency, 6) == expected


@pytest.mark.parametrize(("amount_minor", "currency"), [(1, "ETH"), (10**12 + 1, "ETH"), (MAX_TOKEN_AMOUNT, "USD")])
def test_amounts_that_would_be_rounded_or_cut_are_refused(amount_minor: int, currency: str) -> None:
    with pytest.raises(AmountNotPayable):
        token_amount(amount_minor, currency, 6)


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        token_amount(1, "XXQ", 6)


@given(st.integers(1, 10**15), st.sampled_from(["USD", "JPY", "KWD", "RUSD"]))
def test_scaling_loses_nothing(amount_minor: int, currency: str) -> None:
    exponents = {"USD": 2, "JPY": 0, "KWD": 3, "RUSD": 6}
    scaled = token_amount(amount_minor, currency, 6)
    assert scaled == amount_minor * 10 ** (6 - exponents[currency])


@given(st.uuids())
def test_a_payment_id_is_left_aligned_in_32_bytes(payment_id: UUID) -> None:
    content = payment_bytes(payment_id)
    assert len(content) == 32
    assert UUID(bytes=content[:16]) == payment_id
    assert content[16:] == bytes(16)


# The examples of EIP-55.
@pytest.mark.parametrize(
    "address",
    [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_well_written_addresses_are_taken_in_lower_case(address: str) -> None:
    assert payee_address(address, checksummed=checksummed) == address.lower()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "0x",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",
        "0x0000000000000000000000000000000000000000",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n",
    ],
)
def test_mistyped_addresses_are_refused(address: str) -> None:
    with pytest.raises(PayeeInvalid):
        payee_address(address, checksummed=checksummed)
