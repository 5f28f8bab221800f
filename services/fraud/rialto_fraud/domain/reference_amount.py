"""Amounts of any currency on one scale, so that one model serves them all.

The rates are orders of magnitude, not prices: a score must not call 5,000 yen a fortune, and an error of a third does
not change an outcome. They are part of the model's version, never used for money, and change only with a new model.
"""

from __future__ import annotations

from typing import Final

from rialto_common.money import currency_exponent

MICROS_PER_CENT: Final = 10_000
LARGEST_CENTS: Final = 10**11

MICROS_PER_UNIT: Final = {
    "USD": 1_000_000, "USDC": 1_000_000, "RUSD": 1_000_000, "EUR": 1_100_000, "GBP": 1_300_000, "CHF": 1_100_000,
    "AUD": 660_000, "NZD": 610_000, "CAD": 730_000, "SGD": 750_000, "HKD": 130_000, "CNY": 140_000, "TWD": 31_000,
    "JPY": 6_700, "KRW": 730, "INR": 12_000, "IDR": 62, "VND": 40, "THB": 28_000, "PHP": 17_500, "MYR": 220_000,
    "PKR": 3_600, "BDT": 8_500, "LKR": 3_300, "NPR": 7_500, "MMK": 480, "KHR": 245, "LAK": 46, "MNT": 290,
    "SEK": 95_000, "NOK": 93_000, "DKK": 145_000, "ISK": 7_200, "PLN": 250_000, "CZK": 43_000, "HUF": 2_700,
    "RON": 220_000, "TRY": 30_000, "RUB": 11_000, "UAH": 25_000, "KZT": 2_100, "UZS": 79, "AMD": 2_600, "RSD": 9_300,
    "ILS": 270_000, "AED": 270_000, "SAR": 270_000, "QAR": 270_000, "KWD": 3_250_000, "BHD": 2_650_000,
    "OMR": 2_600_000, "JOD": 1_400_000, "EGP": 21_000, "IQD": 760, "IRR": 24, "LBP": 11, "YER": 4_000,
    "ZAR": 54_000, "NGN": 650, "KES": 7_700, "TZS": 380, "UGX": 270, "RWF": 750, "GNF": 116, "XOF": 1_650,
    "XAF": 1_650, "MGA": 220, "BRL": 180_000, "MXN": 53_000, "ARS": 1_000, "CLP": 1_060, "COP": 240, "PEN": 270_000,
    "UYU": 25_000, "PYG": 130, "CRC": 1_950, "BTC": 60_000_000_000, "ETH": 3_000_000_000,
}  # fmt: skip
"""Millionths of a US dollar per major unit. A currency that is not listed counts one to one."""


def reference_cents(amount_minor: int, currency: str) -> int:
    """Return an amount in cents of a US dollar, at least 1 and at most 10¹¹.

    Raises: UnknownCurrency: neither ISO 4217 nor a registered token.
    """
    rate = MICROS_PER_UNIT.get(currency, 1_000_000)
    minor_per_unit: int = 10 ** currency_exponent(currency)
    cents = amount_minor * rate // (MICROS_PER_CENT * minor_per_unit)
    return min(max(cents, 1), LARGEST_CENTS)
