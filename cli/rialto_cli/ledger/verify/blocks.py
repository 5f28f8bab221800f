"""The chain of blocks: each one's super-root computed anew, each linked to the one before it."""

from collections.abc import Callable

from rialto_cli.ledger.verify.encoding import FIRST_PREVIOUS, range_bytes, super_root
from rialto_cli.ledger.verify.findings import Finding, Report
from rialto_cli.ledger.verify.merkle import Tree
from rialto_cli.ledger.verify.ranges import SealedRanges
from rialto_cli.ledger.verify.records import SHARDS, Block

Wrong = Callable[..., None]


class Blocks:
    """Takes blocks in their order and keeps what they seal."""

    def __init__(self, report: Report, sealed: SealedRanges) -> None:
        self._report = report
        self._sealed = sealed
        self._number = 0
        # Two where a super-root is not what it must be: whichever the next block names, one finding is enough.
        self._previous = [FIRST_PREVIOUS]
        self._reached = [0] * SHARDS

    def take(self, block: Block, line: int | None) -> None:
        """Check a block."""

        def wrong(problem: str, expected: object, found: object, shard: int | None = None) -> None:
            self._report.add(Finding(problem, str(expected), str(found), shard=shard, block=block.number, line=line))

        if block.number <= self._number:
            wrong("out_of_order", f"a block after {self._number}", f"block {block.number}")
            return
        if block.number != self._number + 1:
            wrong("block_missing", f"block {self._number + 1}", f"block {block.number}")
        elif block.previous not in self._previous:
            wrong("block_previous", self._previous[0].hex(), block.previous.hex())
        self._check_ranges(block, wrong)
        tree = Tree()
        for span in block.shards:
            tree.add(range_bytes(span))
        # The number of shards is one byte of what is hashed; of more, some are named twice, which is found above.
        computed = super_root(block, tree.root()) if len(block.shards) <= SHARDS else bytes(32)
        if block.super_root != computed:
            wrong("super_root", computed.hex(), block.super_root.hex())
        self._number, self._previous = block.number, [block.super_root, computed]
        self._sealed.add(block)
        self._report.blocks += 1
        self._report.last_block = {
            "number": block.number,
            "sealed_at": block.sealed_at,
            "super_root": block.super_root.hex(),
        }

    def _check_ranges(self, block: Block, wrong: Wrong) -> None:
        if not block.shards:
            wrong("block_empty", "at least one shard", "none")
        before = -1
        for span in block.shards:
            if span.shard <= before:
                wrong("out_of_order", f"a shard after {before}", f"shard {span.shard}", span.shard)
            before = span.shard
            if span.first_position != self._reached[span.shard] + 1:
                expected = f"first_position {self._reached[span.shard] + 1}"
                wrong("range", expected, f"first_position {span.first_position}", span.shard)
            if span.last_position < span.first_position:
                expected = f"last_position {span.first_position} or later"
                wrong("range", expected, f"last_position {span.last_position}", span.shard)
            self._reached[span.shard] = span.last_position
