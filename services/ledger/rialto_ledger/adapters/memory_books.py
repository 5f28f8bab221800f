"""The books' history in memory, under the same contract as PostgreSQL: every answer is a look through all entries."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from uuid import UUID

from rialto_ledger.adapters.memory import Books
from rialto_ledger.domain.account import Account, AccountType, Mode
from rialto_ledger.domain.statement import AsOf, Line, Period, Position, TrialLine, Turnover, total_of, without_owner


class MemoryBooks:
    """Reads of committed books' history."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account as it is now, or None."""
        return self._books.accounts.get(account_id)

    async def archived_until(self) -> datetime | None:
        """Nothing is ever archived here."""
        return None

    async def turnover(self, account_id: UUID, as_of: AsOf, now: datetime) -> Turnover:
        """Return what was known of an account."""
        effective_at, recorded_at = as_of.effective_at, as_of.recorded_at
        return total_of(
            line.turnover
            for line in self._lines(account_id)
            if (effective_at is None or line.effective_at <= effective_at)
            and (recorded_at is None or line.position.recorded_at <= recorded_at)
        )

    async def opening(
        self, account_id: UUID, period: Period, limit: int, now: datetime
    ) -> tuple[Turnover, Turnover, Sequence[Line]]:
        """Return what was booked before a period, what in it, and its first lines."""
        lines = self._lines(account_id)
        before = [line for line in lines if line.position.recorded_at < period.start]
        within = [line for line in lines[len(before) :] if line.position.recorded_at < period.end]
        return total_of(line.turnover for line in before), total_of(line.turnover for line in within), within[:limit]

    async def lines(self, account_id: UUID, after: Position, end: datetime, limit: int) -> Sequence[Line]:
        """Return an account's lines after a place and before an instant, in the order of their places."""
        later = [line for line in self._lines(account_id) if line.position > after]
        return list(takewhile(lambda line: line.position.recorded_at < end, later))[:limit]

    async def trial_balance(self, mode: Mode, recorded_at: datetime | None, now: datetime) -> Sequence[TrialLine]:
        """Return all accounts of a mode, summed by code without owners."""
        groups: dict[tuple[str, str, AccountType], list[Turnover]] = defaultdict(list)
        for account in self._books.accounts.values():
            spec = account.spec
            if spec.mode == mode:
                known = await self.turnover(account.id, AsOf(None, recorded_at), now)
                groups[spec.currency, without_owner(spec.code), spec.type].append(known)
        return [
            TrialLine(code, kind, currency, total_of(turnovers))
            for (currency, code, kind), turnovers in sorted(groups.items())
        ]

    def _lines(self, account_id: UUID) -> list[Line]:
        found = [
            Line(
                Position(entry.recorded_at, entry.id, number),
                posting.side,
                posting.amount_minor,
                entry.kind,
                entry.payment_id,
                entry.effective_at,
            )
            for entry in self._books.entries.values()
            for number, posting in enumerate(entry.postings)
            if posting.account_id == account_id
        ]
        return sorted(found, key=lambda line: line.position)
