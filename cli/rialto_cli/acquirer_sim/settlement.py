"""Settlement files: what the acquirer pays for what moved money, less its fees; with mistakes where it is asked to.

The same operations make the same file. A line that was left out or got wrong is in the next file, and right.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from rialto_cli.acquirer_sim.books import Books, Operation, Refused

FEE_BPS = 120
MAX_LINES = 10_000
HEADER = ("type", "id", "reference", "authorisation", "currency", "gross_minor", "fee_minor", "net_minor", "date")
MISTAKES = ("missing_line", "wrong_amount", "unknown_line", "duplicate_line")
_KINDS = {"capture": "captured", "refund": "refunded", "chargeback": "chargeback"}

Row = tuple[str, str, str, str, str, int, int, int, str]


def settle(books: Books, mistakes: Sequence[str]) -> tuple[str | None, int]:
    """Write a file of what is not settled yet; return its name, None where there is nothing, and its lines.

    Raises: Refused: a mistake that is not known, or more mistakes than lines to get wrong.
    """
    for mistake in mistakes:
        if mistake not in MISTAKES:
            raise Refused(400, "mistake_unknown", f"mistakes are {', '.join(MISTAKES)}")
    found = books.unsettled(MAX_LINES)
    if not found:
        return None, 0
    rows = [_row(each) for each in found]
    again = [mistake for mistake in MISTAKES[:2] if mistake in mistakes]
    if len(again) > len(rows):
        raise Refused(409, "too_few_lines", f"{len(rows)} lines are too few for so many mistakes")
    # The first lines are got wrong, so that the same mistakes make the same file.
    kept = rows[len(again) :]
    if "wrong_amount" in mistakes:
        kept.insert(0, _with_gross(rows[len(again) - 1], rows[len(again) - 1][5] + 1))
    if "unknown_line" in mistakes:
        kept.append((*rows[0][:1], "cap_of_nobody", f"att_{'0' * 26}", *rows[0][3:]))
    if "duplicate_line" in mistakes:
        if len(again) == len(rows):
            raise Refused(409, "too_few_lines", "there is no line left to send twice")
        kept.append(rows[-1])
    body = _text(kept)
    name = f"sf_{sha256(body.encode()).hexdigest()[:20]}"
    books.keep_settlement_file(name, _text(kept, name), [each.reference for each in found[len(again) :]])
    return name, len(kept)


def _row(each: Operation) -> Row:
    sign = 1 if each.step == "capture" else -1
    day = datetime.fromtimestamp(each.created_at, UTC).date().isoformat()
    row = (_KINDS[each.step], each.id, each.reference, each.authorisation, each.currency, 0, 0, 0, day)
    return _with_gross(row, sign * each.amount_minor)


def _with_gross(row: Row, gross_minor: int) -> Row:
    fee = -(-gross_minor * FEE_BPS // 10_000) if gross_minor > 0 else 0  # rounded up
    return (*row[:5], gross_minor, fee, gross_minor - fee, row[8])


def _text(rows: Sequence[Row], name: str = "") -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    lines.writerows(rows)
    for currency in sorted({row[4] for row in rows}):
        of_it = [row for row in rows if row[4] == currency]
        amounts = [sum(int(row[place]) for row in of_it) for place in (5, 6, 7)]
        lines.writerow(("total", name, len(of_it), "", currency, *amounts, ""))
    return text.getvalue()
