"""Builders for tests of FX: rates, quotes and accounts, with ids that depend on a number."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec, Mode
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.fx import Ask, EuroRate, Quote, Rate, Terms, conversion, make_quote, rate_between
from rialto_ledger.testing import NOW, number_id

OBSERVED = datetime(2026, 2, 27, 12, 10, tzinfo=UTC)
"""A Friday; `NOW` is the Sunday after."""

TERMS = Terms(source="ecb", spread_bps=50, hold=timedelta(minutes=1), stale_after=timedelta(hours=126))


def euro_rate(currency: str, per_euro: str, *, source: str = "ecb", observed_at: datetime = OBSERVED) -> EuroRate:
    """Return a published rate."""
    return EuroRate(currency, Decimal(per_euro), source, observed_at)


def ecb_page(date: str | None = "2026-02-27", **rates: str) -> bytes:
    """Return a page of the European Central Bank's format: of `OBSERVED`'s day, unless told otherwise."""
    cubes = "".join(f'<Cube currency="{currency}" rate="{rate}"/>' for currency, rate in rates.items())
    dated = "" if date is None else f' time="{date}"'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
        ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
        "<gesmes:subject>Reference rates</gesmes:subject>"
        f"<Cube><Cube{dated}>{cubes}</Cube></Cube></gesmes:Envelope>"
    ).encode()


PUBLISHED = {rate.currency: rate for rate in (euro_rate("USD", "1.0800"), euro_rate("GBP", "0.8640"))}


def rate(base: str = "EUR", quote: str = "USD") -> Rate:
    """Return the rate of two currencies as published."""
    return rate_between(base, quote, PUBLISHED)


def quote(
    number: int = 0,
    amount_minor: int = 10_000,
    *,
    sell: str = "EUR",
    buy: str = "USD",
    merchant_id: UUID | None = None,
    mode: Mode = "test",
) -> Quote:
    """Return the nth quote."""
    ask = Ask(merchant_id, mode, sell, amount_minor, buy)
    return make_quote(number_id("fx_quote", number), ask, rate(sell, buy), TERMS, NOW)


def wallet_in(currency: str, number: int = 0) -> AccountSpec:
    """Return the nth wallet in a currency."""
    return chart.wallet(number_id(f"wallet {currency}", number), currency, None, "test")


def convert(of: Quote, entry: int = 0) -> PostEntry:
    """Return the command by which the nth entry uses a quote, between the first wallets of its currencies."""
    source, target = wallet_in(of.sell_currency), wallet_in(of.buy_currency)
    return conversion(of, number_id("conversion", entry), source, target.id, NOW)


def target_days(first_year: int, years: int) -> Iterator[datetime]:
    """Yield the days on which the ECB publishes (TARGET's), each at the time of observation.

    Closed on weekends, 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December.
    """
    day = OBSERVED.replace(year=first_year, month=1, day=1)
    while day.year < first_year + years:
        easter = _easter(day.year)
        closed = {(1, 1), (5, 1), (12, 25), (12, 26)}
        closed.update((moved.month, moved.day) for moved in (easter - timedelta(days=2), easter + timedelta(days=1)))
        if day.weekday() < 5 and (day.month, day.day) not in closed:
            yield day
        day += timedelta(days=1)


def _easter(year: int) -> datetime:
    """Return Easter Sunday by the anonymous Gregorian algorithm."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return datetime(year, f // 31, f % 31 + 1, tzinfo=UTC)
