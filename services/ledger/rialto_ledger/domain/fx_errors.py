"""Every reason for which a conversion between currencies is refused, with its stable code.

LedgerError
└── FxError                    fx_refused
    ├── RateNotFound           fx_rate_not_found          no rate is on record for one of the two currencies
    ├── RateStale              fx_rate_stale              the newest rate is too old to deal at (try again later)
    ├── SampleRateInLiveMode   fx_sample_rate             invented rates never price live money
    ├── SameCurrency           fx_same_currency           there is nothing to convert
    ├── ConversionTooSmall     fx_amount_too_small        less than half a minor unit would be bought
    ├── ConversionTooLarge     fx_amount_too_large        more than 38 digits would be bought
    ├── QuoteNotFound          fx_quote_not_found         no such quote for this caller
    ├── QuoteExpired           fx_quote_expired           it was held until then, and not used
    ├── QuoteUsed              fx_quote_used              another entry used it
    └── AccountNotConvertible  fx_account_not_convertible the account may not be sold from, or bought into
"""

from datetime import datetime, timedelta
from uuid import UUID

from rialto_common.errors import Conflict, Forbidden, InvalidRequest, NotFound, ServiceUnavailable
from rialto_ledger.domain.errors import LedgerError


class FxError(LedgerError):
    """A conversion that is refused."""

    code = "fx_refused"


class RateNotFound(FxError, NotFound):
    """No rate is on record for a currency."""

    code = "fx_rate_not_found"

    def __init__(self, currency: str) -> None:
        super().__init__(f"no rate is on record for {currency[:12]}")
        self.currency = currency


class RateStale(FxError, ServiceUnavailable):
    """The newest rate is too old, or dated later than now: its provider is away or wrong. Nobody deals at it."""

    code = "fx_rate_stale"

    def __init__(self, observed_at: datetime, limit: timedelta) -> None:
        hours = limit / timedelta(hours=1)
        super().__init__(f"the newest rate is of {observed_at.isoformat()}; one of the last {hours:g} hours is needed")
        self.observed_at = observed_at
        self.limit = limit


class SampleRateInLiveMode(FxError, Forbidden):
    """This installation has only sample rates, and those are for test mode."""

    code = "fx_sample_rate"

    def __init__(self) -> None:
        super().__init__("this installation has sample rates only; they price test mode, never live money")


class SameCurrency(FxError, InvalidRequest):
    """Both sides are in one currency."""

    code = "fx_same_currency"

    def __init__(self, currency: str) -> None:
        super().__init__(f"both sides are in {currency[:12]}; there is nothing to convert")


class ConversionTooSmall(FxError, InvalidRequest):
    """What would be bought rounds to nothing."""

    code = "fx_amount_too_small"

    def __init__(self, buy_currency: str) -> None:
        super().__init__(f"this buys less than half a minor unit of {buy_currency[:12]}", param="sell_amount_minor")


class ConversionTooLarge(FxError, InvalidRequest):
    """What would be bought has more than 38 digits."""

    code = "fx_amount_too_large"

    def __init__(self, buy_currency: str) -> None:
        super().__init__(f"this buys more minor units of {buy_currency[:12]} than 38 digits", param="sell_amount_minor")


class QuoteNotFound(FxError, NotFound):
    """No such quote for this caller; another merchant's looks the same as none."""

    code = "fx_quote_not_found"

    def __init__(self, quote_id: UUID | str) -> None:
        super().__init__(f"no quote {quote_id} for this merchant and mode")
        self.quote_id = quote_id


class QuoteExpired(FxError, Conflict):
    """The quote is no longer held; ask for a new one."""

    code = "fx_quote_expired"

    def __init__(self, quote_id: UUID, expires_at: datetime) -> None:
        super().__init__(f"quote {quote_id} was held until {expires_at.isoformat()}; ask for a new one")
        self.quote_id = quote_id
        self.expires_at = expires_at


class QuoteUsed(FxError, Conflict):
    """The quote was used, by another entry than the one that asks."""

    code = "fx_quote_used"

    def __init__(self, quote_id: UUID) -> None:
        super().__init__(f"quote {quote_id} is used by another entry; a quote is used once")
        self.quote_id = quote_id


class AccountNotConvertible(FxError, InvalidRequest):
    """Customers' and merchants' money is converted; what is sold comes from an account that cannot be overdrawn."""

    code = "fx_account_not_convertible"

    def __init__(self, account_id: UUID, param: str) -> None:
        super().__init__(
            "sell from a wallet, which cannot be overdrawn, and buy into a wallet or a merchant's payable", param=param
        )
        self.account_id = account_id
