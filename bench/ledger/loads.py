"""What is sent to the ledger: over which accounts transfers go, and their bodies as they come over HTTP."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from rialto_common import ids
from rialto_ledger.domain import chart

Mint = Callable[[], UUID]

_ENTRY = (
    '{"id":"%s","kind":"transfer","postings":['
    '{"account_id":"%s","side":"debit","amount_minor":"10","currency":"USD"},'
    '{"account_id":"%s","side":"credit","amount_minor":"10","currency":"USD"}]}'
)


@dataclass(frozen=True)
class Load:
    """Over how many accounts transfers go; `hot`: all of them to one."""

    name: str
    accounts: int
    hot: bool = False

    def pair(self, draw: random.Random) -> tuple[int, int]:
        """Return the numbers of a transfer's two accounts, from 1."""
        if self.hot:
            return draw.randint(2, self.accounts), 1
        source = draw.randint(1, self.accounts)
        target = draw.randint(1, self.accounts - 1)
        return source, target + (target >= source)


FEW, MANY, HOT = Load("100", 100), Load("10k", 10_000), Load("hot", 10_000, hot=True)
LOADS = (FEW, MANY, HOT)
ACCOUNTS = max(load.accounts for load in LOADS)


def wallet(number: int) -> UUID:
    """Return the nth account's id."""
    return ids.derive(chart.NAMESPACE, "bench wallet", number)


@lru_cache(maxsize=2 * ACCOUNTS)
def _wallet_text(number: int) -> str:
    return ids.to_text("wal", wallet(number))


def singles(load: Load, count: int, mint: Mint, draw: random.Random) -> list[bytes]:
    """Return bodies of an entry each, the first to send last, as they are popped: ids grow with time."""
    return [_entry(load, mint, draw).encode() for _ in range(count)][::-1]


def batches(load: Load, batch: int, count: int, mint: Mint, draw: random.Random) -> list[bytes]:
    """Return bodies of so many entries each, the first to send last."""
    return [
        f'{{"entries":[{",".join(_entry(load, mint, draw) for _ in range(batch))}]}}'.encode() for _ in range(count)
    ][::-1]


def _entry(load: Load, mint: Mint, draw: random.Random) -> str:
    source, target = load.pair(draw)
    return _ENTRY % (ids.to_text("je", mint()), _wallet_text(source), _wallet_text(target))
