"""Payments, and what belongs to one."""

from datetime import datetime
from typing import Any

from pydantic import Field

from rialto.models.base import ApiObject
from rialto.models.customers import Customer, Mandate, SavedPaymentMethod
from rialto.models.money import Payout


class NextAction(ApiObject):
    """What the payer has to do: send the browser to `url`."""

    type: str
    url: str | None = None


class PaymentMethod(ApiObject):
    """How it was paid. A card's fingerprint is the same whenever it is used; a saved one has its id, too.

    `payment_method` and `mandate` are the saved card and its mandate themselves, where they are expanded.
    """

    type: str
    wallet_id: str | None = None
    fingerprint: str | None = None
    payment_method_id: str | None = None
    mandate_id: str | None = None
    payment_method: SavedPaymentMethod | None = None
    mandate: Mandate | None = None


class Settlement(ApiObject):
    """Where the merchant was paid."""

    id: str
    rail: str | None = None
    tx_hash: str | None = None
    batch_id: str | None = None
    chain_id: int | None = None
    block_number: int | None = None
    token: str | None = None
    token_amount: int | None = None


class TimelineEntry(ApiObject):
    """A change of the payment's state: when, by whom, and the event that caused it."""

    at: datetime
    status: str
    event: str | None = None
    cause: str | None = None
    actor: str | None = None
    detail: dict[str, Any] | None = None


class Capture(ApiObject):
    """A part of the payment that was taken."""

    id: str
    object: str = "capture"
    amount_minor: int
    status: str
    final: bool = False
    failure_code: str | None = None
    created_at: datetime | None = None


class Increment(ApiObject):
    """More that was to be authorised, and what came of it; `amount_minor` is the total it brings the payment to."""

    id: str
    object: str = "increment"
    amount_before_minor: int
    amount_minor: int
    status: str
    failure_code: str | None = None
    created_at: datetime | None = None


class Attempt(ApiObject):
    """A question to an acquirer. While its outcome is open: since when, and when it is asked about next."""

    id: str
    object: str = "attempt"
    step: str
    status: str
    subject: str | None = Field(default=None, alias="for")
    connector: str | None = None
    amount_minor: int | None = None
    code: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    answered_at: datetime | None = None
    unknown_since: datetime | None = None
    asked_next_at: datetime | None = None


class FeeRate(ApiObject):
    """Hundredths of a percent of what is captured, and a fixed part once a payment."""

    bps: int
    fixed_minor: int


class Fee(ApiObject):
    """What you were charged for a capture (`processing`) or a dispute; `subject` is that one's id."""

    id: str
    object: str = "fee"
    type: str
    payment_id: str
    subject: str | None = Field(default=None, alias="for")
    amount_minor: int
    currency: str
    rate: FeeRate
    created_at: datetime | None = None


class StatementOfFees(ApiObject):
    """Every fee of a payment, and their sum."""

    total_minor: int
    lines: list[Fee]


class Payment(ApiObject):
    """A payment, settled less `fee_minor`, what was taken of its captures.

    `timeline`, `captures`, `increments`, `attempts` and `fees` come with one payment, the first two in lists where
    they are expanded.
    `payout`, `customer`, `refunds` and `disputes` are there where they are expanded.
    """

    id: str
    object: str = "payment"
    merchant_id: str | None = None
    mode: str | None = None
    status: str
    status_reason: str | None = None
    decline_code: str | None = None
    amount_minor: int
    currency: str
    amount_captured_minor: int = 0
    amount_capturable_minor: int = 0
    amount_refunded_minor: int = 0
    amount_disputed_minor: int = 0
    fee_minor: int = 0
    payment_method: PaymentMethod | None = None
    next_action: NextAction | None = None
    capture_method: str | None = None
    terminal_id: str | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    settlement: Settlement | None = None
    payout_id: str | None = None
    occurred_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    authorised_at: datetime | None = None
    deadline_at: datetime | None = None
    timeline: list[TimelineEntry] | None = None
    captures: list[Capture] | None = None
    fees: StatementOfFees | None = None
    increments: list[Increment] | None = None
    attempts: list[Attempt] | None = None
    payout: Payout | None = None
    customer: Customer | None = None
    refunds: "list[Refund] | None" = None
    disputes: "list[Dispute] | None" = None


class Refund(ApiObject):
    """Money given back: `pending`, then `succeeded`, or `failed` with a `failure_code`. `payment` where expanded."""

    id: str
    object: str = "refund"
    payment_id: str
    payment: Payment | None = None
    merchant_id: str | None = None
    mode: str | None = None
    status: str
    amount_minor: int
    currency: str
    reason: str | None = None
    failure_code: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Dispute(ApiObject):
    """A payer's bank wants the money back. Answer before `respond_by`. `payment` is there where it is expanded."""

    id: str
    object: str = "dispute"
    payment_id: str
    payment: Payment | None = None
    merchant_id: str | None = None
    mode: str | None = None
    status: str
    cause: str | None = None
    amount_minor: int
    fee_minor: int | None = None
    currency: str
    reason: str | None = None
    connector: str | None = None
    has_evidence: bool | None = None
    sending: str | None = None
    evidence: dict[str, str] | None = Field(default=None, repr=False)
    respond_by: datetime | None = None
    opened_at: datetime | None = None
    submitted_at: datetime | None = None
    closed_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
