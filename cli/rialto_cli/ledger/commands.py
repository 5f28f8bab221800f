"""`rialto ledger verify` and `rialto ledger export`."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

if TYPE_CHECKING:
    from rialto_cli.console import Progress
    from rialto_cli.ledger.verify.database import JournalDatabase
    from rialto_cli.ledger.verify.file import ExportFile

TELL_EVERY = 20_000
T = TypeVar("T")

Dsn = Annotated[str | None, typer.Option("--dsn", help="The auditor's database URI, instead of --data-dir's.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ledger = typer.Typer(help="The journal: take it out, check its proofs.", no_args_is_help=True)
    ledger.command()(verify)
    ledger.command()(export)
    app.add_typer(ledger, name="ledger")


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export; without one, the running installation.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Compute every hash, link, balance and block of the journal anew. Exit status 0 when all hold, 1 when not, 2 when
    there is nothing to verify."""
    from rialto_cli.console import Progress
    from rialto_cli.ledger.verify.file import ExportFile
    from rialto_cli.ledger.verify.render import lines
    from rialto_cli.ledger.verify.run import verify as run

    source = _database(data_dir, dsn) if file is None else ExportFile(file)
    with Progress() as progress:
        report = run(_told(source.records(), "verified", source, progress))
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else "\n".join(lines(report)))
    raise typer.Exit(0 if report.holds else 1)


def export(
    file: Annotated[Path, typer.Argument(help="Where to; it appears once it is whole.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Dsn = None,
) -> None:
    """Write the whole journal with its chains and blocks to a file that `rialto ledger verify` reads."""
    import orjson

    from rialto_cli.console import Progress
    from rialto_cli.ledger.verify.file import HEADER

    source = _database(data_dir, dsn)
    part = file.with_name(f"{file.name}.part")
    count = 0
    try:
        with Progress() as progress, part.open("wb") as out:
            out.write(orjson.dumps(HEADER) + b"\n")
            for count, raw in enumerate(_told(source.raw(), "exported", source, progress), start=1):  # noqa: B007
                out.write(orjson.dumps(raw) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except FileNotFoundError as error:
        raise OperatorError(
            f"{file} cannot be written", "there is no such directory", "make it, or name another"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{count} records in {file}")


def _database(data_dir: Path, dsn: str | None) -> "JournalDatabase":
    from rialto_cli.ledger.verify.database import JournalDatabase

    if dsn is None:
        from rialto_cli.commands import absolute
        from rialto_cli.embedded.postgres import AUDITOR
        from rialto_cli.embedded.status import find_running

        installation, _ = find_running(absolute(data_dir))
        dsn = installation.access.dsn(AUDITOR)
    return JournalDatabase(dsn)


def _told(records: Iterable[T], done: str, source: "ExportFile | JournalDatabase", progress: "Progress") -> Iterator[T]:
    """Return the records, and tell from time to time how many there were."""
    for number, record in enumerate(records):
        if number % TELL_EVERY == 0 and number:
            progress.waiting(f"{number:,} records {done}: {source.progress()}")
        yield record
