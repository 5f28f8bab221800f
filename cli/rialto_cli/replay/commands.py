"""The commands `rialto replay` and `rialto demo`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rialto_cli.commands import absolute, refuse_both
from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, DEFAULT_PORT, AsJson, BusName, BusUrl, DataDir, Port
from rialto_cli.replay.names import CARD_SHARE

DEFAULT_IN_FLIGHT = 64
DEFAULT_PATIENCE_SECONDS = 120.0

Patience = Annotated[
    float, typer.Option("--patience", min=1, help="Give up after this many seconds without any progress at all.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(replay)
    app.command()(demo)


def replay(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV (or .csv.gz) or Parquet file.")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Name a column: amount, customer, terminal, datetime, seconds, fraud or reference.",
        ),
    ] = None,
    epoch: Annotated[
        str, typer.Option("--epoch", help="What a column of seconds counts from (ISO 8601; UTC unless it says so).")
    ] = "2018-04-01",
    day: Annotated[
        int | None, typer.Option("--day", min=0, help="Only the file's Nth calendar day (UTC); 0 is its first.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N rows by time.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="Send N rows a second, instead of as fast as answered.")
    ] = None,
    speedup: Annotated[
        float | None, typer.Option("--speedup", min=0.001, help="Keep the rows' own spacing, X times as fast.")
    ] = None,
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, max=1024, help="Requests under way at once.")
    ] = DEFAULT_IN_FLIGHT,
    patience: Patience = DEFAULT_PATIENCE_SECONDS,
    cards: Annotated[
        float, typer.Option("--cards", min=0, max=1, help="Share of customers who pay by card, at the acquirer-sim.")
    ] = CARD_SHARE,
    run: Annotated[
        str, typer.Option("--run", help="Another name pays the same rows once more, from wallets of their own.")
    ] = "1",
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave malformed rows out instead of refusing the file.")
    ] = False,
) -> None:
    """Pay the rows of a transaction file through the public API, and report what became of them.

    No row is paid twice: a repeated run goes on where an earlier one ended. Exit status 0 only if every check holds.
    """
    from rialto_cli.replay import main
    from rialto_cli.replay.run import Options
    from rialto_cli.replay.sender import Pace
    from rialto_cli.replay.source import Choice

    if rate is not None and speedup is not None:
        raise typer.BadParameter("--rate and --speedup exclude each other")
    choice = Choice(
        mapped=_mapping(column or []), epoch=_epoch(epoch), day=day, limit=limit, skip_bad_rows=skip_bad_rows
    )
    options = Options(Pace(in_flight, rate, speedup), run, patience, card_share=cards)
    raise typer.Exit(main.replay(file, choice, data_dir.expanduser().absolute(), options, as_json=as_json))


def demo(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Port = DEFAULT_PORT,
    bus: BusName = None,
    bus_url: BusUrl = None,
    as_json: AsJson = False,
    leave: Annotated[bool, typer.Option("--exit", help="End after the report instead of staying up.")] = False,
    patience: Patience = DEFAULT_PATIENCE_SECONDS,
) -> None:
    """Start the platform, pay the bundled sample through it, report, and stay up until Ctrl-C.

    A platform that already runs on the data directory is used, and left running. With --exit, status 0 means that
    every check holds.
    """
    from rialto_cli.embedded.platform import Options
    from rialto_cli.replay import demo as demonstration

    refuse_both(bus, bus_url)
    options = Options(absolute(data_dir), port, bus, bus_url)
    raise typer.Exit(demonstration.main(options, leave=leave, as_json=as_json, patience_seconds=patience))


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapped = {}
    for pair in pairs:
        field, separator, name = pair.partition("=")
        if not separator or not field or not name:
            raise typer.BadParameter(f"--map takes FIELD=COLUMN, not '{pair}'")
        mapped[field] = name
    return mapped


def _epoch(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(
            "The epoch cannot be read", f"'{text}' is not an ISO 8601 date", "give one such as --epoch 2018-04-01"
        ) from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)
