"""Which lines of a settlement file pay what, and which differ from what we know. Pure.

A line clears the capture, refund or lost dispute that its reference names, where both say the same; each is cleared
once. Whatever else a line says is a difference, with a reason and a sentence, for a person; it moves no money here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from rialto_gateway.settlement_files.file import Line

Reason = Literal[
    "unknown_reference", "duplicate", "kind_differs", "currency_differs", "amount_differs", "not_done", "chargeback",
    "missing",
]  # fmt: skip

ASKED = frozenset({"started", "pending", "requires_action", "unknown"})
"""States of an attempt that may be with the acquirer and whose outcome is open."""

STEPS = {"captured": "capture", "refunded": "refund", "chargeback": "chargeback"}


@dataclass(frozen=True, slots=True)
class Known:
    """What a line may be about, amounts in minor units: an attempt at this acquirer, or a dispute (`chargeback`).

    `id` is the attempt's or the dispute's; a dispute that was lost has `succeeded`.
    """

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    step: str
    subject_id: UUID | None
    currency: str
    amount_minor: int
    state: str
    is_settled: bool

    @property
    def attempt_id(self) -> UUID | None:
        """The attempt, where it is one."""
        return None if self.step == "chargeback" else self.id


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a line and our books differ. `expected` and `found` are for people."""

    line: Line
    attempt_id: UUID | None
    reason: Reason
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Matched:
    """What the lines of a file come to: each is cleared or a difference."""

    cleared: tuple[tuple[Line, Known], ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class EarlyLine:
    """A line that came before we knew that what it names was done, and the difference it became."""

    difference_id: UUID
    file_id: UUID
    line: Line


def match(lines: Sequence[Line], known: Mapping[str, Known]) -> Matched:
    """Match lines with what we know by reference; of two that would clear the same, the first does."""
    cleared: list[tuple[Line, Known]] = []
    differences: list[Difference] = []
    settled: set[UUID] = set()
    for line in lines:
        of = known.get(line.reference)
        found = difference_of(line, of, is_settled=of is not None and (of.is_settled or of.id in settled))
        if found is not None:
            differences.append(found)
        elif of is not None:
            settled.add(of.id)
            cleared.append((line, of))
    return Matched(tuple(cleared), tuple(differences))


def match_early(lines: Sequence[EarlyLine], known: Mapping[str, Known]) -> list[tuple[EarlyLine, Known]]:
    """Return the lines that clear what they name by now; of two that would clear the same, the first does."""
    cleared: dict[UUID, tuple[EarlyLine, Known]] = {}
    for early in lines:
        of = known.get(early.line.reference)
        if of is not None and difference_of(early.line, of, is_settled=of.is_settled) is None:
            cleared.setdefault(of.id, (early, of))
    return list(cleared.values())


def difference_of(line: Line, known: Known | None, *, is_settled: bool) -> Difference | None:
    """Return how a line differs from what is known under its reference; None where it clears it."""

    def differs(reason: Reason, expected: str, found: str) -> Difference:
        return Difference(line, None if known is None else known.attempt_id, reason, expected, found)

    if line.kind == "chargeback" and (known is None or known.step != "chargeback"):
        return differs("chargeback", "a dispute that we know of", f"{-line.gross_minor} {line.currency} taken back")
    if known is None or known.step not in STEPS.values():
        return differs("unknown_reference", "a capture or refund of ours", line.reference)
    if STEPS[line.kind] != known.step:
        return differs("kind_differs", f"a {known.step}", line.kind)
    if line.currency != known.currency:
        return differs("currency_differs", known.currency, line.currency)
    gross_minor = known.amount_minor if known.step == "capture" else -known.amount_minor
    if line.gross_minor != gross_minor:
        return differs("amount_differs", str(gross_minor), str(line.gross_minor))
    if is_settled:
        return differs("duplicate", "nothing more, as it was settled before", str(line.gross_minor))
    if known.state != "succeeded":
        return differs("not_done", f"nothing, as the {known.step} is {known.state}", str(line.gross_minor))
    return None


def shows_done(line: Line, known: Known) -> bool:
    """Whether a line tells the outcome of a question that may be with the acquirer: what it asked for was done."""
    found = difference_of(line, known, is_settled=known.is_settled)
    return found is not None and found.reason == "not_done" and known.state in ASKED
