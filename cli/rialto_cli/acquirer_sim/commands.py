"""`rialto acquirer-sim`: run the simulated acquirer."""

import os
from pathlib import Path
from typing import Annotated

import typer

from rialto_cli.acquirer_sim.tokens import NAME
from rialto_cli.errors import OperatorError

KEY_VARIABLE = "RIALTO_ACQUIRER_SIM_KEY"
WEBHOOK_SECRET_VARIABLE = "RIALTO_ACQUIRER_SIM_WEBHOOK_SECRET"  # noqa: S105 - a variable's name


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("acquirer-sim")(acquirer_sim)


def acquirer_sim(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it listens, on this machine.")] = 8090,
    data_dir: Annotated[Path, typer.Option("--data-dir", file_okay=False, help="Where it keeps its books.")] = Path(
        ".rialto-acquirer"
    ),
    webhook_url: Annotated[
        str, typer.Option("--webhook-url", help="Where it tells what came later; without it, it tells nobody.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What it is called, where there are several.")] = NAME,
    tokens: Annotated[bool, typer.Option("--tokens", help="Show the test tokens and end.")] = False,
) -> None:
    """Run a simulated acquirer: cards that are declined, time out after charging, want to be confirmed, and so on."""
    import uvloop

    from rialto_cli.acquirer_sim.serve import serve
    from rialto_cli.acquirer_sim.server import Address
    from rialto_cli.acquirer_sim.tokens import table

    if tokens:
        typer.echo(table())
        return
    api_key, secret = _set(KEY_VARIABLE), _set(WEBHOOK_SECRET_VARIABLE) if webhook_url else ""
    data_dir.mkdir(parents=True, exist_ok=True)
    uvloop.run(serve(port, data_dir, api_key, Address(webhook_url, secret) if webhook_url else None, name))


def _set(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise OperatorError("The acquirer does not start", f"{variable} is not set", "set it to what the gateway has")
    return value
