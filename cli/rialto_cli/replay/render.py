"""The report as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rialto_cli.acquirer_sim.tokens import token
from rialto_cli.audit.book import INVARIANTS
from rialto_cli.replay.report import Report, violations
from rialto_cli.replay.tally import REACHED

_SHOWN_HASHES = 5


def render(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(_payments(report))
    # Below the table: a hash is as wide as most terminals, and one broken in two cannot be copied.
    for tx_hash in report.tx_hashes[:_SHOWN_HASHES]:
        console.print(f"  {tx_hash}", highlight=False, soft_wrap=True)
    if len(report.tx_hashes) > _SHOWN_HASHES:
        console.print(f"  and {len(report.tx_hashes) - _SHOWN_HASHES:,} more (--json lists them all)")
    if report.unknowns:
        console.print(_unknowns(report.unknowns))
    if report.confusion:
        console.print(_confusion(report.confusion))
    console.print(_books(report.books))
    if report.failures:
        console.print("[bold red]The report does not hold:[/]")
        for failure in report.failures:
            console.print(f"  - {failure}", highlight=False, markup=False)
    else:
        console.print("[bold green]Every check holds.[/]")


def _payments(report: Report) -> Table:
    table = Table(title="Payments", title_justify="left", show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold")
    states = report.states
    for reason, count in report.skipped.items():
        table.add_row("skipped", f"{count:,}", reason)
    table.add_row("submitted", f"{report.submitted:,}", f"in {report.duration_seconds:,.1f} s")
    table.add_row("accepted", f"{report.accepted:,}", f"{report.repeats:,} requests were repeated")
    for code, count in report.rejected.items():
        table.add_row("rejected", f"{count:,}", code)
    authorised = sum(states.get(state, 0) for state in REACHED["authorised"])
    latency = report.latency_ms
    table.add_row(
        "authorised",
        f"{authorised:,}",
        f"accepted→authorised p50 {_milliseconds(latency['p50'])}, p99 {_milliseconds(latency['p99'])}",
    )
    table.add_row("declined", f"{states.get('declined', 0):,}", _listed(report.decline_reasons))
    table.add_row("in review", f"{states.get('review', 0):,}", "waiting for a person, or for the deadline")
    table.add_row("captured", f"{sum(states.get(state, 0) for state in REACHED['captured']):,}", "")
    table.add_row("settled on chain", f"{states.get('settled', 0):,}", f"in {len(report.tx_hashes):,} transactions")
    others = {"review", "declined", *REACHED["authorised"]}
    for state, count in states.items():
        if state not in others:
            table.add_row(state, f"{count:,}", "")
    return table


def _unknowns(lines: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Unknown outcomes at the acquirer, and what came of them", title_justify="left")
    table.add_column("what the acquirer did", overflow="fold")
    table.add_column("question", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("came to", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("longest", justify="right", no_wrap=True)
    for line in lines:
        resolved = line["median_seconds"] is not None
        table.add_row(
            token(line["token"]).says,
            line["step"],
            f"{line['count']:,}",
            line["outcome"] if resolved else f"[red]{line['outcome']}[/]",
            f"{line['median_seconds']:.1f} s" if resolved else "-",
            f"{line['longest_seconds']:.1f} s" if resolved else "-",
        )
    return table


def _confusion(confusion: Mapping[str, Mapping[str, int]]) -> Table:
    outcomes = list(dict.fromkeys(state for counts in confusion.values() for state in counts))
    table = Table(title="Labels (never sent) and outcomes", title_justify="left")
    table.add_column("outcome")
    for label in confusion:
        table.add_column(label, justify="right")
    for outcome in outcomes:
        table.add_row(outcome, *(f"{counts.get(outcome, 0):,}" for counts in confusion.values()))
    return table


def _books(books: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title="The books", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("promise")
    table.add_column("checked", justify="right")
    table.add_column("violated", justify="right")
    table.add_column("", no_wrap=True)
    for name, promise in INVARIANTS.items():
        book = books.get(name)
        if book is None:
            table.add_row(name, promise, "-", "-", "[red]not checked[/]")
            continue
        count = violations(book)
        verdict = "[red]violated[/]" if count else "[green]holds[/]" if book["checked"] else "[red]nothing checked[/]"
        table.add_row(name, promise, f"{book['checked']:,}", f"{count:,}", verdict)
    return table


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
