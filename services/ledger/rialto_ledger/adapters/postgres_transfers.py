"""Transfers in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from rialto_common.database import Connection, Pool, load_queries
from rialto_ledger.application.ports import ConcurrentPosting
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState

_QUERIES = load_queries(__package__, "transfer_queries.sql")


class PostgresTransfers:
    """Transfers inside one transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, side: TransferSide, transfer_ids: Collection[UUID]) -> dict[UUID, Transfer]:
        """Return those that there are, and lock them."""
        found = await self._connection.fetch(_QUERIES["find_transfers"], side, list(transfer_ids))
        return {row["id"]: _transfer_of(row) for row in found}

    async def add(self, new: Sequence[Transfer]) -> None:
        """Keep new transfers. Raises: ConcurrentPosting: another transaction has kept one meanwhile."""
        try:
            await self._connection.execute(
                _QUERIES["add_transfers"],
                [transfer.id for transfer in new],
                [transfer.side for transfer in new],
                [transfer.merchant_id for transfer in new],
                [transfer.mode for transfer in new],
                [transfer.from_account_id for transfer in new],
                [transfer.from_shard for transfer in new],
                [transfer.to_account_id for transfer in new],
                [transfer.to_shard for transfer in new],
                [str(transfer.amount_minor) for transfer in new],
                [transfer.currency for transfer in new],
                [transfer.state for transfer in new],
                [transfer.refusal_code for transfer in new],
                [transfer.asked_at for transfer in new],
                [transfer.ended_at for transfer in new],
            )
        except asyncpg.UniqueViolationError as error:
            raise ConcurrentPosting("the same transfer was kept by another transaction") from error

    async def end(self, ended: Sequence[Transfer]) -> None:
        """Write state, refusal and end of transfers that were sent."""
        await self._connection.execute(
            _QUERIES["end_transfers"],
            [transfer.id for transfer in ended],
            [transfer.state for transfer in ended],
            [transfer.refusal_code for transfer in ended],
            [transfer.ended_at for transfer in ended],
        )


class PostgresTransferReader:
    """Reads of committed transfers, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def transfer(self, transfer_id: UUID) -> Transfer | None:
        """Return a transfer, as its sender knows it where both sides are on record; or None."""
        row = await self._pool.fetchrow(_QUERIES["transfer"], transfer_id)
        return None if row is None else _transfer_of(row)

    async def under_way(self) -> tuple[int, datetime | None]:
        """Return how many transfers are sent and not ended, and since when the oldest is."""
        row = await self._pool.fetchrow(_QUERIES["under_way"])
        return (0, None) if row is None else (row["count"], row["oldest_at"])


def _transfer_of(row: Mapping[str, Any]) -> Transfer:
    return Transfer(
        id=row["id"],
        side=TransferSide(row["side"]),
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        from_account_id=row["from_account_id"],
        from_shard=row["from_shard"],
        to_account_id=row["to_account_id"],
        to_shard=row["to_shard"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
        state=TransferState(row["state"]),
        refusal_code=row["refusal_code"],
        asked_at=row["asked_at"],
        ended_at=row["ended_at"],
    )
