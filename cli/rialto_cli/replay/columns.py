"""Which columns of a transaction file mean what, and how one value of each is read.

Amounts go from text or number to minor units through `Decimal`, never through binary arithmetic. A file that stores
amounts as binary floats carries their noise (699.3000000000001 for 699.30), so a float within 1e-6 of a whole minor
unit is that unit; text is taken as written, and `12.345` in a currency of two decimals is malformed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rialto_cli.errors import OperatorError

Int64s = npt.NDArray[np.int64]

DEFAULTS = {
    "amount": "TX_AMOUNT",
    "customer": "CUSTOMER_ID",
    "terminal": "TERMINAL_ID",
    "datetime": "TX_DATETIME",
    "seconds": "TX_TIME_SECONDS",
    "fraud": "TX_FRAUD",
    "reference": "TRANSACTION_ID",
}
"""Field → the column that is looked for, in any case of letters, when `--map` does not name one."""

REQUIRED = ("amount", "customer", "terminal")
LABEL_UNKNOWN = -1

_FLOAT_NOISE = Decimal("1e-6")
_LARGEST_MINOR = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The columns of one file. Exactly one of `datetime` and `seconds` is used: `datetime` when both are there."""

    amount: str
    customer: str
    terminal: str
    datetime: str | None
    seconds: str | None
    fraud: str | None
    reference: str | None

    @property
    def time(self) -> str:
        """The column that gives the row's time."""
        return self.datetime or self.seconds or ""

    def names(self) -> list[str]:
        """Every column that has to be read, each once."""
        wanted = [self.amount, self.customer, self.terminal, self.time, self.fraud, self.reference]
        return list(dict.fromkeys(name for name in wanted if name))


def detect(columns: Sequence[str], mapped: Mapping[str, str]) -> ColumnMap:
    """Match a file's columns to fields: what `--map` names first, then the usual names.

    Raises: OperatorError: an unknown field, a mapped column that is not there, or a required one not found.
    """
    for field, column in mapped.items():
        if field not in DEFAULTS:
            raise OperatorError(
                "The column mapping cannot be used",
                f"'{field}' is not a field",
                f"map one of {', '.join(DEFAULTS)}, as in --map amount=TX_AMOUNT",
            )
        if column not in columns:
            raise OperatorError(
                "The column mapping cannot be used",
                f"the file has no column '{column}'",
                f"its columns are {', '.join(columns)}",
            )
    usual = {column.casefold(): column for column in columns}
    found = {field: mapped.get(field) or usual.get(name.casefold()) for field, name in DEFAULTS.items()}
    if "seconds" in mapped and "datetime" not in mapped:
        found["datetime"] = None
    missing = [field for field in REQUIRED if not found[field]]
    if not found["datetime"] and not found["seconds"]:
        missing.append("datetime (or seconds)")
    if missing:
        raise OperatorError(
            "The file cannot be replayed",
            f"no column for {', '.join(missing)}",
            f"name it with --map FIELD=COLUMN; the file's columns are {', '.join(columns)}",
        )
    return ColumnMap(
        amount=found["amount"] or "",
        customer=found["customer"] or "",
        terminal=found["terminal"] or "",
        datetime=found["datetime"],
        seconds=None if found["datetime"] else found["seconds"],
        fraud=found["fraud"],
        reference=found["reference"],
    )


def minor_units(value: object, exponent: int) -> int:
    """Return an amount in minor units: '57.16' with exponent 2 is 5716.

    Raises: ValueError: not a number, more decimals than the currency has, or too large; the message is the reason.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("the amount is not a number")
        major = Decimal(repr(value))
    else:
        try:
            major = Decimal(str(value).strip())
        except InvalidOperation:
            raise ValueError(f"the amount '{str(value)[:40]}' is not a number") from None
        if not major.is_finite():
            raise ValueError("the amount is not a number")
    if abs(major) >= _LARGEST_MINOR:
        raise ValueError(f"the amount {str(value)[:40]} is too large")
    minor = major.scaleb(exponent)
    whole = minor.to_integral_value()
    if whole != minor and (not isinstance(value, float) or abs(minor - whole) > _FLOAT_NOISE):
        raise ValueError(f"the amount {str(value)[:40]} has more than {exponent} decimals")
    if abs(whole) > _LARGEST_MINOR:
        raise ValueError(f"the amount {str(value)[:40]} is too large")
    return int(whole)


def amounts(column: pa.Array, exponent: int) -> tuple[Int64s, dict[int, str]]:
    """Return minor units for every value, and the reason for each position that has none (its value reads 0)."""
    return _one_by_one(column, lambda value: minor_units(value, exponent), "there is no amount")


def labels(column: pa.Array) -> npt.NDArray[np.int8]:
    """Return 1 for fraud, 0 for genuine and LABEL_UNKNOWN for anything that cannot be read as either."""
    meanings = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
    texts = column.cast(pa.string()).to_pylist()
    return np.array([meanings.get((text or "").strip().casefold(), LABEL_UNKNOWN) for text in texts], dtype=np.int8)


def times(column: pa.Array, *, seconds_since: datetime | None) -> tuple[Int64s, dict[int, str]]:
    """Return microseconds since 1970 UTC, and the reason for each position that has none (its value reads 0).

    Args: seconds_since: the epoch that whole or broken seconds count from; None when the column holds dates.
    A date without an offset is taken as UTC.
    """
    if seconds_since is not None:
        base = _microseconds(seconds_since)
        if pa.types.is_integer(column.type) and not column.null_count:
            return base + column.cast(pa.int64()).to_numpy(zero_copy_only=False) * 1_000_000, {}
        return _one_by_one(column, lambda value: base + _seconds(value), "there is no time")
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        instants = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        absent = {int(at): "there is no time" for at in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))}
        return instants.fill_null(0).to_numpy(zero_copy_only=False), absent
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(column, kind).cast(pa.int64()).to_numpy(zero_copy_only=False), {}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
            continue
    return _one_by_one(column, _instant, "there is no time")


def texts(column: pa.Array) -> pa.Array:
    """Return identifiers as trimmed text; null and blank both read as null."""
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(pc.utf8_length(trimmed), 0), pa.scalar(None, pa.string()), trimmed)


def _one_by_one(column: pa.Array, read: Callable[[Any], int], absent: str) -> tuple[Int64s, dict[int, str]]:
    values = np.zeros(len(column), dtype=np.int64)
    reasons: dict[int, str] = {}
    for position, value in enumerate(column.to_pylist()):
        if value is None or value == "":
            reasons[position] = absent
            continue
        try:
            values[position] = read(value)
        except (ValueError, OverflowError) as error:
            reasons[position] = str(error)
    return values, reasons


def _seconds(value: object) -> int:
    try:
        return int((Decimal(str(value).strip()) * 1_000_000).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f"the time '{str(value)[:40]}' is not a number of seconds") from None


def _instant(value: object) -> int:
    try:
        read = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"the time '{str(value)[:40]}' is not an ISO 8601 date and time") from None
    return _microseconds(read if read.tzinfo else read.replace(tzinfo=UTC))


def _microseconds(instant: datetime) -> int:
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
