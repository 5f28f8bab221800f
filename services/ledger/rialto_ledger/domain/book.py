"""The working copy on which a batch is decided: what was loaded, and what the batch has changed so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rialto_common.errors import InvariantViolated
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.account import Account, AccountDelta, AccountStatus, Mode, Side, StatusChange
from rialto_ledger.domain.balance import available_balance, ledger_balance
from rialto_ledger.domain.errors import (
    AccountClosed,
    AccountFrozen,
    AccountNotEmpty,
    AccountNotFound,
    BalanceAboveMaximum,
    BalanceOverflow,
    CurrencyMismatch,
    InsufficientFunds,
)
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.settlement import Settlement

NOTHING_HELD: Mapping[UUID, int] = {}


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What a batch needs to know, loaded under the locks of its accounts.

    `opened` are the accounts that loading opened for it; `entries` are those that exist among the ids asked for.
    """

    accounts: Mapping[UUID, Account]
    opened: frozenset[UUID] = frozenset()
    holds: Mapping[UUID, Hold] = field(default_factory=dict)
    entries: Mapping[UUID, JournalEntry] = field(default_factory=dict)
    settlements: Mapping[UUID, Settlement] = field(default_factory=dict)


@dataclass(slots=True)
class Book:
    """Applies movements in memory, refusing the ones an account does not allow; a refused one leaves no trace."""

    state: LedgerState
    now: datetime
    deltas: dict[UUID, AccountDelta] = field(default_factory=dict)
    new_entries: dict[UUID, JournalEntry] = field(default_factory=dict)
    changed_holds: dict[UUID, Hold] = field(default_factory=dict)
    changed_settlements: dict[UUID, Settlement] = field(default_factory=dict)
    status_changes: list[StatusChange] = field(default_factory=list)
    to_open: set[UUID] = field(default_factory=set)
    """Accounts that a later command of this batch opens: not there yet for the commands before it."""

    def copy(self) -> "Book":
        """Return a book that goes on from here and leaves this one as it is."""
        return replace(
            self,
            deltas={account_id: replace(delta) for account_id, delta in self.deltas.items()},
            new_entries=dict(self.new_entries),
            changed_holds=dict(self.changed_holds),
            changed_settlements=dict(self.changed_settlements),
            status_changes=list(self.status_changes),
            to_open=set(self.to_open),
        )

    def account(self, account_id: UUID) -> Account:
        """Return the account as it was loaded. Raises: AccountNotFound."""
        account = self.state.accounts.get(account_id)
        if account is None or account_id in self.to_open:
            raise AccountNotFound(account_id)
        return account

    def account_of(self, account_id: UUID, merchant_id: UUID | None, mode: Mode) -> Account:
        """Return an account that this merchant may charge; another's is not found. Raises: AccountNotFound."""
        account = self.account(account_id)
        if not account.belongs_to(merchant_id, mode):
            raise AccountNotFound(account_id)
        return account

    def hold(self, hold_id: UUID) -> Hold | None:
        """Return the hold as it is now, within the batch."""
        return self.changed_holds.get(hold_id) or self.state.holds.get(hold_id)

    def entry(self, entry_id: UUID) -> JournalEntry | None:
        """Return the entry if it is in the journal, or becomes so with this batch."""
        return self.new_entries.get(entry_id) or self.state.entries.get(entry_id)

    def settlement(self, payment_id: UUID) -> Settlement | None:
        """Return the payment's settlement as it is now, within the batch."""
        return self.changed_settlements.get(payment_id) or self.state.settlements.get(payment_id)

    def status(self, account: Account) -> AccountStatus:
        """Return the account's status as it is now, within the batch."""
        for change in reversed(self.status_changes):
            if change.account_id == account.id:
                return change.status
        return account.status

    def change_status(self, account: Account, status: AccountStatus, reason: str) -> None:
        """Freeze, open or close an account. Raises: AccountClosed: for good. AccountNotEmpty: only empty ones close."""
        if self.status(account) is AccountStatus.CLOSED:
            raise AccountClosed(account.id)
        if status is AccountStatus.CLOSED:
            now = account.after(self.deltas.get(account.id) or AccountDelta())
            if ledger_balance(now) != 0 or now.held_minor != 0:
                raise AccountNotEmpty(account.id, ledger_balance(now), now.held_minor)
        self.status_changes.append(StatusChange(account.id, status, reason))

    def post(self, entry: JournalEntry, *, held: Mapping[UUID, int] = NOTHING_HELD, checks_status: bool = True) -> None:
        """Add an entry, changing what is held with it, if every account allows it; else change nothing.

        Raises: AccountNotFound, AccountFrozen, AccountClosed, CurrencyMismatch, InsufficientFunds, BalanceAboveMaximum,
        BalanceOverflow.
        """
        if self.entry(entry.id) is not None:
            raise InvariantViolated(f"entry {entry.id} would be posted twice")
        changes: dict[UUID, AccountDelta] = {}
        for posting in entry.postings:
            account = self.account(posting.account_id)
            if account.spec.mode != entry.mode:
                raise AccountNotFound(account.id)
            if account.spec.currency != posting.currency:
                raise CurrencyMismatch(account.spec.currency, posting.currency)
            change = changes.setdefault(account.id, AccountDelta())
            if posting.side is Side.DEBIT:
                change.debits_minor += posting.amount_minor
            else:
                change.credits_minor += posting.amount_minor
        for account_id, held_minor in held.items():
            changes.setdefault(account_id, AccountDelta()).held_minor += held_minor
        self._apply(changes, checks_status=checks_status)
        self.new_entries[entry.id] = entry

    def reserve(self, hold: Hold, account_id: UUID) -> None:
        """Place a hold on its account. Raises: AccountFrozen, AccountClosed, InsufficientFunds, BalanceOverflow."""
        self._apply({account_id: AccountDelta(held_minor=hold.remaining_minor)}, checks_status=True)
        self.changed_holds[hold.id] = hold

    def release(self, hold: Hold, released_minor: int) -> None:
        """Save a hold whose rest is released; whatever the account's status, as this only frees money."""
        if hold.account_id is not None and released_minor > 0:
            self._apply({hold.account_id: AccountDelta(held_minor=-released_minor)}, checks_status=False)
        self.changed_holds[hold.id] = hold

    def _apply(self, changes: Mapping[UUID, AccountDelta], *, checks_status: bool) -> None:
        for account_id, change in changes.items():
            self._check(self.account(account_id), change, checks_status)
        for account_id, change in changes.items():
            delta = self.deltas.setdefault(account_id, AccountDelta())
            delta.debits_minor += change.debits_minor
            delta.credits_minor += change.credits_minor
            delta.held_minor += change.held_minor

    def _check(self, account: Account, change: AccountDelta, checks_status: bool) -> None:
        before = self.deltas.get(account.id) or AccountDelta()
        lowers = change.lowers_available(account.normal_side)
        if checks_status and (status := self.status(account)) is not AccountStatus.OPEN:
            if status is AccountStatus.CLOSED:
                raise AccountClosed(account.id)
            if lowers > 0:
                raise AccountFrozen(account.id)
        for total in (
            account.debits_minor + before.debits_minor + change.debits_minor,
            account.credits_minor + before.credits_minor + change.credits_minor,
            account.held_minor + before.held_minor + change.held_minor,
        ):
            if not 0 <= total <= MAX_MINOR:
                raise BalanceOverflow(account.id)
        minimum = account.spec.minimum_available_minor
        if minimum is not None and lowers > 0:
            available = available_balance(account) - before.lowers_available(account.normal_side)
            if available - lowers < minimum:
                raise InsufficientFunds(account.id, available - minimum, lowers)
        maximum = account.spec.maximum_balance_minor
        if maximum is not None and (raises := change.raises_balance(account.normal_side)) > 0:
            balance = ledger_balance(account) + before.raises_balance(account.normal_side) + raises
            if balance > maximum:
                raise BalanceAboveMaximum(account.id, maximum, balance)

    def touched(self) -> dict[UUID, AccountDelta]:
        """Return the changes of the accounts that changed."""
        return {account_id: delta for account_id, delta in self.deltas.items() if delta != AccountDelta()}
