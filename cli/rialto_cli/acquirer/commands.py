"""`rialto acquirer settle`."""

import json
from typing import Annotated

import typer

from rialto_cli.commands import absolute
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

CONNECTOR = "sim"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Settle with acquirers.", no_args_is_help=True)
    group.command()(settle)
    app.add_typer(group, name="acquirer")


def settle(
    mistakes: Annotated[
        list[str] | None,
        typer.Option(
            "--mistake",
            help="What the acquirer is to get wrong: missing_line, wrong_amount, unknown_line, duplicate_line.",
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Have the simulated acquirer settle, and hand its files to the gateway. Exit status 1 where lines differ."""
    from rialto_cli.acquirer.settle import settle_all
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    files = settle_all(installation, CONNECTOR, mistakes or [])
    if as_json:
        typer.echo(json.dumps(files, indent=2))
    else:
        for each in files:
            totals = ", ".join(f"{total['net_minor']} {total['currency']} paid" for total in each["totals"])
            typer.echo(
                f"{each['name']}: {each['cleared']} lines cleared, {each['differing']} differ; {totals} in minor units"
            )
        if not files:
            typer.echo("nothing to settle: the acquirer has paid for all that it captured")
    raise typer.Exit(1 if any(each["differing"] for each in files) else 0)
