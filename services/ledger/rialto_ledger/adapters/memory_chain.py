"""The chains and their blocks in memory, under the same contract as PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from rialto_ledger.adapters.memory import Books, MemoryLedger
from rialto_ledger.application.ports import ConcurrentPosting
from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, Block, Growth
from rialto_ledger.domain.chain import Link


class MemoryChains:
    """The chains as one transaction sees them. Transactions never interleave here, so nobody else is ever sealing."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def try_to_seal(self) -> bool:
        """Return True: nobody else is sealing."""
        return True

    async def growth(self) -> Sequence[Growth]:
        """Return what no block seals yet."""
        books, grown = self._ledger.books, []
        for shard, head in sorted(books.heads.items()):
            first = 1 + max(
                (s.last_position for b in books.blocks.values() for s in b.shards if s.shard == shard), default=0
            )
            if first <= head.position:
                [link] = _links(books, shard, first, first)
                grown.append(Growth(shard, first, head.position, books.entries[link.entry_id].recorded_at))
        return grown

    async def links(self, ranges: Sequence[Growth]) -> Sequence[Link]:
        """Return the links of these ranges, ordered by shard and position."""
        books = self._ledger.books
        return [
            link
            for each in sorted(ranges, key=lambda each: each.shard)
            for link in _links(books, each.shard, each.first_position, each.last_position)
        ]

    async def last_block(self) -> tuple[int, bytes]:
        """Return the number and the super-root of the newest block."""
        blocks = self._ledger.books.blocks
        newest = max(blocks, default=0)
        return newest, blocks[newest].super_root if newest else BEFORE_THE_FIRST

    async def add_block(self, block: Block) -> None:
        """Append a block. Raises: ConcurrentPosting: another one has its number."""
        if block.number in self._ledger.books.blocks:
            raise ConcurrentPosting(f"block {block.number} is sealed already")
        self._ledger.changes.blocks[block.number] = block


class MemoryChainReader:
    """Reads of the committed chains."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def place(self, entry_id: UUID) -> Link | None:
        """Return an entry's link, or None."""
        return self._books.links.get(entry_id)

    async def block_of(self, shard: int, position: int) -> Block | None:
        """Return the block that seals a position, or None."""
        for block in self._books.blocks.values():
            for span in block.shards:
                if span.shard == shard and span.first_position <= position <= span.last_position:
                    return block
        return None

    async def links(self, shard: int, first_position: int, last_position: int) -> Sequence[Link]:
        """Return the links of these positions in order."""
        return _links(self._books, shard, first_position, last_position)

    async def blocks(self, after: int, limit: int) -> Sequence[Block]:
        """Return blocks numbered above `after`, in order."""
        return [self._books.blocks[number] for number in sorted(self._books.blocks) if number > after][:limit]


def _links(books: Books, shard: int, first: int, last: int) -> list[Link]:
    found = [link for link in books.links.values() if link.shard == shard and first <= link.position <= last]
    return sorted(found, key=lambda link: link.position)
