"""What every operation answers, for the OpenAPI document; a test holds the answers of a running API to it.

The answers are written by the views beside each capability, and never pass through these models: a payment's path does
not pay for its documentation. What a model requires is always there; what is new may be added, never taken away.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from rialto_gateway.attempts.attempt import State as AttemptState
from rialto_gateway.connectors.port import Step
from rialto_gateway.disputes.dispute import State as DisputeState
from rialto_gateway.merchants.keys import Kind
from rialto_gateway.payments.states import State as PaymentState
from rialto_gateway.payouts.payout import State as PayoutState
from rialto_gateway.saved_methods.mandate import Period, Status

Minor = Annotated[str, Field(pattern=r"^[0-9]{1,38}$", description="whole minor units", examples=["1250"])]
SignedMinor = Annotated[str, Field(pattern=r"^-?[0-9]{1,38}$", description="whole minor units", examples=["-1250"])]
Time = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, description="UTC", examples=["2026-03-01T09:30:00.000000Z"])
]
Currency = Annotated[str, Field(examples=["USD"])]
Mode = Literal["test", "live"]
Metadata = dict[str, str]


def _id(prefix: str) -> Any:
    return Field(pattern=f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", examples=[f"{prefix}_01kb6w1m8xf0gbb7n5d8jq2c4r"])


EXPANDED: Any = Field(description="only where expanded")

PaymentId = Annotated[str, _id("pay")]
MerchantId = Annotated[str, _id("mer")]
WalletId = Annotated[str, _id("wal")]


class OfWallet(BaseModel):
    """Paid from a wallet on our ledger."""

    type: Literal["wallet"]
    wallet_id: WalletId


class OfCard(BaseModel):
    """Paid by card; the fingerprint is the same for the same card at the same merchant."""

    type: Literal["card"]
    fingerprint: str
    payment_method_id: Annotated[str | None, Field(description="the saved method that it is")]
    mandate_id: Annotated[str | None, Field(description="the mandate it was charged by")]
    payment_method: Annotated["PaymentMethod | None", EXPANDED] = None
    mandate: Annotated["Mandate | None", EXPANDED] = None


class NextAction(BaseModel):
    """What the payer must do: go to `url`."""

    type: Literal["redirect"]
    url: str


class Settlement(BaseModel):
    """Where the merchant was paid."""

    id: Annotated[str, _id("set")]
    rail: Literal["chain"]
    chain_id: int
    token: str | None
    token_amount: int | str | None
    tx_hash: str
    block_number: int | None
    batch_id: Annotated[str, _id("bat")]


class TimelineEntry(BaseModel):
    """A change of a payment: what happened, the event that caused it, and who."""

    at: Time
    status: PaymentState
    event: str
    cause: str | None
    actor: str
    detail: dict[str, Any] | None


class Capture(BaseModel):
    """All or part of a payment, collected."""

    id: Annotated[str, _id("cap")]
    object: Literal["capture"]
    amount_minor: Minor
    final: bool
    status: str
    failure_code: str | None
    created_at: Time


class Increment(BaseModel):
    """More that was to be authorised, and what came of it; `amount_minor` is the total it brings the payment to."""

    id: Annotated[str, _id("inc")]
    object: Literal["increment"]
    amount_before_minor: Minor
    amount_minor: Minor
    status: Literal["pending", "succeeded", "failed"]
    failure_code: str | None
    created_at: Time


class Attempt(BaseModel):
    """One question to an acquirer and what is known of its outcome."""

    id: Annotated[str, _id("att")]
    object: Literal["attempt"]
    step: Step
    for_: Annotated[str | None, Field(alias="for", description="the increment, capture or refund it is for")]
    connector: str | None
    status: AttemptState
    amount_minor: Minor
    code: str | None
    created_at: Time
    started_at: Time | None
    answered_at: Time | None
    unknown_since: Time | None
    asked_next_at: Time | None


class UnknownAttempt(Attempt):
    """An attempt whose outcome is unknown, for the operator."""

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    currency: Currency
    overdue_at: Time | None


class FeeRate(BaseModel):
    """Hundredths of a percent of what is captured, and a fixed part once a payment."""

    bps: int
    fixed_minor: Minor


class Fee(BaseModel):
    """What a merchant was charged for a capture or a dispute."""

    id: Annotated[str, _id("fee")]
    object: Literal["fee"]
    type: Literal["processing", "dispute"]
    payment_id: PaymentId
    for_: Annotated[str, Field(alias="for", description="the capture or dispute")]
    amount_minor: Minor
    currency: Currency
    rate: FeeRate
    created_at: Time


class StatementOfFees(BaseModel):
    """Every fee of a payment, and their sum."""

    total_minor: Minor
    lines: list[Fee]


class Payment(BaseModel):
    """A payment; its personal data is never shown."""

    id: PaymentId
    object: Literal["payment"]
    merchant_id: MerchantId
    mode: Mode
    status: PaymentState
    status_reason: str | None
    decline_code: str | None
    amount_minor: Minor
    currency: Currency
    amount_captured_minor: Minor
    amount_capturable_minor: Minor
    amount_refunded_minor: Minor
    amount_disputed_minor: Minor
    fee_minor: Annotated[Minor, Field(description="what was taken of its captures; it is settled less this")]
    payment_method: Annotated[OfWallet | OfCard, Field(discriminator="type")]
    next_action: NextAction | None
    capture_method: Literal["automatic", "manual"]
    terminal_id: str | None
    description: str | None
    metadata: Metadata
    settlement: Settlement | None
    payout_id: Annotated[str | None, Field(description="the payout that pays it")]
    occurred_at: Time
    created_at: Time
    updated_at: Time
    authorised_at: Time | None
    deadline_at: Annotated[Time | None, Field(description="when the present state ends if nothing else happens")]
    timeline: list[TimelineEntry] | None = None
    captures: list[Capture] | None = None
    increments: list[Increment] | None = None
    attempts: list[Attempt] | None = None
    fees: Annotated[StatementOfFees | None, Field(description="not in lists")] = None
    payout: Annotated["Payout | None", EXPANDED] = None
    customer: Annotated["Customer | None", EXPANDED] = None
    refunds: Annotated["list[Refund] | None", EXPANDED] = None
    disputes: Annotated["list[Dispute] | None", EXPANDED] = None


class Refund(BaseModel):
    """All or part of what was captured, given back."""

    id: Annotated[str, _id("re")]
    object: Literal["refund"]
    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    status: Literal["pending", "succeeded", "failed"]
    failure_code: str | None
    amount_minor: Minor
    currency: Currency
    reason: str | None
    metadata: Metadata
    created_at: Time
    updated_at: Time
    payment: Annotated[Payment | None, EXPANDED] = None


class Wallet(BaseModel):
    """An account on our ledger that payments are charged to."""

    id: WalletId
    object: Literal["wallet"]
    merchant_id: MerchantId | None
    mode: Mode
    currency: Currency
    ledger_balance_minor: SignedMinor
    available_balance_minor: SignedMinor
    metadata: Metadata | None = None
    created_at: Time | None = None


class TopUp(BaseModel):
    """Test money put into a wallet."""

    id: Annotated[str, _id("je")]
    object: Literal["top_up"]
    wallet_id: WalletId
    amount_minor: Minor
    currency: Currency


class Transfer(BaseModel):
    """Money moved between wallets."""

    id: Annotated[str, _id("trf")]
    object: Literal["transfer"]
    state: Literal["sent", "received", "returned"]
    refusal_code: str | None
    from_wallet_id: WalletId
    to_wallet_id: WalletId
    amount_minor: Minor
    currency: Currency
    created_at: Time
    ended_at: Time | None


class FxQuote(BaseModel):
    """A price for a conversion, held until `expires_at`."""

    id: Annotated[str, _id("fxq")]
    object: Literal["fx_quote"]
    sell_currency: Currency
    sell_amount_minor: Minor
    buy_currency: Currency
    buy_amount_minor: Minor
    rate: str
    rate_source: str
    rate_observed_at: Time
    spread_bps: int | str
    created_at: Time
    expires_at: Time
    used_by: str | None


class BalanceTransaction(BaseModel):
    """What changed a merchant's balance, and the balance after it."""

    object: Literal["balance_transaction"]
    type: str
    balance: Literal["payable", "reserve"]
    payment_id: PaymentId | None
    entry_id: Annotated[str, _id("je")]
    line: int
    amount_minor: SignedMinor
    balance_minor: SignedMinor
    currency: Currency
    created_at: Time
    effective_at: Time


