"""A settlement file as bytes to lines: the whole file, or nothing and what is wrong with it. Pure.

CSV in UTF-8 with the header below. A line is a movement, with amounts in minor units, signed as money comes to us: a
capture is positive, a refund or chargeback negative, a fee positive where the acquirer keeps it. The file ends with a
line `total` for each currency, whose `id` is the file's own name and whose `reference` counts the currency's lines.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from rialto_common.errors import InvalidAmount, InvalidRequest, UnknownCurrency
from rialto_common.money import currency_exponent, parse_minor

HEADER = ("type", "id", "reference", "authorisation", "currency", "gross_minor", "fee_minor", "net_minor", "date")
MAX_LINES = 50_000
MAX_BYTES = 16 * 1024 * 1024
SHOWN = 5
"""How many errors are told at once."""

Kind = Literal["captured", "refunded", "chargeback"]
KINDS: dict[str, Kind] = {"captured": "captured", "refunded": "refunded", "chargeback": "chargeback"}
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SIGNED = re.compile(r"-?(0|[1-9][0-9]{0,37})")
_COUNT = re.compile(r"[0-9]{1,9}")


class SettlementFileInvalid(InvalidRequest):
    """The settlement file cannot be read as one, so nothing of it was taken; the detail names lines."""

    code = "settlement_file_invalid"

    def __init__(self, errors: Sequence["LineError"]) -> None:
        shown = "; ".join(f"line {each.number}: {each.says}" for each in errors[:SHOWN])
        more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        super().__init__(f"nothing of the file was taken, as {shown}{more}; ask the acquirer for it again")
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a line; the header is line 1."""

    number: int
    says: str


@dataclass(frozen=True, slots=True)
class Line:
    """A movement. Amounts in minor units of `currency`, signed as money comes to us; `number` is its line's."""

    number: int
    kind: Kind
    acquirer_id: str
    reference: str
    authorisation: str
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    settled_on: date


@dataclass(frozen=True, slots=True)
class Total:
    """What all lines of a currency come to, in minor units."""

    currency: str
    lines: int
    gross_minor: int
    fee_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class SettlementFile:
    """A file that adds up. `name` is the acquirer's own for it."""

    name: str
    lines: tuple[Line, ...]
    totals: tuple[Total, ...]


class _Wrong(Exception):
    """A line cannot be read; says why."""


def parse(body: bytes) -> SettlementFile:
    """Return what a file says.

    Raises: SettlementFileInvalid: it cannot be read, or does not add up.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise SettlementFileInvalid([LineError(body[: error.start].count(b"\n") + 1, "it is not UTF-8")]) from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    errors: list[LineError] = []
    lines: list[Line] = []
    totals: list[tuple[int, str, Total]] = []
    try:
        if tuple(next(rows, ())) != HEADER:
            raise SettlementFileInvalid([LineError(1, f"the header is not {','.join(HEADER)}")])
        for row in rows:
            number = rows.line_num
            try:
                _read(number, row, lines, totals)
            except _Wrong as error:
                errors.append(LineError(number, str(error)))
            if len(lines) > MAX_LINES:
                raise SettlementFileInvalid([LineError(number, f"a file has {MAX_LINES} lines at most")])
    except csv.Error as error:
        errors.append(LineError(rows.line_num, f"it is not CSV: {error}"))
    if not errors:
        errors = _disagreements(lines, totals, rows.line_num)
    if errors:
        raise SettlementFileInvalid(errors)
    return SettlementFile(totals[0][1], tuple(lines), tuple(total for _, _, total in totals))


def write(name: str, lines: Sequence[Line]) -> str:
    """Return the text of a file: what `parse` reads."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADER)
    for each in lines:
        rows.writerow(
            (
                *(each.kind, each.acquirer_id, each.reference, each.authorisation, each.currency),
                *(each.gross_minor, each.fee_minor, each.net_minor, each.settled_on.isoformat()),
            )
        )
    for total in totals_of(lines):
        amounts = (total.gross_minor, total.fee_minor, total.net_minor)
        rows.writerow(("total", name, total.lines, "", total.currency, *amounts, ""))
    return text.getvalue()


