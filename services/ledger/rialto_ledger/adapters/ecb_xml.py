"""The European Central Bank's format of reference rates (`eurofxref-daily.xml`).

    <gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
                     xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
      <Cube><Cube time="2026-02-27"><Cube currency="USD" rate="1.0800"/> …

Read with the standard library, and safe on hostile input: it is at most MAX_BYTES long, must be UTF-8, and may have no
DTD. Only a DTD can declare entities, so there is nothing to expand or to fetch. The DTD is looked for in the decoded
text that is then parsed as such (its own encoding declaration is not followed), so no encoding hides one.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from xml.etree import ElementTree

from rialto_common.errors import UnknownCurrency
from rialto_common.money import currency_exponent
from rialto_ledger.application.rates import RatesUnavailable
from rialto_ledger.domain.fx import EURO, EuroRate

MAX_BYTES = 64 * 1024
"""A day's rates are 2 kB."""

_CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")

OBSERVED = time(12, 10, tzinfo=UTC)
"""The banks agree on the rates at about 14:10 in Frankfurt: 12:10 UTC in summer, an hour later in winter. The earlier
one always, so that a rate is never taken to be fresher than it is."""


def parse(content: bytes, *, source: str, undated: datetime | None = None) -> list[EuroRate]:
    """Return the rates of currencies that we know; `undated` is the time of those that carry no date.

    Raises: RatesUnavailable: it is not this format, or there is no rate in it.
    """
    if len(content) > MAX_BYTES:
        raise RatesUnavailable(f"the rates are more than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise RatesUnavailable("the rates have a DTD, which this format has not")
        rates = list(_rates(ElementTree.fromstring(text), source, undated))  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError) as error:
        raise RatesUnavailable(f"the rates cannot be read: {error}"[:300]) from error
    if not rates:
        raise RatesUnavailable("there are no rates in the answer")
    if len({(rate.observed_at, rate.currency) for rate in rates}) < len(rates):
        raise RatesUnavailable("a currency has two rates on a day")
    return rates


def _rates(root: ElementTree.Element, source: str, undated: datetime | None) -> Iterator[EuroRate]:
    """Yield the rates. Raises: ValueError."""
    for day in root.findall(f"{_CUBE}/{_CUBE}"):
        observed_at = undated
        if (date := day.get("time")) is not None:
            observed_at = datetime.combine(datetime.strptime(date, "%Y-%m-%d").date(), OBSERVED)  # noqa: DTZ007 - a day
        if observed_at is None:
            raise ValueError("the rates have no date")
        for cube in day.findall(_CUBE):
            currency, text = cube.get("currency", ""), cube.get("rate", "")
            if not _RATE.fullmatch(text) or (per_euro := Decimal(text)) == 0:
                raise ValueError(f"'{text[:20]}' is no rate")
            if currency != EURO and _is_known(currency):
                yield EuroRate(currency, per_euro, source, observed_at)


def _is_known(currency: str) -> bool:
    """Whether we can hold the currency: the bank may publish one that our list has not got yet."""
    try:
        currency_exponent(currency)
    except UnknownCurrency:
        return False
    return True
