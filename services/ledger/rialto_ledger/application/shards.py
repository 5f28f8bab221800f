"""The books of a ledger that keeps some of the shards: what is of the others is not there, and said to be elsewhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Keys, Ledger
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import ExpireHold
from rialto_ledger.domain.shards import Shards, elsewhere


class KeepingLedger:
    """Opens no account of another ledger's shards, and lets nothing be posted on one that a shard has left behind."""

    def __init__(self, ledger: Ledger, shards: Shards) -> None:
        self._ledger = ledger
        self._shards = shards

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Lock and read what a batch needs."""
        keeps = self._shards.keeper_of
        opens = {spec.id: spec for spec in keys.opens.values() if keeps(spec) == self._shards.name}
        state = await self._ledger.load(replace(keys, opens=opens), now)
        asked: dict[UUID, AccountSpec | None] = dict.fromkeys(keys.accounts)
        asked |= keys.opens
        asked |= {account_id: account.spec for account_id, account in state.accounts.items()}
        absent = elsewhere(self._shards, asked)
        if not absent:
            return state
        accounts = {account_id: account for account_id, account in state.accounts.items() if account_id not in absent}
        return replace(state, accounts=accounts, elsewhere=absent)

    async def lock_heads(self, shards: Collection[int]) -> Mapping[int, ChainHead]:
        """Lock the ends of these shards' chains."""
        return await self._ledger.lock_heads(shards)

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Write a decision. Raises: what the ledger raises."""
        await self._ledger.save(decision, links, now)

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline, and lock their accounts."""
        return await self._ledger.due_holds(now, limit)
