"""What can happen to a payment: facts from other services, commands from people, and time."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FraudVerdict:
    """The fraud service scored it."""

    outcome: Literal["allow", "review", "block"]


@dataclass(frozen=True, slots=True)
class ComplianceVerdict:
    """The compliance service screened it."""

    outcome: Literal["clear", "review", "block"]


@dataclass(frozen=True, slots=True)
class ReviewDecided:
    """A person decided."""

    decision: Literal["approve", "decline"]
    by: str


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """The ledger holds the amount."""

    hold_id: UUID


@dataclass(frozen=True, slots=True)
class AuthorisationRefused:
    """The ledger will not hold the amount."""

    code: str


@dataclass(frozen=True, slots=True)
class CaptureAsked:
    """The merchant captures `amount_minor`, or all that is left (None); `final` gives the rest back."""

    amount_minor: int | None
    final: bool


@dataclass(frozen=True, slots=True)
class HoldCaptured:
    """The ledger booked a capture."""

    capture_id: UUID
    amount_minor: int
    final: bool


@dataclass(frozen=True, slots=True)
class CaptureRefused:
    """The ledger refused a capture."""

    capture_id: UUID
    amount_minor: int
    code: str


@dataclass(frozen=True, slots=True)
class VoidAsked:
    """The merchant gives back what is not captured."""


@dataclass(frozen=True, slots=True)
class HoldVoided:
    """The ledger released what was still held."""

    amount_released_minor: int


@dataclass(frozen=True, slots=True)
class HoldExpired:
    """The hold's time ran out in the ledger."""

    amount_released_minor: int


@dataclass(frozen=True, slots=True)
class SettlementSubmitted:
    """The paying transaction was sent."""

    batch_id: UUID
    chain_id: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class SettlementConfirmed:
    """The paying transaction is deep enough in the chain."""

    settlement_id: UUID
    batch_id: UUID
    chain_id: int
    tx_hash: str
    token: str
    token_amount: int
    block_number: int


@dataclass(frozen=True, slots=True)
class SettlementReorged:
    """The chain dropped the paying transaction; it is being sent again."""


@dataclass(frozen=True, slots=True)
class SettlementFailed:
    """It cannot be paid as asked."""

    code: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The present state lasted too long."""


Fact = (
    FraudVerdict
    | ComplianceVerdict
    | ReviewDecided
    | HoldPlaced
    | AuthorisationRefused
    | CaptureAsked
    | HoldCaptured
    | CaptureRefused
    | VoidAsked
    | HoldVoided
    | HoldExpired
    | SettlementSubmitted
    | SettlementConfirmed
    | SettlementReorged
    | SettlementFailed
    | DeadlinePassed
)
