"""The working copy on which a batch is decided: what was loaded, and what the batch has changed so far."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rialto_common.errors import InvariantViolated
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.account import Account, AccountDelta, AccountStatus, Mode, Side, StatusChange
from rialto_ledger.domain.errors import (
    AccountClosed,
    AccountElsewhere,
    AccountFrozen,
    AccountNotEmpty,
    AccountNotFound,
    BalanceAboveMaximum,
    BalanceOverflow,
    CurrencyMismatch,
    EntryIdTooOld,
    InsufficientFunds,
)
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.settlement import Settlement

NOTHING_HELD: Mapping[UUID, int] = {}
NOTHING_ARCHIVED = UUID(int=0)


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
    ids_from: UUID = NOTHING_ARCHIVED
    """Entries with lower ids are archived, all of them: a new one cannot be told from one that was posted before."""
    elsewhere: Mapping[UUID, str] = field(default_factory=dict)
    """Accounts of shards that other ledgers keep, with the ledger's name."""


class _Standing:
    """An account as the batch has left it so far: written out in fields, as every posting of a batch passes here."""

    __slots__ = ("account", "credits", "debits", "grows_by_credit", "held", "status")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.status = account.status
        self.grows_by_credit = account.normal_side is Side.CREDIT
        self.debits, self.credits, self.held = account.debits_minor, account.credits_minor, account.held_minor

    def copy(self) -> "_Standing":
        new = _Standing(self.account)
        new.status, new.debits, new.credits, new.held = self.status, self.debits, self.credits, self.held
        return new

    @property
    def balance(self) -> int:
        """The ledger balance."""
        return self.credits - self.debits if self.grows_by_credit else self.debits - self.credits

    def delta(self) -> AccountDelta | None:
        """How the batch changes the account's totals; None where it does not."""
        account = self.account
        debits, credits = self.debits - account.debits_minor, self.credits - account.credits_minor
        held = self.held - account.held_minor
        return AccountDelta(debits, credits, held) if debits or credits or held else None

    def check(self, change: "_Change", checks_status: bool) -> None:
        """Refuse a change that the account does not allow.

        Raises: AccountFrozen, AccountClosed, InsufficientFunds, BalanceAboveMaximum, BalanceOverflow.
        """
        account, held = self.account, change.held
        raises = change.credits - change.debits if self.grows_by_credit else change.debits - change.credits
        if checks_status and self.status is not AccountStatus.OPEN:
            if self.status is AccountStatus.CLOSED:
                raise AccountClosed(account.id)
            if held > raises:
                raise AccountFrozen(account.id)
        if (
            self.debits + change.debits > MAX_MINOR
            or self.credits + change.credits > MAX_MINOR
            or not 0 <= self.held + held <= MAX_MINOR
        ):
            raise BalanceOverflow(account.id)
        if held > raises:
            minimum = account.spec.minimum_available_minor
            if minimum is not None:
                available = self.balance - self.held
                if available + raises - held < minimum:
                    raise InsufficientFunds(account.id, available - minimum, held - raises)
        if raises > 0:
            maximum = account.spec.maximum_balance_minor
            if maximum is not None and self.balance + raises > maximum:
                raise BalanceAboveMaximum(account.id, maximum, self.balance + raises)

    def add(self, change: "_Change") -> None:
        """Apply a change."""
        self.debits += change.debits
        self.credits += change.credits
        self.held += change.held


@dataclass(slots=True)
class _Change:
    """What one command does to an account."""

    standing: _Standing
    debits: int = 0
    credits: int = 0
    held: int = 0


