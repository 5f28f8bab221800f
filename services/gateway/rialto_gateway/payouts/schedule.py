"""When a merchant is paid. Pure.

| schedule | a captured payment is settled |
|---|---|
| `immediate` | at once and by itself, without a payout: the default |
| `daily` | with the others that wait, at a cut-off hour (UTC) |
| `manual` | when the merchant asks for a payout |
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

Schedule = Literal["immediate", "daily", "manual"]

RECORDED_WITHIN = timedelta(minutes=1)
"""Longer than any transaction that may still record a payment under the terms before."""

LOOKED_AT_AGAIN_AFTER = timedelta(hours=1)
"""When what a payout left behind is looked at again, where the schedule is immediate."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A merchant's schedule; `cut_off_hour` (0 to 23, UTC) is for `daily`.

    The rolling reserve: `reserve_bps` of each capture (hundredths of a percent) are held back for `reserve_days` after
    the day (UTC) of its booking. Both are 0 where there is none, as always under `immediate`.
    """

    schedule: Schedule = "immediate"
    cut_off_hour: int = 0
    reserve_bps: int = 0
    reserve_days: int = 0


def first_look(terms: Terms, now: datetime) -> datetime | None:
    """Return when terms that begin now have what waits looked at first; None: only when the merchant asks.

    Under `immediate`, what waits from before is paid out once all that was captured until now is recorded.
    """
    match terms.schedule:
        case "immediate":
            return now + RECORDED_WITHIN
        case "daily":
            return next_cut_off(terms.cut_off_hour, now)
        case "manual":
            return None


def next_look(terms: Terms, now: datetime, *, more: bool, left: bool) -> datetime | None:
    """Return when what waits is looked at after a payout.

    Args: more: it was as large as one may be. left: something still waits, as the balance does not cover it.
    """
    if more:
        return now
    if terms.schedule == "immediate":
        return now + LOOKED_AT_AGAIN_AFTER if left else None
    return first_look(terms, now)


def held_share(amount_minor: int, reserve_bps: int) -> int:
    """Return what of a capture is held back, in whole minor units, never more than the share."""
    return amount_minor * reserve_bps // 10_000


def held_since(terms: Terms, today: date) -> date:
    """Return the first day (UTC) of which the captures' share is still held back."""
    return today - timedelta(days=terms.reserve_days)


def next_cut_off(hour: int, now: datetime) -> datetime:
    """Return the first instant after `now` (UTC) with this hour and nothing after it."""
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
