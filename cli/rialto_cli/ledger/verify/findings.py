"""What is wrong: where, what was expected, and what was found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rialto_cli.ledger.verify.records import Unreadable

MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `problem` is a stable code; `line` is the file's, counted from 1."""

    problem: str
    expected: str
    found: str
    entry_id: str | None = None
    shard: int | None = None
    position: int | None = None
    block: int | None = None
    line: int | None = None

    def where(self) -> str:
        """Name the place for people."""
        names = {
            "block": self.block,
            "shard": self.shard,
            "position": self.position,
            "entry": self.entry_id,
            "line": self.line,
        }
        return ", ".join(f"{name} {value}" for name, value in names.items() if value is not None)


@dataclass(slots=True)
class Tail:
    """Entries of a shard that no block seals yet."""

    shard: int
    first_position: int
    last_position: int


@dataclass(slots=True)
class Report:
    """What was looked at, and every finding counted; the first MAX_KEPT are kept.

    `entries` are those checked in full, `archived` those of which there was only the link.

    `last_block` is what to compare with a super-root from elsewhere, such as the one anchored on chain.
    """

    entries: int = 0
    postings: int = 0
    archived: int = 0
    blocks: int = 0
    last_block: dict[str, Any] | None = None
    unsealed: list[Tail] = field(default_factory=list)
    findings_total: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self.findings_total == 0

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        self.findings_total += 1
        if len(self.findings) < MAX_KEPT:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """Return everything for machines."""
        return {"holds": self.holds} | asdict(self)


def unreadable(record: Unreadable, line: int | None, where: str = "") -> Finding:
    """Return what there is to say of a record that cannot be read."""
    return Finding(
        "unreadable",
        f"a record of the documented form{where}",
        record.reason,
        record.entry_id,
        record.shard,
        record.position,
        record.block,
        line,
    )
