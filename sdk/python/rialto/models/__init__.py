"""The API's objects. Fields that this version does not know are kept (`model_extra`), so that new ones break nothing.

Amounts are integers: whole minor units of `currency`. Times are UTC. Names of states and types are plain strings,
as there may be more of them tomorrow.
"""

from rialto.models.base import ApiObject, Response
from rialto.models.customers import Customer, Mandate, MandatePeriodLimits, MandateUse, PaymentLink, SavedPaymentMethod
from rialto.models.events import (
    Circuit,
    DeliveryAttempt,
    Event,
    EventData,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookRedelivery,
)
from rialto.models.money import (
    Balance,
    BalanceTransaction,
    CurrencyBalance,
    FxQuote,
    Payout,
    PayoutPayment,
    PayoutSettings,
    TopUp,
    Transfer,
    Wallet,
)
from rialto.models.payments import (
    Attempt,
    Capture,
    Dispute,
    NextAction,
    Payment,
    PaymentMethod,
    Refund,
    Settlement,
    TimelineEntry,
)

__all__ = [
    "ApiObject",
    "Attempt",
    "Balance",
    "BalanceTransaction",
    "Capture",
    "Circuit",
    "CurrencyBalance",
    "Customer",
    "DeliveryAttempt",
    "Dispute",
    "Event",
    "EventData",
    "FxQuote",
    "Mandate",
    "MandatePeriodLimits",
    "MandateUse",
    "NextAction",
    "Payment",
    "PaymentLink",
    "PaymentMethod",
    "Payout",
    "PayoutPayment",
    "PayoutSettings",
    "Refund",
    "Response",
    "SavedPaymentMethod",
    "Settlement",
    "TimelineEntry",
    "TopUp",
    "Transfer",
    "Wallet",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookRedelivery",
]
