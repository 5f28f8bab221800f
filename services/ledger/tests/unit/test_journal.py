"""I1: an entry that does not balance cannot be constructed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.money import MAX_MINOR
from rialto_ledger.domain import posting_rules
from rialto_ledger.domain.errors import EntryUnbalanced, PostingInvalid
from rialto_ledger.domain.journal import JournalEntry, Posting, credit, debit
from rialto_ledger.testing import NOW, Payment, number_id

A, B = number_id("account", 1), number_id("account", 2)
amounts = st.integers(min_value=1, max_value=10**30)


def entry_of(*postings: Posting) -> JournalEntry:
    return JournalEntry(
        id=number_id("entry", 1),
        kind="test",
        mode="test",
        shard=0,
        merchant_id=None,
        payment_id=None,
        effective_at=NOW,
        recorded_at=NOW,
        postings=postings,
    )


@given(amounts, amounts)
def test_an_entry_of_unequal_debits_and_credits_cannot_be_made(debited: int, credited: int) -> None:
    postings = (debit(A, debited, "USD"), credit(B, credited, "USD"))
    if debited == credited:
        assert entry_of(*postings).postings == postings
    else:
        with pytest.raises(EntryUnbalanced) as refused:
            entry_of(*postings)
        assert refused.value.difference_minor == debited - credited


def test_an_entry_must_balance_in_each_currency_not_in_their_sum() -> None:
    with pytest.raises(EntryUnbalanced):
        entry_of(debit(A, 100, "USD"), credit(B, 100, "EUR"))


def test_an_entry_of_one_posting_is_refused() -> None:
    with pytest.raises(PostingInvalid):
        entry_of(debit(A, 100, "USD"))


@pytest.mark.parametrize("amount", [0, -1, MAX_MINOR + 1])
def test_a_posting_takes_only_amounts_from_1_to_38_digits(amount: int) -> None:
    with pytest.raises(PostingInvalid):
        debit(A, amount, "USD")
    assert debit(A, MAX_MINOR, "USD").amount_minor == MAX_MINOR


@given(amounts, amounts)
def test_a_reversal_restores_every_account_and_balances(amount: int, tokens: int) -> None:
    accounts = Payment().settlement_accounts
    postings = posting_rules.chain_settlement(accounts, amount, tokens)
    entry = entry_of(*postings, *posting_rules.reversal(postings))
    for account in accounts:
        sides = [(p.side.value, p.amount_minor) for p in entry.postings if p.account_id == account.id]
        assert sorted(sides) == sorted([("debit", sides[0][1]), ("credit", sides[0][1])])


def test_a_settlement_balances_in_its_currency_and_in_its_token() -> None:
    entry = entry_of(*posting_rules.chain_settlement(Payment().settlement_accounts, 1050, 10_500_000))
    assert {posting.currency for posting in entry.postings} == {"USD", "RUSD"}


def test_the_same_movement_recorded_later_has_the_same_content() -> None:
    entry = entry_of(debit(A, 5, "USD"), credit(B, 5, "USD"))
    assert entry.same_content(replace(entry, recorded_at=NOW.replace(year=2027)))
    assert not entry.same_content(replace(entry, metadata={"note": "other"}))
    assert not entry.same_content(entry_of(debit(A, 6, "USD"), credit(B, 6, "USD")))