def totals_of(lines: Sequence[Line]) -> list[Total]:
    """Return what lines come to, by currency in alphabetical order."""
    found = []
    for currency in sorted({each.currency for each in lines}):
        of_it = [each for each in lines if each.currency == currency]
        gross, fee, net = (sum(getattr(each, name) for each in of_it) for name in HEADER[5:8])
        found.append(Total(currency, len(of_it), gross, fee, net))
    return found


def _read(number: int, row: list[str], lines: list[Line], totals: list[tuple[int, str, Total]]) -> None:
    if len(row) != len(HEADER):
        raise _Wrong(f"it has {len(row)} fields and not {len(HEADER)}")
    kind, name, reference, authorisation, currency = row[:5]
    gross, fee, net = (_amount(field, text) for field, text in zip(HEADER[5:8], row[5:8], strict=True))
    if not _NAME.fullmatch(name):
        raise _Wrong("its id is not a name of 1 to 64 letters, digits and _.:-")
    try:
        currency_exponent(currency)
    except UnknownCurrency as error:
        raise _Wrong("its currency is not one that is known") from error
    if net != gross - fee:
        raise _Wrong(f"net_minor is {net}, and gross_minor less fee_minor {gross - fee}")
    if kind == "total":
        if not _COUNT.fullmatch(reference):
            raise _Wrong("the total does not say how many lines it is of")
        totals.append((number, name, Total(currency, int(reference), gross, fee, net)))
        return
    if totals:
        raise _Wrong("it comes after a total")
    if kind not in KINDS:
        raise _Wrong(f"its type is none of {', '.join(KINDS)}, total")
    if (gross > 0) != (kind == "captured") or gross == 0:
        raise _Wrong("gross_minor is above 0 for what was captured, and below for all else")
    if not _NAME.fullmatch(reference) or not _NAME.fullmatch(authorisation):
        raise _Wrong("reference and authorisation are names of 1 to 64 letters, digits and _.:-")
    day = _day(row[8])
    lines.append(Line(number, KINDS[kind], name, reference, authorisation, currency, gross, fee, net, day))


def _amount(field: str, text: str) -> int:
    if not _SIGNED.fullmatch(text):
        raise _Wrong(f"{field} is not a whole number of minor units")
    digits = text.removeprefix("-")
    try:
        amount = 0 if digits == "0" else parse_minor(digits)
    except InvalidAmount as error:
        raise _Wrong(f"{field} is out of range") from error
    return -amount if text.startswith("-") else amount


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise _Wrong("date is not one, such as 2026-03-01") from error
    if day.isoformat() != text:
        raise _Wrong("date is not written as 2026-03-01")
    return day


def _disagreements(lines: list[Line], totals: list[tuple[int, str, Total]], last: int) -> list[LineError]:
    """Return where totals are missing, are of another file, or are not what the lines come to."""
    if not totals:
        return [LineError(last, "the file has no total: it may have been cut off")]
    errors = [LineError(number, "its id is another file's") for number, name, _ in totals if name != totals[0][1]]
    counted = {total.currency: total for total in totals_of(lines)}
    seen: set[str] = set()
    for number, _, total in totals:
        expected = counted.get(total.currency, Total(total.currency, 0, 0, 0, 0))
        if total.currency in seen:
            errors.append(LineError(number, f"{total.currency} has a total before"))
        elif total != expected:
            errors.append(LineError(number, f"it says {_says(total)}, and the lines come to {_says(expected)}"))
        seen.add(total.currency)
    errors += [LineError(last, f"{currency} has no total") for currency in counted if currency not in seen]
    return errors


def _says(total: Total) -> str:
    return f"{total.lines} lines, {total.gross_minor} less {total.fee_minor} is {total.net_minor} {total.currency}"
