"""Deciding ahead: while a batch is being committed, the next one is decided on what the books will be after it.

A poster remembers the accounts that it posted to, as it left them, reads others, and decides on these; it remembers the
ends of the chains, too, and links entries to them. To remember is not to know: in the transaction that writes it, the
ledger locks a draft's accounts and writes it only if each still has the version it was decided on
(`Ledger.save_as_known`). Where one has not, because another poster, a payment or an operator changed it, nothing is
written, and the commands are posted as if there had been no draft. Where only the chains have grown meanwhile, the
draft's entries are linked to their new ends.

A draft may be sent before the one that it builds on is committed. Versions do not tell then that what it builds on has
come true: where that fell, others may have given its accounts the same numbers. The ends of its chains do, as they are
hashes of all that it should have written.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from rialto_common.events import Event
from rialto_ledger.application.ports import Ends, Known, Ledger
from rialto_ledger.application.posting import Posted
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain import chain
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import decision_of, outcome_of
from rialto_ledger.domain.book import Book, LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import Command, PostEntry
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import EntryPosted, Outcome, OutcomeStatus

MAX_ACCOUNTS = 100_000
"""Remembered at most: about 50 MB. Beyond, all are forgotten, and those that are posted to are soon known again."""


class Remembered:
    """The accounts that a poster has read or changed, as its last batch leaves them, which may be under way still."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self.ends: dict[int, ChainHead] = {}
        self._absent: set[UUID] = set()
        self._entries: set[UUID] = set()

    def may_cover(self, commands: Sequence[Command]) -> bool:
        """Whether commands are such as can be decided ahead, once their accounts are known: they post new entries."""
        return all(type(command) is PostEntry and command.entry_id not in self._entries for command in commands)

    def unknown(self, commands: Sequence[Command]) -> set[UUID]:
        """Return the accounts of commands that are not known."""
        return {account_id for command in commands for account_id in _accounts_of(command)} - self.accounts.keys()

    def covers(self, commands: Sequence[Command]) -> bool:
        """Whether commands can be decided on what is remembered."""
        return self.may_cover(commands) and not self.unknown(commands) and self.shards(commands) <= self.ends.keys()

    def shards(self, commands: Sequence[Command]) -> set[int]:
        """Return the shards to which commands on known accounts add entries."""
        shards = set()
        for command in commands:
            if isinstance(command, PostEntry):
                shards.add(self.accounts[command.about].spec.shard if command.shard is None else command.shard)
        return shards

    def are_absent(self, account_ids: Set[UUID]) -> bool:
        """Whether accounts were looked for in vain; what names them is refused, or opens them, without a draft."""
        return not account_ids.isdisjoint(self._absent)

    def learn(self, asked: Set[UUID], found: Mapping[UUID, Account]) -> None:
        """Remember accounts as they are committed, if nothing newer is known by now."""
        for account_id, account in found.items():
            self.accounts.setdefault(account_id, account)
        self._absent |= asked - found.keys()

    def keep(self, posted: Posted) -> None:
        """Remember what a batch changes, once it is committed, or while it is."""
        self._absent.clear()
        if len(self.accounts) > MAX_ACCOUNTS:
            self.accounts.clear()
        for account_id in posted.decision.deltas:
            self.accounts[account_id] = posted.account_after(account_id)
        for change in posted.decision.status_changes:
            self.accounts.pop(change.account_id, None)
        self.ends.update(posted.ends)
        # A repetition of one of these is answered from the journal.
        self._entries = {entry.id for entry in posted.decision.entries}

    def forget(self) -> None:
        """Forget all: something was not as remembered, or is not known."""
        self.accounts.clear()
        self.ends.clear()
        self._absent.clear()
        self._entries.clear()


class Draft:
    """A batch that is decided command by command, before its accounts are locked."""

    def __init__(self, remembered: Remembered, now: datetime) -> None:
        self.now = now
        self.events: list[Event] = []
        self._remembered = remembered
        self._accounts: dict[UUID, Account] = {}
        self._book = Book(LedgerState(self._accounts), now)
        self._teller = Teller(self._accounts, now)
        self._outcomes: list[Outcome] = []
        self._links: list[Link] = []
        self._from: dict[int, ChainHead] = {}
        self._ends: dict[int, ChainHead] = {}
        self._builds_on: Ends = {}
        self._posted: Posted | None = None

    def add(self, commands: Sequence[Command]) -> None:
        """Decide on commands that `Remembered.covers`."""
        entries = []
        for command in commands:
            for account_id in _accounts_of(command):
                self._accounts[account_id] = self._remembered.accounts[account_id]
            outcome = outcome_of(self._book, command)
            self._outcomes.append(outcome)
            if outcome.status is OutcomeStatus.APPLIED:
                self.events += self._teller.events_of(outcome)
                if isinstance(outcome.result, EntryPosted):
                    entries.append(outcome.result.entry)
        self._link(entries)

    def _link(self, entries: Sequence[JournalEntry]) -> None:
        for shard in {entry.shard for entry in entries} - self._ends.keys():
            # Forgotten meanwhile: then it will not be as known, and they are linked to what it is.
            self._from[shard] = self._ends[shard] = self._remembered.ends.get(shard) or ChainHead(shard, -1, b"")
        links, ends = chain.extend(self._ends, entries)
        self._links += links
        self._ends |= ends

    def build_on(self, before: Posted) -> None:
        """Take note that a batch that is remembered is not committed yet: the draft stands only if it will be."""
        self._builds_on = before.ends

    async def write(self, ledger: Ledger) -> Posted | None:
        """Write what the commands come to, if it still stands, in a transaction that the caller commits; else None."""
        posted = self.posted()
        ends = {**self._builds_on, **self._from}
        versions = {account_id: account.version for account_id, account in self._accounts.items()}
        # Also of those that are refused here: what was posted before is answered as the first time, whatever changed.
        asked = {outcome.command.entry_id for outcome in self._outcomes if isinstance(outcome.command, PostEntry)}
        found = await ledger.save_as_known(Known(versions, asked, ends), posted.decision, self._links, self.now)
        if found == ends:
            return posted
        # What follows was linked to what these would have been.
        self._remembered.ends.clear()
        if found is None or self._builds_on:
            return None
        links, ends = chain.extend(found, posted.decision.entries)
        await ledger.save(posted.decision, links, self.now)
        return replace(posted, ends=ends)

    def posted(self) -> Posted:
        """Return what the commands come to; there are no more of them then."""
        if self._posted is None:
            self._posted = Posted(decision_of(self._book, self._outcomes), self._accounts, self._ends)
        return self._posted


def _accounts_of(command: Command) -> list[UUID]:
    if not isinstance(command, PostEntry):
        return []
    return [command.about, *[posting.account_id for posting in command.postings]]
