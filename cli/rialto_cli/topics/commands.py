"""`rialto topics apply`."""

import asyncio
from typing import Annotated

import typer

from rialto_cli.commands import absolute
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics = typer.Typer(help="The topics of a Kafka cluster.", no_args_is_help=True)
    topics.command()(apply)
    # A single command would otherwise take its group's place.
    topics.callback()(lambda: None)
    app.add_typer(topics, name="topics")


def apply(
    bus_url: Annotated[
        str | None,
        typer.Option(
            "--bus-url",
            envvar="RIALTO_BUS_URL",
            help="The cluster, kafka://HOST:PORT[,…]\\[/PREFIX] or kafka+tls://…; else that of the data directory.",
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=512, help="Partitions of each topic; without it at least 8.")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=9, help="Copies of each record; without it 3, or 1 on one or two brokers.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit status 1 when something differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create missing topics, add partitions, correct settings. Shows what differs, and asks."""
    from rialto_cli.topics.apply import run
    from rialto_cli.topics.cluster import cluster_of, cluster_of_data_dir

    cluster = cluster_of(bus_url) if bus_url else cluster_of_data_dir(absolute(data_dir))
    raise typer.Exit(asyncio.run(run(cluster, partitions, replication, yes=yes, check=check, as_json=as_json)))
