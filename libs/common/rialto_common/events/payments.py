"""The gateway's facts and requests, on `rialto.payments.v1`, keyed by payment id (totals by merchant id, an acquirer's
settlement by attempt id).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rialto_common.events.common import (
    PAYMENTS,
    AttemptId,
    CaptureId,
    DisputeId,
    HoldId,
    IncrementId,
    MerchantId,
    Mode,
    PaymentId,
    RefundId,
    Sealed,
    SettlementFileId,
    SettlementId,
    WalletId,
)
from rialto_common.events.envelope import EventData, MinorUnits, MinorUnitsOrZero, SignedMinorUnits
from rialto_common.events.totals import ControlTotals


class PaymentData(EventData):
    """What every event of a payment names."""

    topic: ClassVar[str] = PAYMENTS

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode


class WalletMethod(BaseModel):
    """Pay from an account on our own ledger."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["wallet"]
    wallet_id: WalletId


class CardMethod(BaseModel):
    """Pay by card. `fingerprint` is a keyed hash, the same for the same card; the token itself is never told."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["card"]
    fingerprint: str


class PaymentCreated(PaymentData):
    """A payment from a wallet was accepted: it is durable and will reach an end."""

    type: ClassVar[str] = "rialto.payment.created.v1"

    amount_minor: MinorUnits
    currency: str
    payment_method: WalletMethod
    capture_method: Literal["automatic", "manual"]
    terminal_id: str | None = None
    payer: Sealed
    payee: Sealed | None = None
    occurred_at: AwareDatetime


class PaymentCreatedV2(PaymentData):
    """A payment by any other method was accepted. Who reads this model can read v1's payloads, of wallets, as well."""

    type: ClassVar[str] = "rialto.payment.created.v2"

    amount_minor: MinorUnits
    currency: str
    payment_method: Annotated[WalletMethod | CardMethod, Field(discriminator="type")]
    capture_method: Literal["automatic", "manual"]
    terminal_id: str | None = None
    payer: Sealed
    payee: Sealed | None = None
    occurred_at: AwareDatetime


class PaymentApproved(PaymentData):
    """Fraud and compliance let a wallet's payment pass: the ledger is asked to place the hold."""

    type: ClassVar[str] = "rialto.payment.approved.v1"

    wallet_id: WalletId
    amount_minor: MinorUnits
    currency: str
    expires_at: AwareDatetime


class PaymentDeclined(PaymentData):
    """Refused for good; `decline_code` says why."""

    type: ClassVar[str] = "rialto.payment.declined.v1"

    decline_code: str


class PaymentReviewOpened(PaymentData):
    """A person must decide; `reasons` say what raised it."""

    type: ClassVar[str] = "rialto.payment.review_opened.v1"

    reasons: list[str]


class PaymentReviewClosed(PaymentData):
    """The review ended; `decided_by` is the operator, or `assessments` when the missing ones came late."""

    type: ClassVar[str] = "rialto.payment.review_closed.v1"

    decision: Literal["approved", "declined"]
    decided_by: str


class PaymentRequiresAction(PaymentData):
    """The payer must do something (3-D Secure) before the acquirer decides; where, the payment's `next_action` says."""

    type: ClassVar[str] = "rialto.payment.requires_action.v1"

    action: Literal["redirect"]


class PaymentAuthorised(PaymentData):
    """The amount is held: by the ledger under `hold_id`, or where an `acquirer` is named by that one."""

    type: ClassVar[str] = "rialto.payment.authorised.v1"

    amount_minor: MinorUnits
    currency: str
    hold_id: HoldId
    acquirer: str | None = None


class CaptureRequested(PaymentData):
    """The ledger is asked to book a capture of the hold or by an `acquirer`, and its fee; `final` frees the rest."""

    type: ClassVar[str] = "rialto.capture.requested.v1"

    capture_id: CaptureId
    ordinal: int
    amount_minor: MinorUnits
    currency: str
    final: bool
    acquirer: str | None = None
    requested_at: AwareDatetime | None = None
    fee_minor: MinorUnitsOrZero = 0


class IncrementRequested(PaymentData):
    """The ledger is asked to raise a wallet payment's hold to `amount_minor` in all."""

    type: ClassVar[str] = "rialto.increment.requested.v1"

    increment_id: IncrementId
    ordinal: int
    amount_minor: MinorUnits
    currency: str


class PaymentIncremented(PaymentData):
    """More is authorised: `amount_minor` in all, by the ledger or the named `acquirer`."""

    type: ClassVar[str] = "rialto.payment.incremented.v1"

    increment_id: IncrementId
    amount_before_minor: MinorUnits
    amount_minor: MinorUnits
    currency: str
    acquirer: str | None = None


class PaymentIncrementFailed(PaymentData):
    """No more was authorised than before, and that still is; `failure_code` says why."""

    type: ClassVar[str] = "rialto.payment.increment_failed.v1"

    increment_id: IncrementId
    amount_minor: MinorUnits
    currency: str
    failure_code: str
    acquirer: str | None = None


class PaymentCaptured(PaymentData):
    """No more captures will come; `amount_minor` is their total."""

    type: ClassVar[str] = "rialto.payment.captured.v1"

    amount_minor: MinorUnits
    currency: str


class VoidRequested(PaymentData):
    """The ledger is asked to release what is still held, or to refuse a hold it has not placed yet."""

    type: ClassVar[str] = "rialto.void.requested.v1"

    reason: str


class PaymentVoided(PaymentData):
    """The hold was released before anything was captured."""

    type: ClassVar[str] = "rialto.payment.voided.v1"

    amount_released_minor: MinorUnitsOrZero
    currency: str