class Customer(BaseModel):
    """A customer; of one that was deleted only that it was."""

    id: Annotated[str, _id("cus")]
    object: Literal["customer"]
    deleted: bool
    created_at: Time
    updated_at: Time
    name: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None
    date_of_birth: str | None = None
    address_line: str | None = None
    city: str | None = None
    postal_code: str | None = None
    metadata: Metadata | None = None


class PaymentMethod(BaseModel):
    """A card kept for a customer."""

    id: Annotated[str, _id("pm")]
    object: Literal["payment_method"]
    type: Literal["card"]
    customer_id: Annotated[str, _id("cus")]
    fingerprint: str
    created_at: Time
    detached_at: Time | None


class MandatePeriod(BaseModel):
    """What may be charged within each period."""

    interval: Period
    max_amount_minor: Minor | None
    max_payments: int | None


class PresentPeriod(BaseModel):
    """What was charged in the period that has begun last."""

    started_at: Time
    payments: int
    amount_minor: Minor


class Mandate(BaseModel):
    """What a customer has agreed may be charged without them."""

    id: Annotated[str, _id("mdt")]
    object: Literal["mandate"]
    status: Status
    payment_method_id: Annotated[str, _id("pm")]
    currency: Currency
    max_amount_minor: Minor
    period: MandatePeriod | None
    accepted_at: Time
    starts_at: Time
    ends_at: Time | None
    revoked_at: Time | None
    metadata: Metadata
    created_at: Time
    this_period: Annotated[PresentPeriod | None, Field(description="not in lists")] = None


