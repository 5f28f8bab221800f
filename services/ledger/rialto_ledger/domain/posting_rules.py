"""Posting rules: which accounts each movement debits and credits, and what that means.

Every rule returns postings that balance per currency; amounts are minor units, greater than zero. A rule that would
pass an amount out of range raises PostingInvalid, one given accounts of different currencies an entry that cannot be
constructed. An authorisation has no rule: it places a hold, and a hold is no entry.

docs/ledger/POSTING_RULES.md shows each rule at work; its examples are run as tests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from rialto_ledger.domain.account import AccountSpec, Side
from rialto_ledger.domain.errors import CurrencyMismatch
from rialto_ledger.domain.journal import Posting, credit, debit

Postings = tuple[Posting, ...]


# Payments and refunds


def top_up(wallet_id: UUID, acquirer: AccountSpec, amount_minor: int) -> Postings:
    """A customer pays in: the acquirer owes us, we owe the customer."""
    return (debit(acquirer.id, amount_minor, acquirer.currency), credit(wallet_id, amount_minor, acquirer.currency))


def capture(wallet_id: UUID, payable: AccountSpec, amount_minor: int) -> Postings:
    """A payment is booked: we owe the customer less and the merchant more."""
    return (debit(wallet_id, amount_minor, payable.currency), credit(payable.id, amount_minor, payable.currency))


def capture_by_acquirer(receivable: AccountSpec, payable: AccountSpec, amount_minor: int) -> Postings:
    """A payment by card or the like is booked: the acquirer owes us, we owe the merchant."""
    return _moved(receivable, payable, amount_minor)


def refund_to_wallet(payable: AccountSpec, wallet_id: UUID, amount_minor: int) -> Postings:
    """A merchant gives back all or part: we owe the merchant less and the customer more."""
    return (debit(payable.id, amount_minor, payable.currency), credit(wallet_id, amount_minor, payable.currency))


def refund_through_acquirer(payable: AccountSpec, receivable: AccountSpec, amount_minor: int) -> Postings:
    """A merchant gives back all or part to a card: we owe the merchant less, the acquirer owes us less."""
    return _moved(payable, receivable, amount_minor)


# Fees


def fee(payable: AccountSpec, income: AccountSpec, fee_minor: int) -> Postings:
    """We earn our fee (`fees.FeeSchedule`) and owe the merchant that much less; nothing to post where it is 0."""
    return _moved(payable, income, fee_minor) if fee_minor else ()


def fee_returned(payable: AccountSpec, income: AccountSpec, fee_minor: int) -> Postings:
    """We give back a fee or the part that goes with a refund (`fees.returned_fee`); nothing to post where it is 0."""
    return _moved(income, payable, fee_minor) if fee_minor else ()


# Chargebacks


def chargeback_opened(payable: AccountSpec, reserve: AccountSpec, amount_minor: int) -> Postings:
    """A payment is disputed: the merchant's money is set aside until the dispute ends, still owed but not payable.

    Nothing is taken from an acquirer's receivable yet: an acquirer that withholds the amount meanwhile owes it to us
    until the dispute is lost. `payable` may fall below zero: the merchant then owes us.
    """
    return _moved(payable, reserve, amount_minor)


def chargeback_lost(reserve: AccountSpec, payer_id: UUID, amount_minor: int) -> Postings:
    """The payer gets the money back: `payer_id` is the receivable of the acquirer that pays them, or their wallet."""
    return (debit(reserve.id, amount_minor, reserve.currency), credit(payer_id, amount_minor, reserve.currency))


def chargeback_won(reserve: AccountSpec, payable: AccountSpec, amount_minor: int) -> Postings:
    """The merchant gets back what was set aside."""
    return _moved(reserve, payable, amount_minor)


# Acquirers


@dataclass(frozen=True, slots=True)
class AcquirerAccounts:
    """The three accounts of an acquirer's settlement, all in one currency."""

    receivable: AccountSpec
    costs: AccountSpec
    cash: AccountSpec


def acquirer_settlement(accounts: AcquirerAccounts, gross_minor: int, costs_minor: int) -> Postings:
    """An acquirer pays what it owes less its costs: the receivable is cleared in full, the bank has the rest.

    `gross_minor` is captures less refunds and chargebacks. It is negative where those outweigh, and the bank is then
    debited; so it is where the costs exceed it. Negative costs are a rebate. What comes to 0 is not posted.
    """
    moves = (
        (accounts.cash, gross_minor - costs_minor),
        (accounts.costs, costs_minor),
        (accounts.receivable, -gross_minor),
    )
    return tuple(_signed(account, net_debit) for account, net_debit in moves if net_debit)


# The chain


@dataclass(frozen=True, slots=True)
class SettlementAccounts:
    """The four accounts of a settlement on chain, two in the payment's currency and two in the token."""

    payable: AccountSpec
    position: AccountSpec
    token_position: AccountSpec
    treasury: AccountSpec

    def __iter__(self) -> Iterator[AccountSpec]:
        return iter((self.payable, self.position, self.token_position, self.treasury))


