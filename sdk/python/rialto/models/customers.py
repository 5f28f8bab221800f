"""Customers, their saved cards and mandates, and links that anyone can pay by."""

from datetime import datetime

from pydantic import Field

from rialto.models.base import ApiObject


class Customer(ApiObject):
    """A person you know; of one that was deleted only that it was."""

    id: str
    object: str = "customer"
    deleted: bool = False
    name: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None
    date_of_birth: str | None = None
    address_line: str | None = None
    city: str | None = None
    postal_code: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


class SavedPaymentMethod(ApiObject):
    """A card that is kept for a customer."""

    id: str
    object: str = "payment_method"
    type: str
    customer_id: str
    fingerprint: str | None = None
    created_at: datetime | None = None
    detached_at: datetime | None = None


class MandatePeriodLimits(ApiObject):
    """What may be charged within each period."""

    interval: str
    max_amount_minor: int | None = None
    max_payments: int | None = None


class MandateUse(ApiObject):
    """What was charged in the present period."""

    started_at: datetime | None = None
    payments: int
    amount_minor: int


class Mandate(ApiObject):
    """What a customer has agreed may be charged without them."""

    id: str
    object: str = "mandate"
    status: str
    payment_method_id: str
    currency: str
    max_amount_minor: int
    period: MandatePeriodLimits | None = None
    this_period: MandateUse | None = None
    accepted_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    revoked_at: datetime | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None


class PaymentLink(ApiObject):
    """A page, at `url`, on which whoever has the link pays."""

    id: str
    object: str = "payment_link"
    url: str
    active: bool
    amount_minor: int
    currency: str
    description: str | None = None
    return_url: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    max_payments: int = 1
    expires_at: datetime | None = None
    created_at: datetime | None = None
