"""Reading the books as they were: what a storage must answer, each answer from one snapshot of what is committed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_ledger.domain.account import Account, Mode
from rialto_ledger.domain.statement import AsOf, Line, Period, Position, TrialLine, Turnover


class BookReader(Protocol):
    """Reads of the journal's history. The accounts that are asked for exist."""

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account as it is now, or None."""
        ...

    async def archived_until(self) -> datetime | None:
        """Return when the last of the archived entries was recorded; None where none are archived."""
        ...

    async def turnover(self, account_id: UUID, as_of: AsOf, now: datetime) -> Turnover:
        """Return what was known of an account; `now` only helps to find the shorter way to it."""
        ...

    async def opening(
        self, account_id: UUID, period: Period, limit: int, now: datetime
    ) -> tuple[Turnover, Turnover, Sequence[Line]]:
        """Return what was booked before a period, what in it, and the first `limit` lines of it, of one snapshot."""
        ...

    async def lines(self, account_id: UUID, after: Position, end: datetime, limit: int) -> Sequence[Line]:
        """Return an account's lines after a place and before an instant, in the order of their places."""
        ...

    async def trial_balance(self, mode: Mode, recorded_at: datetime | None, now: datetime) -> Sequence[TrialLine]:
        """Return all accounts of a mode, summed by code without owners, by currency, then code; None means now."""
        ...
