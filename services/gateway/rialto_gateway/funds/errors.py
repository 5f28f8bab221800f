"""Why money does not move: the ledger's reasons, as a merchant hears of them.

Conflict
├── InsufficientFunds         more than is available
├── AccountFrozen             nothing may leave it
├── AccountClosed             for good
├── BalanceAboveMaximum       the target may not hold that much
├── AccountElsewhere          the account has moved to another ledger
├── FxQuoteExpired            its time is over
├── FxQuoteUsed               it was used for another conversion
├── StatementChanged          what was listed has changed since
└── FundsRefused              the ledger has another reason, and says which
InvalidRequest
├── PeriodInvalid             it ends before it begins
├── HistoryArchived           it begins before what is kept at hand
├── CurrencyMismatch          the accounts are in other currencies
├── FxSameCurrency            there is nothing to convert
├── FxAmountTooSmall          it would buy nothing
├── FxAmountTooLarge          more than is quoted
└── FxAccountNotConvertible   not an account to convert from or to
NotFound
├── TransferNotFound · FxQuoteNotFound · FxRateNotFound
ServiceUnavailable
└── FxRateStale               the rates are too old to quote at
Forbidden
└── FxSampleRate              only example rates, which are for test mode
"""

from rialto_common.errors import (
    Conflict,
    CursorInvalid,
    Forbidden,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    PaymentError,
    ServiceUnavailable,
)
from rialto_gateway.ledger_calls import LedgerProblem
from rialto_gateway.payments.errors import WalletNotFound


class FundsRefused(Conflict):
    """The ledger would not move the money; the detail says why."""

    code = "funds_refused"


class InsufficientFunds(Conflict):
    """More than is available on the account."""

    code = "insufficient_funds"


class AccountFrozen(Conflict):
    """Nothing may leave a frozen account."""

    code = "account_frozen"


class AccountClosed(Conflict):
    """The account is closed for good."""

    code = "account_closed"


class BalanceAboveMaximum(Conflict):
    """The account may not hold that much."""

    code = "balance_above_maximum"


class AccountElsewhere(Conflict):
    """The account is kept by another ledger of this installation."""

    code = "account_elsewhere"


class StatementChanged(Conflict):
    """What was listed has changed since the first page; list it anew."""

    code = "statement_changed"


class PeriodInvalid(InvalidRequest):
    """A period ends after it begins."""

    code = "period_invalid"


class HistoryArchived(InvalidRequest):
    """The period begins before what is kept at hand."""

    code = "history_archived"


class CurrencyMismatch(InvalidRequest):
    """The accounts and the amount are not all in one currency."""

    code = "currency_mismatch"


class TransferNotFound(NotFound):
    """No such transfer for this key."""

    code = "transfer_not_found"


class FxQuoteNotFound(NotFound):
    """No such quote for this key."""

    code = "fx_quote_not_found"


class FxQuoteExpired(Conflict):
    """The quote's time is over; ask for a new one."""

    code = "fx_quote_expired"


class FxQuoteUsed(Conflict):
    """The quote was used for another conversion."""

    code = "fx_quote_used"


class FxRateNotFound(NotFound):
    """There is no rate between these currencies."""

    code = "fx_rate_not_found"


class FxRateStale(ServiceUnavailable):
    """The rates are too old to quote at; new ones are on their way."""

    code = "fx_rate_stale"


class FxSampleRate(Forbidden):
    """There are example rates only, which live mode does not quote at."""

    code = "fx_sample_rate"


class FxSameCurrency(InvalidRequest):
    """There is nothing to convert between a currency and itself."""

    code = "fx_same_currency"


class FxAmountTooSmall(InvalidRequest):
    """The amount would buy less than the smallest unit."""

    code = "fx_amount_too_small"


class FxAmountTooLarge(InvalidRequest):
    """The amount would buy more than an amount can be."""

    code = "fx_amount_too_large"


class FxAccountNotConvertible(InvalidRequest):
    """Money is converted between wallets of the merchant, in the quote's currencies."""

    code = "fx_account_not_convertible"


_KINDS: tuple[type[PaymentError], ...] = (
    InsufficientFunds,
    AccountFrozen,
    AccountClosed,
    BalanceAboveMaximum,
    AccountElsewhere,
    StatementChanged,
    PeriodInvalid,
    HistoryArchived,
    CursorInvalid,
    CurrencyMismatch,
    TransferNotFound,
    FxQuoteNotFound,
    FxQuoteExpired,
    FxQuoteUsed,
    FxRateNotFound,
    FxRateStale,
    FxSampleRate,
    FxSameCurrency,
    FxAmountTooSmall,
    FxAmountTooLarge,
    FxAccountNotConvertible,
)
_BY_CODE = {kind.code: kind for kind in _KINDS}


def refusal(problem: LedgerProblem) -> PaymentError:
    """Return the ledger's refusal as ours."""
    kind = _BY_CODE.get(problem.code)
    if kind is not None:
        return kind(problem.detail)
    if problem.status == 404:
        return WalletNotFound(problem.detail)
    if problem.status == 422:
        return IdempotencyKeyReused(problem.detail)
    return FundsRefused(problem.detail)
