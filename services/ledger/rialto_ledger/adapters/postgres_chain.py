"""The chains, their blocks and the journal's months in PostgreSQL."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import asyncpg

from rialto_common.database import Connection, Pool, load_queries
from rialto_ledger.adapters.rows import Row
from rialto_ledger.application.ports import ConcurrentPosting
from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, Block, Growth, ShardRange
from rialto_ledger.domain.chain import Link

_QUERIES = load_queries(__package__, "chain_queries.sql")

_SEALED_MEANWHILE = {"blocks_pk", "block_shards_pk"}
LOCK_TIMEOUT = "500ms"
"""Below the second after which deadlocks are looked for. Whoever waits for a table holds up all who come after."""


class PostgresChains:
    """The chains inside one transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def try_to_seal(self) -> bool:
        """Return whether nobody else is sealing."""
        return bool(await self._connection.fetchval(_QUERIES["try_to_seal"]))

    async def growth(self) -> Sequence[Growth]:
        """Return what no block seals yet."""
        grown = await self._connection.fetch(_QUERIES["growth"])
        return [Growth(row["shard"], row["sealed_position"] + 1, row["position"], row["recorded_at"]) for row in grown]

    async def links(self, ranges: Sequence[Growth]) -> Sequence[Link]:
        """Return the links of these ranges, ordered by shard and position."""
        found = await self._connection.fetch(
            _QUERIES["links"],
            [each.shard for each in ranges],
            [each.first_position for each in ranges],
            [each.last_position for each in ranges],
        )
        return [_link_of(row) for row in found]

    async def last_block(self) -> tuple[int, bytes]:
        """Return the number and the super-root of the newest block."""
        row = await self._connection.fetchrow(_QUERIES["last_block"])
        return (0, BEFORE_THE_FIRST) if row is None else (row["number"], row["super_root"])

    async def add_block(self, block: Block) -> None:
        """Append a block. Raises: ConcurrentPosting: another one got its number, or seals what it does."""
        try:
            await self._connection.execute(
                _QUERIES["add_block"],
                block.number,
                block.sealed_at,
                block.previous,
                block.super_root,
                [each.shard for each in block.shards],
                [each.first_position for each in block.shards],
                [each.last_position for each in block.shards],
                [each.last_hash for each in block.shards],
                [each.root for each in block.shards],
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name in _SEALED_MEANWHILE:
                raise ConcurrentPosting(f"block {block.number} was sealed by another transaction") from error
            raise

    async def prepare_months(self, now: datetime, ahead: int) -> None:
        """Make the partitions of this month and the next ones; gives up soon where the journal is in use."""
        await self._connection.execute(_QUERIES["give_up_soon"], LOCK_TIMEOUT)
        await self._connection.execute(_QUERIES["prepare_months"], now, ahead)


class PostgresChainReader:
    """Reads of the committed chains, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def place(self, entry_id: UUID) -> Link | None:
        """Return an entry's link, or None."""
        row = await self._pool.fetchrow(_QUERIES["place"], entry_id)
        return None if row is None else _link_of(row)

    async def block_of(self, shard: int, position: int) -> Block | None:
        """Return the block that seals a position, or None."""
        number = await self._pool.fetchval(_QUERIES["block_of"], shard, position)
        if number is None:
            return None
        [block] = await self.blocks(number - 1, 1)
        return block

    async def links(self, shard: int, first_position: int, last_position: int) -> Sequence[Link]:
        """Return the links of these positions in order."""
        found = await self._pool.fetch(_QUERIES["links"], [shard], [first_position], [last_position])
        return [_link_of(row) for row in found]

    async def blocks(self, after: int, limit: int) -> Sequence[Block]:
        """Return blocks numbered above `after`, in order."""
        return _blocks_of(await self._pool.fetch(_QUERIES["blocks"], after, limit))


def _link_of(row: Row) -> Link:
    return Link(row["entry_id"], row["shard"], row["chain_position"], row["hash"])


def _blocks_of(found: Iterable[Row]) -> list[Block]:
    """Return blocks from rows of one shard each, in order."""
    blocks = []
    for number, shards in groupby(found, key=lambda row: int(row["number"])):
        lines = list(shards)
        blocks.append(
            Block(
                number,
                lines[0]["sealed_at"],
                lines[0]["previous"],
                tuple(
                    ShardRange(
                        line["shard"], line["first_position"], line["last_position"], line["last_hash"], line["root"]
                    )
                    for line in lines
                ),
                lines[0]["super_root"],
            )
        )
    return blocks
