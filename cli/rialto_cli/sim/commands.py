"""The command `rialto sim`."""

import json
import os
from typing import Annotated

import typer

from rialto_cli.options import AsJson

FEWEST_PAYMENTS = 20
PAYMENTS = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sim)


def sim(
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="How many histories to run.")] = 100,
    first: Annotated[int, typer.Option("--from", min=0, help="The first seed.")] = 0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Run this seed alone.")] = None,
    payments: Annotated[
        int, typer.Option("--payments", min=FEWEST_PAYMENTS, help="Payments in each history.")
    ] = PAYMENTS,
    trace: Annotated[
        bool, typer.Option("--trace", help="Tell what happened, instant by instant; with --seed.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes to run in; one a core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run seeded histories of payments through all services in one process, under faults, and check I1-I5, I7 and I8.

    The same seed gives the same history and the same hash everywhere. Exit status 1 when a history breaks a promise.
    """
    from rialto_cli.sim.report import show, show_timeline, to_dict
    from rialto_cli.sim.runner import run_seeds

    if trace and seed is None:
        raise typer.BadParameter("name the history to tell with --seed", param_hint="--trace")
    chosen = range(first, first + seeds) if seed is None else range(seed, seed + 1)
    run = run_seeds(chosen, payments, jobs=jobs or min(os.cpu_count() or 1, len(chosen)), trace=trace)
    if trace:
        show_timeline(run.outcomes[0], to_stderr=as_json)
    if as_json:
        typer.echo(json.dumps(to_dict(run), indent=2))
    else:
        show(run)
    raise typer.Exit(0 if run.holds else 1)
