"""Codes and ids of the chart of accounts."""

from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountType, Side
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
