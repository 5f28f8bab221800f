"""Builders for tests of transfers: ledgers `east` and `west`, or three of them, and wallets that each of them keeps."""

from itertools import count
from uuid import UUID

from rialto_common import ids
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.shards import Shards, parse
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState
from rialto_ledger.testing import NOW, number_id, wallet

MAP = "east=0-31;west=32-63"
EAST, WEST = (parse(MAP, name) for name in ("east", "west"))
THREE = tuple(parse("east=0-20;west=21-42;north=43-63", name) for name in ("east", "west", "north"))


def number_in(shards: Shards, nth: int) -> int:
    """Return the number of the nth wallet that a ledger keeps."""
    return next(
        number
        for found, number in enumerate(n for n in count() if shards.keeps(ids.shard_of(number_id("wallet", n))))
        if found == nth
    )


def wallet_in(shards: Shards, nth: int = 0, *, owner: UUID | None = None) -> AccountSpec:
    """Return the nth wallet that a ledger keeps."""
    return wallet(number_in(shards, nth), owner=owner)


def transfer(
    number: int, source: AccountSpec, target: AccountSpec, amount_minor: int, *, merchant_id: UUID | None = None
) -> Transfer:
    """Return the nth transfer, as its sender asks for it."""
    return Transfer(
        id=number_id("transfer", number),
        side=TransferSide.SENDER,
        merchant_id=merchant_id,
        mode="test",
        from_account_id=source.id,
        from_shard=source.shard,
        to_account_id=target.id,
        to_shard=target.shard,
        amount_minor=amount_minor,
        currency=source.currency,
        state=TransferState.SENT,
        asked_at=NOW,
    )


def in_transit_codes() -> set[str]:
    """Return the codes of all accounts on which money is under way."""
    return {chart.shard_in_transit(shard, "USD", "test").code for shard in range(ids.SHARDS)}
