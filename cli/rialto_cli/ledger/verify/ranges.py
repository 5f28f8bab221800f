"""What the blocks seal of each shard, kept aside until that shard's entries come: on disk once it is much."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from tempfile import SpooledTemporaryFile

from rialto_cli.ledger.verify.records import Block

MEMORY_PER_SHARD = 128 * 1024
_ROW = Struct(">QQQ32s32s")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A range of one shard's positions that a block seals."""

    block: int
    first_position: int
    last_position: int
    last_hash: bytes
    root: bytes


class SealedRanges:
    """Written in the order of blocks, read by shard."""

    def __init__(self) -> None:
        self._files: dict[int, SpooledTemporaryFile[bytes]] = {}

    def add(self, block: Block) -> None:
        """Keep what a block seals."""
        for span in block.shards:
            file = self._files.get(span.shard)
            if file is None:
                file = self._files[span.shard] = SpooledTemporaryFile(MEMORY_PER_SHARD)
            file.write(_ROW.pack(block.number, span.first_position, span.last_position, span.last_hash, span.root))

    def of(self, shard: int) -> Iterator[Sealed]:
        """Return a shard's ranges in the order of blocks."""
        file = self._files.get(shard)
        if file is not None:
            file.seek(0)
            while row := file.read(_ROW.size):
                yield Sealed(*_ROW.unpack(row))

    def close(self) -> None:
        """Give back memory and disk."""
        for file in self._files.values():
            file.close()
