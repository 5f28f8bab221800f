"""The books with something added in the same transaction: what a layer does not change goes through to those below."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Keys, Ledger
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
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

    async def still_stands(
        self, versions: Mapping[UUID, int], entry_ids: Collection[UUID], shards: Collection[int]
    ) -> Mapping[int, ChainHead] | None:
        """Lock accounts that were decided on unseen, and the ends of chains; None if they are not as known."""
        return await self._below.still_stands(versions, entry_ids, shards)

    async def lock_heads(self, shards: Collection[int]) -> Mapping[int, ChainHead]:
        """Lock the ends of these shards' chains."""
        return await self._below.lock_heads(shards)

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Write a decision. Raises: what the ledger below raises."""
        await self._below.save(decision, links, now)

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline, and lock their accounts."""
        return await self._below.due_holds(now, limit)
