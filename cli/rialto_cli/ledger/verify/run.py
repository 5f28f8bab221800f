"""All checks over a stream of records: blocks first, then entries ordered by shard and position."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rialto_cli.ledger.verify.blocks import Blocks
from rialto_cli.ledger.verify.chain import Chain
from rialto_cli.ledger.verify.findings import Finding, Report
from rialto_cli.ledger.verify.ranges import SealedRanges
from rialto_cli.ledger.verify.records import SHARDS, Block, Detached, Entry, Record, Unreadable

Numbered = tuple[int | None, Record]
Place = tuple[int, int]
T = TypeVar("T")


def verify(records: Iterable[Numbered]) -> Report:
    """Check records, each with its line where it comes from a file; memory does not grow with their number."""
    report, sealed = Report(), SealedRanges()
    try:
        _Run(report, sealed).take_all(records)
    finally:
        sealed.close()
    return report


class _Run:
    def __init__(self, report: Report, sealed: SealedRanges) -> None:
        self._report = report
        self._sealed = sealed
        self._blocks = Blocks(report, sealed)
        self._chain: Chain | None = None

    def take_all(self, records: Iterable[Numbered]) -> None:
        for (line, record), following in _with_next(records):
            match record:
                case Unreadable():
                    self._report.add(_unreadable(record, line))
                case Block():
                    self._take_block(record, line)
                case Entry() | Detached():
                    self._take_link(record, line, None if following is None else following[1])
        self._go_to(SHARDS)

    def _take_block(self, block: Block, line: int | None) -> None:
        if self._chain is None:
            self._blocks.take(block, line)
            return
        found = f"block {block.number} after an entry"
        self._report.add(Finding("out_of_order", "blocks before all entries", found, block=block.number, line=line))

    def _take_link(self, record: Entry | Detached, line: int | None, following: Record | None) -> None:
        """Check an entry in its place. One that stands in the order's way alone is told and left out, not followed."""
        reached = (-1, 0) if self._chain is None else (self._chain.shard, self._chain.position)
        if _first(record) <= reached or _turns_back(following, reached, _last(record)):
            self._report.add(
                Finding(
                    "out_of_order",
                    "entries ordered by shard and position" + (f", after {_named(reached)}" if self._chain else ""),
                    _named(_first(record)),
                    record.id if isinstance(record, Entry) else None,
                    *_first(record),
                    line=line,
                )
            )
            return
        chain = self._go_to(record.shard)
        if isinstance(record, Entry):
            chain.entry(record, line)
        else:
            chain.detached(record, line)

    def _go_to(self, shard: int) -> Chain:
        """Return the chain of a shard; all before it are finished, also those without entries."""
        chain = self._chain or Chain(0, self._sealed.of(0), self._report)
        while chain.shard < shard:
            chain.finish()
            chain = Chain(chain.shard + 1, self._sealed.of(chain.shard + 1), self._report)
        self._chain = chain
        return chain


def _turns_back(following: Record | None, reached: Place, last: Place) -> bool:
    """Whether the next record goes on before this one's end, though after what came before: this one is astray."""
    return isinstance(following, Entry | Detached) and reached < _first(following) <= last


def _first(record: Entry | Detached) -> Place:
    return record.shard, record.position if isinstance(record, Entry) else record.first_position


def _last(record: Entry | Detached) -> Place:
    return record.shard, record.position if isinstance(record, Entry) else record.last_position


def _named(place: Place) -> str:
    return f"shard {place[0]}, position {place[1]}"


def _unreadable(record: Unreadable, line: int | None) -> Finding:
    return Finding(
        "unreadable",
        "a record of the documented form",
        record.reason,
        record.entry_id,
        record.shard,
        record.position,
        record.block,
        line,
    )


def _with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Return each item with the one after it; None after the last."""
    rest = iter(items)
    for held in rest:
        for following in rest:
            yield held, following
            held = following
        yield held, None