class PaymentLink(BaseModel):
    """A page on which one asks for a payment."""

    id: Annotated[str, _id("plink")]
    object: Literal["payment_link"]
    url: str
    active: bool
    amount_minor: Minor
    currency: Currency
    description: str
    return_url: str | None
    metadata: Metadata
    max_payments: int
    expires_at: Time | None
    created_at: Time


class Merchant(BaseModel):
    """A merchant of this installation."""

    id: MerchantId
    object: Literal["merchant"]
    name: str
    country: str | None
    settlement_address: str
    created_at: Time


class MerchantKeys(BaseModel):
    """A new merchant's secret keys; shown once."""

    test: str
    live: str


class NewMerchant(Merchant):
    """A merchant just opened, with its keys."""

    keys: MerchantKeys


class ApiKey(BaseModel):
    """All of an API key but the key."""

    id: Annotated[str, _id("key")]
    object: Literal["api_key"]
    merchant_id: MerchantId
    mode: Mode
    kind: Kind
    scopes: list[str]
    api_version: str
    hint: str
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None


class NewApiKey(ApiKey):
    """A key just issued; `secret` is shown once."""

    secret: str


class AuditEntry(BaseModel):
    """An administrative act."""

    id: Annotated[str, _id("act")]
    object: Literal["audit_entry"]
    at: Time
    actor: str
    act: str
    target: str
    merchant_id: MerchantId
    mode: Mode | None
    request_id: str | None


class Circuit(BaseModel):
    """Whether an endpoint is left alone just now."""

    state: str
    failures: int
    opened_at: Time | None
    next_probe_at: Time | None


class WebhookEndpoint(BaseModel):
    """Where a merchant hears of its payments."""

    id: Annotated[str, _id("we")]
    object: Literal["webhook_endpoint"]
    url: str
    events: list[str]
    api_version: Annotated[str, Field(description="what its messages are sent in")]
    enabled: bool
    circuit: Circuit
    previous_secret_valid_until: Time | None
    created_at: Time
    updated_at: Time


class NewWebhookEndpoint(WebhookEndpoint):
    """An endpoint with a new signing secret, shown once."""

    secret: str


