"""What a service says of a merchant's day, and when it says it anew. Pure.

A day is a UTC date. A fact belongs to the day of its own time, the one that its event carries, so that every service
puts it into the same day, however late it hears of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from rialto_common import ids

CLOSES_AFTER = timedelta(minutes=15)
"""How long after its end a day is told: what was under way at midnight has arrived by then."""

DAYS_KEPT_RIGHT = 31
"""How many closed days are derived anew, again and again: facts come late, and tables may be tampered with."""


@dataclass(frozen=True, slots=True)
class TotalKey:
    """Whose totals, and of which day."""

    merchant_id: UUID
    mode: str
    currency: str
    day: date

    @property
    def root(self) -> UUID:
        """The id from which those of its events and differences are derived; it carries the day's time."""
        of_day = ids.uuid7(int(start_of(self.day).timestamp() * 1000), 0)
        return ids.derive(of_day, f"control_totals/{self.merchant_id}/{self.mode}/{self.currency}")


@dataclass(frozen=True, slots=True)
class Total:
    """How much in minor units, in how many movements."""

    amount_minor: int = 0
    count: int = 0


NOTHING = Total()

Totals = Mapping[str, Total]
"""By kind, such as `captured`; a kind that is missing came to nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was said of a key: `revision` counts from 1, `sequence` grows with all that is said of the merchant."""

    key: TotalKey
    revision: int
    sequence: int
    totals: Totals
    told_at: datetime


def start_of(day: date) -> datetime:
    """Return the instant at which a day begins."""
    return datetime.combine(day, time.min, UTC)


def closed_days(now: datetime, count: int = DAYS_KEPT_RIGHT) -> list[date]:
    """Return the newest days that are closed, the newest first."""
    newest = (now.astimezone(UTC) - CLOSES_AFTER).date() - timedelta(days=1)
    return [newest - timedelta(days=back) for back in range(count)]


def total_of(totals: Totals, kind: str) -> Total:
    """Return a kind's total."""
    return totals.get(kind, NOTHING)


def equal(one: Totals, other: Totals) -> bool:
    """Whether two sets of totals say the same."""
    return all(total_of(one, kind) == total_of(other, kind) for kind in one.keys() | other.keys())


def revised(
    derived: Mapping[TotalKey, Totals], told: Mapping[TotalKey, Report], last: Mapping[UUID, int], now: datetime
) -> list[Report]:
    """Return what must be said of a day: the keys that are new, and those whose totals are no longer what was told.

    Args: derived: what the tables have. told: what was said last. last: the last `sequence` of each merchant.
    A key that the tables no longer have is told to have come to nothing.
    """
    sequences = dict(last)
    reports = []
    for key in _in_order(derived.keys() | told.keys()):
        before, totals = told.get(key), derived.get(key, {})
        if before is not None and equal(before.totals, totals):
            continue
        if before is not None:
            totals = {**dict.fromkeys(before.totals, NOTHING), **totals}
        sequence = sequences[key.merchant_id] = sequences.get(key.merchant_id, 0) + 1
        reports.append(Report(key, 1 if before is None else before.revision + 1, sequence, totals, now))
    return reports


def _in_order(keys: Iterable[TotalKey]) -> list[TotalKey]:
    return sorted(keys, key=lambda key: (key.merchant_id, key.mode, key.currency, key.day))
