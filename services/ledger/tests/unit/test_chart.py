"""Codes and ids of the chart of accounts."""

import inspect
from dataclasses import replace

import pytest

from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec, AccountType, Side
from rialto_ledger.testing import Payment, merchant_id, wallet


def test_the_codes_are_the_ones_of_the_design() -> None:
    accounts = Payment().settlement_accounts
    assert accounts.payable.code.startswith("merchant:mer_")
    assert accounts.payable.code.endswith(":payable")
    assert accounts.position.code == accounts.token_position.code == "fx:USD/RUSD:position"
    assert accounts.treasury.code == "chain:31337:RUSD:treasury"
    assert chart.test_acquirer("USD").code == "acquirer:test:receivable"
    assert wallet(1).code.startswith("customer:wal_")


def test_the_other_codes_are_the_ones_of_the_design_too() -> None:
    assert chart.acquirer_receivable("cards", "USD", "live").code == "acquirer:cards:receivable"
    assert chart.fees_income("USD", "test").code == "fees:income"
    assert chart.chain_in_transit(1, "USDC", "test").code == "chain:1:USDC:in_transit"
    assert chart.suspense("USD", "test").code == "suspense:unknown"
    assert chart.shard_in_transit(63, "USD", "test").code == "in_transit:63"


def test_a_position_is_one_account_a_currency() -> None:
    accounts = Payment().settlement_accounts
    assert accounts.position.id != accounts.token_position.id
    assert (accounts.position.currency, accounts.token_position.currency) == ("USD", "RUSD")


def test_test_and_live_never_share_an_account() -> None:
    assert (
        chart.merchant_payable(merchant_id(), "USD", "test").id
        != chart.merchant_payable(merchant_id(), "USD", "live").id
    )
    assert chart.chain_treasury(1, "USDC", "test").id != chart.chain_treasury(1, "USDC", "live").id
    assert chart.suspense("USD", "test").id != chart.suspense("USD", "live").id
    assert chart.merchant_reserve(merchant_id(), "USD", "test") != chart.merchant_reserve(merchant_id(), "USD", "live")


def test_a_wallet_may_not_go_below_zero_and_a_payable_may() -> None:
    assert wallet().minimum_available_minor == 0
    assert Payment().payable.minimum_available_minor is None


def test_no_more_leaves_a_reserve_than_was_set_aside() -> None:
    assert chart.merchant_reserve(merchant_id(), "USD", "test").minimum_available_minor == 0


def test_accounts_in_unknown_currencies_cannot_be_opened() -> None:
    assert chart.can_open(wallet(currency="USD"))
    assert chart.can_open(wallet(currency="RUSD"))
    assert not chart.can_open(wallet(currency="ZZZ"))


def test_normal_sides_follow_the_type() -> None:
    debits = {kind for kind in AccountType if kind.normal_side is Side.DEBIT}
    assert debits == {AccountType.ASSET, AccountType.EXPENSE}


VALUES = {
    "wallet_id": wallet(1).id,
    "merchant_id": merchant_id(2),
    "name": "cards",
    "currency": "USD",
    "side_currency": "USD",
    "token": "USDC",
    "chain_id": 1,
    "shard": 7,
    "mode": "test",
}
CHARTED: list[AccountSpec] = [
    function(**{name: VALUES[name] for name in inspect.signature(function).parameters})
    for name, function in vars(chart).items()
    if callable(function) and not name.startswith("_") and inspect.signature(function).return_annotation is AccountSpec
]


@pytest.mark.parametrize("spec", CHARTED, ids=lambda spec: spec.code)
def test_a_code_of_the_chart_is_taken_for_nothing_else(spec: AccountSpec) -> None:
    assert not chart.contradicts(spec)
    if chart.is_wallet(spec):
        assert chart.contradicts(replace(spec, id=wallet(2).id))
        return
    other = AccountType.INCOME if spec.type is not AccountType.INCOME else AccountType.ASSET
    assert chart.contradicts(replace(spec, type=other))
    assert chart.contradicts(replace(spec, merchant_id=merchant_id(9)))
    assert chart.contradicts(replace(spec, minimum_available_minor=5))


def test_every_account_of_the_chart_is_looked_at() -> None:
    assert len(CHARTED) == 15


def test_any_other_code_is_free() -> None:
    assert not chart.contradicts(replace(wallet(1), code="equity:owners", type=AccountType.EQUITY))