class WebhookDelivery(BaseModel):
    """A message to an endpoint and what became of it."""

    id: Annotated[str, _id("msg")]
    object: Literal["webhook_delivery"]
    webhook_id: Annotated[str, _id("msg")]
    endpoint_id: Annotated[str, _id("we")]
    event_id: Annotated[str, _id("evt")] | None
    payment_id: PaymentId
    event: str
    test: bool
    status: str
    attempts: int
    last_http_status: int | None
    last_error: str | None
    next_attempt_at: Time | None
    created_at: Time


class WebhookAttempt(BaseModel):
    """One sending of a message, and the beginning of the answer."""

    number: int
    started_at: Time
    status: str
    http_status: int | None
    error: str | None
    duration_ms: int | None
    response_body: str | None


class WebhookDeliveryWithLog(WebhookDelivery):
    """A delivery with its message and attempts."""

    message: dict[str, Any] | None
    attempt_log: list[WebhookAttempt]


class WebhookRedelivery(BaseModel):
    """How many deliveries of a range are sent again."""

    object: Literal["webhook_redelivery"]
    deliveries: int
    has_more: bool


class Event(BaseModel):
    """What happened to a payment, with the payment as it was then."""

    id: Annotated[str, _id("evt")]
    object: Literal["event"]
    type: str
    created_at: Time
    payment: Annotated[PaymentId | Payment | None, Field(description="its id; the object itself where expanded")]
    api_version: Annotated[str, Field(description="what `data` is in")]
    data: dict[str, Any]


class BalanceOfCurrency(BaseModel):
    """What is owed to a merchant in one currency."""

    currency: Currency
    available_minor: SignedMinor
    pending_minor: SignedMinor
    reserved_minor: SignedMinor
    held_back_minor: SignedMinor
    disputed_minor: SignedMinor
    total_minor: SignedMinor


class Balance(BaseModel):
    """What is owed to a merchant."""

    object: Literal["balance"]
    mode: Mode
    data: list[BalanceOfCurrency]


class PaidPayment(BaseModel):
    """A payment that a payout pays, and how it stands."""

    payment_id: PaymentId
    amount_minor: Minor
    status: str
    failure_code: str | None


class Payout(BaseModel):
    """Payments paid out to a merchant together; `payments` only where one is asked for."""

    id: Annotated[str, _id("po")]
    object: Literal["payout"]
    merchant_id: MerchantId
    mode: Mode
    status: PayoutState
    failure_code: str | None
    amount_minor: Minor
    currency: Currency
    asked_by: str
    payments_count: int
    payments_paid: int
    payments_failed: int
    created_at: Time
    updated_at: Time
    deadline_at: Time | None
    payments: list[PaidPayment] | None = None


class PayoutSettings(BaseModel):
    """When a merchant is paid."""

    object: Literal["payout_settings"]
    merchant_id: MerchantId
    mode: Mode
    schedule: Literal["immediate", "daily", "manual"]
    cut_off_hour: int
    reserve_bps: int
    reserve_days: int
    next_payout_at: Time | None


class PriceOf(FeeRate):
    """What payments by a method and in a currency cost; null: by any, in any."""

    method: Literal["wallet", "card"] | None
    currency: Currency | None


class Pricing(BaseModel):
    """What a merchant pays: of the prices that fit a payment, the one that names most of its method and currency."""

    object: Literal["pricing"]
    merchant_id: MerchantId
    mode: Mode
    prices: list[PriceOf]


class FeeTotal(BaseModel):
    """What the fees of a type come to in a currency."""

    currency: Currency
    type: Literal["processing", "dispute"]
    fees: int
    amount_minor: Minor


class FeeTotals(BaseModel):
    """What a merchant was charged in a period."""

    object: Literal["fee_totals"]
    mode: Mode
    created_from: Time | None
    created_to: Time | None
    data: list[FeeTotal]


class Dispute(BaseModel):
    """A payment that its payer disputes at their bank; `evidence` only where one is asked for."""

    id: Annotated[str, _id("dp")]
    object: Literal["dispute"]
    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    status: DisputeState
    cause: str | None
    amount_minor: Minor
    fee_minor: Minor
    currency: Currency
    reason: str
    connector: str
    has_evidence: bool
    sending: str | None
    respond_by: Time
    opened_at: Time
    submitted_at: Time | None
    closed_at: Time | None
    created_at: Time
    updated_at: Time
    evidence: dict[str, str] | None = None
    payment: Annotated[Payment | None, EXPANDED] = None


