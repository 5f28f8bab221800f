"""What is printed about a run."""

import sys
from collections import Counter
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from rialto_cli.sim.history import Outcome
from rialto_cli.sim.runner import Run
from rialto_common.virtual_time import MICROSECONDS


def to_dict(run: Run) -> dict[str, Any]:
    """Return the run as JSON values."""
    return {
        "seeds": len(run.outcomes),
        "payments": sum(outcome.payments for outcome in run.outcomes),
        "violations": [
            {"seed": outcome.seed, "what": outcome.violations, "replay": replay_command(run, outcome)}
            for outcome in run.outcomes
            if outcome.violations
        ],
        "hashes": {str(outcome.seed): outcome.hash for outcome in run.outcomes},
        "figures": figures(run),
    }


def figures(run: Run) -> dict[str, Any]:
    """Return how much was simulated and how fast. Rates are by processor time, so that they are a core's."""
    faults, points = _sum(run, "faults"), set().union(*(outcome.crash_points for outcome in run.outcomes))
    payments = sum(outcome.payments for outcome in run.outcomes)
    return {
        "payments_per_second_per_core": round(payments / run.cpu_seconds, 1) if run.cpu_seconds else None,
        "seconds": round(run.seconds, 3),
        "cpu_seconds": round(run.cpu_seconds, 3),
        "jobs": run.jobs,
        "events": sum(outcome.events for outcome in run.outcomes),
        "steps": sum(outcome.steps for outcome in run.outcomes),
        "checks": sum(outcome.looks for outcome in run.outcomes),
        "crashes": sum(outcome.crashes for outcome in run.outcomes),
        "faults": dict(sorted(faults.items())),
        "states": dict(sorted(_sum(run, "states").items())),
        "attempts": dict(sorted(_sum(run, "attempts").items())),
        "refunds": dict(sorted(_sum(run, "refunds").items())),
        "crash_points": sorted(points),
    }


def replay_command(run: Run, outcome: Outcome) -> str:
    """Return the command that tells a seed's history again."""
    return f"rialto sim --seed {outcome.seed} --payments {run.payments_a_seed} --trace"


def show(run: Run) -> None:
    """Print the run for people."""
    console = Console(highlight=False, soft_wrap=True)
    numbers = figures(run)
    payments = sum(outcome.payments for outcome in run.outcomes)
    table = Table(title=f"{len(run.outcomes)} histories of {payments} payments", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name in ("events", "steps", "checks", "crashes"):
        table.add_row(name, f"{numbers[name]:,}")
    table.add_row("faults of all kinds", f"{sum(numbers['faults'].values()):,}")
    table.add_row("crash points passed", str(len(numbers["crash_points"])))
    for state, count in numbers["states"].items():
        table.add_row(f"payments {state}", f"{count:,}")
    for what, count in numbers["attempts"].items():
        table.add_row(f"attempts: {what}", f"{count:,}")
    for state, count in numbers["refunds"].items():
        table.add_row(f"refunds {state}", f"{count:,}")
    table.add_row("payments a second and core", str(numbers["payments_per_second_per_core"]))
    table.add_row("seconds", f"{numbers['seconds']:.1f}")
    if len(run.outcomes) == 1:
        table.add_row("hash of the event log", run.outcomes[0].hash)
    console.print(table)
    failed = [outcome for outcome in run.outcomes if outcome.violations]
    for outcome in failed:
        console.print(f"[red]seed {outcome.seed} breaks a promise[/red]")
        for text in outcome.violations:
            console.print(f"  {text}", markup=False)
        console.print(f"  again: {replay_command(run, outcome)}", markup=False)
    if not failed:
        console.print("I1-I5, I7 and I8 hold in every history")


def show_timeline(outcome: Outcome, *, to_stderr: bool) -> None:
    """Print what happened in a history, instant by instant, in virtual seconds."""
    stream = sys.stderr if to_stderr else sys.stdout
    for micros, text in outcome.timeline:
        stream.write(f"{micros / MICROSECONDS:14.6f} s  {text}\n")


def _sum(run: Run, name: Literal["faults", "states", "attempts", "refunds"]) -> Counter[str]:
    total: Counter[str] = Counter()
    for outcome in run.outcomes:
        total.update(getattr(outcome, name))
    return total
