"""The attempts' table in memory, under the same contract as PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.attempts.attempt import OPEN, Attempt
from rialto_gateway.attempts.ports import Standing
from rialto_gateway.payments.chapters.change import AttemptChange
from rialto_gateway.payments.states import Payment


@dataclass
class AttemptRows:
    """Committed attempts by id."""

    rows: dict[UUID, Attempt] = field(default_factory=dict)


class MemoryAttempts:
    """One transaction's view of the table."""

    def __init__(
        self, committed: AttemptRows, payments: Mapping[UUID, Payment], transaction: MemoryTransaction
    ) -> None:
        """`payments` are the committed ones: an attempt's payment was accepted long before."""
        self._committed = committed
        self._payments = payments
        self._mine: dict[UUID, Attempt] = {}
        transaction.on_commit(lambda: committed.rows.update(self._mine), unless=lambda: not self._mine)

    async def queue(self, changes: Sequence[tuple[UUID, AttemptChange]], now: datetime) -> None:
        """Record attempts, to be sent at once. Raises: InvariantViolated: one is there already."""
        for payment_id, change in changes:
            if await self.lock(change.attempt_id) is not None:
                raise InvariantViolated(f"attempt {change.attempt_id} is there already")
            self._put(queued_for(self._payments[payment_id], change, now))

    async def lock(self, attempt_id: UUID) -> Attempt | None:
        """Load an attempt; the unit of work keeps the others out."""
        return self._mine.get(attempt_id) or self._committed.rows.get(attempt_id)

    async def save(self, attempt: Attempt) -> None:
        """Write an attempt back. Raises: InvariantViolated: a constraint of the table is broken."""
        self._put(attempt)

    def _put(self, attempt: Attempt) -> None:
        if (attempt.due_at is None) == (attempt.state in OPEN):
            raise InvariantViolated(f"attempt {attempt.id} is {attempt.state} and due at {attempt.due_at}")
        if attempt.connector is None and attempt.state not in ("queued", "failed"):
            raise InvariantViolated(f"attempt {attempt.id} is {attempt.state} at no acquirer")
        self._mine[attempt.id] = attempt


class MemoryAttemptReader:
    """Reads and claims of committed attempts."""

    def __init__(self, committed: AttemptRows, card_of: Callable[[UUID], str | None]) -> None:
        """`card_of` returns what is kept of a payment's card."""
        self._rows = committed.rows
        self._card_of = card_of

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        """Take attempts that are due."""
        due = [each for each in self._rows.values() if each.due_at is not None and each.due_at <= now]
        due.sort(key=lambda each: (each.due_at, each.id))
        taken = [replace(each, due_at=until) for each in due if not self._waits(each)][:limit]
        self._rows.update({each.id: each for each in taken})
        return sorted(taken, key=lambda each: (each.created_at, each.id))

    def due(self) -> list[datetime]:
        """Return when attempts may be taken, for a loop that sleeps until then; without those that wait for others."""
        return [each.due_at for each in self._rows.values() if each.due_at is not None and not self._waits(each)]

    def _waits(self, attempt: Attempt) -> bool:
        if attempt.state != "queued" or attempt.step not in ("increment", "capture", "void"):
            return False
        place = _place(attempt)
        return any(
            each.payment_id == attempt.payment_id
            and each.step in ("increment", "capture", "void")
            and each.due_at is not None
            and _place(each) < place
            for each in self._rows.values()
        )

    async def find(self, attempt_id: UUID) -> Attempt | None:
        """Return an attempt, or None."""
        return self._rows.get(attempt_id)

    async def of_payment(self, payment_id: UUID) -> Sequence[Attempt]:
        """Return a payment's attempts, the oldest first."""
        return sorted((each for each in self._rows.values() if each.payment_id == payment_id), key=_place)

    async def card(self, payment_id: UUID) -> str | None:
        """Return what is kept of a payment's card."""
        return self._card_of(payment_id)

    async def unknown(self, limit: int) -> Sequence[Attempt]:
        """Return attempts whose outcome is unknown now, the oldest first."""
        found = [each for each in self._rows.values() if each.state == "unknown"]
        return sorted(found, key=lambda each: (each.unknown_since or each.created_at, each.id))[:limit]

    async def bring_back(self, now: datetime, latest: datetime) -> int:
        """Make due now what is due after `latest`."""
        far = [each for each in self._rows.values() if each.due_at is not None and each.due_at > latest]
        self._rows.update({each.id: replace(each, due_at=now) for each in far})
        return len(far)

    async def standing(self) -> Sequence[Standing]:
        """Return the attempts that are unknown now."""
        unknown = sorted(
            (each for each in self._rows.values() if each.state == "unknown"),
            key=lambda each: (each.step, each.connector or ""),
        )
        found = []
        for (step, connector), group in groupby(unknown, key=lambda each: (each.step, each.connector or "")):
            attempts = list(group)
            since = min(each.unknown_since or each.created_at for each in attempts)
            overdue = sum(each.overdue_at is not None for each in attempts)
            found.append(Standing(step, connector, len(attempts), since, overdue))
        return found


def _place(attempt: Attempt) -> tuple[datetime, str, int]:
    return attempt.created_at, attempt.step, attempt.ordinal


def queued_for(payment: Payment, change: AttemptChange, now: datetime) -> Attempt:
    """Return the attempt as it is recorded."""
    return Attempt(
        id=change.attempt_id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        currency=payment.currency,
        step=change.step,
        ordinal=change.ordinal,
        subject_id=change.subject_id,
        connector=change.connector,
        authorisation=change.authorisation,
        amount_minor=change.amount_minor,
        final=change.final,
        state="queued",
        code=None,
        connector_code=None,
        connector_reference=None,
        url=None,
        asks=0,
        asked_at=change.asked_at,
        created_at=now,
        started_at=None,
        unknown_since=None,
        answered_at=None,
        overdue_at=None,
        due_at=now,
    )
