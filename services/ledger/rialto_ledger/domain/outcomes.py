"""What a command came to: each one in a batch has its own outcome, whatever became of the others."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from rialto_ledger.domain.account import Account, AccountStatus
from rialto_ledger.domain.commands import Command
from rialto_ledger.domain.errors import LedgerError
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry


class OutcomeStatus(StrEnum):
    """Applied now; refused; or a duplicate, answered as the first time."""

    APPLIED = "applied"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The account is open."""

    account: Account


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The account has the status that was asked for."""

    account: Account
    status: AccountStatus


class EntryPosted(NamedTuple):
    """The entry is in the journal; `about` is the account in whose history it is told."""

    entry: JournalEntry
    about: UUID


@dataclass(frozen=True, slots=True)
class LinkedPosted:
    """All of the linked entries are in the journal, each with its outcome."""

    outcomes: tuple["Outcome", ...]


@dataclass(frozen=True, slots=True)
class SettlementPosted:
    """The payment's nth settlement entry, or its reversal, is in the journal."""

    entry: JournalEntry
    ordinal: int


@dataclass(frozen=True, slots=True)
class MovementPosted:
    """An entry of a capture or refund that comes to no hold is in the journal; `nth` orders those of one of them."""

    entry: JournalEntry
    nth: int


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """The amount is reserved."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldExtended:
    """The hold has the deadline that was asked for."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldIncreased:
    """The hold has the amount that was asked for, or had it already."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldCaptured:
    """Part or all of the hold is booked; `remaining_minor` was still held right after."""

    hold: Hold
    capture_id: UUID
    entry: JournalEntry
    amount_minor: int
    remaining_minor: int
    final: bool


@dataclass(frozen=True, slots=True)
class HoldReleased:
    """What was still held is available again; 0 when nothing was."""

    hold: Hold
    released_minor: int


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """There was nothing to change and there is nothing to tell."""


Result = (
    AccountOpened
    | StatusChanged
    | EntryPosted
    | LinkedPosted
    | SettlementPosted
    | MovementPosted
    | HoldPlaced
    | HoldExtended
    | HoldIncreased
    | HoldCaptured
    | HoldReleased
    | NothingToDo
)


class Outcome(NamedTuple):
    """A command with its result, or with the error that refused it.

    `hold_version` is how often the command's hold had changed by then; 0 where there is none.
    """

    command: Command
    status: OutcomeStatus
    result: Result | None = None
    error: LedgerError | None = None
    hold_version: int = 0
