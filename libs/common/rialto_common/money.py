"""Money: integer minor units and a currency, never a float.

Currencies are ISO 4217 (through the `iso4217` library) plus the tokens registered here with their decimals.
Amounts are bounded by SQL's NUMERIC(38,0): 18-decimal tokens overflow a BIGINT at 9.2 units.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from iso4217 import Currency

from rialto_common.errors import InvalidAmount, UnknownCurrency

MAX_MINOR = 10**38 - 1

TOKENS = {"USDC": 6, "ETH": 18, "BTC": 8, "RUSD": 6}
"""Registered tokens and their decimals. RUSD is the test stablecoin, 1:1 to USD."""


@cache
def _iso_exponents() -> dict[str, int]:
    return {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def known_currencies() -> frozenset[str]:
    """Return the codes of all currencies and tokens."""
    return frozenset(_iso_exponents()) | frozenset(TOKENS)


def currency_exponent(currency: str) -> int:
    """Return the number of decimals of a currency's minor unit: 2 for USD, 0 for JPY, 6 for USDC."""
    exponent = TOKENS.get(currency)
    if exponent is None:
        exponent = _iso_exponents().get(currency)
    if exponent is None:
        raise UnknownCurrency(f"'{currency[:12]}' is not a currency we know; send an ISO 4217 code such as USD")
    return exponent


def parse_minor(value: object) -> int:
    """Read minor units from JSON: a string of digits or an integer, greater than zero, of at most 38 digits.

    Raises: InvalidAmount, for floats, signs, blanks, decimals, zero and anything longer.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        amount = value
    elif isinstance(value, str) and 0 < len(value) <= 38 and value.isascii() and value.isdigit():
        amount = int(value)
    else:
        raise InvalidAmount("an amount is a string of whole minor units, such as '1250' for 12.50 USD")
    if not 0 < amount <= MAX_MINOR:
        raise InvalidAmount("an amount must be greater than zero and have at most 38 digits")
    return amount


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of its currency; adding two currencies is refused."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise InvalidAmount(f"cannot combine {self.currency} with {other.currency}")

    def __str__(self) -> str:
        return f"{to_major(self.amount_minor, self.currency):f} {self.currency}"


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Return the amount in major units for people to read: 1250 USD is 12.50."""
    # From text, as arithmetic would round to the decimal context's 28 digits.
    return Decimal(f"{amount_minor}E-{currency_exponent(currency)}")
