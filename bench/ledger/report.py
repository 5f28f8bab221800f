"""Ratios and figures beside their budgets, as a table and as JSON."""

from dataclasses import dataclass
from typing import Any

from rich.table import Column, Table

from bench.ledger import http, ours
from bench.ledger.figures import Figures

RATIOS = {
    "single_100": 12.0,
    "single_10k": 8.0,
    "call_100": 3.0,
    "hot": 30.0,
    "rows_10m": 0.8,
    "http_single": 1.0,
    "http_bulk_100": 4.0,
    "http_hot": 3.0,
}
"""What each must reach."""
HTTP_RUNS = ("http_single", f"http_bulk_{http.BATCH}", "http_hot")
BATCH_P99_MS = 25.0
TAIL = 10.0
"""The highest p99 of a run over its p50 that is no starvation."""


@dataclass(frozen=True)
class Judged:
    """A figure beside its budget, or without one."""

    name: str
    found: float
    budget: str = ""
    met: bool | None = None


def ratios_of(figures: Figures) -> dict[str, float]:
    """Return the ratios as they are written, to two digits; a budget is held against the whole."""
    return {name: round(ratio, 2) for name, ratio in _ratios(figures).items()}


def _ratios(figures: Figures) -> dict[str, float]:
    """Return ours over the other's, of what was measured; in bulk with the better of the two sizes of a batch."""
    found = {}
    if "baseline_call" in figures.rates:
        found["single_100"] = _bulk(figures, "100") / figures.median("baseline_100")
        found["single_10k"] = _bulk(figures, "10k") / figures.median("baseline_10k")
        found["call_100"] = _bulk(figures, "100") / figures.median("baseline_call")
        found["hot"] = _bulk(figures, "hot") / figures.median("baseline_hot")
    for load in _loads(figures, "rows_"):
        found[load] = _bulk(figures, load) / _bulk(figures, "empty")
    for name in HTTP_RUNS:
        if name in figures.rates:
            other = "http_baseline_hot" if name == "http_hot" else "http_baseline_100"
            found[name] = figures.median(name) / figures.median(other)
    return found


def judged(figures: Figures) -> list[Judged]:
    """Return everything that has a budget, and what is only told."""
    found = []
    for name, ratio in _ratios(figures).items():
        least = RATIOS.get(name)
        if least is None:
            found.append(Judged(name, ratio))
        else:
            found.append(Judged(name, ratio, f">= {least:g}", ratio >= least))
    if "ours_alone_100" in figures.latencies:
        p99 = figures.milliseconds("ours_alone_100", 0.99)
        found.append(Judged("batch_100_p99_ms", p99, f"<= {BATCH_P99_MS:g}", p99 <= BATCH_P99_MS))
    for name in HTTP_RUNS:
        if name in figures.tails:
            tail = figures.worst_tail(name)
            found.append(Judged(f"{name}_p99_over_p50", tail, f"<= {TAIL:g}", tail <= TAIL))
    for load in _loads(figures, "accounts_"):
        found.append(Judged(f"{load}_per_second", round(_bulk(figures, load))))
    return found


def as_json(figures: Figures) -> dict[str, Any]:
    """Return all but the ratios."""
    return {
        "rates": dict(figures.rates),
        "latency_ms": {
            name: {"p50": round(figures.milliseconds(name, 0.5), 2), "p99": round(figures.milliseconds(name, 0.99), 2)}
            for name in figures.latencies
        },
        "p99_over_p50": {name: [round(tail, 1) for tail in tails] for name, tails in figures.tails.items()},
        "cpu_us_per_request": {name: [round(cpu) for cpu in used] for name, used in figures.cpu_us.items()},
        "judged": {
            each.name: {"found": each.found, "budget": each.budget, "met": each.met} for each in judged(figures)
        },
    }


def rates_table(figures: Figures) -> Table:
    """Return the rates as a table."""
    table = Table(Column("what", no_wrap=True), "transfers/s", "rounds", "p50", "p99", "CPU of a request")
    for name, rates in figures.rates.items():
        timed, cpu = name in figures.latencies, sorted(figures.cpu_us.get(name, ()))
        table.add_row(
            name,
            f"{figures.median(name):,.0f}",
            " ".join(f"{rate:,.0f}" for rate in rates),
            f"{figures.milliseconds(name, 0.5):.1f} ms" if timed else "",
            f"{figures.milliseconds(name, 0.99):.1f} ms" if timed else "",
            f"{cpu[len(cpu) // 2]:,.0f} µs" if cpu else "",
        )
    return table


def budget_table(figures: Figures) -> Table:
    """Return what was found beside what it must be."""
    table = Table(Column("what", no_wrap=True), "found", "budget", "met")
    for each in judged(figures):
        table.add_row(
            each.name,
            f"{round(each.found, 3):,g}",
            each.budget,
            "" if each.met is None else ("yes" if each.met else "NO"),
        )
    return table


def _bulk(figures: Figures, load: str) -> float:
    return figures.best([f"ours_{load}_{batch}" for batch in ours.BATCHES])


def _loads(figures: Figures, kind: str) -> list[str]:
    """Return the loads of ours whose names begin so: they say how many rows or accounts the run was told to have."""
    found = (name.removeprefix("ours_").rpartition("_")[0] for name in figures.rates if name.startswith("ours_"))
    return list(dict.fromkeys(load for load in found if load.startswith(kind)))
