"""What the service remembers about one wallet or one terminal: counts and sums, never single payments.

Two rings of buckets: 24 UTC hours of counts and 30 UTC days of (count, sum, sum of squares). Exponentially decayed
counts would be smaller still, but they forget the order of time: a payment that arrives late would be compared with
its own future, and one wrong clock would decay everything to zero. Buckets are exact integers, so that any order of
arrival ends in the same state (a test holds that law), a late payment sees only what happened up to its own day, and
an update costs the same however busy the wallet is. A bucket that no payment touched takes no room.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400
HOURS_KEPT = 24
DAYS_KEPT = 30
COUNTERPARTIES_KEPT = 16
AMOUNT_CAP_CENTS = 10_000_000
"""A payment counts as at most 100,000 reference units in sums, so that the sum of squares of one day fits 64 bits."""

DayBucket = tuple[int, int, int]
"""Payments, sum of amounts in cents, sum of squared amounts in cents²; all of one UTC day."""


@dataclass(slots=True)
class History:
    """The running state of one wallet or one terminal.

    ``hours`` and ``days`` are keyed by hours and days since the epoch; only the newest 24 and 30 are kept.
    ``counterparties`` maps the newest 16 terminals a wallet paid at (by hash) to the time of the last payment there;
    it stays empty for a terminal. ``newest_at`` is the latest payment's time in epoch seconds, 0 when there is none.
    """

    newest_at: int = 0
    hours: dict[int, int] = field(default_factory=dict)
    days: dict[int, DayBucket] = field(default_factory=dict)
    counterparties: dict[int, int] = field(default_factory=dict)

    def observe(self, at: int, amount_cents: int, counterparty: int | None = None) -> None:
        """Add one payment: epoch seconds, amount in cents of the reference currency, the other side's hash.

        Adding in any order gives the same state. A payment older than what is kept changes nothing.
        """
        hour, day = at // SECONDS_PER_HOUR, at // SECONDS_PER_DAY
        if at > self.newest_at:
            self._advance(at, hour, day)
        newest_at = self.newest_at
        if hour > newest_at // SECONDS_PER_HOUR - HOURS_KEPT:
            self.hours[hour] = self.hours.get(hour, 0) + 1
        if day > newest_at // SECONDS_PER_DAY - DAYS_KEPT:
            capped = amount_cents if amount_cents < AMOUNT_CAP_CENTS else AMOUNT_CAP_CENTS
            count, total, squares = self.days.get(day, (0, 0, 0))
            self.days[day] = (count + 1, total + capped, squares + capped * capped)
        if counterparty is not None:
            self._remember(counterparty, at)

    def _advance(self, at: int, hour: int, day: int) -> None:
        previous = self.newest_at
        self.newest_at = at
        if hour != previous // SECONDS_PER_HOUR and self.hours:
            self.hours = {key: count for key, count in self.hours.items() if key > hour - HOURS_KEPT}
        if day != previous // SECONDS_PER_DAY and self.days:
            self.days = {key: bucket for key, bucket in self.days.items() if key > day - DAYS_KEPT}

    def _remember(self, counterparty: int, at: int) -> None:
        known = self.counterparties
        if known.get(counterparty, -1) >= at:
            return
        known[counterparty] = at
        if len(known) > COUNTERPARTIES_KEPT:
            # The hash breaks ties, so that the survivors do not depend on the order of arrival.
            oldest = min(known, key=lambda key: (known[key], key))
            del known[oldest]
