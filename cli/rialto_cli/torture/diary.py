"""What a run did, second by second, and what the platform made of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rialto_cli.torture.book import Book
from rialto_cli.torture.schedule import Fault


@dataclass(slots=True)
class Entry:
    """One fault as it happened, in seconds since the start of the run.

    `effect` says what it did (a process killed, connections cut); `recovered_seconds` is how long after its end the
    first payment sent after it was decided (for the chain: settled); None when that was not seen.
    """

    fault: Fault
    began: float
    ended: float = 0.0
    effect: str = ""
    recovered_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        fault = self.fault
        return {
            "at": round(self.began, 2),
            "kind": fault.kind,
            "target": fault.target,
            "seconds": fault.seconds,
            "amount": fault.amount,
            "effect": self.effect,
            "recovered_seconds": None if self.recovered_seconds is None else round(self.recovered_seconds, 2),
        }


@dataclass(slots=True)
class Diary:
    """A whole run."""

    seed: int
    minutes: float
    bus: str
    repeat: str
    """The command that does the same again."""
    folder: Path | None = None
    """Where the platform's files and logs are; None once they are gone."""
    entries: list[Entry] = field(default_factory=list)
    settled: list[tuple[float, int]] = field(default_factory=list)
    """How many payments were settled by when."""
    supervisor_starts: int = 0
    seconds: float = 0.0
    drained_seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    books: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """Every broken promise, a sentence each: the audit's and the clients'."""

    def to_dict(self, book: Book) -> dict[str, Any]:
        """Return the run as JSON values."""
        recovered = sorted(entry.recovered_seconds for entry in self.entries if entry.recovered_seconds is not None)
        return {
            "ok": not self.wrong,
            "seed": self.seed,
            "minutes": self.minutes,
            "bus": self.bus,
            "repeat": self.repeat,
            "folder": None if self.folder is None else str(self.folder),
            "seconds": round(self.seconds, 1),
            "drained_seconds": round(self.drained_seconds, 1),
            "faults": len(self.entries),
            "recovery_seconds": _quantiles(recovered),
            "supervisor_starts": self.supervisor_starts,
            "payments": {
                "accepted": len(book.accepted),
                "states": self.states,
                "captures": len(book.captures),
                "captures_booked": sum(made.succeeded for made in book.captures.values()),
                "voids": len(book.voids),
                "webhooks": sum(book.webhooks.values()),
                "webhooks_twice": sum(times - 1 for times in book.webhooks.values()),
                "repeats": book.repeats,
                "refusals": dict(book.refusals),
            },
            "violations": self.wrong,
            "books": self.books,
            "timeline": [entry.to_dict() for entry in self.entries],
            "accepted_each_second": per_second(book.accepted_at, self.seconds),
        }


def _quantiles(recovered: list[float]) -> dict[str, float]:
    if not recovered:
        return {}
    at = {"median": 0.5, "p90": 0.9, "longest": 1.0}
    return {
        name: round(recovered[min(len(recovered) - 1, int(share * len(recovered)))], 2) for name, share in at.items()
    }


def per_second(moments: list[float], seconds: float) -> list[int]:
    """Return how many of the moments fall into each second of the run."""
    counts = [0] * (int(seconds) + 1)
    for moment in moments:
        if moment <= seconds:
            counts[int(moment)] += 1
    return counts