class ConnectorWebhook(BaseModel):
    """A message of an acquirer and what came of it; the operator's."""

    id: Annotated[str, _id("cwh")]
    object: Literal["connector_webhook"]
    connector: str
    message_id: str
    reference: str | None
    says: str
    outcome: str
    times: int
    body: str
    received_at: Time
    last_received_at: Time


class SettlementFile(BaseModel):
    """An acquirer's settlement file, as it was taken in; the operator's."""

    id: Annotated[str, _id("stf")]
    object: Literal["settlement_file"]
    connector: str
    name: str
    lines: int
    cleared: int
    differing: int
    totals: Any
    received_at: Time


class SettlementDifference(BaseModel):
    """Where an acquirer's file and our books differ; the operator's."""

    id: Annotated[str, _id("std")]
    object: Literal["settlement_difference"]
    connector: str
    reason: str
    status: Literal["open", "resolved"]
    reference: str | None
    attempt_id: Annotated[str, _id("att")] | None
    amount_minor: SignedMinor
    currency: Currency
    expected: Any
    found: Any
    file: str | None
    line: int | None
    opened_at: Time
    resolved_at: Time | None
    resolution: str | None


ANSWERS: dict[str, type[BaseModel]] = {
    "POST /v1/payments": Payment,
    "GET /v1/payments": Payment,
    "GET /v1/payments/{payment_id}": Payment,
    "POST /v1/payments/{payment_id}/capture": Payment,
    "POST /v1/payments/{payment_id}/increments": Payment,
    "POST /v1/payments/{payment_id}/void": Payment,
    "POST /v1/payments/{payment_id}/review": Payment,
    "POST /v1/payments/{payment_id}/refunds": Refund,
    "GET /v1/payments/{payment_id}/refunds": Refund,
    "GET /v1/refunds/{refund_id}": Refund,
    "GET /v1/attempts": UnknownAttempt,
    "POST /v1/wallets": Wallet,
    "GET /v1/wallets/{wallet_id}": Wallet,
    "POST /v1/wallets/{wallet_id}/top_ups": TopUp,
    "POST /v1/transfers": Transfer,
    "GET /v1/transfers/{transfer_id}": Transfer,
    "POST /v1/fx_quotes": FxQuote,
    "GET /v1/fx_quotes/{quote_id}": FxQuote,
    "POST /v1/fx_quotes/{quote_id}/convert": FxQuote,
    "GET /v1/balance_transactions": BalanceTransaction,
    "POST /v1/customers": Customer,
    "GET /v1/customers": Customer,
    "GET /v1/customers/{customer_id}": Customer,
    "POST /v1/customers/{customer_id}": Customer,
    "DELETE /v1/customers/{customer_id}": Customer,
    "POST /v1/customers/{customer_id}/payment_methods": PaymentMethod,
    "GET /v1/customers/{customer_id}/payment_methods": PaymentMethod,
    "GET /v1/payment_methods/{method_id}": PaymentMethod,
    "POST /v1/payment_methods/{method_id}/detach": PaymentMethod,
    "POST /v1/mandates": Mandate,
    "GET /v1/mandates": Mandate,
    "GET /v1/mandates/{mandate_id}": Mandate,
    "POST /v1/mandates/{mandate_id}/revoke": Mandate,
    "POST /v1/payment_links": PaymentLink,
    "GET /v1/payment_links": PaymentLink,
    "GET /v1/payment_links/{link_id}": PaymentLink,
    "POST /v1/payment_links/{link_id}/deactivate": PaymentLink,
    "POST /v1/merchants": NewMerchant,
    "GET /v1/merchants/{merchant_id}": Merchant,
    "POST /v1/merchants/{merchant_id}/keys": NewApiKey,
    "GET /v1/api_keys": ApiKey,
    "POST /v1/api_keys/{key_id}/roll": NewApiKey,
    "GET /v1/audit_log": AuditEntry,
    "POST /v1/webhook_endpoints": NewWebhookEndpoint,
    "GET /v1/webhook_endpoints": WebhookEndpoint,
    "GET /v1/webhook_endpoints/{endpoint_id}": WebhookEndpoint,
    "PATCH /v1/webhook_endpoints/{endpoint_id}": WebhookEndpoint,
    "POST /v1/webhook_endpoints/{endpoint_id}/rotate_secret": NewWebhookEndpoint,
    "GET /v1/webhook_endpoints/{endpoint_id}/deliveries": WebhookDelivery,
    "GET /v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}": WebhookDeliveryWithLog,
    "POST /v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": WebhookDelivery,
    "POST /v1/webhook_endpoints/{endpoint_id}/redeliver": WebhookRedelivery,
    "POST /v1/webhook_endpoints/{endpoint_id}/test": WebhookDelivery,
    "GET /v1/balance": Balance,
    "POST /v1/payouts": Payout,
    "GET /v1/payouts": Payout,
    "GET /v1/payouts/{payout_id}": Payout,
    "GET /v1/payout_settings": PayoutSettings,
    "PATCH /v1/payout_settings": PayoutSettings,
    "GET /v1/merchants/{merchant_id}/payout_settings": PayoutSettings,
    "PATCH /v1/merchants/{merchant_id}/payout_settings": PayoutSettings,
    "GET /v1/fees": Fee,
    "GET /v1/fees/totals": FeeTotals,
    "GET /v1/pricing": Pricing,
    "GET /v1/merchants/{merchant_id}/pricing": Pricing,
    "PUT /v1/merchants/{merchant_id}/pricing": Pricing,
    "GET /v1/disputes": Dispute,
    "GET /v1/disputes/{dispute_id}": Dispute,
    "POST /v1/disputes/{dispute_id}/evidence": Dispute,
    "POST /v1/disputes/{dispute_id}/submit": Dispute,
    "POST /v1/disputes/{dispute_id}/accept": Dispute,
    "GET /v1/connectors/{name}/webhooks": ConnectorWebhook,
    "POST /v1/connectors/{name}/settlement_files": SettlementFile,
    "GET /v1/connectors/{name}/settlement_differences": SettlementDifference,
    "POST /v1/connectors/{name}/settlement_differences/{difference_id}/resolve": SettlementDifference,
    "GET /v1/events": Event,
    "GET /v1/events/{event_id}": Event,
}
"""Operation → the object in its answer, or of which its answer is a list."""

