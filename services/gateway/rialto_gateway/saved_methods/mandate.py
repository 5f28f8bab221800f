"""A mandate: what a customer has agreed may be charged to a saved card without them. Pure.

Periods are counted from `starts_at`: the nth month begins on the same day of the month, or on the last where there is
no such day, so that a mandate of the 31st is due at each month's end.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from rialto_common.errors import Conflict, InvalidRequest, NotFound

Period = Literal["day", "week", "month", "year"]
Status = Literal["scheduled", "active", "expired", "revoked"]

_FIXED = {"day": timedelta(days=1), "week": timedelta(weeks=1)}


class MandateNotFound(NotFound):
    """No such mandate for this key."""

    code = "mandate_not_found"


class MandateRequired(InvalidRequest):
    """A payment that the merchant begins names the mandate by which the customer agreed to it."""

    code = "mandate_required"


class MandateMismatch(InvalidRequest):
    """The mandate is for another saved card, or in another currency."""

    code = "mandate_mismatch"


class MandateNotActive(Conflict):
    """The mandate was revoked, is over, or has not begun."""

    code = "mandate_not_active"


class MandateLimitExceeded(Conflict):
    """More than the customer has agreed to: of one payment, or of a period."""

    code = "mandate_limit_exceeded"


@dataclass(frozen=True, slots=True)
class Mandate:
    """What was agreed. Amounts in minor units of `currency`: of one payment, and of all in a `period`."""

    id: UUID
    method_id: UUID
    currency: str
    max_amount_minor: int
    period: Period | None
    period_amount_minor: int | None
    period_payments: int | None
    accepted_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    revoked_at: datetime | None

    def status(self, now: datetime) -> Status:
        """Return whether it can be charged by now."""
        if self.revoked_at is not None:
            return "revoked"
        if self.ends_at is not None and now >= self.ends_at:
            return "expired"
        return "scheduled" if now < self.starts_at else "active"

    def period_start(self, now: datetime) -> datetime | None:
        """Return when the present period began; None where there are no periods, or the first has not begun."""
        if self.period is None or now < self.starts_at:
            return None
        return start_of_period(self.starts_at, self.period, now)

    def period_end(self, now: datetime) -> datetime | None:
        """Return when the period of `now` ends; None as for `period_start`."""
        if self.period is None or now < self.starts_at:
            return None
        return end_of_period(self.starts_at, self.period, now)

    def check(self, method_id: UUID, amount_minor: int, currency: str, now: datetime) -> None:
        """Hold one payment to it, whatever else was charged.

        Raises: MandateMismatch, MandateNotActive, MandateLimitExceeded.
        """
        if method_id != self.method_id:
            raise MandateMismatch("the mandate is for another saved card", param="payment_method.mandate_id")
        if currency != self.currency:
            raise MandateMismatch(f"the mandate is in {self.currency}, not {currency}", param="currency")
        status = self.status(now)
        if status != "active":
            raise MandateNotActive(f"the mandate is {status}; only an active one can be charged by")
        if amount_minor > self.max_amount_minor:
            raise MandateLimitExceeded(
                f"{amount_minor} is more than the {self.max_amount_minor} agreed for one payment", param="amount_minor"
            )

    def check_period(self, amount_minor: int, used: "Used") -> None:
        """Hold one more payment to what was agreed for its period, after those in `used`.

        Raises: MandateLimitExceeded.
        """
        if self.period_payments is not None and used.payments >= self.period_payments:
            raise MandateLimitExceeded(f"all {self.period_payments} payments of this {self.period} are made")
        if self.period_amount_minor is not None and used.amount_minor + amount_minor > self.period_amount_minor:
            left = max(self.period_amount_minor - used.amount_minor, 0)
            raise MandateLimitExceeded(
                f"{amount_minor} is more than the {left} left of what was agreed for this {self.period}",
                param="amount_minor",
            )


@dataclass(frozen=True, slots=True)
class Used:
    """What was charged in a period: how often, and in all."""

    payments: int
    amount_minor: int


def start_of_period(anchor: datetime, period: Period, now: datetime) -> datetime:
    """Return the start of the period that `now` is in; periods follow one another from `anchor`, which is not later."""
    if period in _FIXED:
        length = _FIXED[period]
        return anchor + (now - anchor) // length * length
    months = 1 if period == "month" else 12
    nth = ((now.year - anchor.year) * 12 + now.month - anchor.month) // months
    start = _months_after(anchor, nth * months)
    return start if start <= now else _months_after(anchor, (nth - 1) * months)


def end_of_period(anchor: datetime, period: Period, now: datetime) -> datetime:
    """Return the end of the period that `now` is in: the start of the next."""
    if period in _FIXED:
        return start_of_period(anchor, period, now) + _FIXED[period]
    months = 1 if period == "month" else 12
    nth = ((now.year - anchor.year) * 12 + now.month - anchor.month) // months
    end = _months_after(anchor, nth * months)
    return end if end > now else _months_after(anchor, (nth + 1) * months)


def _months_after(anchor: datetime, months: int) -> datetime:
    years, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + years, month + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
