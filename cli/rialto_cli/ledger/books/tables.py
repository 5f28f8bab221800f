"""The journal as a table, one row a posting: CSV for spreadsheets, Parquet for analysis. Ids are as in the API."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, BinaryIO
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rialto_cli.ledger.books.journal import EntryRow, Journal, Told
from rialto_common.ids import to_text

ROWS_A_GROUP = 50_000
"""Postings that are in memory at once, and in one row group of the file."""

_TIME = pa.timestamp("us", tz="UTC")
_WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("entry_id", pa.string(), nullable=False),
        pa.field("line", pa.int16(), nullable=False),
        pa.field("kind", _WORD, nullable=False),
        pa.field("mode", _WORD, nullable=False),
        pa.field("shard", pa.int16(), nullable=False),
        pa.field("chain_position", pa.int64()),
        pa.field("merchant_id", _WORD),
        pa.field("payment_id", pa.string()),
        pa.field("reverses", pa.string()),
        pa.field("effective_at", _TIME, nullable=False),
        pa.field("recorded_at", _TIME, nullable=False),
        pa.field("account_id", _WORD, nullable=False),
        pa.field("account", _WORD, nullable=False),
        pa.field("account_type", _WORD, nullable=False),
        pa.field("side", _WORD, nullable=False),
        pa.field("amount_minor", pa.decimal128(38, 0), nullable=False),
        pa.field("currency", _WORD, nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)

Row = tuple[Any, ...]


def write_csv(journal: Journal, out: BinaryIO, told: Told) -> int:
    """Write a table with a head line; return how many entries are in it."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SCHEMA.names)
    count = 0
    for count, entry in enumerate(told(journal.entries()), start=1):  # noqa: B007 - the last is what we want
        writer.writerows([_cell(value) for value in row] for row in _rows(entry))
    text.detach()
    return count


def write_parquet(journal: Journal, out: BinaryIO, told: Told) -> int:
    """Write the table; return how many entries are in it."""
    counted = _Counted(told(journal.entries()))
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for rows in _groups(counted):
            writer.write_batch(pa.record_batch(list(_columns(rows)), schema=SCHEMA))
    return counted.count


def _cell(value: object) -> object:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


class _Counted:
    """Passes entries on, and knows how many they were."""

    def __init__(self, entries: Iterable[EntryRow]) -> None:
        self._entries = entries
        self.count = 0

    def __iter__(self) -> Iterator[EntryRow]:
        for entry in self._entries:
            self.count += 1
            yield entry


def _groups(entries: Iterable[EntryRow]) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for entry in entries:
        rows.extend(_rows(entry))
        if len(rows) >= ROWS_A_GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def _columns(rows: list[Row]) -> Iterator[Any]:
    for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True):
        is_amount = pa.types.is_decimal(field.type)
        yield pa.array(map(Decimal, values) if is_amount else values, field.type)


def _rows(entry: EntryRow) -> Iterator[Row]:
    head = (
        entry.kind,
        entry.mode,
        entry.shard,
        entry.chain_position,
        _text("mer", entry.merchant_id),
        _text("pay", entry.payment_id),
        _text("je", entry.reverses),
        entry.effective_at.astimezone(UTC),
        entry.recorded_at.astimezone(UTC),
    )
    entry_id = to_text("je", entry.id)
    metadata = orjson.dumps(entry.metadata, option=orjson.OPT_SORT_KEYS).decode()
    for line, (account_id, code, kind, side, amount_minor, currency) in enumerate(entry.postings):
        yield entry_id, line, *head, _account_id(account_id), code, kind, side, amount_minor, currency, metadata


def _text(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else to_text(prefix, value)


@lru_cache(maxsize=65_536)
def _account_id(text: str) -> str:
    return to_text("acc", UUID(text))
