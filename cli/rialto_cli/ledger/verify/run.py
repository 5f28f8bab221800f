"""All checks over a stream of records: blocks first, then entries ordered by shard and position."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rialto_cli.ledger.verify.archives import Archives
from rialto_cli.ledger.verify.blocks import Blocks
from rialto_cli.ledger.verify.chain import Chain
from rialto_cli.ledger.verify.findings import Finding, Report, unreadable
from rialto_cli.ledger.verify.ranges import SealedRanges
from rialto_cli.ledger.verify.records import SHARDS, Archived, Block, Entry, Numbered, Place, Record, Unreadable

T = TypeVar("T")


def verify(records: Iterable[Numbered], archives: Iterable[Iterable[Numbered]] = ()) -> Report:
    """Check records, each with its line where it comes from a file; memory does not grow with their number.

    Args: archives: the entries of archived months, each month's in order, to be checked in the places of their links.
    """
    report, sealed = Report(), SealedRanges()
    try:
        _Run(report, sealed, Archives(archives, report)).take_all(records)
    finally:
        sealed.close()
    return report


class _Run:
    def __init__(self, report: Report, sealed: SealedRanges, archives: Archives) -> None:
        self._report = report
        self._sealed = sealed
        self._archives = archives
        self._blocks = Blocks(report, sealed)
        self._chain: Chain | None = None

    def take_all(self, records: Iterable[Numbered]) -> None:
        for (line, record), following in _with_next(records):
            match record:
                case Unreadable():
                    self._report.add(unreadable(record, line))
                case Block():
                    self._take_block(record, line)
                case Entry() | Archived():
                    self._take_link(record, line, None if following is None else following[1])
        self._go_to(SHARDS)
        self._archives.finish()

    def _take_block(self, block: Block, line: int | None) -> None:
        if self._chain is None:
            self._blocks.take(block, line)
            return
        found = f"block {block.number} after an entry"
        self._report.add(Finding("out_of_order", "blocks before all entries", found, block=block.number, line=line))

    def _take_link(self, record: Entry | Archived, line: int | None, following: Record | None) -> None:
        """Check an entry in its place. One that stands in the order's way alone is told and left out, not followed."""
        reached = (-1, 0) if self._chain is None else (self._chain.shard, self._chain.position)
        place = (record.shard, record.position)
        if place <= reached or _turns_back(following, reached, place):
            self._report.add(
                Finding(
                    "out_of_order",
                    "entries ordered by shard and position" + (f", after {_named(reached)}" if self._chain else ""),
                    _named(place),
                    record.id if isinstance(record, Entry) else None,
                    *place,
                    line=line,
                )
            )
            return
        chain = self._go_to(record.shard)
        entry = record if isinstance(record, Entry) else self._archives.entry(record)
        if entry is not None:
            chain.entry(entry, line)
        elif isinstance(record, Archived):
            chain.archived(record, line)

    def _go_to(self, shard: int) -> Chain:
        """Return the chain of a shard; all before it are finished, also those without entries."""
        chain = self._chain or Chain(0, self._sealed.of(0), self._report)
        while chain.shard < shard:
            chain.finish()
            chain = Chain(chain.shard + 1, self._sealed.of(chain.shard + 1), self._report)
        self._chain = chain
        return chain


def _turns_back(following: Record | None, reached: Place, place: Place) -> bool:
    """Whether the next record goes on before this one, though after what came before: this one is astray."""
    return isinstance(following, Entry | Archived) and reached < (following.shard, following.position) <= place


def _named(place: Place) -> str:
    return f"shard {place[0]}, position {place[1]}"


def _with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Return each item with the one after it; None after the last."""
    rest = iter(items)
    for held in rest:
        for following in rest:
            yield held, following
            held = following
        yield held, None
