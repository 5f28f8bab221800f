"""Deciding ahead: while a batch is being committed, the next one is decided on what the books will be after it.

A poster remembers the accounts that it posted to, as it left them, reads others, and decides on these. To remember is
not to know: in the transaction that writes it, a draft first has the ledger lock its accounts and say whether each
still has the version it was decided on (`Ledger.still_stands`). Where one has not, because another poster, a payment or
an operator changed it, nothing is written, and the commands are posted as if there had been no draft.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from rialto_common.events import Event
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.posting import Posted
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain import chain
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import decision_of, outcome_of
from rialto_ledger.domain.book import Book, LedgerState
from rialto_ledger.domain.commands import Command, PostEntry
from rialto_ledger.domain.outcomes import Outcome, OutcomeStatus

MAX_ACCOUNTS = 100_000
"""Remembered at most: about 50 MB. Beyond, all are forgotten, and those that are posted to are soon known again."""


class Remembered:
    """The accounts that a poster has read or changed, as its last batch leaves them, which may be under way still."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
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
        return self.may_cover(commands) and not self.unknown(commands)

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
        # A repetition of one of these is answered from the journal.
        self._entries = {entry.id for entry in posted.decision.entries}

    def forget(self) -> None:
        """Forget all: something was not as remembered, or is not known."""
        self.accounts.clear()
        self._absent.clear()
        self._entries.clear()


class Draft:
    """A batch that is decided command by command, before its accounts are locked."""

    def __init__(self, remembered: Remembered, now: datetime) -> None:
        self.now = now
        self.events: list[Event] = []
        self._remembered = remembered.accounts
        self._accounts: dict[UUID, Account] = {}
        self._book = Book(LedgerState(self._accounts), now)
        self._teller = Teller(self._accounts, now)
        self._outcomes: list[Outcome] = []
        self._posted: Posted | None = None

    def add(self, commands: Sequence[Command]) -> None:
        """Decide on commands that `Remembered.covers`."""
        for command in commands:
            for account_id in _accounts_of(command):
                self._accounts[account_id] = self._remembered[account_id]
            outcome = outcome_of(self._book, command)
            self._outcomes.append(outcome)
            if outcome.status is OutcomeStatus.APPLIED:
                self.events += self._teller.events_of(outcome)

    async def write(self, ledger: Ledger) -> Posted | None:
        """Write what the commands come to, if it still stands, in a transaction that the caller commits; else None."""
        versions = {account_id: account.version for account_id, account in self._accounts.items()}
        # Also of those that are refused here: what was posted before is answered as the first time, whatever changed.
        asked = {outcome.command.entry_id for outcome in self._outcomes if isinstance(outcome.command, PostEntry)}
        heads = await ledger.still_stands(versions, asked, {entry.shard for entry in self._book.new_entries.values()})
        if heads is None:
            return None
        posted = self.posted()
        links, _ = chain.extend(heads, posted.decision.entries)
        await ledger.save(posted.decision, links, self.now)
        return posted

    def posted(self) -> Posted:
        """Return what the commands come to; there are no more of them then."""
        if self._posted is None:
            self._posted = Posted(decision_of(self._book, self._outcomes), self._accounts)
        return self._posted


def _accounts_of(command: Command) -> list[UUID]:
    if not isinstance(command, PostEntry):
        return []
    return [command.about, *[posting.account_id for posting in command.postings]]
