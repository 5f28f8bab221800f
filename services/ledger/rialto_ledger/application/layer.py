"""The books with something added in the same transaction: what a layer does not change goes through to those below."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Ends, Keys, Known, Ledger
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.chain import Link
from rialto_ledger.domain.commands import ExpireHold


class LedgerLayer:
    """A ledger on a ledger."""

    def __init__(self, below: Ledger) -> None:
        self._below = below

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Lock and read what a batch needs."""
        return await self._below.load(keys, now)

    async def accounts(self, account_ids: Collection[UUID]) -> Mapping[UUID, Account]:
        """Return accounts as they are committed."""
        return await self._below.accounts(account_ids)

    async def lock_heads(self, shards: Collection[int]) -> Ends:
        """Lock the ends of these shards' chains."""
        return await self._below.lock_heads(shards)

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Write a decision. Raises: what the ledger below raises, and `saved`."""
        await self._below.save(decision, links, now)
        await self.saved(decision, now)

    async def save_as_known(
        self, known: Known, decision: Decision, links: Sequence[Link], now: datetime
    ) -> Ends | None:
        """Write a batch that was decided before, if all is as known. Raises: as `save`."""
        ends = await self._below.save_as_known(known, decision, links, now)
        if ends == known.ends:
            await self.saved(decision, now)
        return ends

    async def saved(self, decision: Decision, now: datetime) -> None:
        """Do what belongs into the transaction of a decision that was written just now."""

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline, and lock their accounts."""
        return await self._below.due_holds(now, limit)
