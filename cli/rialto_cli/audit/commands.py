"""The command `rialto audit`."""

import json
import sys
import time
from typing import Annotated

import typer

from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

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
    settle: Annotated[
        float,
        typer.Option("--settle", "--wait", min=0, help="Look again for so many seconds at what may still mend itself."),
    ] = DEFAULT_SETTLE_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Check the books I1-I8 from outside. Exit status 0 only when every check had something to check and holds."""
    from rialto_cli.audit.books import AuditFailed, run

    if dsn is None or rpc is None:
        running_dsn, running_rpc = _running(data_dir)
        dsn, rpc = dsn or running_dsn, rpc or running_rpc
    try:
        books = run(dsn, rpc, settle_seconds=settle, say=_Progress().say)
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


def _running(data_dir: DataDir) -> tuple[str, str]:
    """Return the auditor's URI and the chain's URL of the platform that runs on a data directory."""
    from rialto_cli.commands import absolute
    from rialto_cli.embedded.services import ANVIL
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    return installation.access.dsn("auditor"), installation.url(ANVIL)


class _Progress:
    """Tells on stderr what is being checked, once it takes long enough for somebody to wonder."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Tell it, or keep quiet."""
        if time.monotonic() - self._began > QUIET_SECONDS:
            sys.stderr.write(f"checking {text}\n")
