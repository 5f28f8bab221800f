"""Laws of the posting rules: each balances, what undoes a rule undoes it whole, and nothing stays in between."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.money import MAX_MINOR
from rialto_ledger.domain import chart
from rialto_ledger.domain import posting_rules as rules
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.errors import CurrencyMismatch, PostingInvalid
from rialto_ledger.domain.journal import Posting, credit, debit
from rialto_ledger.domain.posting_rules import AcquirerAccounts, Postings
from rialto_ledger.testing import CHAIN_ID, STABLECOIN, Payment, merchant_id, wallet

WALLET = wallet().id
PAYABLE = chart.merchant_payable(merchant_id(), "USD", "test")
RESERVE = chart.merchant_reserve(merchant_id(), "USD", "test")
RECEIVABLE = chart.acquirer_receivable("cards", "USD", "test")
INCOME = chart.fees_income("USD", "test")
CASH = chart.bank_cash("house", "USD", "test")
BANK_TRANSIT = chart.bank_in_transit("house", "USD", "test")
SUSPENSE = chart.suspense("USD", "test")
SHARD = chart.shard_in_transit(7, "USD", "test")
TREASURY = chart.chain_treasury(CHAIN_ID, STABLECOIN, "test")
ISSUER = chart.chain_issuer(CHAIN_ID, STABLECOIN, "test")
CHAIN_TRANSIT = chart.chain_in_transit(CHAIN_ID, STABLECOIN, "test")
ON_CHAIN = Payment().settlement_accounts
AT_ACQUIRER = AcquirerAccounts(RECEIVABLE, chart.acquirer_costs("cards", "USD", "test"), CASH)

Rule = Callable[[int, int], Postings]
"""A rule on fixed accounts, as a function of its amount and of a second one (tokens or costs) where it takes two."""

CALLS: dict[str, Rule] = {
    "top_up": lambda amount, _: rules.top_up(WALLET, RECEIVABLE, amount),
    "capture": lambda amount, _: rules.capture(WALLET, PAYABLE, amount),
    "capture_by_acquirer": lambda amount, _: rules.capture_by_acquirer(RECEIVABLE, PAYABLE, amount),
    "refund_to_wallet": lambda amount, _: rules.refund_to_wallet(PAYABLE, WALLET, amount),
    "refund_through_acquirer": lambda amount, _: rules.refund_through_acquirer(PAYABLE, RECEIVABLE, amount),
    "fee": lambda amount, _: rules.fee(PAYABLE, INCOME, amount),
    "fee_returned": lambda amount, _: rules.fee_returned(PAYABLE, INCOME, amount),
    "chargeback_opened": lambda amount, _: rules.chargeback_opened(PAYABLE, RESERVE, amount),
    "chargeback_lost": lambda amount, _: rules.chargeback_lost(RESERVE, RECEIVABLE.id, amount),
    "chargeback_won": lambda amount, _: rules.chargeback_won(RESERVE, PAYABLE, amount),
    "acquirer_settlement": lambda amount, costs: rules.acquirer_settlement(AT_ACQUIRER, amount, costs),
    "chain_settlement": lambda amount, tokens: rules.chain_settlement(ON_CHAIN, amount, tokens),
    "treasury_deposit": lambda _, tokens: rules.treasury_deposit(TREASURY, ISSUER, tokens),
    "reversal": lambda amount, tokens: rules.reversal(rules.chain_settlement(ON_CHAIN, amount, tokens)),
    "payout_requested": lambda amount, _: rules.payout_requested(PAYABLE, BANK_TRANSIT, amount),
    "chain_payout_requested": lambda amount, tokens: rules.chain_payout_requested(
        ON_CHAIN, CHAIN_TRANSIT, amount, tokens
    ),
    "payout_confirmed": lambda _, tokens: rules.payout_confirmed(CHAIN_TRANSIT, TREASURY, tokens),
    "payout_failed": lambda amount, _: rules.payout_failed(BANK_TRANSIT, PAYABLE, amount),
    "suspended": lambda amount, _: rules.suspended(card(amount), SUSPENSE),
    "resolved_as_succeeded": lambda amount, _: rules.resolved_as_succeeded(card(amount), SUSPENSE),
    "resolved_as_failed": lambda amount, _: rules.resolved_as_failed(card(amount), SUSPENSE),
    "transfer_sent": lambda amount, _: rules.transfer_sent(card(amount), SHARD),
    "transfer_received": lambda amount, _: rules.transfer_received(card(amount), SHARD),
}

UNDONE_BY = [
    ("capture", "refund_to_wallet"),
    ("capture_by_acquirer", "refund_through_acquirer"),
    ("fee", "fee_returned"),
    ("chargeback_opened", "chargeback_won"),
    ("payout_requested", "payout_failed"),
    ("chain_settlement", "reversal"),
    ("suspended", "resolved_as_failed"),
]

amounts = st.integers(1, MAX_MINOR)
each_rule = pytest.mark.parametrize("name", sorted(CALLS))


def card(amount_minor: int) -> Postings:
    return rules.capture_by_acquirer(RECEIVABLE, PAYABLE, amount_minor)


def net(*entries: Iterable[Posting]) -> dict[tuple[UUID, str], int]:
    """Return debits less credits of each account that is not left as it was."""
    sums: Counter[tuple[UUID, str]] = Counter()
    for posting in chain.from_iterable(entries):
        signed = posting.amount_minor if posting.side is Side.DEBIT else -posting.amount_minor
        sums[posting.account_id, posting.currency] += signed
    return {account: total for account, total in sums.items() if total}


def net_by_currency(postings: Iterable[Posting]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for (_, currency), total in net(postings).items():
        sums[currency] += total
    return dict(sums)


def test_the_laws_are_checked_for_every_rule() -> None:
    public = {
        name
        for name, rule in inspect.getmembers(rules, inspect.isfunction)
        if rule.__module__ == rules.__name__ and not name.startswith("_")
    }
    assert set(CALLS) == public


@each_rule
@given(amount=amounts, second=amounts)
def test_a_rule_moves_money_and_balances_in_each_currency(name: str, amount: int, second: int) -> None:
    postings = CALLS[name](amount, second)
    assert len(net(postings)) >= 2
    assert set(net_by_currency(postings).values()) == {0}


@pytest.mark.parametrize(("done", "undone"), UNDONE_BY)
@given(amount=amounts, second=amounts)
def test_what_undoes_a_rule_leaves_every_balance_as_before(done: str, undone: str, amount: int, second: int) -> None:
    assert net(CALLS[done](amount, second), CALLS[undone](amount, second)) == {}


@each_rule
@given(amount=amounts, second=amounts)
def test_a_reversal_leaves_every_balance_as_before(name: str, amount: int, second: int) -> None:
    postings = CALLS[name](amount, second)
    assert net(postings, rules.reversal(postings)) == {}


@given(st.lists(st.integers(1, MAX_MINOR // 8), min_size=1, max_size=8))
def test_partial_refunds_of_a_capture_come_to_the_whole(parts: list[int]) -> None:
    whole = sum(parts)
    refunds = [rules.refund_to_wallet(PAYABLE, WALLET, part) for part in parts]
    assert net(rules.capture(WALLET, PAYABLE, whole), *refunds) == {}
    through = [rules.refund_through_acquirer(PAYABLE, RECEIVABLE, part) for part in parts]
    assert net(card(whole), *through) == {}


@given(amounts)
def test_a_lost_chargeback_takes_from_the_merchant_what_a_refund_would(amount: int) -> None:
    lost = rules.chargeback_lost(RESERVE, RECEIVABLE.id, amount)
    refund = rules.refund_through_acquirer(PAYABLE, RECEIVABLE, amount)
    assert net(rules.chargeback_opened(PAYABLE, RESERVE, amount), lost) == net(refund)


@given(amounts, amounts)
def test_a_payout_in_tokens_comes_to_the_settlement_on_chain(amount: int, tokens: int) -> None:
    requested = rules.chain_payout_requested(ON_CHAIN, CHAIN_TRANSIT, amount, tokens)
    confirmed = rules.payout_confirmed(CHAIN_TRANSIT, TREASURY, tokens)
    assert net(requested, confirmed) == net(rules.chain_settlement(ON_CHAIN, amount, tokens))


@given(amounts, st.booleans())
def test_a_payout_by_bank_leaves_nothing_in_transit(amount: int, paid: bool) -> None:
    requested = rules.payout_requested(PAYABLE, BANK_TRANSIT, amount)
    if paid:
        left = net(requested, rules.payout_confirmed(BANK_TRANSIT, CASH, amount))
        assert left == {(PAYABLE.id, "USD"): amount, (CASH.id, "USD"): -amount}
    else:
        assert net(requested, rules.payout_failed(BANK_TRANSIT, PAYABLE, amount)) == {}


signed = st.integers(-(10**30), 10**30)


@given(signed, signed)
def test_an_acquirers_settlement_clears_its_receivable_whatever_the_signs(gross: int, costs: int) -> None:
    left = net(rules.acquirer_settlement(AT_ACQUIRER, gross, costs))
    expected = {AT_ACQUIRER.receivable.id: -gross, AT_ACQUIRER.costs.id: costs, AT_ACQUIRER.cash.id: gross - costs}
    assert left == {(account, "USD"): total for account, total in expected.items() if total}


# A movement of several debits and credits in one currency.
splits = st.lists(st.integers(1, 10**20), min_size=1, max_size=4)
sides = st.tuples(splits, splits).map(
    lambda parts: (
        *(debit(wallet(number).id, amount, "USD") for number, amount in enumerate([*parts[0], sum(parts[1])])),
        *(credit(wallet(10 + number).id, amount, "USD") for number, amount in enumerate([*parts[1], sum(parts[0])])),
    )
)


@given(sides)
def test_an_unknown_outcome_that_succeeded_comes_to_the_movement(movement: Postings) -> None:
    waiting, resolved = rules.suspended(movement, SUSPENSE), rules.resolved_as_succeeded(movement, SUSPENSE)
    assert net(waiting, resolved) == net(movement)


@given(sides)
def test_while_an_outcome_is_unknown_the_credits_wait_in_suspense(movement: Postings) -> None:
    debited = {account: total for account, total in net(movement).items() if total > 0}
    assert net(rules.suspended(movement, SUSPENSE)) == debited | {(SUSPENSE.id, "USD"): -sum(debited.values())}


@given(st.lists(st.tuples(sides, st.booleans()), max_size=5))
def test_suspense_is_zero_once_every_outcome_is_known(attempts: list[tuple[Postings, bool]]) -> None:
    entries = [rules.suspended(movement, SUSPENSE) for movement, _ in attempts]
    for movement, succeeded in attempts:
        resolve = rules.resolved_as_succeeded if succeeded else rules.resolved_as_failed
        entries.append(resolve(movement, SUSPENSE))
    assert net(*entries) == net(*(movement for movement, succeeded in attempts if succeeded))


@given(sides)
def test_two_databases_together_hold_what_one_would(movement: Postings) -> None:
    sent, received = rules.transfer_sent(movement, SHARD), rules.transfer_received(movement, SHARD)
    assert net(sent, received) == net(movement)
    assert net(sent)[SHARD.id, "USD"] == -net(received)[SHARD.id, "USD"] < 0


@pytest.mark.parametrize("half", [rules.suspended, rules.resolved_as_succeeded, rules.transfer_sent])
def test_a_movement_in_two_currencies_cannot_wait_in_an_account_of_one(half: Callable[..., Postings]) -> None:
    with pytest.raises(CurrencyMismatch):
        half(rules.chain_settlement(ON_CHAIN, 1000, 10_000_000), SUSPENSE)


def test_a_fee_of_zero_posts_nothing_and_so_can_follow_any_capture() -> None:
    assert rules.fee(PAYABLE, INCOME, 0) == rules.fee_returned(PAYABLE, INCOME, 0) == ()


def test_an_acquirers_settlement_of_nothing_posts_nothing() -> None:
    assert rules.acquirer_settlement(AT_ACQUIRER, 0, 0) == ()


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"acquirer_settlement"}))
@pytest.mark.parametrize("amount", [-1, MAX_MINOR + 1])
def test_a_rule_refuses_an_amount_out_of_range(name: str, amount: int) -> None:
    with pytest.raises(PostingInvalid):
        CALLS[name](amount, amount)
