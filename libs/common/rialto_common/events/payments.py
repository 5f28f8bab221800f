"""The gateway's facts and requests, on `rialto.payments.v1`, keyed by payment id (totals by merchant id)."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from rialto_common.events.common import (
    PAYMENTS,
    CaptureId,
    HoldId,
    MerchantId,
    Mode,
    PaymentId,
    Sealed,
    SettlementId,
    WalletId,
)
from rialto_common.events.envelope import EventData, MinorUnits, MinorUnitsOrZero
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


class PaymentCreated(PaymentData):
    """A payment was accepted: it is durable and will reach an end."""

    type: ClassVar[str] = "rialto.payment.created.v1"

    amount_minor: MinorUnits
    currency: str
    payment_method: WalletMethod
    capture_method: Literal["automatic", "manual"]
    terminal_id: str | None = None
    payer: Sealed
    payee: Sealed | None = None
    occurred_at: AwareDatetime


class PaymentApproved(PaymentData):
    """Fraud and compliance let it pass: the ledger is asked to place the hold."""

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


class PaymentAuthorised(PaymentData):
    """The amount is held."""

    type: ClassVar[str] = "rialto.payment.authorised.v1"

    amount_minor: MinorUnits
    currency: str
    hold_id: HoldId


class CaptureRequested(PaymentData):
    """The ledger is asked to book all or part of the hold; `final` releases the rest."""

    type: ClassVar[str] = "rialto.capture.requested.v1"

    capture_id: CaptureId
    ordinal: int
    amount_minor: MinorUnits
    currency: str
    final: bool


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
    """The chain-bridge is asked to pay the merchant what was captured."""

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


class AttemptUnknown(PaymentData):
    """A step was sent and its outcome is not known yet; it is being asked for by our identity."""

    type: ClassVar[str] = "rialto.attempt.unknown.v1"

    step: str


class AttemptResolved(PaymentData):
    """The outcome of an unknown step became known."""

    type: ClassVar[str] = "rialto.attempt.resolved.v1"

    step: str
    outcome: str


class PaymentTotalsReported(ControlTotals):
    """What the gateway has of a merchant's closed day: the captures that succeeded, by when they were asked for."""

    type: ClassVar[str] = "rialto.payment_totals.reported.v1"
    topic: ClassVar[str] = PAYMENTS


MODELS: tuple[type[EventData], ...] = (
    PaymentCreated,
    PaymentApproved,
    PaymentDeclined,
    PaymentReviewOpened,
    PaymentReviewClosed,
    PaymentAuthorised,
    CaptureRequested,
    PaymentCaptured,
    VoidRequested,
    PaymentVoided,
    PaymentExpired,
    SettlementRequested,
    PaymentSettled,
    PaymentFailed,
    AttemptUnknown,
    AttemptResolved,
    PaymentTotalsReported,
)
