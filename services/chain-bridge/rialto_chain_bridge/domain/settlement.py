"""A settlement's life, and the order of the events that tell it.

| state     | what happens                                   | next      | event                  |
|-----------|------------------------------------------------|-----------|------------------------|
| requested | refused on arrival, or by the contract for good | failed    | `settlement.failed`    |
| requested | refused by the contract until its deadline      | failed    | `settlement.failed`    |
| requested | its transaction was sent                        | submitted | `settlement.submitted` |
| submitted | the transaction dropped out of the chain        | submitted | `settlement.reorged`   |
| submitted | deep enough in the chain                        | confirmed | `settlement.confirmed` |
| submitted | deep enough, but the whole batch had no effect  | requested | none: it is sent again |
| confirmed | the chain lost the block                        | submitted | `settlement.reorged`   |

`failed` is final. `confirmed` is as final as the chain is. `requested` and `submitted` carry the time of their next
attempt and a deadline. A submitted settlement cannot be failed by time: its signed transaction might still be mined.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

FIRST_DELAY_SECONDS = 2
LONGEST_DELAY_SECONDS = 60
_PERMANENT = {
    "SettlementConflict": "settlement_conflict",
    "InvalidSettlement": "settlement_invalid",
}


class Fact(IntEnum):
    """The kinds of event, in the order in which one transaction can cause them."""

    SUBMITTED = 1
    CONFIRMED = 2
    REORGED = 3
    FAILED = 4


def event_sequence(fact: Fact, *, submissions: int, reorgs: int) -> int:
    """Return the sequence of a settlement's event: it grows along the settlement's life.

    Args: submissions: how many transactions the settlement has been put into. reorgs: how often the chain had taken the
    present one back before this fact.
    """
    return submissions * 1_000_000 + reorgs * 10 + fact


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Put the settlement into another transaction, not before this time."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Fail:
    """Give the settlement up; nothing of it is on chain."""

    code: str
    detail: str


def after_refusal(
    reason: str | None, *, submissions: int, explained: bool, now: datetime, deadline_at: datetime
) -> SendAgain | Fail:
    """Decide what becomes of a settlement whose transaction had no effect.

    Args: reason: the contract's error when the settlement is tried alone; None when it would pass alone, or is paid
    already: such a one is never given up. explained: whether the reason lies elsewhere and is known (another settlement
    of the batch, or the transaction never ran), so that this one may go on at once.
    """
    if reason in _PERMANENT:
        return Fail(_PERMANENT[reason], f"the settlement contract refuses it: {reason}")
    if reason is not None and now >= deadline_at:
        return Fail("settlement_not_possible", f"the chain refused it until its deadline: {reason}")
    if reason is None and explained:
        return SendAgain(now)
    delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS << min(submissions, 10))
    return SendAgain(now + timedelta(seconds=delay))


def is_due(next_attempt_at: datetime, now: datetime) -> bool:
    """Whether something put off until then is to be tried now.

    Nothing is put off for longer than LONGEST_DELAY_SECONDS: a later instant was written by a clock that was ahead, and
    waiting for ours to come there would leave a payment lying for as long as the clocks differed.
    """
    return next_attempt_at <= now or next_attempt_at > latest(now)


def latest(now: datetime) -> datetime:
    """Return until when something can have been put off at most."""
    return now + timedelta(seconds=LONGEST_DELAY_SECONDS)


def is_permanent(reason: str | None) -> bool:
    """Say whether the contract would refuse it for ever for this reason."""
    return reason in _PERMANENT
