"""A CSV or Parquet file of transactions as rows to pay, sorted by time.

The file is read in batches and kept as columns of numbers (about 40 bytes a row), never as objects, so that a file of
many millions of rows fits. A row's number is its place in the file, from 0, blank lines not counted: the number is
what an idempotency key is derived from, so it must not depend on sorting, `--day` or `--limit`.

Nothing is sent before the whole selection has been read. A malformed row (no amount, a date that is none, a wrong
number of columns) refuses the file with its row number unless the caller asked for such rows to be skipped; rows whose
amount is zero or negative are well-formed but no payments, and are always skipped. Skipped rows are counted by reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from rialto_cli.errors import OperatorError
from rialto_cli.replay import columns
from rialto_cli.replay.columns import ColumnMap, Int64s

DEFAULT_EPOCH = datetime(2018, 4, 1, tzinfo=UTC)
"""What TX_TIME_SECONDS counts from in the card-transaction files."""

_BATCH_ROWS = 65_536
_DAY_MICROSECONDS = 86_400_000_000
_SHOWN_BAD_ROWS = 5
_IN_ORDER = pa.csv.ReadOptions(use_threads=False, block_size=1 << 22)
"""The parser numbers rows only when it reads them one block after the other."""
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take from a file. `day` counts calendar days (UTC) from the file's earliest row, from 0."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    epoch: datetime = DEFAULT_EPOCH
    day: int | None = None
    limit: int | None = None
    skip_bad_rows: bool = False

    @property
    def window(self) -> str:
        """The part of the file that money is set aside for: the day, or all of it. `limit` does not change it."""
        return "all" if self.day is None else f"day-{self.day}"


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction. `number` is its place in the file, from 0."""

    number: int
    occurred_at: datetime
    customer: str
    terminal: str
    amount_minor: int
    reference: str | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen rows, by time, as columns; `needs_minor` is per customer over the whole window, before `limit`."""

    fingerprint: str
    window: str
    numbers: Int64s
    times_us: Int64s
    amounts_minor: Int64s
    customer_codes: npt.NDArray[np.int32]
    terminal_codes: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int8]
    references: pa.ChunkedArray | None
    customers: list[str]
    terminals: list[str]
    needs_minor: Int64s
    skipped: Counter[str]

    def __len__(self) -> int:
        return len(self.numbers)

    def row(self, index: int) -> Row:
        """Return the row at a place of this selection."""
        return Row(
            number=int(self.numbers[index]),
            occurred_at=_UNIX_EPOCH + timedelta(microseconds=int(self.times_us[index])),
            customer=self.customers[self.customer_codes[index]],
            terminal=self.terminals[self.terminal_codes[index]],
            amount_minor=int(self.amounts_minor[index]),
            reference=None if self.references is None else self.references[index].as_py(),
        )

    def needs(self) -> dict[str, int]:
        """Return, for every customer of these rows, what their rows of the whole window add up to in minor units."""
        return {self.customers[code]: int(self.needs_minor[code]) for code in np.unique(self.customer_codes)}


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, so that a renamed or copied file is still the same file."""
    digest = sha256()
    with _opened(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def read(path: Path, choice: Choice, exponent: int) -> Selection:
    """Read the chosen rows of a file.

    Args: exponent: the decimals of the currency that the amounts are in.
    Raises: OperatorError: not a readable file, columns missing, malformed rows, or no row in the selection.
    """
    try:
        mapping = columns.detect(_column_names(path), choice.mapped)
        first_day = None if choice.day is None else _first_day(path, mapping, choice)
        collected = _Collected(mapping, choice, exponent, first_day)
        for positions, batch in _batches(path, mapping.names(), collected.malformed_lines):
            collected.add(positions, batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"{path.name} cannot be read", str(error).splitlines()[0], "give a CSV with a header, or a Parquet file"
        ) from error
    collected.refuse_malformed(path)
    return collected.selection(fingerprint(path), path)


def _opened(path: Path) -> pa.NativeFile:
    return pa.OSFile(str(path), "rb")


def _is_parquet(path: Path) -> bool:
    with _opened(path) as stream:
        return bool(stream.read(4) == b"PAR1")


def _column_names(path: Path) -> list[str]:
    if _is_parquet(path):
        with pa.parquet.ParquetFile(path) as parquet:
            return list(parquet.schema_arrow.names)
    with pa.input_stream(str(path)) as stream, pa.csv.open_csv(stream, _IN_ORDER, _lenient([])) as reader:
        return list(reader.schema.names)


def _lenient(malformed: list[tuple[int, str]]) -> pa.csv.ParseOptions:
    """Parse options that record a row with a wrong number of columns, as (its number, why), and go on."""

    def note(row: pa.csv.InvalidRow) -> str:
        # The header is row 1 to the parser, so the first row of data is 2.
        malformed.append((row.number - 2, f"{row.actual_columns} columns instead of {row.expected_columns}"))
        return "skip"

    return pa.csv.ParseOptions(invalid_row_handler=note)


def _batches(path: Path, names: list[str], malformed: list[tuple[int, str]]) -> Iterator[tuple[Int64s, pa.RecordBatch]]:
    """Yield batches with each row's number in the file. CSV values stay text, so that no amount becomes a float."""
    start = 0
    if _is_parquet(path):
        with pa.parquet.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                yield np.arange(start, start + batch.num_rows), batch
                start += batch.num_rows
        return
    converting = pa.csv.ConvertOptions(
        include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    with (
        pa.input_stream(str(path), compression="detect") as stream,
        pa.csv.open_csv(stream, _IN_ORDER, _lenient(malformed), converting) as reader,
    ):
        for batch in reader:
            positions = _numbers_around(start, batch.num_rows, [number for number, _ in malformed])
            start = int(positions[-1]) + 1 if len(positions) else start
            yield positions, batch


def _numbers_around(start: int, count: int, taken: list[int]) -> Int64s:
    """Return the next `count` row numbers from `start` on that no malformed row has."""
    ahead = np.array([number for number in taken if number >= start], dtype=np.int64)
    candidates = np.arange(start, start + count + len(ahead))
    return candidates[~np.isin(candidates, ahead)][:count]


def _times(mapping: ColumnMap, choice: Choice, batch: pa.RecordBatch) -> tuple[Int64s, dict[int, str]]:
    return columns.times(batch.column(mapping.time), seconds_since=None if mapping.datetime else choice.epoch)


def _first_day(path: Path, mapping: ColumnMap, choice: Choice) -> int:
    """Return the day, since 1970, of the earliest row: one pass over the time column alone."""
    earliest: int | None = None
    for _, batch in _batches(path, [mapping.time], []):
        instants, bad = _times(mapping, choice, batch)
        good = np.delete(instants, list(bad)) if bad else instants
        if len(good):
            lowest = int(good.min())
            earliest = lowest if earliest is None else min(earliest, lowest)
    return 0 if earliest is None else earliest // _DAY_MICROSECONDS


class _Codes:
    """Numbers the distinct values of a column in order of appearance."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str, int] = {}

    def encode(self, column: pa.Array) -> npt.NDArray[np.int32]:
        encoded = pc.dictionary_encode(column)
        table = np.zeros(len(encoded.dictionary) or 1, dtype=np.int32)
        for position, value in enumerate(encoded.dictionary.to_pylist()):
            code = self._codes.get(value)
            if code is None:
                code = self._codes[value] = len(self.values)
                self.values.append(value)
            table[position] = code
        picked: npt.NDArray[np.int32] = table[encoded.indices.to_numpy(zero_copy_only=False)]
        return picked


class _Collected:
    """Gathers batches into columns, and what was wrong with the rows that were left out."""

    def __init__(self, mapping: ColumnMap, choice: Choice, exponent: int, first_day: int | None) -> None:
        self.malformed_lines: list[tuple[int, str]] = []
        self._mapping, self._choice, self._exponent, self._first_day = mapping, choice, exponent, first_day
        self._bad_values: list[tuple[int, str]] = []
        self._bad_count = 0
        self._skipped: Counter[str] = Counter()
        self._customers, self._terminals = _Codes(), _Codes()
        self._parts: list[tuple[npt.NDArray[np.generic], ...]] = []
        self._references: list[pa.Array] = []

    def add(self, positions: Int64s, batch: pa.RecordBatch) -> None:
        mapping = self._mapping
        instants, bad = _times(mapping, self._choice, batch)
        keep = np.ones(batch.num_rows, dtype=bool)
        if self._first_day is not None and self._choice.day is not None:
            keep = instants // _DAY_MICROSECONDS == self._first_day + self._choice.day
        self._leave_out(positions, keep, bad)
        batch, positions, instants = batch.filter(pa.array(keep)), positions[keep], instants[keep]
        keep = np.ones(batch.num_rows, dtype=bool)
        minor, bad = columns.amounts(batch.column(mapping.amount), self._exponent)
        customers = columns.texts(batch.column(mapping.customer))
        terminals = columns.texts(batch.column(mapping.terminal))
        for identifiers, reason in ((customers, "there is no customer"), (terminals, "there is no terminal")):
            for at in np.flatnonzero(identifiers.is_null().to_numpy(zero_copy_only=False)):
                bad.setdefault(int(at), reason)
        self._leave_out(positions, keep, bad)
        for reason, unpayable in (("zero_amount", keep & (minor == 0)), ("negative_amount", keep & (minor < 0))):
            self._skipped[reason] += int(unpayable.sum())
        keep &= minor > 0
        chosen = pa.array(keep)
        label = columns.labels(batch.column(mapping.fraud)) if mapping.fraud else np.full(len(keep), -1, dtype=np.int8)
        self._parts.append(
            (
                positions[keep],
                instants[keep],
                minor[keep],
                self._customers.encode(customers.filter(chosen)),
                self._terminals.encode(terminals.filter(chosen)),
                label[keep],
            )
        )
        if mapping.reference:
            self._references.append(batch.column(mapping.reference).cast(pa.string()).filter(chosen))

    def _leave_out(self, positions: Int64s, keep: npt.NDArray[np.bool_], bad: dict[int, str]) -> None:
        keep[list(bad)] = False
        self._bad_count += len(bad)
        room = _SHOWN_BAD_ROWS - len(self._bad_values)
        self._bad_values.extend((int(positions[at]), bad[at]) for at in sorted(bad)[: max(room, 0)])

    def refuse_malformed(self, path: Path) -> None:
        """Raise when rows are malformed and the caller did not ask for them to be skipped."""
        count = self._bad_count + len(self.malformed_lines)
        if not count:
            return
        if self._choice.skip_bad_rows:
            self._skipped["malformed"] += count
            return
        shown = sorted(self._bad_values + self.malformed_lines)[:_SHOWN_BAD_ROWS]
        listed = "; ".join(f"row {number + 1}: {reason}" for number, reason in shown)
        more = f"; and {count - len(shown)} more" if count > len(shown) else ""
        raise OperatorError(
            f"{path.name} has {count} malformed row{'s' if count > 1 else ''}, so nothing was sent",
            listed + more,
            "mend them (row 1 is the first below the header), or leave them out with --skip-bad-rows",
        )

    def selection(self, digest: str, path: Path) -> Selection:
        parts = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        if not parts or not len(parts[0]):
            raise OperatorError(
                f"Nothing in {path.name} to replay",
                "no row matches" if self._choice.day is not None else "it has no payable row",
                "choose another --day (0 is the file's first) or another file",
            )
        numbers, instants, minor, customers, terminals, label = parts
        needs = np.zeros(len(self._customers.values), dtype=np.int64)
        np.add.at(needs, customers, minor)
        order = np.lexsort((numbers, instants))[: self._choice.limit]
        references = pa.chunked_array(self._references).take(pa.array(order)) if self._references else None
        return Selection(
            fingerprint=digest,
            window=self._choice.window,
            numbers=numbers[order],
            times_us=instants[order],
            amounts_minor=minor[order],
            customer_codes=customers[order],
            terminal_codes=terminals[order],
            labels=label[order],
            references=references,
            customers=self._customers.values,
            terminals=self._terminals.values,
            needs_minor=needs,
            skipped=+self._skipped,
        )
