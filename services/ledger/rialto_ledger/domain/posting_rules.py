"""Posting rules: which accounts each movement debits and credits. README.md draws their T-accounts.

Every rule returns postings that balance per currency; amounts are minor units, greater than zero.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.journal import Posting, credit, debit


def top_up(wallet_id: UUID, acquirer: AccountSpec, amount_minor: int) -> tuple[Posting, ...]:
    """A customer pays in: the acquirer owes us, we owe the customer."""
    return (debit(acquirer.id, amount_minor, acquirer.currency), credit(wallet_id, amount_minor, acquirer.currency))


def capture(wallet_id: UUID, payable: AccountSpec, amount_minor: int) -> tuple[Posting, ...]:
    """A payment is booked: we owe the customer less and the merchant more."""
    return (debit(wallet_id, amount_minor, payable.currency), credit(payable.id, amount_minor, payable.currency))


@dataclass(frozen=True, slots=True)
class SettlementAccounts:
    """The four accounts of a settlement on chain, two in the payment's currency and two in the token."""

    payable: AccountSpec
    position: AccountSpec
    token_position: AccountSpec
    treasury: AccountSpec

    def __iter__(self) -> Iterator[AccountSpec]:
        return iter((self.payable, self.position, self.token_position, self.treasury))


def chain_settlement(accounts: SettlementAccounts, amount_minor: int, token_amount: int) -> tuple[Posting, ...]:
    """The merchant was paid in tokens: one entry, balanced in the currency and in the token."""
    currency, token = accounts.payable.currency, accounts.treasury.currency
    return (
        debit(accounts.payable.id, amount_minor, currency),
        credit(accounts.position.id, amount_minor, currency),
        debit(accounts.token_position.id, token_amount, token),
        credit(accounts.treasury.id, token_amount, token),
    )


def treasury_deposit(treasury: AccountSpec, issuer: AccountSpec, token_amount: int) -> tuple[Posting, ...]:
    """Tokens arrived in the treasury."""
    return (debit(treasury.id, token_amount, treasury.currency), credit(issuer.id, token_amount, issuer.currency))


def reversal(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """The postings that undo others, in the same order."""
    return tuple(posting.reversed() for posting in postings)
