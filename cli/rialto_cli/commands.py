"""`rialto up`, `status` and `migrate`."""

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rialto_cli.options import DEFAULT_DATA_DIR, DEFAULT_PORT, AsJson, DataDir, Port


class Bus(StrEnum):
    """Where events travel."""

    POSTGRES = "postgres"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(status)
    app.command()(migrate)


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Port = DEFAULT_PORT,
    bus: Annotated[Bus, typer.Option("--bus", help="Where events travel.")] = Bus.POSTGRES,
) -> None:
    """Start the whole platform here, and keep it running until Ctrl-C."""
    from rialto_cli.embedded.up import run

    raise typer.Exit(asyncio.run(run(absolute(data_dir), port, bus.value)))


def status(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Show what runs and where. Exit status 0 only when everything is ready."""
    from rialto_cli.embedded.status import collect, show

    found = collect(absolute(data_dir))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(found)
    raise typer.Exit(0 if found.ready else 1)


def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database's schemas up to date; the platform may run or not."""
    from rialto_cli.embedded.up import migrate as run

    applied = asyncio.run(run(absolute(data_dir)))
    for migration in applied:
        typer.echo(f"applied {migration}")
    typer.echo(f"{len(applied)} migrations applied" if applied else "nothing to apply: the database is up to date")


def absolute(data_dir: Path) -> Path:
    """Programs run in directories of their own: a relative path would mean another place there."""
    return data_dir.expanduser().absolute()
