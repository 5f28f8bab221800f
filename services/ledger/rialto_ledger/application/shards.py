"""The books of a ledger that keeps some of the shards: what is of the others is not there, and said to be elsewhere."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.layer import LedgerLayer
from rialto_ledger.application.ports import Keys, Ledger
from rialto_ledger.domain.account import Account, AccountSpec
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.shards import Shards, elsewhere


class KeepingLedger(LedgerLayer):
    """Opens no account of another ledger's shards, and lets nothing be posted on one that a shard has left behind."""

    def __init__(self, ledger: Ledger, shards: Shards) -> None:
        super().__init__(ledger)
        self._shards = shards

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Lock and read what a batch needs."""
        keeps = self._shards.keeper_of
        opens = {spec.id: spec for spec in keys.opens.values() if keeps(spec) == self._shards.name}
        state = await self._below.load(replace(keys, opens=opens), now)
        asked: dict[UUID, AccountSpec | None] = dict.fromkeys(keys.accounts)
        asked |= keys.opens
        asked |= {account_id: account.spec for account_id, account in state.accounts.items()}
        absent = elsewhere(self._shards, asked)
        if not absent:
            return state
        accounts = {account_id: account for account_id, account in state.accounts.items() if account_id not in absent}
        return replace(state, accounts=accounts, elsewhere=absent)

    async def accounts(self, account_ids: Collection[UUID]) -> Mapping[UUID, Account]:
        """Return accounts of our shards as they are committed."""
        found = await self._below.accounts(account_ids)
        keeps, name = self._shards.keeper_of, self._shards.name
        return {account_id: account for account_id, account in found.items() if keeps(account.spec) == name}
