"""`rialto reconcile`."""

import json
from typing import Annotated, Any

import typer

from rialto_cli.commands import absolute
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reconcile)


def reconcile(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are explained or resolved.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show where the books differ from what the gateway and the chain-bridge report. Exit status 1 when any is open."""
    from rialto_cli.embedded.status import find_running
    from rialto_cli.reconcile.client import differences

    installation, _ = find_running(absolute(data_dir))
    found, more = differences(installation, "all" if everything else "open")
    opened = sum(each["state"] == "open" for each in found)
    if as_json:
        typer.echo(json.dumps({"open": opened, "has_more": more, "differences": found}, indent=2))
    elif found:
        _table(found)
        if more:
            typer.echo("there are more, of which these stand longest")
    else:
        typer.echo("no differences: the ledger, the gateway and the chain-bridge agree on every closed day")
    raise typer.Exit(1 if opened else 0)


def age(seconds: int) -> str:
    """Return an age in its largest unit, such as `3 h`."""
    name, length = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    return f"{seconds // length} {name}"


def _table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    titles = ("difference", "day", "merchant", "mode", "what", "ledger", "other", "told by", "reason", "age", "state")
    table = Table(*titles, box=None, pad_edge=False)
    for each in found:
        table.add_row(
            each["id"],
            each["day"],
            each["merchant_id"],
            each["mode"],
            f"{each['kind']} {each['currency']}",
            _total(each["ours"]),
            _total(each["theirs"]),
            each["source"].replace("_", "-"),
            each["reason"],
            age(each["age_seconds"]),
            each["state"] if each["note"] is None else f"{each['state']}: {each['note']}",
        )
    Console(highlight=False, soft_wrap=True, markup=False).print(table)


def _total(total: dict[str, Any] | None) -> str:
    return "nothing told" if total is None else f"{total['amount_minor']} in {total['count']}"
