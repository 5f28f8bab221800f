"""The model's inputs: one row of numbers per payment, from the payment and the history before it.

Training and service both come through ``extract``, so that there is no second definition to drift from. The history
of a payment is what was observed before it; the payment itself is not in it. Windows are whole UTC hours and days that
end with the payment's own.

| # | name | unit | window |
|---|---|---|---|
| 0 | amount | reference units (US dollars), capped at 1,000,000 | this payment |
| 1 | is_night | 1 when the UTC hour is 0-5, else 0 | this payment |
| 2 | is_weekend | 1 on Saturday and Sunday (UTC), else 0 | this payment |
| 3 | customer_count_1h | payments of the wallet | its UTC hour and the one before |
| 4 | customer_count_1d | payments of the wallet | its UTC hour and the 23 before |
| 5 | customer_count_7d | payments of the wallet | its UTC day and the 6 before |
| 6 | customer_count_30d | payments of the wallet | its UTC day and the 29 before |
| 7 | customer_amount_ratio_30d | amount ÷ the wallet's mean amount (shrunk) | its UTC day and the 29 before |
| 8 | customer_amount_z_30d | standard deviations above that mean (both shrunk) | its UTC day and the 29 before |
| 9 | hours_since_last_payment | hours to the wallet's newest payment, 720 at most and when none | 30 days |
| 10 | is_new_terminal | 1 when the wallet has paid at terminals, and this one is not among its newest 16 | no limit |
| 11 | terminal_count_1d | payments at the terminal, 0 without a terminal | its UTC hour and the 23 before |
| 12 | terminal_count_7d | payments at the terminal, 0 without a terminal | its UTC day and the 6 before |
| 13 | terminal_amount_ratio_30d | amount ÷ the terminal's mean amount (shrunk), 1 without a terminal | 30 days |

"Shrunk" means that a few payments of the average wallet (mean 50, deviation 60) are added to the observed ones: a new
wallet is compared with the average one, and its own habits take over as they are seen.

There is no risk by terminal made from labels: chargebacks are not fed back to this service yet.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rialto_fraud.domain.history import DAYS_KEPT, HOURS_KEPT, SECONDS_PER_DAY, SECONDS_PER_HOUR, History

FloatArray = npt.NDArray[np.float32]

FEATURE_VERSION: Final = "features-1"
FEATURE_NAMES: Final = (
    "amount",
    "is_night",
    "is_weekend",
    "customer_count_1h",
    "customer_count_1d",
    "customer_count_7d",
    "customer_count_30d",
    "customer_amount_ratio_30d",
    "customer_amount_z_30d",
    "hours_since_last_payment",
    "is_new_terminal",
    "terminal_count_1d",
    "terminal_count_7d",
    "terminal_amount_ratio_30d",
)

AMOUNT_CAP: Final = 1_000_000.0
HOURS_SINCE_CAP: Final = float(DAYS_KEPT * 24)
NIGHT_ENDS_HOUR: Final = 6
PRIOR_PAYMENTS: Final = 3
PRIOR_MEAN_CENTS: Final = 5_000
PRIOR_SQUARE_CENTS: Final = PRIOR_MEAN_CENTS**2 + 6_000**2

_PRIOR_SUM = PRIOR_PAYMENTS * PRIOR_MEAN_CENTS
_PRIOR_SQUARES = PRIOR_PAYMENTS * PRIOR_SQUARE_CENTS

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """What the model needs of one payment: ``at`` in epoch seconds, ``amount_cents`` in the reference currency.

    ``wallet`` and ``terminal`` are the keys of their histories; a terminal may be absent.
    """

    wallet: str
    terminal: str | None
    at: int
    amount_cents: int


def terminal_hash(terminal: str) -> int:
    """Return 32 bits that stand for a terminal in a wallet's history; equal on every machine."""
    return zlib.crc32(terminal.encode())


