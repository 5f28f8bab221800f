"""`rialto up`, `status`, `migrate` and `kafka`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from rialto_cli.options import DEFAULT_DATA_DIR, DEFAULT_PORT, AsJson, Bus, BusName, BusUrl, DataDir, Port


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(status)
    app.command()(migrate)
    app.command()(kafka)


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Port = DEFAULT_PORT,
    bus: BusName = None,
    bus_url: BusUrl = None,
    through: Annotated[
        list[str] | None,
        typer.Option("--through", hidden=True, help="SERVICE:PROGRAM=PORT: that service reaches the program there."),
    ] = None,
    longest_restart_delay: Annotated[
        float, typer.Option("--longest-restart-delay", hidden=True, min=0, help="Seconds between two restarts.")
    ] = 5.0,
) -> None:
    """Start the whole platform here, and keep it running until Ctrl-C."""
    from rialto_cli.embedded.platform import Options
    from rialto_cli.embedded.up import run

    refuse_both(bus, bus_url)
    ways = {way: int(at) for way, at in (each.split("=", 1) for each in through or ())}
    raise typer.Exit(asyncio.run(run(Options(absolute(data_dir), port, bus, bus_url, ways, longest_restart_delay))))


def refuse_both(bus: Bus | None, bus_url: str | None) -> None:
    """--bus and --bus-url exclude each other. Raises: typer.BadParameter."""
    if bus is not None and bus_url is not None:
        raise typer.BadParameter("--bus and --bus-url exclude each other")


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


def kafka(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="Kafka's port.")] = 9092,
) -> None:
    """Start Apache Kafka alone, with Rialto's topics, and keep it running until Ctrl-C."""
    from rialto_cli.embedded.kafka_alone import run

    raise typer.Exit(asyncio.run(run(absolute(data_dir), port)))


def absolute(data_dir: Path) -> Path:
    """Programs run in directories of their own: a relative path would mean another place there."""
    return data_dir.expanduser().absolute()
