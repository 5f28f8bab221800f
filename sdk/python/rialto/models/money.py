"""Wallets, and what is owed to a merchant."""

from datetime import datetime

from pydantic import Field

from rialto.models.base import ApiObject


class Wallet(ApiObject):
    """An account on the ledger that payments are charged to."""

    id: str
    object: str = "wallet"
    merchant_id: str | None = None
    mode: str | None = None
    currency: str
    ledger_balance_minor: int
    available_balance_minor: int
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None


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


class CurrencyBalance(ApiObject):
    """What is owed to you in a currency; less than 0 where you owe it."""

    currency: str
    available_minor: int
    pending_minor: int
    reserved_minor: int
    total_minor: int


class Balance(ApiObject):
    """What is owed to you."""

    object: str = "balance"
    mode: str | None = None
    data: list[CurrencyBalance]


class BalanceTransaction(ApiObject):
    """A line of what is owed to you: `amount_minor` (less than 0 where it was paid or given back), and the balance."""

    object: str = "balance_transaction"
    type: str
    balance: str | None = None
    amount_minor: int
    balance_minor: int
    currency: str
    payment_id: str | None = None
    entry_id: str | None = None
    line: int | None = None
    created_at: datetime | None = None
    effective_at: datetime | None = None


class Price(ApiObject):
    """What payments by a method and in a currency cost; None: by any, in any."""

    method: str | None = None
    currency: str | None = None
    bps: int
    fixed_minor: int


class Pricing(ApiObject):
    """What you pay: of the prices that fit a payment, the one that names most of its method and currency."""

    object: str = "pricing"
    merchant_id: str | None = None
    mode: str | None = None
    prices: list[Price]


class FeeTotal(ApiObject):
    """What the fees of a type come to in a currency."""

    currency: str
    type: str
    fees: int
    amount_minor: int


class FeeTotals(ApiObject):
    """What you were charged in a period."""

    object: str = "fee_totals"
    mode: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    data: list[FeeTotal]


class PayoutPayment(ApiObject):
    """A payment within a payout."""

    payment_id: str
    amount_minor: int
    status: str
    failure_code: str | None = None


class Payout(ApiObject):
    """Payments paid out together: `pending`, `in_transit`, then `paid` or `failed`."""

    id: str
    object: str = "payout"
    merchant_id: str | None = None
    mode: str | None = None
    status: str
    failure_code: str | None = None
    amount_minor: int
    currency: str
    asked_by: str | None = None
    payments_count: int | None = None
    payments_paid: int | None = None
    payments_failed: int | None = None
    payments: list[PayoutPayment] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deadline_at: datetime | None = None


class PayoutSettings(ApiObject):
    """When you are paid."""

    object: str = "payout_settings"
    merchant_id: str | None = None
    mode: str | None = None
    schedule: str
    cut_off_hour: int | None = None
    reserve_bps: int | None = None
    reserve_days: int | None = None
    next_payout_at: datetime | None = None
