"""What an account's books said: its balance as of an instant, its statement, and the trial balance of all accounts.

A posting has two times. `effective_at` is when it happened, as its sender says; `recorded_at` is when the ledger wrote
it. A balance as of (T, R) is what was known at R about what had happened by T: the postings with `effective_at` ≤ T and
`recorded_at` ≤ R. Statements go by `recorded_at` alone, the order in which the books were written, which no later entry
can change.

    LedgerError
    ├── HistoryArchived   history_archived    it asks for what is in the archives' files alone
    ├── PeriodInvalid     period_invalid      its end does not lie after its start, or it is not over yet
    └── StatementChanged  statement_changed   its lines no longer add up to its closing balance: ask for it anew
"""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from rialto_common.errors import Conflict, CursorInvalid, InvalidRequest
from rialto_ledger.domain.account import AccountType, Side
from rialto_ledger.domain.errors import LedgerError

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything was recorded: ids and clocks count from here."""

SETTLING = timedelta(seconds=60)
"""How long after its `recorded_at` a posting may still become visible.

The poster takes the time before its transaction begins, up to 5 s before where it decides ahead, and two of them may
commit in the other order. A statement of the database lasts 30 s at most before it is cancelled; twice that leaves room
for this and for the clocks of several hosts.
"""


class PeriodInvalid(LedgerError, InvalidRequest):
    """A period is half-open, [from, to), and over."""

    code = "period_invalid"


class HistoryArchived(LedgerError, InvalidRequest):
    """Of archived months there are totals and proofs here; their lines and the days between are in the files."""

    code = "history_archived"

    def __init__(self, whole_from: datetime) -> None:
        super().__init__(f"older entries are archived: the books' history begins at {whole_from.isoformat()} here")
        self.whole_from = whole_from


class StatementChanged(LedgerError, Conflict):
    """A posting appeared or vanished in a period that was over, between two pages of its statement."""

    code = "statement_changed"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"the statement of account {account_id} no longer adds up; start again at its first page")
        self.account_id = account_id


@dataclass(frozen=True, slots=True)
class AsOf:
    """An instant in both times; None means without limit: everything that is in the journal when it is read."""

    effective_at: datetime | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """From when on the books can tell what they said; `archived_until` None: from the beginning."""

    archived_until: datetime | None

    @property
    def whole_from(self) -> datetime:
        """The first instant that can be asked for. A day is more than any `effective_at` lies ahead of its record."""
        return BEGINNING if self.archived_until is None else self.archived_until + timedelta(days=1)

    def require(self, *instants: datetime | None) -> None:
        """Raises: HistoryArchived: an instant is too old."""
        if any(instant is not None and instant < self.whole_from for instant in instants):
            raise HistoryArchived(self.whole_from)


@dataclass(frozen=True, slots=True)
class Turnover:
    """What was debited and credited, in minor units."""

    debits_minor: int = 0
    credits_minor: int = 0

    def balance(self, normal_side: Side) -> int:
        """Return what it comes to, positive on the normal side."""
        signed = self.debits_minor - self.credits_minor
        return signed if normal_side is Side.DEBIT else -signed


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` on, up to and without `end`, in `recorded_at`: months follow each other without gap or overlap."""

    start: datetime
    end: datetime

    @classmethod
    def over(cls, start: datetime | None, end: datetime | None, now: datetime) -> "Period":
        """Return the period that was asked for, cut to what has settled; nothing will be added to it any more.

        Raises: PeriodInvalid.
        """
        horizon = now - SETTLING
        start, end = start or BEGINNING, min(end or horizon, horizon)
        if start >= end:
            raise PeriodInvalid(
                f"a period's end lies after its start and {SETTLING.seconds} s in the past, when all of it is settled",
                param="from",
            )
        return cls(start, end)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line's place in an account's history, the order in which it was booked."""

    recorded_at: datetime
    entry_id: UUID
    line: int

    @classmethod
    def before(cls, start: datetime) -> "Position":
        """Return the place before everything that was recorded from `start` on."""
        return cls(start, UUID(int=0), -1)


@dataclass(frozen=True, slots=True)
class Line:
    """One posting on the account, with what is worth telling of its entry."""

    position: Position
    side: Side
    amount_minor: int
    kind: str
    payment_id: UUID | None
    effective_at: datetime

    @property
    def turnover(self) -> Turnover:
        return Turnover(self.amount_minor, 0) if self.side is Side.DEBIT else Turnover(0, self.amount_minor)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement apart from its lines: all its pages show the same. Balances are positive on the normal side."""

    account_id: UUID
    period: Period
    opening_minor: int
    closing_minor: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a statement goes on: after which line, and what the balance was there.

    It carries the statement, so that a page costs its own lines and never the whole period again.
    """

    statement: Statement
    after: Position
    balance_minor: int

    @classmethod
    def first(cls, statement: Statement) -> "Cursor":
        """Return the cursor before the first line."""
        return cls(statement, Position.before(statement.period.start), statement.opening_minor)

    def to_text(self) -> str:
        """Return it as an opaque text that is safe in a URL."""
        statement, after = self.statement, self.after
        fields = [
            statement.account_id.hex,
            _microseconds(statement.period.start),
            _microseconds(statement.period.end),
            str(statement.opening_minor),
            str(statement.closing_minor),
            _microseconds(after.recorded_at),
            after.entry_id.hex,
            after.line,
            str(self.balance_minor),
        ]
        return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).rstrip(b"=").decode()

    @classmethod
    def from_text(cls, text: str, account_id: UUID) -> "Cursor":
        """Read a cursor of this account. Raises: CursorInvalid."""
        try:
            fields = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            account, start, end, opening, closing, recorded_at, entry_id, line, balance = fields
            statement = Statement(UUID(account), Period(_time(start), _time(end)), int(opening), int(closing))
            cursor = cls(statement, Position(_time(recorded_at), UUID(entry_id), line), int(balance))
            is_ours = statement.account_id == account_id and cursor.to_text() == text
        except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise CursorInvalid("send `next_cursor` back as it was given", param="after") from error
        if not is_ours or not -1 <= line < 2**15:
            raise CursorInvalid("send `next_cursor` back to the account that gave it", param="after")
        return cursor


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a statement, each with the balance after it, and where it goes on; `next` None: it is complete."""

    statement: Statement
    lines: Sequence[tuple[Line, int]]
    next: Cursor | None


