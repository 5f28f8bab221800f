"""`rialto dlq list`, `show` and `replay`."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from rialto_cli.commands import absolute
from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

Service = Annotated[str | None, typer.Option("--service", "-s", help="Only this service's, such as ledger.")]
Group = Annotated[str | None, typer.Option("--group", "-g", help="Only this consumer group's.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dlq = typer.Typer(help="Events that a service could not handle and has set aside.", no_args_is_help=True)
    dlq.command("list")(list_keys)
    dlq.command("show")(show_key)
    dlq.command("replay")(replay)
    app.add_typer(dlq, name="dlq")


def list_keys(service: Service = None, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """List the parked keys: an event that failed for good, and those that wait behind it."""
    from rialto_cli.dead_letters.client import DeadLetters
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    with DeadLetters(installation) as dead_letters:
        rows, silent = dead_letters.overview(_chosen(service))
    for each in silent:
        typer.echo(f"{each.service} does not answer: {each.reason}", err=True)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=str))
    elif rows:
        _table(rows)
    elif not silent:
        typer.echo("nothing is parked")
    raise typer.Exit(1 if silent else 0)


def show_key(
    key: Annotated[str, typer.Argument(help="The parked key, usually a payment's id.")],
    service: Service = None,
    group: Group = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show what is parked under a key, in order, with the error of the first."""
    from rialto_cli.dead_letters.client import DeadLetters
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    with DeadLetters(installation) as dead_letters:
        parked = _parked(dead_letters, service, group, key)
        found = [dead_letters.show(row["service"], str(row["consumer_group"]), key) for row in parked]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['service']}, group {each['group']}, key {each['key']}")
        for event in each["events"]:
            typer.echo(f"  {event['time']}  {event['type']}  {event['event_id']}")
            typer.echo(f"    error: {event['error'] or 'none: it waits behind the one before'}")
            typer.echo(f"    data:  {event['data']}")


def replay(
    key: Annotated[str | None, typer.Argument(help="The parked key; every one when left out with --all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay every parked key.")] = False,
    service: Service = None,
    group: Group = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Have parked events handled again, each key in order; first remove the cause."""
    from rialto_cli.dead_letters.client import DeadLetters
    from rialto_cli.embedded.status import find_running

    if (key is None) == (not everything):
        raise OperatorError(
            "Nothing was replayed", "it is not clear which keys are meant", "name one key, or say --all"
        )
    installation, _ = find_running(absolute(data_dir))
    with DeadLetters(installation) as dead_letters:
        parked = _parked(dead_letters, service, group, key)
        counts: dict[str, int] = {}
        for name, its_group in dict.fromkeys((row["service"], str(row["consumer_group"])) for row in parked):
            counts[name] = counts.get(name, 0) + dead_letters.replay(name, its_group, key)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, count in counts.items():
        typer.echo(f"{name}: {count} {'key' if count == 1 else 'keys'} will be handled again")


def _chosen(service: str | None) -> Sequence[str]:
    from rialto_cli.embedded.services import SERVICES

    if service is None:
        return SERVICES
    if service not in SERVICES:
        raise OperatorError(f"There is no service {service}", "these exist: " + ", ".join(SERVICES), "name one of them")
    return (service,)


def _parked(dead_letters: Any, service: str | None, group: str | None, key: str | None) -> list[dict[str, Any]]:
    """The parked keys that are meant.

    Raises: OperatorError: there are none, as far as the services answer.
    """
    rows, silent = dead_letters.overview(_chosen(service))
    meant = [row for row in rows if key in (None, row["key"]) and group in (None, row["consumer_group"])]
    if not meant:
        why = "".join(f"; {each.service} does not answer" for each in silent)
        raise OperatorError(
            "Nothing is parked" if key is None else f"Nothing is parked under {key}",
            f"no service has set such events aside{why}",
            "`rialto dlq list` shows what is parked",
        )
    return meant


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = list(rows[0])
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console(highlight=False, soft_wrap=True, markup=False).print(table)
