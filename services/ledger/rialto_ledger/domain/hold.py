"""Holds: an amount reserved on an account, so that a later capture cannot fail for want of money.

    pending ──capture (part)──▶ pending
    pending ──capture (all, or final)──▶ captured
    pending ──extend──▶ pending       with another deadline
    pending ──increase──▶ pending     with more reserved
    pending ──void──▶ voided          pending ──deadline──▶ expired
    (nothing) ──void──▶ voided        a tombstone: a hold of this id will never be placed
    (nothing) ──place, refused──▶ refused    remembered, so that asking again gets the same answer

A hold lowers the available balance, never the ledger balance. Amounts: captured + released + remaining = amount, and
amount = what it was placed with + increased.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from rialto_ledger.domain.account import Mode
from rialto_ledger.domain.commands import HoldCommand
from rialto_ledger.domain.errors import (
    CaptureAboveHold,
    HoldAlreadyCaptured,
    HoldAlreadyVoided,
    HoldDeadlinePassed,
    HoldError,
    HoldHasExpired,
    HoldRefused,
)

NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": a tombstone stands for a hold whose currency was never told."""


class HoldStatus(StrEnum):
    """Only `pending` reserves money; all others are final."""

    PENDING = "pending"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold and what became of it; amounts in minor units of `currency`.

    `account_id` and `expires_at` are None only in a tombstone, `payment_id` where the API placed it. `version` counts
    its changes.
    """

    id: UUID
    payment_id: UUID | None
    account_id: UUID | None
    merchant_id: UUID | None
    mode: Mode
    shard: int
    currency: str
    amount_minor: int
    status: HoldStatus
    placed_at: datetime
    expires_at: datetime | None
    captured_minor: int = 0
    released_minor: int = 0
    increased_minor: int = 0
    refusal_code: str | None = None
    closed_at: datetime | None = None
    version: int = 1

    @property
    def remaining_minor(self) -> int:
        """What is still reserved."""
        if self.status is not HoldStatus.PENDING:
            return 0
        return self.amount_minor - self.captured_minor - self.released_minor

    @property
    def placed_minor(self) -> int:
        """What it was placed with."""
        return self.amount_minor - self.increased_minor

    def capture(self, amount_minor: int, *, final: bool, now: datetime) -> "Hold":
        """Return the hold after a capture; a final one releases the rest, and so does one of all that remains.

        Raises: HoldAlreadyVoided, HoldAlreadyCaptured, HoldHasExpired, HoldRefused, CaptureAboveHold.
        """
        if self.status is not HoldStatus.PENDING:
            raise self.why_closed()
        if self.is_due(now):
            raise HoldHasExpired(self.id)
        remaining = self.remaining_minor - amount_minor
        if remaining < 0:
            raise CaptureAboveHold(self.id, self.remaining_minor, amount_minor)
        captured = self.captured_minor + amount_minor
        if remaining > 0 and not final:
            return replace(self, captured_minor=captured, version=self.version + 1)
        return replace(
            self,
            status=HoldStatus.CAPTURED,
            captured_minor=captured,
            released_minor=self.released_minor + remaining,
            closed_at=now,
            version=self.version + 1,
        )

    def extend(self, expires_at: datetime, now: datetime) -> "Hold":
        """Return the hold with another deadline; the same deadline again changes nothing.

        Raises: HoldAlreadyVoided, HoldAlreadyCaptured, HoldHasExpired, HoldRefused, HoldDeadlinePassed.
        """
        if self.status is not HoldStatus.PENDING:
            raise self.why_closed()
        if self.is_due(now):
            raise HoldHasExpired(self.id)
        if expires_at == self.expires_at:
            return self
        if expires_at <= now:
            raise HoldDeadlinePassed(self.id)
        return replace(self, expires_at=expires_at, version=self.version + 1)

    def increase(self, amount_minor: int, now: datetime) -> "Hold":
        """Return the hold with `amount_minor` in all; one that has reached it, whatever became of it since, as it is.

        Raises: HoldAlreadyVoided, HoldAlreadyCaptured, HoldHasExpired, HoldRefused.
        """
        if self.status is not HoldStatus.REFUSED and self.amount_minor >= amount_minor:
            return self
        if self.status is not HoldStatus.PENDING:
            raise self.why_closed()
        if self.is_due(now):
            raise HoldHasExpired(self.id)
        more = amount_minor - self.amount_minor
        return replace(
            self, amount_minor=amount_minor, increased_minor=self.increased_minor + more, version=self.version + 1
        )

    def void(self, now: datetime) -> "Hold":
        """Return the hold with the rest released; one that is already closed is returned as it is."""
        return self._release(HoldStatus.VOIDED, now)

    def expire(self, now: datetime) -> "Hold":
        """Return the hold with the rest released if its deadline has passed, else as it is."""
        return self._release(HoldStatus.EXPIRED, now) if self.is_due(now) else self

    def is_due(self, now: datetime) -> bool:
        """Whether the deadline has passed."""
        return self.expires_at is not None and self.expires_at <= now

    def why_closed(self) -> HoldError:
        """Return the error that says what this hold became."""
        if self.status is HoldStatus.CAPTURED:
            return HoldAlreadyCaptured(self.id)
        if self.status is HoldStatus.EXPIRED:
            return HoldHasExpired(self.id)
        if self.status is HoldStatus.REFUSED:
            return HoldRefused(self.id, self.refusal_code or HoldRefused.code)
        return HoldAlreadyVoided(self.id)

    def _release(self, status: HoldStatus, now: datetime) -> "Hold":
        if self.status is not HoldStatus.PENDING:
            return self
        return replace(
            self,
            status=status,
            released_minor=self.released_minor + self.remaining_minor,
            closed_at=now,
            version=self.version + 1,
        )


def tombstone(command: HoldCommand, now: datetime) -> Hold:
    """Return the mark that no hold of this id will ever be placed."""
    return Hold(
        id=command.hold_id,
        payment_id=command.payment_id,
        account_id=None,
        merchant_id=command.merchant_id,
        mode=command.mode,
        shard=command.shard,
        currency=NO_CURRENCY,
        amount_minor=0,
        status=HoldStatus.VOIDED,
        placed_at=now,
        expires_at=None,
        closed_at=now,
    )
