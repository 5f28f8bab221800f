"""Which ledger keeps which shards: an installation's map, and a ledger's own part of it.

A customer's wallet and a merchant's accounts are in one ledger, that of their shard. The platform's accounts are in
every ledger, each with its own part of the total.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from rialto_common import ids
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec

ALL = "all"
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_RANGE = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Shards:
    """A ledger's view of the map; `keepers` names the ledger of each shard, in order."""

    name: str
    keepers: tuple[str, ...]

    @classmethod
    def all_of(cls, name: str) -> "Shards":
        """Return the map of an installation with one ledger."""
        return cls(name, (name,) * ids.SHARDS)

    @property
    def are_all(self) -> bool:
        """Whether this ledger keeps every shard, so that there is no other."""
        return all(keeper == self.name for keeper in self.keepers)

    @property
    def kept(self) -> frozenset[int]:
        """The shards of this ledger."""
        return frozenset(shard for shard, keeper in enumerate(self.keepers) if keeper == self.name)

    def keeps(self, shard: int) -> bool:
        """Whether the shard is this ledger's."""
        return self.keepers[shard] == self.name

    def keeper_of(self, spec: AccountSpec) -> str:
        """Return the ledger that keeps an account; this one of the platform's, which every ledger has."""
        return self.name if is_everywhere(spec) else self.keepers[spec.shard]

    def keeper_of_wallet(self, wallet_id: UUID) -> str:
        """Return the ledger that keeps the wallet of this id, whether or not there is one."""
        return self.keepers[ids.shard_of(wallet_id)]

    def reached_by(self, shard: int) -> int:
        """Return a shard whose events reach this ledger: the given one, or its first where that is another's."""
        return shard if self.keeps(shard) else min(self.kept)


def is_everywhere(spec: AccountSpec) -> bool:
    """Whether each ledger has a part of this account: the platform's, but for wallets."""
    return spec.merchant_id is None and not chart.is_wallet(spec)


def parse(text: str, name: str) -> Shards:
    """Read `all`, or `east=0-31;west=32-47,50,48-49;…` with every shard once, as the ledger `name` sees it.

    Raises: ValueError: it is not such a map, or has no ledger of this name.
    """
    if text == ALL:
        return Shards.all_of(name)
    keepers: dict[int, str] = {}
    for part in text.split(";"):
        keeper, equals, ranges = part.strip().partition("=")
        if not equals or not NAME.fullmatch(keeper):
            raise ValueError(f"'{part[:60]}' is not a ledger's name, '=' and its shards, such as east=0-31,40")
        for shard in (shard for each in ranges.split(",") for shard in _range(each.strip())):
            if shard in keepers:
                raise ValueError(f"shard {shard} is both {keepers[shard]}'s and {keeper}'s")
            keepers[shard] = keeper
    if missing := [shard for shard in range(ids.SHARDS) if shard not in keepers]:
        raise ValueError(f"no ledger keeps shard {missing[0]}; each of 0 to {ids.SHARDS - 1} needs one")
    if name not in keepers.values():
        raise ValueError(f"the map has no ledger '{name}'")
    return Shards(name, tuple(keepers[shard] for shard in range(ids.SHARDS)))


def elsewhere(shards: Shards, asked: Mapping[UUID, AccountSpec | None]) -> dict[UUID, str]:
    """Return which of these accounts are another ledger's, with its name; None: not open here, so by a wallet's id."""
    keepers = {
        account_id: shards.keeper_of_wallet(account_id) if spec is None else shards.keeper_of(spec)
        for account_id, spec in asked.items()
    }
    return {account_id: keeper for account_id, keeper in keepers.items() if keeper != shards.name}


def _range(text: str) -> range:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:20]}' is neither a shard nor a range of them, such as 7 or 0-31")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < ids.SHARDS:
        raise ValueError(f"'{text}' is no range within 0-{ids.SHARDS - 1}")
    return range(first, last + 1)
