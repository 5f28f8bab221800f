"""Rates and quotes: what one currency costs in another, and what a customer is promised for a while.

Rates are exact: what is published is a decimal, a rate across two of them a rational. Rounding happens once, when an
amount is bought: half to even, to the minor unit of what is bought. Whatever that gives or takes, at most half a minor
unit, is gained or lost by our position; what the customer sells is never rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.money import MAX_MINOR, TOKENS, currency_exponent
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import Account, AccountSpec, AccountType, Mode
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.fx_errors import (
    AccountNotConvertible,
    ConversionTooLarge,
    ConversionTooSmall,
    QuoteExpired,
    QuoteUsed,
    RateNotFound,
    RateStale,
    SameCurrency,
    SampleRateInLiveMode,
)
from rialto_ledger.domain.journal import Posting, credit, debit

EURO = "EUR"
"""What published rates are for one of: the ECB publishes EUR/x."""

SAMPLE = "sample"
"""The source of rates that are made up."""

CONVERSION = "fx_conversion"
"""The kind of entry that a used quote posts."""

QUOTE_ID = "fx_quote_id"
"""Where such an entry names its quote, among its metadata."""

BASIS_POINTS = 10_000
_SHOWN = Context(prec=15)


@dataclass(frozen=True, slots=True)
class EuroRate:
    """What one euro costs in a currency, as somebody published it. `observed_at` is when the market was looked at."""

    currency: str
    per_euro: Decimal
    source: str
    observed_at: datetime

    def __post_init__(self) -> None:
        if not self.per_euro.is_finite() or self.per_euro <= 0:
            raise InvariantViolated(f"EUR/{self.currency} of {self.per_euro} is no rate")

    def __str__(self) -> str:
        return f"{EURO}/{self.currency} {self.per_euro:f} of {self.observed_at.isoformat()}"


@dataclass(frozen=True, slots=True)
class Rate:
    """How much `quote` one `base` costs, in major units, exactly; `legs` are the published rates that it comes from.

    `observed_at` is the older leg's.
    """

    base: str
    quote: str
    value: Fraction
    source: str
    observed_at: datetime
    legs: tuple[EuroRate, ...]

    def __str__(self) -> str:
        """Return the value for people to read, to 15 digits; the legs are exact."""
        value = _SHOWN.divide(Decimal(self.value.numerator), Decimal(self.value.denominator))
        return f"{value.normalize(_SHOWN):f}"

    def is_fresh(self, now: datetime, limit: timedelta) -> bool:
        """Whether it is of the last `limit`, and not of the future."""
        return timedelta(0) <= now - self.observed_at <= limit

    def in_minor_units(self) -> Fraction:
        """Return how many minor units of `quote` one minor unit of `base` costs."""
        return self.value * Fraction(10) ** (currency_exponent(self.quote) - currency_exponent(self.base))


def rate_between(base: str, quote: str, published: Mapping[str, EuroRate]) -> Rate:
    """Return the rate of two currencies, through the euro; `published` is by currency.

    Raises: SameCurrency, RateNotFound.
    """
    if base == quote:
        raise SameCurrency(base)
    legs = []
    value = Fraction(1)
    for currency, sign in ((base, -1), (quote, 1)):
        if currency == EURO:
            continue
        leg = published.get(currency)
        if leg is None:
            raise RateNotFound(currency)
        legs.append(leg)
        value *= Fraction(leg.per_euro) ** sign
    return Rate(
        base=base,
        quote=quote,
        value=value,
        source="+".join(sorted({leg.source for leg in legs})),
        observed_at=min(leg.observed_at for leg in legs),
        legs=tuple(legs),
    )


def convert(amount_minor: int, rate: Rate, spread_bps: int = 0) -> int:
    """Return what an amount of the rate's base buys at the rate less the spread, half rounded to even."""
    return round(amount_minor * rate.in_minor_units() * Fraction(BASIS_POINTS - spread_bps, BASIS_POINTS))


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms we deal: our spread, how long a quote is held, and how old a rate may be."""

    source: str
    spread_bps: int
    hold: timedelta
    stale_after: timedelta


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to know the price of."""

    merchant_id: UUID | None
    mode: Mode
    sell_currency: str
    sell_amount_minor: int
    buy_currency: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that is held until `expires_at` and used once; `rate` is the market's, the amounts contain the spread.

    `used_by` is the entry that used it.
    """

    id: UUID
    merchant_id: UUID | None
    mode: Mode
    sell_currency: str
    sell_amount_minor: int
    buy_currency: str
    buy_amount_minor: int
    rate: Rate
    spread_bps: int
    quoted_at: datetime
    expires_at: datetime
    used_by: UUID | None = None

    def check_usable(self, entry_id: UUID, now: datetime) -> None:
        """Pass if this entry may use it, or has: asking again is answered as the first time, also after the deadline.

        Raises: QuoteUsed, QuoteExpired.
        """
        if self.used_by == entry_id:
            return
        if self.used_by is not None:
            raise QuoteUsed(self.id)
        if now >= self.expires_at:
            raise QuoteExpired(self.id, self.expires_at)


def make_quote(quote_id: UUID, ask: Ask, rate: Rate, terms: Terms, now: datetime) -> Quote:
    """Return the price of what is asked.

    Raises: RateStale, SampleRateInLiveMode, ConversionTooSmall, ConversionTooLarge.
    """
    if ask.mode == "live" and any(leg.source == SAMPLE for leg in rate.legs):
        raise SampleRateInLiveMode
    if not rate.is_fresh(now, terms.stale_after):
        raise RateStale(rate.observed_at, terms.stale_after)
    bought = convert(ask.sell_amount_minor, rate, terms.spread_bps)
    if bought == 0:
        raise ConversionTooSmall(ask.buy_currency)
    if bought > MAX_MINOR:
        raise ConversionTooLarge(ask.buy_currency)
    return Quote(
        id=quote_id,
        merchant_id=ask.merchant_id,
        mode=ask.mode,
        sell_currency=ask.sell_currency,
        sell_amount_minor=ask.sell_amount_minor,
        buy_currency=ask.buy_currency,
        buy_amount_minor=bought,
        rate=rate,
        spread_bps=terms.spread_bps,
        quoted_at=now,
        expires_at=now + terms.hold,
    )


def pair_of(one: str, other: str) -> tuple[str, str]:
    """Return two currencies in the order by which their position is called, whichever is sold.

    The euro first, as it is published; tokens after currencies, as settlements on chain call them; else by name.
    """
    first, second = sorted((one, other), key=lambda currency: (currency in TOKENS, currency != EURO, currency))
    return first, second


@dataclass(frozen=True, slots=True)
class ConversionAccounts:
    """The four accounts of a conversion, two in each currency."""

    source: UUID
    sold_position: AccountSpec
    bought_position: AccountSpec
    target: UUID


def fx_conversion(accounts: ConversionAccounts, sell_amount_minor: int, buy_amount_minor: int) -> tuple[Posting, ...]:
    """A customer sells one currency to our position and buys another from it: one entry, balanced in each."""
    sold, bought = accounts.sold_position, accounts.bought_position
    return (
        debit(accounts.source, sell_amount_minor, sold.currency),
        credit(sold.id, sell_amount_minor, sold.currency),
        debit(bought.id, buy_amount_minor, bought.currency),
        credit(accounts.target, buy_amount_minor, bought.currency),
    )


def check_convertible(source: Account, target: Account) -> None:
    """Pass if customers' or merchants' money is sold, from an account that cannot be overdrawn, and bought.

    A merchant's payable has no minimum, so selling from it could sell what is not there.

    Raises: AccountNotConvertible.
    """
    if source.spec.type is not AccountType.LIABILITY or source.spec.minimum_available_minor is None:
        raise AccountNotConvertible(source.id, "from_account")
    if target.spec.type is not AccountType.LIABILITY:
        raise AccountNotConvertible(target.id, "to_account")


def conversion(quote: Quote, entry_id: UUID, source: AccountSpec, target_id: UUID, now: datetime) -> PostEntry:
    """Return the command that uses a quote: the entry carries the rate, its source, its time and the quote."""
    pair = pair_of(quote.sell_currency, quote.buy_currency)
    accounts = ConversionAccounts(
        source=source.id,
        sold_position=chart.fx_position(*pair, quote.sell_currency, quote.mode),
        bought_position=chart.fx_position(*pair, quote.buy_currency, quote.mode),
        target=target_id,
    )
    return PostEntry(
        entry_id=entry_id,
        kind=CONVERSION,
        about=source.id,
        mode=quote.mode,
        shard=source.shard,
        merchant_id=quote.merchant_id,
        postings=fx_conversion(accounts, quote.sell_amount_minor, quote.buy_amount_minor),
        opens=(accounts.sold_position, accounts.bought_position),
        effective_at=now,
        metadata={
            QUOTE_ID: ids.to_text("fxq", quote.id),
            "fx_rate": f"{quote.sell_currency}/{quote.buy_currency} {quote.rate}",
            "fx_rate_legs": "; ".join(str(leg) for leg in quote.rate.legs),
            "fx_rate_source": quote.rate.source,
            "fx_rate_observed_at": quote.rate.observed_at.isoformat(),
            "fx_spread_bps": str(quote.spread_bps),
        },
    )
