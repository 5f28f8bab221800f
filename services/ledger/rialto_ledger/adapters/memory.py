"""The books in memory: for simulation and tests, under the same contract as PostgreSQL."""

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from rialto_common.errors import InvariantViolated
from rialto_ledger.application.ports import Keys, Known
from rialto_ledger.domain.account import Account, Mode
from rialto_ledger.domain.balance import available_balance, ledger_balance
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.blocks import Block
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import ExpireHold
from rialto_ledger.domain.hold import Hold, HoldStatus
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.settlement import Settlement

Value = TypeVar("Value")


class Commits(Protocol):
    """What the fake needs of a transaction: a say at its commit."""

    def on_commit(self, effect: Callable[[], None], *, unless: Callable[[], bool] | None = None) -> None:
        """Have a change applied at commit, unless there turns out to be none; it must not fail."""
        ...


@dataclass
class Books:
    """Everything the ledger knows."""

    accounts: MutableMapping[UUID, Account] = field(default_factory=dict)
    holds: MutableMapping[UUID, Hold] = field(default_factory=dict)
    entries: MutableMapping[UUID, JournalEntry] = field(default_factory=dict)
    settlements: MutableMapping[UUID, Settlement] = field(default_factory=dict)
    heads: MutableMapping[int, ChainHead] = field(default_factory=dict)
    links: MutableMapping[UUID, Link] = field(default_factory=dict)
    blocks: MutableMapping[int, Block] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """Say whether there is nothing in them."""
        return not (self.accounts or self.holds or self.entries or self.settlements or self.blocks)

    def update(self, newer: "Books") -> None:
        """Take over everything that is in `newer`."""
        self.accounts.update(newer.accounts)
        self.holds.update(newer.holds)
        self.entries.update(newer.entries)
        self.settlements.update(newer.settlements)
        self.heads.update(newer.heads)
        self.links.update(newer.links)
        self.blocks.update(newer.blocks)


class MemoryLedgers:
    """Gives each transaction its view of shared books; changes appear to the others at commit."""

    def __init__(self) -> None:
        self.books = Books()
        self._open: WeakKeyDictionary[Commits, MemoryLedger] = WeakKeyDictionary()

    def of(self, transaction: Commits) -> "MemoryLedger":
        """Return the transaction's view."""
        if transaction not in self._open:
            ledger = MemoryLedger(self.books)
            transaction.on_commit(lambda: self.books.update(ledger.changes), unless=ledger.changes.is_empty)
            self._open[transaction] = ledger
        return self._open[transaction]


