"""The command `rialto audit`."""

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

if TYPE_CHECKING:
    from rialto_cli.audit.bus_url import Cluster
    from rialto_cli.embedded.services import Installation

DEFAULT_SETTLE_SECONDS = 10.0
QUIET_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dsn: Annotated[
        str | None, typer.Option("--dsn", help="The auditor's database URI, instead of --data-dir's.")
    ] = None,
    rpc: Annotated[str | None, typer.Option("--rpc", help="The chain's JSON-RPC URL, instead of --data-dir's.")] = None,
    bus_url: Annotated[
        str | None,
        typer.Option(
            "--bus-url",
            help="The bus, instead of --data-dir's: postgres, or kafka[+tls]://HOST:PORT\\[/PREFIX] with credentials "
            "from RIALTO_BUS_USERNAME, _PASSWORD, _SASL_MECHANISM, _CA_FILE. With --dsn and --rpc: RIALTO_BUS_URL.",
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option("--settle", "--wait", min=0, help="Look again for so many seconds at what may still mend itself."),
    ] = DEFAULT_SETTLE_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Check the books I1-I8 from outside. Exit status 0 only when every check had something to check and holds."""
    from rialto_cli.audit.books import AuditFailed, run
    from rialto_cli.audit.bus_url import POSTGRES, of

    cluster = None if bus_url is None else _cluster(bus_url)
    if dsn is None or rpc is None:
        running = _running(data_dir)
        dsn, rpc = dsn or running.access.dsn("auditor"), rpc or running.url("anvil")
        cluster = of(running) if bus_url is None else cluster
    elif bus_url is None:
        cluster = _cluster(os.environ.get("RIALTO_BUS_URL") or POSTGRES)
    try:
        books = run(dsn, rpc, cluster=cluster, settle_seconds=settle, say=_Progress().say)
    except AuditFailed as error:
        raise OperatorError(
            "The books cannot be read", str(error).rstrip("."), "see `rialto status`, then run the command again"
        ) from error
    if as_json:
        typer.echo(json.dumps(books.to_dict(), indent=2))
    else:
        from rich.console import Console

        from rialto_cli.audit.render import render

        render(books, Console(highlight=False, soft_wrap=True))
    raise typer.Exit(0 if books.hold else 1)


def _running(data_dir: DataDir) -> "Installation":
    """Return the platform that runs on a data directory."""
    from rialto_cli.commands import absolute
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    return installation


def _cluster(url: str) -> "Cluster | None":
    from rialto_cli.audit.bus_url import read

    try:
        return read(url, os.environ)
    except ValueError as error:
        raise OperatorError(f"{url} is no bus", str(error), "correct --bus-url, or RIALTO_BUS_URL") from error


class _Progress:
    """Tells on stderr what is being checked, once it takes long enough for somebody to wonder."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Tell it, or keep quiet."""
        if time.monotonic() - self._began > QUIET_SECONDS:
            sys.stderr.write(f"checking {text}\n")
