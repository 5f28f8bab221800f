"""The journal as a beancount file that `bean-check` judges: our entries by its arithmetic, our totals by its sums.

A transaction's date is the UTC day of `effective_at`, as beancount knows no other time; both times are in its metadata.
Every account ends with a balance of the total that the ledger keeps for it, on the day after the last, with a tolerance
of zero: without it beancount lets a unit of the last decimal pass.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import BinaryIO

from rialto_cli.errors import OperatorError
from rialto_cli.ledger.books.journal import AccountRow, EntryRow, Journal, Told
from rialto_cli.ledger.books.names import account_name
from rialto_common.errors import UnknownCurrency
from rialto_common.ids import to_text
from rialto_common.money import to_major

_name = lru_cache(maxsize=65_536)(account_name)

HEADER = """\
; Rialto's journal. Debits are positive. Account names and what is checked: docs/ledger/BOOKS.md.
option "title" "Rialto"

"""


def write(journal: Journal, out: BinaryIO, told: Told) -> int:
    """Write the file; return how many entries are in it."""
    count = 0
    out.write(HEADER.encode())
    for account in journal.accounts():
        out.write(_open(account).encode())
    for count, entry in enumerate(told(journal.entries()), start=1):  # noqa: B007 - the last is what we want
        out.write(_transaction(entry).encode())
    last = journal.last_instant()
    if last is not None:
        day = _day(last + timedelta(days=1))
        for account in journal.accounts():
            out.write(_balance(account, day).encode())
    return count


def _open(account: AccountRow) -> str:
    name = _name(account.type, account.mode, account.code, account.currency)
    return (
        f"{_day(account.begins_at)} open {name} {account.currency}\n"
        f"  id: {_quoted(to_text('acc', account.id))}\n"
        f"  code: {_quoted(account.code)}\n"
    )


def _transaction(entry: EntryRow) -> str:
    return "\n".join(["", f"{_day(entry.effective_at)} * {_quoted(entry.kind)}", *_metadata(entry), *_lines(entry), ""])


def _metadata(entry: EntryRow) -> Iterator[str]:
    yield f"  id: {_quoted(to_text('je', entry.id))}"
    if entry.payment_id is not None:
        yield f"  payment: {_quoted(to_text('pay', entry.payment_id))}"
    if entry.reverses is not None:
        yield f"  reverses: {_quoted(to_text('je', entry.reverses))}"
    yield f"  effective_at: {_quoted(_instant(entry.effective_at))}"
    yield f"  recorded_at: {_quoted(_instant(entry.recorded_at))}"


def _lines(entry: EntryRow) -> Iterator[str]:
    for posting in entry.postings:
        name = _name(posting.type, entry.mode, posting.code, posting.currency)
        yield f"  {name}  {_amount(posting.signed_minor, posting.currency)} {posting.currency}"


def _balance(account: AccountRow, day: str) -> str:
    name = _name(account.type, account.mode, account.code, account.currency)
    return f"{day} balance {name}  {_amount(account.signed_minor, account.currency)} ~ 0 {account.currency}\n"


def _amount(signed_minor: int, currency: str) -> str:
    try:
        return f"{to_major(signed_minor, currency):f}"
    except UnknownCurrency as error:
        raise OperatorError(
            "The journal cannot be written as beancount",
            f"the decimals of {currency} are not known",
            "register the token, or export in another format",
        ) from error


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _day(value: datetime) -> str:
    return value.astimezone(UTC).date().isoformat()


def _instant(value: datetime) -> str:
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