class PaymentExpired(PaymentData):
    """The authorisation's time ran out before a capture."""

    type: ClassVar[str] = "rialto.payment.expired.v1"


class SettlementRequested(PaymentData):
    """The chain-bridge is asked to pay the merchant what was captured, less the fees of that."""

    type: ClassVar[str] = "rialto.settlement.requested.v1"

    settlement_id: SettlementId
    amount_minor: MinorUnits
    currency: str
    payee_address: str


class PaymentSettled(PaymentData):
    """The merchant has the money: final."""

    type: ClassVar[str] = "rialto.payment.settled.v1"

    settlement_id: SettlementId
    amount_minor: MinorUnits
    currency: str
    chain_id: int
    tx_hash: str
    block_number: int


class PaymentFailed(PaymentData):
    """Ended without a decision by anyone: for instance the ledger never answered and the hold was cancelled."""

    type: ClassVar[str] = "rialto.payment.failed.v1"

    reason: str


class RefundData(PaymentData):
    """What every event of a refund names; `acquirer` is who gives it back, None where it goes to a wallet."""

    refund_id: RefundId
    amount_minor: MinorUnits
    currency: str
    acquirer: str | None = None


class RefundRequested(RefundData):
    """The ledger is asked to take the amount from the merchant: for the wallet, or aside until the acquirer answers."""

    type: ClassVar[str] = "rialto.refund.requested.v1"

    wallet_id: WalletId | None = None


class RefundSucceeded(RefundData):
    """The payer has the money, or the acquirer gives it back. `requested_at` is of the day that it belongs to."""

    type: ClassVar[str] = "rialto.refund.succeeded.v1"

    requested_at: AwareDatetime


class RefundFailed(RefundData):
    """No money moved; `failure_code` says why. What the ledger had set aside goes back to the merchant."""

    type: ClassVar[str] = "rialto.refund.failed.v1"

    failure_code: str


class DisputeData(PaymentData):
    """What every event of a dispute names: a payer who wants their money back from `acquirer`'s card's issuer."""

    dispute_id: DisputeId
    amount_minor: MinorUnits
    currency: str
    acquirer: str


class DisputeOpened(DisputeData):
    """The amount is set aside until the dispute ends; `fee_minor` is what the merchant pays for it."""

    type: ClassVar[str] = "rialto.dispute.opened.v1"

    reason: str
    respond_by: AwareDatetime
    fee_minor: MinorUnitsOrZero = 0


class DisputeEvidenceSubmitted(DisputeData):
    """The acquirer has the merchant's evidence, and the issuer decides."""

    type: ClassVar[str] = "rialto.dispute.evidence_submitted.v1"


class DisputeWon(DisputeData):
    """The merchant keeps the money; what was set aside is theirs again."""

    type: ClassVar[str] = "rialto.dispute.won.v1"


class DisputeLost(DisputeData):
    """The payer gets the money back. `cause`: `decided` by the issuer, `accepted` by the merchant, or `expired`."""

    type: ClassVar[str] = "rialto.dispute.lost.v1"

    cause: str


class AttemptData(PaymentData):
    """What is told of an attempt; a capture at an `acquirer` comes with what the ledger needs to park its money."""

    step: str
    attempt_id: AttemptId | None = None
    acquirer: str | None = None
    capture_id: CaptureId | None = None
    refund_id: RefundId | None = None
    increment_id: IncrementId | None = None
    amount_minor: MinorUnits | None = None
    currency: str | None = None


class AttemptUnknown(AttemptData):
    """A step was sent and its outcome is not known yet; it is being asked for by our identity."""

    type: ClassVar[str] = "rialto.attempt.unknown.v1"


class AttemptResolved(AttemptData):
    """The outcome of an unknown step became known."""

    type: ClassVar[str] = "rialto.attempt.resolved.v1"

    outcome: str


class AcquirerSettled(PaymentData):
    """An acquirer's settlement file pays a capture or takes back a refund or lost dispute, less its fee or a rebate."""

    # Keyed by the attempt or the dispute, which is settled once.

    type: ClassVar[str] = "rialto.acquirer.settled.v1"

    attempt_id: AttemptId | None = None
    dispute_id: DisputeId | None = None
    acquirer: str
    step: Literal["capture", "refund", "chargeback"]
    amount_minor: MinorUnits
    fee_minor: SignedMinorUnits
    currency: str
    file_id: SettlementFileId
    line: int


class PaymentTotalsReported(ControlTotals):
    """What the gateway has of a merchant's closed day: captures and refunds that succeeded, by when they were asked."""

    type: ClassVar[str] = "rialto.payment_totals.reported.v1"
    topic: ClassVar[str] = PAYMENTS


MODELS: tuple[type[EventData], ...] = (
    PaymentCreated,
    PaymentCreatedV2,
    PaymentApproved,
    PaymentDeclined,
    PaymentReviewOpened,
    PaymentReviewClosed,
    PaymentRequiresAction,
    PaymentAuthorised,
    CaptureRequested,
    IncrementRequested,
    PaymentIncremented,
    PaymentIncrementFailed,
    PaymentCaptured,
    VoidRequested,
    PaymentVoided,
    PaymentExpired,
    SettlementRequested,
    PaymentSettled,
    PaymentFailed,
    RefundRequested,
    RefundSucceeded,
    RefundFailed,
    DisputeOpened,
    DisputeEvidenceSubmitted,
    DisputeWon,
    DisputeLost,
    AttemptUnknown,
    AttemptResolved,
    AcquirerSettled,
    PaymentTotalsReported,
)
