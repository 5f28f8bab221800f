"""Takes the journal's oldest month into a file: written, made durable and read back before anything is let go."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import file_digest
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
import psycopg

from rialto_cli.errors import OperatorError
from rialto_cli.ledger.verify.database import entry_record, stream
from rialto_cli.ledger.verify.encoding import genesis, link
from rialto_cli.ledger.verify.file import ArchiveFile
from rialto_cli.ledger.verify.records import Entry
from rialto_common.database import load_queries

_QUERIES = load_queries("rialto_cli.ledger", "archive.sql")
_SESSION = "-c timezone=UTC -c jit=off -c application_name=rialto-ledger-archive"
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5

Connection = psycopg.Connection[Any]


def archive_month(dsn: str, month: date, file: Path, *, now: datetime, min_age: timedelta) -> int:
    """Move a month's entries into a file, and return how many there were.

    A run that dies leaves the journal as it was, until its last transaction; then the file is whole.
    Raises: OperatorError: the month is to stay, the file is there or cannot be written, or the journal is in use.
    """
    if file.exists():
        raise _refused(month, f"{file} is there already", "name another file")
    old_before = now - min_age
    with _connected(dsn, month) as connection:
        _check(connection, month, old_before)
        part = file.with_name(f"{file.name}.part")
        try:
            count = _write(connection, month, part)
            _read_back(connection, month, part)
            with part.open("rb") as written:
                digest = file_digest(written, "sha256").digest()
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        _sync(file.parent)
        try:
            _detach(connection, month, [month, old_before, count, digest, now])
        except (OperatorError, psycopg.errors.ObjectNotInPrerequisiteState):
            file.unlink()  # the month stays; after any other error, such as a lost connection, it may have gone
            raise
    return count


@contextmanager
def _connected(dsn: str, month: date) -> Iterator[Connection]:
    """Lend a connection that alone archives. Raises: OperatorError: another one does, or the database refuses."""
    try:
        with psycopg.connect(dsn, connect_timeout=10, options=_SESSION) as connection:
            row = connection.execute(_QUERIES["try_to_archive"].encode()).fetchone()
            connection.commit()
            if row != (True,):
                raise _refused(month, "another `rialto ledger archive` is at work", "wait until it has ended")
            yield connection
    except psycopg.Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise _refused(month, said, "see `rialto status`, then run the command again") from error


def _check(connection: Connection, month: date, old_before: datetime) -> None:
    objections = connection.execute(_QUERIES["objections"].encode(), [month, old_before]).fetchall()
    connection.commit()
    if objections:
        raise _refused(month, "; ".join(row[0] for row in objections), "wait, or archive another month")


def _write(connection: Connection, month: date, part: Path) -> int:
    count = 0
    with part.open("wb") as out:
        out.write(orjson.dumps(ArchiveFile.header(f"{month:%Y-%m}")) + b"\n")
        for row in _month(connection, "month", month):
            out.write(orjson.dumps(entry_record(row)) + b"\n")
            count += 1
        out.flush()
        os.fsync(out.fileno())
    connection.commit()
    return count


def _read_back(connection: Connection, month: date, part: Path) -> None:
    """Compute every hash of the file anew, from the links before them. Raises: OperatorError: one does not hold."""
    for (_, record), row in zip_longest(
        ArchiveFile(part).records(), _month(connection, "month_links", month), fillvalue=(None, None)
    ):
        held = (
            isinstance(record, Entry)
            and isinstance(row, dict)
            and (record.shard, record.position, record.hash) == (row["shard"], row["chain_position"], row["hash"])
            and link(row["previous"] or genesis(record.shard), record) == record.hash
        )
        if not held:
            which = f"entry {record.id}" if isinstance(record, Entry) else "a line"
            raise _refused(
                month, f"{which} does not give its link", "run `rialto ledger verify`: it names what is wrong"
            )
    connection.commit()


def _detach(connection: Connection, month: date, values: list[Any]) -> None:
    """Let the month go, in a moment when nobody uses the journal. Raises: OperatorError: there was none."""
    patient_until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute(_QUERIES["give_up_soon"].encode())
            connection.execute(_QUERIES["archive_month"].encode(), values)
            connection.commit()
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            connection.rollback()
            if time.monotonic() > patient_until:
                raise _refused(
                    month,
                    f"somebody has used the journal for {PATIENCE_SECONDS:.0f} seconds on end",
                    "let exports and audits end, then run the command again",
                ) from error
            time.sleep(PAUSE_SECONDS)


def _month(connection: Connection, query: str, month: date) -> Iterator[dict[str, Any]]:
    begins = datetime(month.year, month.month, 1, tzinfo=UTC)
    ends = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    return stream(connection, query, {"begins": begins, "ends": ends})


def _sync(directory: Path) -> None:
    """Make the file's name durable too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(month: date, why: str, remedy: str) -> OperatorError:
    return OperatorError(f"{month:%Y-%m} cannot be archived", why, remedy)
