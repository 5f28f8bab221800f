"""`rialto up`, `status`, `migrate`, `kafka` and `secrets`."""

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
    app.command()(secrets)


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


def migrate(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn", envvar="RIALTO_MIGRATE_DSN", help="A PostgreSQL of yours instead: the database, as its owner."
        ),
    ] = None,
    roles: Annotated[
        bool,
        typer.Option(
            "--roles",
            help="First create the roles and the database; the DSN is a superuser's, and each role's password is in "
            "RIALTO_ROLE_DATABASE_PASSWORD (RIALTO_OWNER_…, RIALTO_GATEWAY_…).",
        ),
    ] = False,
) -> None:
    """Bring the database's schemas up to date; the platform may run or not."""
    from rialto_cli.embedded import external
    from rialto_cli.embedded.up import migrate as run

    if roles and dsn is None:
        raise typer.BadParameter("--roles is for a PostgreSQL of yours: name it with --dsn")
    applied = asyncio.run(run(absolute(data_dir))) if dsn is None else external.migrate(dsn, with_roles=roles)
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


def secrets() -> None:
    """Print fresh secrets as the lines of an .env file, for docker-compose.yml and for services started by hand."""
    from rialto_cli.embedded.external import fresh_secrets

    for name, value in fresh_secrets().items():
        typer.echo(f"{name}={value}")


def absolute(data_dir: Path) -> Path:
    """Programs run in directories of their own: a relative path would mean another place there."""
    return data_dir.expanduser().absolute()