def _sums(history: History, day: int) -> tuple[int, int, int, int]:
    """Return the counts of 7 and 30 days, and the sum and the sum of squares of 30 days, that end with ``day``."""
    week = day - 7
    oldest = day - DAYS_KEPT
    count_7d = count_30d = total = squares = 0
    for key, (count, amount, square) in history.days.items():
        if oldest < key <= day:
            count_30d += count
            total += amount
            squares += square
            if key > week:
                count_7d += count
    return count_7d, count_30d, total, squares


def _count_1d(history: History, hour: int) -> int:
    oldest = hour - HOURS_KEPT
    return sum([count for key, count in history.hours.items() if oldest < key <= hour])


def extract(payment: Observation, wallet: History, terminal: History | None) -> Row:
    """Return the features of one payment in the order of ``FEATURE_NAMES``; the histories are not changed."""
    at, cents = payment.at, payment.amount_cents
    hour, day = at // SECONDS_PER_HOUR, at // SECONDS_PER_DAY
    hours = wallet.hours
    count_7d, count_30d, total, squares = _sums(wallet, day)
    weight = count_30d + PRIOR_PAYMENTS
    mean = (total + _PRIOR_SUM) / weight
    variance = (squares + _PRIOR_SQUARES) / weight - mean * mean
    # At least a tenth of the mean: a wallet that always pays the same sum would call any other sum extreme.
    deviation = math.sqrt(variance) if variance > (mean * 0.1) ** 2 else mean * 0.1
    since = abs(at - wallet.newest_at) / SECONDS_PER_HOUR if wallet.newest_at else HOURS_SINCE_CAP
    is_new_terminal = 0.0
    terminal_count_1d = terminal_count_7d = 0
    terminal_ratio = 1.0
    if terminal is not None and payment.terminal is not None:
        if wallet.counterparties and terminal_hash(payment.terminal) not in wallet.counterparties:
            is_new_terminal = 1.0
        terminal_count_1d = _count_1d(terminal, hour)
        terminal_count_7d, terminal_count_30d, terminal_total, _ = _sums(terminal, day)
        terminal_ratio = cents * (terminal_count_30d + PRIOR_PAYMENTS) / (terminal_total + _PRIOR_SUM)
    amount = cents / 100
    return (
        amount if amount < AMOUNT_CAP else AMOUNT_CAP,
        1.0 if hour % 24 < NIGHT_ENDS_HOUR else 0.0,
        1.0 if (day + 3) % 7 >= 5 else 0.0,  # day 0 of the epoch was a Thursday
        hours.get(hour, 0) + hours.get(hour - 1, 0),
        _count_1d(wallet, hour),
        count_7d,
        count_30d,
        cents / mean,
        (cents - mean) / deviation,
        since if since < HOURS_SINCE_CAP else HOURS_SINCE_CAP,
        is_new_terminal,
        terminal_count_1d,
        terminal_count_7d,
        terminal_ratio,
    )


def extract_in_order(
    payments: Iterable[Observation],
    wallets: MutableMapping[str, History],
    terminals: MutableMapping[str, History],
) -> FloatArray:
    """Return the features of a sequence of payments, each seeing the ones before it.

    Args: the histories by wallet and by terminal; they are brought up to date in place, and made when absent.
    Returns: float32, shape (payments, len(FEATURE_NAMES)).
    """
    rows: list[Row] = []
    for payment in payments:
        wallet = wallets.get(payment.wallet)
        if wallet is None:
            wallet = wallets[payment.wallet] = History()
        terminal = None
        hashed = None
        if payment.terminal is not None:
            hashed = terminal_hash(payment.terminal)
            terminal = terminals.get(payment.terminal)
            if terminal is None:
                terminal = terminals[payment.terminal] = History()
        rows.append(extract(payment, wallet, terminal))
        wallet.observe(payment.at, payment.amount_cents, hashed)
        if terminal is not None:
            terminal.observe(payment.at, payment.amount_cents)
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(FEATURE_NAMES))