LISTS = {
    "GET /v1/payments",
    "GET /v1/payments/{payment_id}/refunds",
    "GET /v1/attempts",
    "GET /v1/balance_transactions",
    "GET /v1/customers",
    "GET /v1/customers/{customer_id}/payment_methods",
    "GET /v1/mandates",
    "GET /v1/payment_links",
    "GET /v1/api_keys",
    "GET /v1/audit_log",
    "GET /v1/webhook_endpoints",
    "GET /v1/webhook_endpoints/{endpoint_id}/deliveries",
    "POST /v1/webhook_endpoints/{endpoint_id}/test",
    "GET /v1/payouts",
    "GET /v1/fees",
    "GET /v1/disputes",
    "GET /v1/connectors/{name}/webhooks",
    "GET /v1/connectors/{name}/settlement_differences",
    "GET /v1/events",
}
"""Those that answer with a list."""


def answer_schema(operation: str) -> dict[str, Any] | None:
    """Return the schema of an operation's answer, which names `components()`; None where it answers with nothing."""
    model = ANSWERS.get(operation)
    if model is None:
        return None
    one = {"$ref": f"#/components/schemas/{model.__name__}"}
    if operation not in LISTS:
        return one
    return {
        "type": "object",
        "required": ["object", "data", "has_more", "next_cursor"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": one},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"], "description": "asks for the page after this one"},
        },
    }


def components() -> dict[str, Any]:
    """Return the schemas of all objects, by name."""
    named: dict[str, Any] = {}
    for model in ANSWERS.values():
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        named |= schema.pop("$defs", {})
        if "$ref" not in schema:  # one that leads back to itself is among those that it names
            named[model.__name__] = schema
    return dict(sorted(named.items()))