class MemoryLedger:
    """The books inside one transaction. Transactions never interleave here: nothing between begin and commit waits."""

    def __init__(self, committed: Books) -> None:
        self.changes = Books()
        self.books = Books(
            ChainMap(self.changes.accounts, committed.accounts),
            ChainMap(self.changes.holds, committed.holds),
            ChainMap(self.changes.entries, committed.entries),
            ChainMap(self.changes.settlements, committed.settlements),
            ChainMap(self.changes.heads, committed.heads),
            ChainMap(self.changes.links, committed.links),
            ChainMap(self.changes.blocks, committed.blocks),
        )
        """What this transaction sees: its own changes over what is committed."""

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Return what the batch needs, opening what it opens."""
        opened = frozenset(spec.id for spec in keys.opens.values() if spec.id not in self.books.accounts)
        for spec in keys.opens.values():
            if spec.id in opened:
                self.changes.accounts[spec.id] = Account(spec)
        books = self.books
        settlements = _pick(books.settlements, keys.settled_payments)
        standing = {settlement.entry_id for settlement in settlements.values()}
        entries = _pick(books.entries, keys.entries | keys.reversed_entries | standing)
        holds = _pick(books.holds, keys.holds)
        needed = {*keys.accounts, *keys.opens, *(hold.account_id for hold in holds.values() if hold.account_id)}
        bound = (standing | keys.reversed_entries) & entries.keys()
        needed.update(posting.account_id for entry_id in bound for posting in entries[entry_id].postings)
        return LedgerState(_pick(books.accounts, needed), opened, holds, entries, settlements)

    async def accounts(self, account_ids: Collection[UUID]) -> dict[UUID, Account]:
        """Return accounts as they are."""
        return _pick(self.books.accounts, account_ids)

    async def save_as_known(
        self, known: Known, decision: Decision, links: Sequence[Link], now: datetime
    ) -> dict[int, ChainHead] | None:
        """Keep a decision that was made before, if accounts, entries and the ends of chains are as known."""
        accounts, entries = self.books.accounts, self.books.entries
        if any(accounts[account_id].version != version for account_id, version in known.versions.items()):
            return None
        if any(entry_id in entries for entry_id in known.entry_ids):
            return None
        ends = await self.lock_heads(known.ends.keys())
        if ends == known.ends:
            await self.save(decision, links, now)
        return ends

    async def lock_heads(self, shards: Collection[int]) -> dict[int, ChainHead]:
        """Return the ends of these shards' chains."""
        return {shard: self.books.heads.get(shard) or ChainHead.genesis(shard) for shard in shards}

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Keep the decision for the commit, under the same checks as the database's."""
        books = self.books
        for account_id, delta in decision.deltas.items():
            account = books.accounts[account_id]
            changed = account.after(delta)
            minimum, maximum = account.spec.minimum_available_minor, account.spec.maximum_balance_minor
            if maximum is not None and ledger_balance(changed) > maximum:
                raise InvariantViolated(f"account {account_id} would pass its maximum")
            if changed.held_minor < 0 or (minimum is not None and available_balance(changed) < minimum):
                raise InvariantViolated(f"account {account_id} would pass its limit")
            self.changes.accounts[account_id] = changed
        for entry in decision.entries:
            if entry.id in books.entries:
                raise InvariantViolated(f"entry {entry.id} is in the journal already")
            self.changes.entries[entry.id] = entry
        for link in links:
            self.changes.links[link.entry_id] = link
            self.changes.heads[link.shard] = ChainHead(link.shard, link.position, link.hash)
        for change in decision.status_changes:
            account = books.accounts[change.account_id]
            self.changes.accounts[account.id] = replace(account, status=change.status, version=account.version + 1)
        for hold in (*decision.new_holds, *decision.changed_holds):
            self.changes.holds[hold.id] = hold
        for settlement in decision.settlements:
            self.changes.settlements[settlement.payment_id] = settlement

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline, the longest overdue first."""
        due = [hold for hold in self.books.holds.values() if hold.status is HoldStatus.PENDING and hold.is_due(now)]
        due.sort(key=lambda hold: (hold.expires_at, hold.id))
        return [ExpireHold(hold.payment_id, hold.merchant_id, hold.mode, hold.shard, hold.id) for hold in due[:limit]]


class MemoryReader:
    """Reads of committed books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account, or None."""
        return self._books.accounts.get(account_id)

    async def accounts_by_code(self, code: str, mode: Mode) -> Sequence[Account]:
        """Return the accounts of a code in a mode, in the order of currencies."""
        found = [a for a in self._books.accounts.values() if a.spec.code == code and a.spec.mode == mode]
        return sorted(found, key=lambda account: account.spec.currency)

    async def hold(self, hold_id: UUID) -> Hold | None:
        """Return a hold, or None."""
        return self._books.holds.get(hold_id)

    async def entry(self, entry_id: UUID) -> JournalEntry | None:
        """Return an entry, or None."""
        return self._books.entries.get(entry_id)

    async def entries_of_payment(self, payment_id: UUID) -> Sequence[JournalEntry]:
        """Return a payment's entries, oldest first."""
        found = [entry for entry in self._books.entries.values() if entry.payment_id == payment_id]
        return sorted(found, key=lambda entry: (entry.recorded_at, entry.id))

    async def codes(self, account_ids: Iterable[UUID]) -> dict[UUID, str]:
        """Return what these accounts are called."""
        return {account_id: self._books.accounts[account_id].spec.code for account_id in account_ids}


def _pick(rows: Mapping[UUID, Value], wanted: Collection[UUID]) -> dict[UUID, Value]:
    return {key: rows[key] for key in wanted if key in rows}
