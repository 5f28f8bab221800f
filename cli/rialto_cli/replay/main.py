"""What `rialto replay` does: find the running platform, read the file, pay it, print the report."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from rialto_cli.embedded import postgres
from rialto_cli.embedded.services import ANVIL, GATEWAY, Installation
from rialto_cli.embedded.status import find_running
from rialto_cli.errors import OperatorError
from rialto_cli.replay import source
from rialto_cli.replay.progress import Lines
from rialto_cli.replay.render import render
from rialto_cli.replay.report import Report
from rialto_cli.replay.run import Options, Platform
from rialto_cli.replay.run import replay as pay
from rialto_cli.replay.scene import CURRENCY
from rialto_cli.replay.source import Choice
from rialto_common.money import currency_exponent

INTERRUPTED = 130
_FILE_WIDTH = 110
"""Characters a line where there is no terminal: enough for a transaction hash beside its columns."""


def replay(file: Path, choice: Choice, data_dir: Path, options: Options, *, as_json: bool) -> int:
    """Return the exit status: 0 when every check holds, 1 when not, 130 when interrupted.

    Raises: OperatorError: nothing runs on the data directory, or the file cannot be replayed.
    """
    installation, _ = find_running(data_dir)
    selection = source.read(file, choice, currency_exponent(CURRENCY))
    try:
        with Lines(Console(stderr=True)) as progress:
            progress.say(f"{file.name}: {len(selection):,} rows of {len(selection.needs()):,} customers")
            report = asyncio.run(pay(selection, platform_of(installation), options, progress))
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Run the same command again to continue: no row is paid twice.\n")
        return INTERRUPTED
    show(report, as_json=as_json)
    return 1 if report.failures else 0


def show(report: Report, *, as_json: bool) -> None:
    """Print the report on stdout: nothing but the JSON document, or tables."""
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        sys.stdout.flush()
    else:
        console = Console()
        render(report, console if console.is_terminal else Console(width=_FILE_WIDTH))


def platform_of(installation: Installation) -> Platform:
    """Return a running installation as the replay sees it."""
    return Platform(
        base_url=installation.url(GATEWAY),
        admin_key=installation.secrets.gateway_admin_key,
        data_dir=installation.data_dir,
        check_books=lambda: _books(installation),
    )


def _books(installation: Installation) -> Mapping[str, Mapping[str, Any]]:
    # Slow to import: the audit brings a database driver that nothing else here needs.
    from rialto_cli.audit import books, bus_url

    dsn, rpc = installation.access.dsn(postgres.AUDITOR), installation.url(ANVIL)
    try:
        return books.run(dsn, rpc, cluster=bus_url.of(installation)).to_dict()
    except books.AuditFailed as error:
        raise OperatorError(
            "The books cannot be read", str(error).rstrip("."), "see `rialto status`, then run the command again"
        ) from error
