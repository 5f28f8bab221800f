"""What the FX routes take and give. Amounts are strings of minor units, rates are decimals in major units."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from rialto_common.events.common import MerchantId, Mode
from rialto_common.events.envelope import MinorUnits, TextId
from rialto_ledger.domain.fx import EURO, EuroRate, Quote, Rate
from rialto_ledger.domain.fx_positions import Position
from rialto_ledger.entrypoints.bodies import AccountIdIn, Balance, Currency, EntryId, EntryIdIn

QuoteId = Annotated[UUID, TextId("fxq")]


class LegBody(BaseModel):
    """A published rate: what one euro costs."""

    base: str
    quote: str
    rate: str
    source: str
    observed_at: datetime

    @classmethod
    def of(cls, leg: EuroRate) -> "LegBody":
        """Return the body of a published rate."""
        return cls.model_construct(
            base=EURO, quote=leg.currency, rate=_plain(leg.per_euro), source=leg.source, observed_at=leg.observed_at
        )


class RateBody(BaseModel):
    """How much `quote` one `base` costs on the market: `rate` to 15 digits, exactly by its legs through the euro.

    A rate that is stale is told, but nothing is quoted at it.
    """

    base: str
    quote: str
    rate: str
    source: str
    observed_at: datetime
    stale: bool
    legs: list[LegBody]

    @classmethod
    def of(cls, rate: Rate, now: datetime, limit: timedelta) -> "RateBody":
        """Return the body of a rate as it is at `now`."""
        return cls.model_construct(
            base=rate.base,
            quote=rate.quote,
            rate=str(rate),
            source=rate.source,
            observed_at=rate.observed_at,
            stale=not rate.is_fresh(now, limit),
            legs=[LegBody.of(leg) for leg in rate.legs],
        )


class NewQuote(BaseModel):
    """An amount to sell, and what for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sell_currency: Currency
    sell_amount_minor: MinorUnits
    buy_currency: Currency


class QuoteBody(BaseModel):
    """A price, held until `expires_at`. `rate` is the market's; `buy_amount_minor` is what the customer gets, at the
    rate less the spread. `used_by` is the entry that used it.
    """

    id: QuoteId
    merchant_id: MerchantId | None
    mode: Mode
    sell_currency: str
    sell_amount_minor: MinorUnits
    buy_currency: str
    buy_amount_minor: MinorUnits
    rate: str
    rate_source: str
    rate_observed_at: datetime
    rate_legs: list[LegBody]
    spread_bps: int
    quoted_at: datetime
    expires_at: datetime
    used_by: EntryId | None

    @classmethod
    def of(cls, quote: Quote) -> "QuoteBody":
        """Return the body of a quote."""
        return cls.model_construct(
            id=quote.id,
            merchant_id=quote.merchant_id,
            mode=quote.mode,
            sell_currency=quote.sell_currency,
            sell_amount_minor=quote.sell_amount_minor,
            buy_currency=quote.buy_currency,
            buy_amount_minor=quote.buy_amount_minor,
            rate=str(quote.rate),
            rate_source=quote.rate.source,
            rate_observed_at=quote.rate.observed_at,
            rate_legs=[LegBody.of(leg) for leg in quote.rate.legs],
            spread_bps=quote.spread_bps,
            quoted_at=quote.quoted_at,
            expires_at=quote.expires_at,
            used_by=quote.used_by,
        )


class NewConversion(BaseModel):
    """The use of a quote by the entry `id`. The same id and accounts again are answered as the first time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EntryIdIn
    from_account: AccountIdIn
    to_account: AccountIdIn


class PositionBody(BaseModel):
    """A pair's position, at average cost. `base_minor` is ours in the base currency (owed, when negative); the other
    amounts are of the quote currency. Unrealised: at the newest rate, half rounded to even; null where there is none.
    """

    pair: str
    base: str
    quote: str
    base_minor: Balance
    quote_minor: Balance
    cost_minor: Balance
    realised_gain_minor: Balance
    unrealised_gain_minor: Balance | None
    closing_rate: RateBody | None

    @classmethod
    def of(cls, position: Position, closing: Rate | None, now: datetime, limit: timedelta) -> "PositionBody":
        """Return the body of a position, valued at a rate."""
        return cls.model_construct(
            pair=f"{position.base}/{position.quote}",
            base=position.base,
            quote=position.quote,
            base_minor=position.base_minor,
            quote_minor=position.quote_minor,
            cost_minor=position.cost_minor,
            realised_gain_minor=position.realised_minor,
            unrealised_gain_minor=None if closing is None else round(position.unrealised(closing)),
            closing_rate=None if closing is None else RateBody.of(closing, now, limit),
        )


class PositionsBody(BaseModel):
    """Every pair's position, in the order of their names."""

    data: list[PositionBody]


def _plain(value: Decimal) -> str:
    return f"{value:f}"
