"""The journal as the auditor reads it: streamed, all of it from one snapshot."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads

from rialto_cli.errors import OperatorError

ROWS_AT_A_TIME = 2000
_SESSION = "-c timezone=UTC -c jit=off -c application_name=rialto-ledger-export"


class AccountRow(NamedTuple):
    """An account; `signed_minor` is its stored debits minus credits. It begins with what first happened on it."""

    id: UUID
    code: str
    type: str
    currency: str
    mode: str
    signed_minor: int
    begins_at: datetime


class PostingRow(NamedTuple):
    """One line of an entry, with what its account is."""

    account_id: str
    code: str
    type: str
    side: str
    amount_minor: str
    currency: str

    @property
    def signed_minor(self) -> int:
        """Debits are positive."""
        return int(self.amount_minor) if self.side == "debit" else -int(self.amount_minor)


class EntryRow(NamedTuple):
    """An entry of the journal."""

    id: UUID
    kind: str
    mode: str
    shard: int
    chain_position: int | None
    merchant_id: UUID | None
    payment_id: UUID | None
    reverses: UUID | None
    effective_at: datetime
    recorded_at: datetime
    metadata: Mapping[str, str]
    postings: tuple[PostingRow, ...]


Told = Callable[[Iterable[EntryRow]], Iterable[EntryRow]]
"""Passes entries on, and tells from time to time how many there were."""


class Journal:
    """One snapshot of a ledger's database."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection
        text = resources.files(__package__ or "rialto_cli.ledger.books").joinpath("queries.sql").read_text()
        _, *named = re.split(r"^-- name: (.+)$", text, flags=re.MULTILINE)
        self._queries = dict(zip(named[::2], named[1::2], strict=True))

    def accounts(self) -> Iterator[AccountRow]:
        """Return every account, in the order of ids."""
        for row in self._stream("accounts"):
            account = AccountRow(*row)
            yield account._replace(signed_minor=int(account.signed_minor))

    def entries(self) -> Iterator[EntryRow]:
        """Return every entry, in the order of ids."""
        for *head, postings in self._stream("entries"):
            yield EntryRow._make([*head, tuple(PostingRow(*posting) for posting in postings)])

    def last_instant(self) -> datetime | None:
        """Return when the last thing happened, or None."""
        last: datetime | None = self._one("last_instant")
        return last

    def estimated_entries(self) -> int:
        """Return about how many entries there are, to tell how far one is."""
        return int(self._one("count_entries") or 0)

    def _one(self, name: str) -> Any:
        row = self._connection.execute(self._queries[name].encode()).fetchone()
        return None if row is None else row[0]

    def _stream(self, name: str) -> Iterator[TupleRow]:
        with self._connection.cursor(name) as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            cursor.execute(self._queries[name].encode())
            yield from cursor


@contextmanager
def open_journal(dsn: str) -> Iterator[Journal]:
    """Lend a snapshot. Raises: OperatorError: the database does not let us read it."""
    try:
        with psycopg.connect(dsn, connect_timeout=10, options=_SESSION) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            set_json_loads(orjson.loads, connection)
            yield Journal(connection)
    except psycopg.Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise OperatorError(
            "The journal cannot be read", said.rstrip("."), "see `rialto status`, then run the command again"
        ) from error
