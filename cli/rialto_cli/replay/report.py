"""The report of a replay, from what became of its rows and from the books; pure, and the shape that `--json` prints."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rialto_cli.audit.book import INVARIANTS
from rialto_cli.replay.source import Selection
from rialto_cli.replay.tally import Tally
from rialto_cli.replay.unknowns import Unknown, summary

_LABELS = {1: "fraud", 0: "genuine", -1: "unlabelled"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay did, and whether the books agree. Times are in seconds, latencies in milliseconds."""

    submitted: int
    accepted: int
    rejected: dict[str, int]
    skipped: dict[str, int]
    states: dict[str, int]
    decline_reasons: dict[str, int]
    tx_hashes: list[str]
    latency_ms: dict[str, float | None]
    confusion: dict[str, dict[str, int]]
    books: dict[str, dict[str, Any]]
    unfinished: int
    repeats: int
    duration_seconds: float
    stopped: str | None = None
    currency: str = "USD"
    unknowns: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every row was answered and every payment came to rest, whatever the books say."""
        return not self.stopped and not self.unfinished

    @property
    def failures(self) -> list[str]:
        """Every reason why this replay does not count as passed; empty when it does."""
        reasons = [self.stopped] if self.stopped else []
        if self.unfinished:
            reasons.append(f"{self.unfinished} accepted payments are neither final nor in review")
        still = sum(line["count"] for line in self.unknowns if line["median_seconds"] is None)
        if still:
            reasons.append(f"the outcome of {still} questions to the acquirer is still unknown")
        if not self.accepted:
            reasons.append("no payment was accepted")
        if not self.tx_hashes:
            reasons.append("nothing was settled on chain")
        for name in INVARIANTS:
            book = self.books.get(name)
            if book is None:
                reasons.append(f"{name} was not checked")
            elif not book["checked"]:
                reasons.append(f"{name} checked nothing")
            elif violations(book):
                named = ", ".join(f"{check} {count:,}" for check, count in book.get("by_check", {}).items())
                reasons.append(f"{name} is violated {violations(book):,} times" + (f": {named}" if named else ""))
        return reasons

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "submitted": self.submitted,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "states": self.states,
            "decline_reasons": self.decline_reasons,
            "tx_hashes": self.tx_hashes,
            "latency_ms": self.latency_ms,
            "confusion": self.confusion,
            "unknown_outcomes": self.unknowns,
            "books": self.books,
            "unfinished": self.unfinished,
            "repeats": self.repeats,
            "duration_seconds": self.duration_seconds,
            "ok": not self.failures,
            "failures": self.failures,
            **self.notes,
        }


def violations(book: Mapping[str, Any]) -> int:
    """Return how many violations a check found, whether it counts or lists them."""
    found = book["violations"]
    return found if isinstance(found, int) else len(found)


def build(
    selection: Selection,
    tally: Tally,
    books: Mapping[str, Mapping[str, Any]],
    *,
    duration_seconds: float,
    repeats: int,
    stopped: str | None,
    unknowns: Iterable[Unknown] = (),
    notes: Mapping[str, Any] | None = None,
) -> Report:
    """Return the report.

    Args: books: per invariant, how much was `checked` and the `violations`. stopped: why the replay ended early.
    """
    states = {state: count for state, count in tally.counts.items() if state not in {"unsent", "rejected"}}
    return Report(
        submitted=tally.sent,
        accepted=tally.accepted,
        rejected=dict(tally.rejections.most_common()),
        skipped=dict(selection.skipped.most_common()),
        states=states,
        decline_reasons=dict(tally.decline_reasons.most_common()),
        tx_hashes=sorted(tally.tx_hashes),
        latency_ms={"p50": percentile(tally.latencies_ms(), 50), "p99": percentile(tally.latencies_ms(), 99)},
        confusion=confusion(selection, tally),
        books={name: dict(book) for name, book in books.items()},
        unfinished=tally.pending,
        repeats=repeats,
        duration_seconds=round(duration_seconds, 3),
        stopped=stopped,
        unknowns=summary(unknowns),
        notes=dict(notes or {}),
    )


def percentile(values: npt.NDArray[np.float32], rank: float) -> float | None:
    """Return a percentile, nearest rank above; None of nothing."""
    return round(float(np.percentile(values, rank, method="higher")), 1) if len(values) else None


def confusion(selection: Selection, tally: Tally) -> dict[str, dict[str, int]]:
    """Return, per label of the file, how many rows ended in each state. The labels were never sent."""
    table: dict[str, Counter[str]] = {}
    for place, label in enumerate(selection.labels.tolist()):
        state = tally.state_of(place)
        if state == "declined":
            state = f"declined: {tally.decline_code(place)}"
        table.setdefault(_LABELS[label], Counter())[state] += 1
    return {label: dict(counts.most_common()) for label, counts in sorted(table.items())}
