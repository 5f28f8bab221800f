"""A payout, and how it stands: decided from its payments alone. Pure.

| state | means | leads to | its deadline |
|---|---|---|---|
| `pending` | the settlement of its payments was asked for | `in_transit` | 1 h, then counted again |
| `in_transit` | some are on their way, or at their end | `paid`, `failed` | 1 h, then counted again |
| `paid` | all are settled: final | | none |
| `failed` | none is under way, and some cannot be paid as asked | `paid`, should those be paid after all | none |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

State = Literal["pending", "in_transit", "paid", "failed"]
ENDED: frozenset[State] = frozenset({"paid", "failed"})

COUNTED_AGAIN_AFTER = timedelta(hours=1)
"""The deadline of what has not ended: its payments are counted again then, each of which has a deadline of its own."""

LARGEST = 500
"""Payments in a payout; what is beyond goes into another."""


@dataclass(frozen=True, slots=True)
class Line:
    """How one payment of a payout stands; `code` says why it cannot be paid."""

    payout_id: UUID
    payment_id: UUID
    state: State
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """What is known of a payout. Amounts in minor units of `currency`; `sequence` numbers the events sent about it."""

    id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    currency: str
    amount_minor: int
    payments: int
    asked_by: Literal["schedule", "merchant"]
    created_at: datetime
    deadline_at: datetime | None
    in_transit: int = 0
    paid: int = 0
    failed: int = 0
    state: State = "pending"
    failure_code: str | None = None
    sequence: int = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a payout's payments stand how; `code` is why the first of those failed."""

    in_transit: int
    paid: int
    failed: int
    code: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that waits for a payout."""

    payment_id: UUID
    amount_minor: int


def choose(waiting: Sequence[Waiting], available_minor: int, largest: int = LARGEST) -> list[Waiting]:
    """Return the payments to pay out: the oldest first, each whole, together no more than is available.

    What a merchant owes (refunds of what was paid before, lost disputes) so keeps its youngest payments back.
    """
    chosen: list[Waiting] = []
    left = available_minor
    for each in waiting:
        if each.amount_minor <= left and len(chosen) < largest:
            chosen.append(each)
            left -= each.amount_minor
    return chosen


def counted(payout: Payout, counts: Counts, now: datetime) -> Payout:
    """Return the payout as its payments have it."""
    state = _state_of(payout.payments, counts)
    return replace(
        payout,
        in_transit=counts.in_transit,
        paid=counts.paid,
        failed=counts.failed,
        state=state,
        failure_code=(counts.code or "settlement_failed") if state == "failed" else None,
        deadline_at=None if state in ENDED else now + COUNTED_AGAIN_AFTER,
        sequence=payout.sequence + (state != payout.state and state in ENDED),
    )


def count(lines: Sequence[Line]) -> Counts:
    """Return how many lines stand how."""
    states = [line.state for line in lines]
    return Counts(
        states.count("in_transit"),
        states.count("paid"),
        states.count("failed"),
        next((line.code for line in lines if line.code is not None), None),
    )


def _state_of(payments: int, counts: Counts) -> State:
    if counts.paid == payments:
        return "paid"
    if counts.paid + counts.failed == payments:
        return "failed"
    return "in_transit" if counts.in_transit + counts.paid + counts.failed > 0 else "pending"