def page(cursor: Cursor, found: Sequence[Line], limit: int, normal_side: Side) -> Page:
    """Return a page of at most `limit` lines, `found` being the next `limit` + 1 after the cursor, or all there are.

    Raises: StatementChanged: at its end it does not come to its closing balance.
    """
    balance = cursor.balance_minor
    lines = []
    for line in found[:limit]:
        balance += line.turnover.balance(normal_side)
        lines.append((line, balance))
    statement = cursor.statement
    if len(found) > limit:
        return Page(statement, lines, Cursor(statement, found[limit - 1].position, balance))
    if balance != statement.closing_minor:
        raise StatementChanged(statement.account_id)
    return Page(statement, lines, None)


@dataclass(frozen=True, slots=True)
class TrialLine:
    """What the accounts of one kind and currency were debited and credited: `account` is their code, without owners."""

    account: str
    type: AccountType
    currency: str
    turnover: Turnover

    @property
    def ledger_balance_minor(self) -> int:
        return self.turnover.balance(self.type.normal_side)


def without_owner(code: str) -> str:
    """Return a code with a star in the place of its merchant or wallet: all payables are `merchant:*:payable`."""
    parts = code.split(":")
    if parts[0] in ("customer", "merchant"):
        parts[1:2] = ["*"] * (len(parts) > 1)
    return ":".join(parts)


def total_of(turnovers: Iterable[Turnover]) -> Turnover:
    """Return their sum; over all accounts of a currency its debits and credits are equal (I5)."""
    debits = credits = 0
    for turnover in turnovers:
        debits += turnover.debits_minor
        credits += turnover.credits_minor
    return Turnover(debits, credits)


def _microseconds(value: datetime) -> int:
    return (value - BEGINNING) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return BEGINNING + timedelta(microseconds=microseconds)
