"""Which settlements go into the next transactions."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """A batch closes when it is full, or when its first settlement has waited long enough."""

    max_payments: int = 100
    max_age: timedelta = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A settlement that waits to be put into a transaction, for the first time or again.

    `submissions` counts the transactions it was in that the chain refused. `token_amount` in the token's smallest unit.
    """

    payment_id: UUID
    payee_address: str
    token_amount: int
    submissions: int
    due_at: datetime


def cut_batches(
    waiting: Sequence[Waiting], now: datetime, policy: BatchPolicy, max_batches: int
) -> list[list[Waiting]]:
    """Return the batches to send now, at most `max_batches`, each sorted by payee as the contract likes it.

    Settlements that were refused before never share a batch with others, and their batches get smaller every time: what
    keeps being refused ends up alone, and holds up nobody.
    Args: waiting: those that are due, the longest waiting first; how long one has waited that a clock ahead of ours
    wrote cannot be told, and it waits no longer.
    """
    by_submissions: dict[int, list[Waiting]] = defaultdict(list)
    for settlement in waiting:
        by_submissions[settlement.submissions].append(settlement)
    batches: list[list[Waiting]] = []
    for submissions, group in sorted(by_submissions.items()):
        size = max(1, policy.max_payments >> submissions)
        for start in range(0, len(group), size):
            batch = group[start : start + size]
            if len(batch) == size or not timedelta(0) <= now - batch[0].due_at < policy.max_age:
                batches.append(sorted(batch, key=lambda settlement: (settlement.payee_address, settlement.payment_id)))
    return batches[:max_batches]
