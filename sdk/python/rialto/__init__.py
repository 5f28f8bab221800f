"""Rialto's payment API from Python.

    from rialto import Rialto

    rialto = Rialto("sk_test_…", base_url="https://pay.example")
    payment = rialto.payments.create(
        amount_minor=1250, currency="USD", payer={"name": "Ada Lovelace", "country": "GB"},
        payment_method={"type": "card", "token": "tok_approve"}, wait=10,
    )

`AsyncRialto` has the same methods, to be awaited. Amounts are whole minor units: 1250 is 12.50 USD.
"""

from rialto import webhooks
from rialto._call import Person
from rialto._client import AsyncRialto, Rialto
from rialto._exchange import API_VERSION
from rialto._listing import AsyncListing, Listing, Page
from rialto.calls.payments import CardMethod, SavedMethod, WalletMethod
from rialto.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    RequestInProgressError,
    RialtoError,
    ServerError,
    UnexpectedAnswer,
    WebhookVerificationError,
)
from rialto.models import (
    ApiObject,
    Balance,
    BalanceTransaction,
    Customer,
    Dispute,
    Event,
    Fee,
    FeeTotals,
    FxQuote,
    Mandate,
    Payment,
    PaymentLink,
    Payout,
    PayoutSettings,
    Pricing,
    Refund,
    Response,
    SavedPaymentMethod,
    TopUp,
    Transfer,
    Wallet,
    WebhookDelivery,
    WebhookEndpoint,
)

__all__ = [
    "API_VERSION",
    "ApiError",
    "ApiObject",
    "AsyncListing",
    "AsyncRialto",
    "AuthenticationError",
    "Balance",
    "BalanceTransaction",
    "CardMethod",
    "ConflictError",
    "ConnectionFailed",
    "Customer",
    "Dispute",
    "Event",
    "Fee",
    "FeeTotals",
    "ForbiddenError",
    "FxQuote",
    "IdempotencyKeyReusedError",
    "InvalidRequestError",
    "Listing",
    "Mandate",
    "NotFoundError",
    "Page",
    "Payment",
    "PaymentLink",
    "Payout",
    "PayoutSettings",
    "Person",
    "Pricing",
    "RateLimitedError",
    "Refund",
    "RequestInProgressError",
    "Response",
    "Rialto",
    "RialtoError",
    "SavedMethod",
    "SavedPaymentMethod",
    "ServerError",
    "TopUp",
    "Transfer",
    "UnexpectedAnswer",
    "Wallet",
    "WalletMethod",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookVerificationError",
    "webhooks",
]