@dataclass(slots=True)
class Book:
    """Applies movements in memory, refusing the ones an account does not allow; a refused one leaves no trace."""

    state: LedgerState
    now: datetime
    standings: dict[UUID, _Standing] = field(default_factory=dict)
    """Of the accounts that were looked at."""

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
            standings={account_id: standing.copy() for account_id, standing in self.standings.items()},
            new_entries=dict(self.new_entries),
            changed_holds=dict(self.changed_holds),
            changed_settlements=dict(self.changed_settlements),
            status_changes=list(self.status_changes),
            to_open=set(self.to_open),
        )

    def account(self, account_id: UUID) -> Account:
        """Return the account as it was loaded. Raises: AccountNotFound."""
        return self._standing(account_id).account

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
        return self._standing(account.id).status

    def available(self, account_id: UUID) -> int:
        """Return the ledger balance less what is held, as it is now, within the batch. Raises: AccountNotFound."""
        standing = self._standing(account_id)
        return standing.balance - standing.held

    def change_status(self, account: Account, status: AccountStatus, reason: str) -> None:
        """Freeze, open or close an account. Raises: AccountClosed: for good. AccountNotEmpty: only empty ones close."""
        standing = self._standing(account.id)
        if standing.status is AccountStatus.CLOSED:
            raise AccountClosed(account.id)
        if status is AccountStatus.CLOSED and (standing.balance != 0 or standing.held != 0):
            raise AccountNotEmpty(account.id, standing.balance, standing.held)
        standing.status = status
        self.status_changes.append(StatusChange(account.id, status, reason))

    def post(self, entry: JournalEntry, *, held: Mapping[UUID, int] = NOTHING_HELD, checks_status: bool = True) -> None:
        """Add an entry, changing what is held with it, if every account allows it; else change nothing.

        Raises: EntryIdTooOld, AccountNotFound, AccountFrozen, AccountClosed, CurrencyMismatch, InsufficientFunds,
        BalanceAboveMaximum, BalanceOverflow.
        """
        if self.entry(entry.id) is not None:
            raise InvariantViolated(f"entry {entry.id} would be posted twice")
        if entry.id < self.state.ids_from:
            raise EntryIdTooOld(entry.id)
        changes: dict[UUID, _Change] = {}
        for posting in entry.postings:
            change = changes.get(posting.account_id)
            if change is None:
                change = changes[posting.account_id] = _Change(self._standing(posting.account_id))
            spec = change.standing.account.spec
            if spec.mode != entry.mode:
                raise AccountNotFound(posting.account_id)
            if spec.currency != posting.currency:
                raise CurrencyMismatch(spec.currency, posting.currency)
            if posting.side is Side.CREDIT:
                change.credits += posting.amount_minor
            else:
                change.debits += posting.amount_minor
        for account_id, held_minor in held.items():
            change = changes.get(account_id)
            if change is None:
                change = changes[account_id] = _Change(self._standing(account_id))
            change.held += held_minor
        _apply(changes.values(), checks_status=checks_status)
        self.new_entries[entry.id] = entry

    def reserve(self, hold: Hold, account_id: UUID) -> None:
        """Place a hold on its account. Raises: AccountFrozen, AccountClosed, InsufficientFunds, BalanceOverflow."""
        _apply([_Change(self._standing(account_id), held=hold.remaining_minor)], checks_status=True)
        self.changed_holds[hold.id] = hold

    def reserve_more(self, hold: Hold, account_id: UUID, more_minor: int) -> None:
        """Save a hold that was raised by an amount. Raises: as `reserve`."""
        _apply([_Change(self._standing(account_id), held=more_minor)], checks_status=True)
        self.changed_holds[hold.id] = hold

    def release(self, hold: Hold, released_minor: int) -> None:
        """Save a hold whose rest is released; whatever the account's status, as this only frees money."""
        if hold.account_id is not None and released_minor > 0:
            _apply([_Change(self._standing(hold.account_id), held=-released_minor)], checks_status=False)
        self.changed_holds[hold.id] = hold

    def touched(self) -> dict[UUID, AccountDelta]:
        """Return the changes of the accounts that changed."""
        deltas = ((account_id, standing.delta()) for account_id, standing in self.standings.items())
        return {account_id: delta for account_id, delta in deltas if delta is not None}

    def _standing(self, account_id: UUID) -> _Standing:
        standing = self.standings.get(account_id)
        if standing is None:
            account = self.state.accounts.get(account_id)
            if account is None:
                if account_id in self.state.elsewhere:
                    raise AccountElsewhere(account_id, self.state.elsewhere[account_id])
                raise AccountNotFound(account_id)
            standing = self.standings[account_id] = _Standing(account)
        if self.to_open and account_id in self.to_open:
            raise AccountNotFound(account_id)
        return standing


def _apply(changes: Collection[_Change], *, checks_status: bool) -> None:
    """Apply all of the changes, or none where an account does not allow its own. Raises: as `_Standing.check`."""
    for change in changes:
        change.standing.check(change, checks_status)
    for change in changes:
        change.standing.add(change)
