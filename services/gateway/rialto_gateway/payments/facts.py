"""What can happen to a payment: facts from other services and acquirers, commands from people, and time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from rialto_gateway.connectors.port import Step


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """The attempt that a fact of an acquirer comes from.

    `subject_id` is its increment, capture or refund; `was_unknown` says that its outcome had been unknown before.
    """

    attempt_id: UUID
    step: Step
    connector: str
    amount_minor: int
    subject_id: UUID | None = None
    was_unknown: bool = False


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
class AcquirerAuthorised:
    """An acquirer holds the amount, under its own reference `authorisation`."""

    attempt: AttemptRef
    authorisation: str


@dataclass(frozen=True, slots=True)
class AcquirerRefusedAuthorisation:
    """An acquirer certainly holds nothing. `elsewhere`: another may be asked, and there is one."""

    attempt: AttemptRef
    code: str
    is_decline: bool
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    """The payer must act at `url` before the acquirer decides."""

    attempt: AttemptRef
    authorisation: str
    url: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """A question may have arrived at the acquirer, and no answer did; `code` says what was seen."""

    attempt: AttemptRef
    code: str


@dataclass(frozen=True, slots=True)
class IncrementLimits:
    """How far a payment may be raised without being assessed anew: by a share, and not to an amount that is reviewed.

    `share_bps` is of the amount that was assessed, `review_minor` what a person looks at from there on (None: nothing).
    """

    share_bps: int
    review_minor: int | None = None

    def most(self, assessed_minor: int) -> int:
        """Return the most that a payment assessed with an amount may come to."""
        most = assessed_minor + assessed_minor * self.share_bps // 10_000
        if self.review_minor is None or assessed_minor >= self.review_minor:
            return most
        return min(most, self.review_minor - 1)


@dataclass(frozen=True, slots=True)
class IncrementAsked:
    """The merchant wants `amount_minor` in all to be authorised."""

    amount_minor: int
    limits: IncrementLimits


@dataclass(frozen=True, slots=True)
class HoldIncreased:
    """The ledger holds `amount_minor` in all."""

    increment_id: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True)
class IncrementRefused:
    """The ledger holds no more than before."""

    increment_id: UUID
    amount_minor: int
    code: str


@dataclass(frozen=True, slots=True)
class AcquirerIncremented:
    """The acquirer has authorised more: the attempt's amount in all."""

    attempt: AttemptRef


@dataclass(frozen=True, slots=True)
class AcquirerRefusedIncrement:
    """The acquirer has certainly authorised no more than before."""

    attempt: AttemptRef
    code: str


@dataclass(frozen=True, slots=True)
class AcquirerCaptured:
    """The acquirer made a capture that was asked for at `requested_at`."""

    attempt: AttemptRef
    ordinal: int
    final: bool
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class AcquirerRefusedCapture:
    """The acquirer certainly did not capture."""

    attempt: AttemptRef
    code: str


@dataclass(frozen=True, slots=True)
class CaptureBooked:
    """The ledger booked what an acquirer captured."""

    capture_id: UUID
    amount_minor: int
    final: bool
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class AcquirerVoided:
    """The acquirer let go of an authorisation."""

    attempt: AttemptRef
    authorisation: str


@dataclass(frozen=True, slots=True)
class AcquirerRefusedVoid:
    """The acquirer certainly did not let go of an authorisation."""

    attempt: AttemptRef
    authorisation: str
    code: str


@dataclass(frozen=True, slots=True)
class RefundAsked:
    """The merchant gives back `amount_minor`, or all that is left (None); `metadata` is JSON."""

    amount_minor: int | None
    reason: str | None = None
    metadata: str = "{}"


@dataclass(frozen=True, slots=True)
class RefundBooked:
    """The ledger took a refund, asked for at `requested_at`, from what we owe the merchant."""

    refund_id: UUID
    amount_minor: int
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """The ledger took nothing."""

    refund_id: UUID
    amount_minor: int
    code: str


@dataclass(frozen=True, slots=True)
class AcquirerRefunded:
    """The acquirer gives a refund back that was asked for at `requested_at`."""

    attempt: AttemptRef
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class AcquirerRefusedRefund:
    """The acquirer certainly gave nothing back."""

    attempt: AttemptRef
    code: str


@dataclass(frozen=True, slots=True)
class DisputeMoved:
    """A payer's dispute of it was opened or has gone on, as the acquirer says; or the merchant has given it up."""

    dispute_id: UUID
    what: Literal["opened", "evidence_submitted", "accepted", "won", "lost"]
    acquirer: str
    amount_minor: int
    fee_minor: int
    reason: str
    respond_by: datetime
    cause: str | None


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
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class CaptureRefused:
    """The ledger refused a capture."""

    capture_id: UUID
    amount_minor: int
    code: str
    fee_minor: int = 0


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
class PayoutStarted:
    """A payout takes it in: it is to be settled now."""

    payout_id: UUID


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
    | AcquirerAuthorised
    | AcquirerRefusedAuthorisation
    | ActionNeeded
    | OutcomeUnknown
    | IncrementAsked
    | HoldIncreased
    | IncrementRefused
    | AcquirerIncremented
    | AcquirerRefusedIncrement
    | AcquirerCaptured
    | AcquirerRefusedCapture
    | CaptureBooked
    | AcquirerVoided
    | AcquirerRefusedVoid
    | RefundAsked
    | RefundBooked
    | RefundRefused
    | AcquirerRefunded
    | AcquirerRefusedRefund
    | DisputeMoved
    | CaptureAsked
    | HoldCaptured
    | CaptureRefused
    | VoidAsked
    | HoldVoided
    | HoldExpired
    | PayoutStarted
    | SettlementSubmitted
    | SettlementConfirmed
    | SettlementReorged
    | SettlementFailed
    | DeadlinePassed
)
