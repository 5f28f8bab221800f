"""`rialto ledger verify`, `rialto ledger export` and `rialto ledger archive`."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypeVar

import typer

from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

if TYPE_CHECKING:
    from rialto_cli.console import Progress
    from rialto_cli.ledger.verify.database import JournalDatabase
    from rialto_cli.ledger.verify.file import ExportFile

TELL_EVERY = 20_000
OWNER, AUDITOR = "owner", "auditor"
MIN_AGE_DAYS, DEFAULT_AGE_DAYS = 31, 400
"""A month is first of all older than every deadline: of holds, settlements, and disputes about a payment."""

T = TypeVar("T")


class Format(StrEnum):
    """How the journal is written."""

    JSONL = "jsonl"
    BEANCOUNT = "beancount"
    CSV = "csv"
    PARQUET = "parquet"


Dsn = Annotated[str | None, typer.Option("--dsn", help="The auditor's database URI, instead of --data-dir's.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ledger = typer.Typer(help="The journal: take it out, check its proofs.", no_args_is_help=True)
    ledger.command()(verify)
    ledger.command()(export)
    ledger.command()(archive)
    app.add_typer(ledger, name="ledger")


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export; without one, the running installation.")
    ] = None,
    archive: Annotated[
        list[Path] | None, typer.Option("--archive", metavar="FILE", help="An archived month to check too; repeatable.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Compute every hash, link, balance and block of the journal anew. Exit status 0 when all hold, 1 when not, 2 when
    there is nothing to verify."""
    from rialto_cli.console import Progress
    from rialto_cli.ledger.verify.file import ArchiveFile, ExportFile
    from rialto_cli.ledger.verify.render import lines
    from rialto_cli.ledger.verify.run import verify as run

    source = _database(data_dir, dsn) if file is None else ExportFile(file)
    archives = [ArchiveFile(path).records() for path in archive or ()]
    with Progress() as progress:
        report = run(_told(source.records(), "verified", source, progress), archives)
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else "\n".join(lines(report)))
    raise typer.Exit(0 if report.holds else 1)


def export(
    file: Annotated[Path, typer.Argument(help="Where to; it appears once it is whole.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Dsn = None,
    file_format: Annotated[
        Format,
        typer.Option(
            "--format", help="jsonl has the proofs, for `rialto ledger verify`; beancount is for `bean-check`."
        ),
    ] = Format.JSONL,
) -> None:
    """Write the whole journal to a file, from one snapshot."""
    from rialto_cli.console import Progress

    with Progress() as progress, _whole(file) as out:
        if file_format is Format.JSONL:
            told = f"{_write_records(out, _database(data_dir, dsn), progress)} records"
        else:
            told = f"{_write_books(out, file_format, _dsn(data_dir, dsn, AUDITOR), progress)} entries"
    typer.echo(f"{told} in {file}")


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """Lend a file that takes its name once all of it is on disk."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except FileNotFoundError as error:
        raise OperatorError(
            f"{file} cannot be written", "there is no such directory", "make it, or name another"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _write_records(out: BinaryIO, source: "JournalDatabase", progress: "Progress") -> int:
    import orjson

    from rialto_cli.ledger.verify.file import HEADER

    count = 0
    out.write(orjson.dumps(HEADER) + b"\n")
    for count, raw in enumerate(_told(source.raw(), "exported", source, progress), start=1):  # noqa: B007
        out.write(orjson.dumps(raw) + b"\n")
    return count


def _write_books(out: BinaryIO, file_format: Format, dsn: str, progress: "Progress") -> int:
    from rialto_cli.ledger.books import beancount, tables
    from rialto_cli.ledger.books.journal import EntryRow, open_journal

    write = {Format.BEANCOUNT: beancount.write, Format.CSV: tables.write_csv, Format.PARQUET: tables.write_parquet}
    with open_journal(dsn) as journal:
        about = journal.estimated_entries()

        def told(entries: Iterable[EntryRow]) -> Iterator[EntryRow]:
            for number, entry in enumerate(entries):
                if number % TELL_EVERY == 0 and number:
                    progress.waiting(f"{number:,} of about {max(about, number):,} entries exported")
                yield entry

        return write[file_format](journal, out, told)


def archive(
    month: Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="The oldest month that is there, as 2024-03.")],
    file: Annotated[Path, typer.Argument(help="Where its entries go; it appears once it is whole and checked.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Annotated[str | None, typer.Option("--dsn", help="The owner's database URI, instead of --data-dir's.")] = None,
    min_age: Annotated[
        int, typer.Option("--min-age", min=MIN_AGE_DAYS, help="Refuse a month that has changed in so many days.")
    ] = DEFAULT_AGE_DAYS,
) -> None:
    """Take a month's entries out of the journal into a file. Balances, proofs and identities stay as they are."""
    from rialto_cli.ledger.archive import archive_month

    count = archive_month(
        _dsn(data_dir, dsn, OWNER), month.date(), file, now=datetime.now(UTC), min_age=timedelta(days=min_age)
    )
    typer.echo(f"{count} entries of {month:%Y-%m} are in {file}: keep it, it is all there is of them")
    typer.echo(f"their tables are detached; drop ledger.postings_{month:%Y%m} and ledger.journal_entries_{month:%Y%m}")


def _database(data_dir: Path, dsn: str | None) -> "JournalDatabase":
    from rialto_cli.ledger.verify.database import JournalDatabase

    return JournalDatabase(_dsn(data_dir, dsn, AUDITOR))


def _dsn(data_dir: Path, dsn: str | None, role: str) -> str:
    if dsn is not None:
        return dsn
    from rialto_cli.commands import absolute
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    return installation.access.dsn(role)


def _told(records: Iterable[T], done: str, source: "ExportFile | JournalDatabase", progress: "Progress") -> Iterator[T]:
    """Return the records, and tell from time to time how many there were."""
    for number, record in enumerate(records):
        if number % TELL_EVERY == 0 and number:
            progress.waiting(f"{number:,} records {done}: {source.progress()}")
        yield record
