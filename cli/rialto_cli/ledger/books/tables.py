"""The journal as a table, one row a posting: CSV for spreadsheets, Parquet for analysis. Ids are as in the API."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
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
    times = [SCHEMA.get_field_index(name) for name in ("effective_at", "recorded_at")]
    count = 0
    for count, entry in enumerate(told(journal.entries()), start=1):  # noqa: B007 - the last is what we want
        for row in _rows(entry):
            cells = list(row)
            for index in times:
                cells[index] = f"{row[index].replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
            writer.writerow(cells)
    text.detach()
    return count


def write_parquet(journal: Journal, out: BinaryIO, told: Told) -> int:
    """Write the table; return how many entries are in it."""
    counted = _Counted(told(journal.entries()))
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for rows in _groups(counted):
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
    return counted.count


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


def _rows(entry: EntryRow) -> Iterator[Row]:
    metadata = orjson.dumps(entry.metadata, option=orjson.OPT_SORT_KEYS).decode()
    entry_id, merchant_id = to_text("je", entry.id), _text("mer", entry.merchant_id)
    payment_id, reverses = _text("pay", entry.payment_id), _text("je", entry.reverses)
    effective_at, recorded_at = entry.effective_at.astimezone(UTC), entry.recorded_at.astimezone(UTC)
    for line, posting in enumerate(entry.postings):
        yield (
            entry_id,
            line,
            entry.kind,
            entry.mode,
            entry.shard,
            entry.chain_position,
            merchant_id,
            payment_id,
            reverses,
            effective_at,
            recorded_at,
            to_text("acc", UUID(posting.account_id)),
            posting.code,
            posting.type,
            posting.side,
            Decimal(posting.amount_minor),
            posting.currency,
            metadata,
        )


def _text(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else to_text(prefix, value)
