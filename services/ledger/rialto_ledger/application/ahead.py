"""Deciding ahead: while a batch is being committed, the next one is decided on what the books will be after it.

A poster remembers the accounts that it posted to, as it left them, and decides on these. To remember is not to know:
in the transaction that writes it, a draft first has the ledger lock its accounts and say whether each still has the
version it was decided on (`Ledger.still_stands`). Where one has not, because another poster, a payment or an operator
changed it, nothing is written, and the commands are posted as if there had been no draft.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rialto_common.events import Event
from rialto_ledger.application.posting import Posted
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import decision_of, outcome_of
from rialto_ledger.domain.book import Book, LedgerState
from rialto_ledger.domain.commands import Command, PostEntry
from rialto_ledger.domain.outcomes import Outcome, OutcomeStatus

MAX_ACCOUNTS = 100_000
"""Remembered at most: about 50 MB. Beyond, all are forgotten, and those that are posted to are soon known again."""


class Remembered:
    """The accounts that a poster has changed, as its last batch leaves them: the one that is being committed."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self._entries: set[UUID] = set()

    def covers(self, commands: Sequence[Command]) -> bool:
        """Whether commands can be decided on what is remembered: new entries on accounts that are known."""
        return all(
            type(command) is PostEntry
            and command.entry_id not in self._entries
            and command.about in self.accounts
            and all(posting.account_id in self.accounts for posting in command.postings)
            for command in commands
        )

    def keep(self, posted: Posted) -> None:
        """Remember what a batch changes, once it is committed, or while it is."""
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

    def add(self, commands: Sequence[Command]) -> None:
        """Decide on commands that `Remembered.covers`."""
        for command in commands:
            if isinstance(command, PostEntry):
                for account_id in (command.about, *(posting.account_id for posting in command.postings)):
                    self._accounts[account_id] = self._remembered[account_id]
            outcome = outcome_of(self._book, command)
            self._outcomes.append(outcome)
            if outcome.status is OutcomeStatus.APPLIED:
                self.events += self._teller.events_of(outcome)

    def posted(self) -> Posted:
        """Return what the commands come to."""
        return Posted(decision_of(self._book, self._outcomes), self._accounts)

    def versions(self) -> dict[UUID, int]:
        """Return what this was decided on."""
        return {account_id: account.version for account_id, account in self._accounts.items()}
