"""The API's objects. Fields that this version does not know are kept (`model_extra`), so that new ones break nothing.

Amounts are integers: whole minor units of `currency`. Times are UTC. Names of states and types are plain strings,
as there may be more of them tomorrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP answer that an object came in; `body` is its JSON as it was sent."""

    status: int
    headers: Mapping[str, str]
    tries: int
    idempotency_key: str | None
    body: Any = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """Names the request in Rialto's logs."""
        return self.headers.get("request-id")

    @property
    def replayed(self) -> bool:
        """Whether the key's first answer was given again."""
        return self.headers.get("idempotency-replayed") == "true"


class ApiObject(BaseModel):
    """What all objects have in common."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    _response: Response | None = PrivateAttr(default=None)

    @property
    def response(self) -> Response | None:
        """The answer this object came in; None of one within another."""
        return self._response

    @property
    def request_id(self) -> str | None:
        """The request that answered with this object."""
        return None if self._response is None else self._response.request_id


class NextAction(ApiObject):
    """What the payer has to do: send the browser to `url`."""

    type: str
    url: str | None = None


class PaymentMethod(ApiObject):
    """How it was paid."""

    type: str
    wallet_id: str | None = None
    fingerprint: str | None = None


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
    amount_minor: int
    status: str
    final: bool = False
    failure_code: str | None = None
    created_at: datetime | None = None


class Attempt(ApiObject):
    """A question to an acquirer. While its outcome is open: since when, and when it is asked about next."""

    id: str
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


class Payment(ApiObject):
    """A payment. `timeline`, `captures` and `attempts` come with one payment, not in lists."""

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
    payment_method: PaymentMethod | None = None
    next_action: NextAction | None = None
    capture_method: str | None = None
    terminal_id: str | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    settlement: Settlement | None = None
    occurred_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    authorised_at: datetime | None = None
    deadline_at: datetime | None = None
    timeline: list[TimelineEntry] | None = None
    captures: list[Capture] | None = None
    attempts: list[Attempt] | None = None


class Refund(ApiObject):
    """Money given back: `pending`, then `succeeded`, or `failed` with a `failure_code`."""

    id: str
    object: str = "refund"
    payment_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str | None = None
    failure_code: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


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
    currency: str | None = None
    sequence: int | None = None
    tx_hash: str | None = None


class Event(ApiObject):
    """Something that happened; the same from the list of events and from a webhook. `id` tells what was seen before.

    `payment` is the payment's id, or with `expand` the payment as it is now; webhooks leave it out.
    """

    id: str
    type: str
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
    """Where you want to hear of events. `secret` is shown when it is made, never again."""

    id: str
    object: str = "webhook_endpoint"
    url: str
    events: list[str] = Field(default_factory=list)
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


class Wallet(ApiObject):
    """An account on the ledger that payments are charged to."""

    id: str
    object: str = "wallet"
    merchant_id: str | None = None
    mode: str | None = None
    currency: str
    ledger_balance_minor: int
    available_balance_minor: int


class TopUp(ApiObject):
    """Test money put into a wallet."""

    id: str
    object: str = "top_up"
    wallet_id: str
    amount_minor: int
    currency: str


class Transfer(ApiObject):
    """Money moved between wallets: `sent`, `received`, or `returned` with a `refusal_code`."""

    id: str
    object: str = "transfer"
    state: str
    refusal_code: str | None = None
    from_wallet_id: str
    to_wallet_id: str
    amount_minor: int
    currency: str
    created_at: datetime | None = None
    ended_at: datetime | None = None


class FxQuote(ApiObject):
    """A price that is held until `expires_at` and used once; `rate` is a decimal number in a string."""

    id: str
    object: str = "fx_quote"
    sell_currency: str
    sell_amount_minor: int
    buy_currency: str
    buy_amount_minor: int
    rate: str
    rate_source: str | None = None
    rate_observed_at: datetime | None = None
    spread_bps: int | None = None
    expires_at: datetime | None = None
    used_by: str | None = None
    created_at: datetime | None = None


class BalanceTransaction(ApiObject):
    """A line of what is owed to you: `amount_minor` (less than 0 where it was paid or given back), and the balance."""

    object: str = "balance_transaction"
    type: str
    amount_minor: int
    balance_minor: int
    currency: str
    payment_id: str | None = None
    entry_id: str | None = None
    line: int | None = None
    created_at: datetime | None = None
    effective_at: datetime | None = None
