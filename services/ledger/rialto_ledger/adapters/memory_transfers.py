"""Transfers in memory: under the same contract as PostgreSQL."""

from collections.abc import Collection, Sequence
from uuid import UUID

from rialto_ledger.adapters.memory import Commits
from rialto_ledger.application.ports import ConcurrentPosting
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState

TransferRows = dict[tuple[UUID, TransferSide], Transfer]
"""What is on record: a row a transfer and side."""


class MemoryTransfers:
    """Transfers inside one transaction; changes appear to others at its commit."""

    def __init__(self, rows: TransferRows, transaction: Commits) -> None:
        self._rows = rows
        self._changes: dict[tuple[UUID, TransferSide], Transfer] = {}
        self._transaction = transaction

    async def find(self, side: TransferSide, transfer_ids: Collection[UUID]) -> dict[UUID, Transfer]:
        """Return those that there are."""
        found = {transfer_id: self._row(transfer_id, side) for transfer_id in transfer_ids}
        return {transfer_id: transfer for transfer_id, transfer in found.items() if transfer is not None}

    async def add(self, new: Sequence[Transfer]) -> None:
        """Keep new transfers. Raises: ConcurrentPosting: one is kept already."""
        for transfer in new:
            if self._row(transfer.id, transfer.side) is not None:
                raise ConcurrentPosting("the same transfer was kept by another transaction")
            self._keep(transfer)

    async def end(self, ended: Sequence[Transfer]) -> None:
        """Write state, refusal and end of transfers that were sent."""
        for transfer in ended:
            known = self._row(transfer.id, TransferSide.SENDER)
            if known is not None and known.state is TransferState.SENT:
                self._keep(transfer)

    def _row(self, transfer_id: UUID, side: TransferSide) -> Transfer | None:
        place = (transfer_id, side)
        return self._changes.get(place) or self._rows.get(place)

    def _keep(self, transfer: Transfer) -> None:
        if not self._changes:
            self._transaction.on_commit(lambda: self._rows.update(self._changes))
        self._changes[transfer.id, transfer.side] = transfer


class MemoryTransferReader:
    """Reads of committed transfers."""

    def __init__(self, rows: TransferRows) -> None:
        self._rows = rows

    async def transfer(self, transfer_id: UUID) -> Transfer | None:
        """Return a transfer, as its sender knows it where both sides are on record; or None."""
        sides = (TransferSide.SENDER, TransferSide.RECEIVER)
        return next((row for side in sides if (row := self._rows.get((transfer_id, side))) is not None), None)
