"""The command `rialto torture`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from rialto_cli.options import AsJson, Bus

FILE_WIDTH = 120
"""Where there is no terminal, wide enough for the timeline."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(torture)


def torture(
    minutes: Annotated[float, typer.Option("--minutes", min=0.5, help="How long to break things.")] = 2.0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Which schedule of faults; without it a new one is drawn.")
    ] = None,
    bus: Annotated[Bus, typer.Option("--bus", help="Where events travel.")] = Bus.POSTGRES,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", file_okay=False, help="Keep everything here; without it, in a temporary directory."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Break a platform of its own in every way for some minutes, and see whether its promises hold. Status 1: not."""
    from rich.console import Console

    from rialto_cli.commands import absolute
    from rialto_cli.console import Progress
    from rialto_cli.torture.render import render
    from rialto_cli.torture.run import Options, new_seed
    from rialto_cli.torture.run import torture as run

    folder = None if data_dir is None else absolute(data_dir)
    options = Options(minutes, new_seed() if seed is None else seed, bus.value, folder)
    with Progress() as progress:
        progress.note(f"the same again: {options.repeat}")
        diary, book = asyncio.run(run(options, progress))
    if as_json:
        typer.echo(json.dumps(diary.to_dict(book), indent=2))
    else:
        console = Console(highlight=False)
        render(diary, book, console if console.is_terminal else Console(highlight=False, width=FILE_WIDTH))
    raise typer.Exit(1 if diary.wrong else 0)