def chain_settlement(accounts: SettlementAccounts, amount_minor: int, token_amount: int) -> Postings:
    """The merchant was paid in tokens: one entry, balanced in the currency and in the token."""
    currency, token = accounts.payable.currency, accounts.treasury.currency
    return (
        debit(accounts.payable.id, amount_minor, currency),
        credit(accounts.position.id, amount_minor, currency),
        debit(accounts.token_position.id, token_amount, token),
        credit(accounts.treasury.id, token_amount, token),
    )


def treasury_deposit(treasury: AccountSpec, issuer: AccountSpec, token_amount: int) -> Postings:
    """Tokens arrived in the treasury."""
    return (debit(treasury.id, token_amount, treasury.currency), credit(issuer.id, token_amount, issuer.currency))


def reversal(postings: Iterable[Posting]) -> Postings:
    """The postings that undo others, in the same order: what a reorg makes of a settlement."""
    return tuple(posting.reversed() for posting in postings)


# Payouts


def payout_requested(payable: AccountSpec, in_transit: AccountSpec, amount_minor: int) -> Postings:
    """A payout goes out: the merchant can no longer dispose of the money, and we owe it until the bank confirms."""
    return _moved(payable, in_transit, amount_minor)


def chain_payout_requested(
    accounts: SettlementAccounts, in_transit: AccountSpec, amount_minor: int, token_amount: int
) -> Postings:
    """A payout in tokens goes out: as `chain_settlement`, but the tokens are in transit and not yet off the treasury.

    The rate is that of the request: `reversal` of this entry undoes a failed payout without a gain or loss.
    """
    return chain_settlement(replace(accounts, treasury=in_transit), amount_minor, token_amount)


def payout_confirmed(in_transit: AccountSpec, paid_from: AccountSpec, amount: int) -> Postings:
    """The payout has left our account at the bank, or the treasury: we owe nothing more. In minor units or token's."""
    return _moved(in_transit, paid_from, amount)


def payout_failed(in_transit: AccountSpec, payable: AccountSpec, amount_minor: int) -> Postings:
    """The bank did not pay: the merchant has the money at their disposal again."""
    return _moved(in_transit, payable, amount_minor)


# Unknown outcomes. `movement` is what would have been posted had the other side's answer been known.


def suspended(movement: Iterable[Posting], suspense: AccountSpec) -> Postings:
    """Nobody knows whether the movement happened: its debits are booked, its credits wait in suspense.

    So the side that may have given up the money cannot spend it, and the other cannot spend it yet.
    """
    return _sent(movement, suspense)


def resolved_as_succeeded(movement: Iterable[Posting], suspense: AccountSpec) -> Postings:
    """It did happen: the money goes on from suspense. With `suspended`, this is the movement itself."""
    return _received(movement, suspense)


def resolved_as_failed(movement: Iterable[Posting], suspense: AccountSpec) -> Postings:
    """It did not: the money goes back from suspense. With `suspended`, this is nothing."""
    return reversal(_sent(movement, suspense))


# Between ledger databases. `movement` is what one database would have posted; each half is an entry with its own id.


def transfer_sent(movement: Iterable[Posting], in_transit: AccountSpec) -> Postings:
    """The debits' database books them and owes the money to the shard that the credits live on."""
    return _sent(movement, in_transit)


def transfer_received(movement: Iterable[Posting], in_transit: AccountSpec) -> Postings:
    """The credits' database books them against what is on its way. Where it refuses them, the sending is reversed."""
    return _received(movement, in_transit)


def _moved(debited: AccountSpec, credited: AccountSpec, amount: int) -> Postings:
    return (debit(debited.id, amount, debited.currency), credit(credited.id, amount, credited.currency))


def _signed(account: AccountSpec, net_debit: int) -> Posting:
    side = Side.DEBIT if net_debit > 0 else Side.CREDIT
    return Posting(account.id, side, abs(net_debit), account.currency)


def _sent(movement: Iterable[Posting], waiting: AccountSpec) -> Postings:
    debits = _side(movement, Side.DEBIT, waiting)
    return (*debits, credit(waiting.id, sum(p.amount_minor for p in debits), waiting.currency))


def _received(movement: Iterable[Posting], waiting: AccountSpec) -> Postings:
    credits = _side(movement, Side.CREDIT, waiting)
    return (debit(waiting.id, sum(p.amount_minor for p in credits), waiting.currency), *credits)


def _side(movement: Iterable[Posting], side: Side, waiting: AccountSpec) -> list[Posting]:
    """Return the debits or the credits. A movement in several currencies is refused: what waits has one."""
    postings = list(movement)
    for posting in postings:
        if posting.currency != waiting.currency:
            raise CurrencyMismatch(waiting.currency, posting.currency)
    return [posting for posting in postings if posting.side is side]
