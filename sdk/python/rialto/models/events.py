"""Events, and how they are delivered."""

from datetime import datetime
from typing import Any

from pydantic import AliasChoices, Field

from rialto.models.base import ApiObject
from rialto.models.payments import Payment


class EventData(ApiObject):
    """The object that an event is about, as it was then. `sequence` orders the events of one object."""

    id: str
    object: str
    mode: str | None = None
    merchant_id: str | None = None
    status: str | None = None
    status_reason: str | None = None
    decline_code: str | None = None
    amount_minor: int | None = None
    amount_captured_minor: int | None = None
    amount_refunded_minor: int | None = None
    amount_disputed_minor: int | None = None
    currency: str | None = None
    sequence: int | None = None
    tx_hash: str | None = None
    refund_id: str | None = None
    dispute_id: str | None = None


class Event(ApiObject):
    """Something that happened; the same from the list of events and from a webhook. `id` tells what was seen before.

    `payment` is the payment's id, or with `expand` the payment as it is now; webhooks leave it out.
    `api_version` is what `data` is in; a webhook's is its endpoint's.
    """

    id: str
    object: str = "event"
    type: str
    api_version: str | None = None
    created_at: datetime = Field(validation_alias=AliasChoices("created_at", "timestamp"))
    data: EventData
    payment: Payment | str | None = None
    test: bool = False


class Circuit(ApiObject):
    """Whether an endpoint is left alone because it failed, and when it is tried next."""

    state: str
    failures: int = 0
    opened_at: datetime | None = None
    next_probe_at: datetime | None = None


class WebhookEndpoint(ApiObject):
    """Where you want to hear of events, in the API's version `api_version`. `secret` is shown when it is made only."""

    id: str
    object: str = "webhook_endpoint"
    url: str
    events: list[str] = Field(default_factory=list)
    api_version: str | None = None
    enabled: bool = True
    circuit: Circuit | None = None
    secret: str | None = Field(default=None, repr=False)
    previous_secret_valid_until: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class DeliveryAttempt(ApiObject):
    """One try at delivering a message, with the beginning of the answer."""

    number: int
    status: str
    http_status: int | None = None
    error: str | None = None
    duration_ms: float | None = None
    response_body: str | None = None
    started_at: datetime | None = None


class WebhookDelivery(ApiObject):
    """What became of one message to an endpoint. `message` and `attempt_log` come with one delivery, not in lists."""

    id: str
    object: str = "webhook_delivery"
    webhook_id: str
    endpoint_id: str
    event: str
    status: str
    event_id: str | None = None
    payment_id: str | None = None
    test: bool = False
    attempts: int = 0
    last_http_status: int | None = None
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    created_at: datetime | None = None
    message: dict[str, Any] | None = None
    attempt_log: list[DeliveryAttempt] | None = None


class WebhookRedelivery(ApiObject):
    """How many deliveries of a range are sent again; `has_more`: ask again for the rest."""

    object: str = "webhook_redelivery"
    deliveries: int
    has_more: bool = False
