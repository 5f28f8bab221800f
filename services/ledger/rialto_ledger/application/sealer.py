"""Seals what the chains have grown by: a loop over rows, so that a restart forgets nothing and seals nothing twice."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Generic, Protocol, TypeVar

from rialto_common.bus.port import Transaction
from rialto_common.database import is_retryable
from rialto_common.errors import InvariantViolated
from rialto_common.runtime import Runtime
from rialto_ledger.application.ports import Chains
from rialto_ledger.domain.blocks import Block, Growth, ShardRange, cut, seal

Tx = TypeVar("Tx", bound=Transaction)

SEAL_AFTER = timedelta(seconds=5)
"""How long an entry waits for its block, which it shares with what came in meanwhile."""

BLOCK_ENTRIES = 2048
"""How many entries a block seals at most, and how many make one due at once: 2 ms of hashing on the event loop."""

PAUSE_SECONDS = 1.0


class Sealing(Protocol):
    """Hears how the sealing goes on."""

    def waiting(self, entries: int, oldest_seconds: float) -> None:
        """So many entries are not sealed yet; the oldest of them waits for so long."""
        ...

    def sealed(self, entries: int) -> None:
        """A block was sealed over so many entries."""
        ...


class Sealer(Generic[Tx]):
    """Seals a block a step, once one is due. Any number of workers may run it: one of them at a time does something."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Tx]],
        chains_of: Callable[[Tx], Chains],
        runtime: Runtime,
        metrics: Sealing,
    ) -> None:
        self._begin = begin
        self._chains_of = chains_of
        self._runtime = runtime
        self._metrics = metrics

    async def step(self) -> float:
        """Seal one block; due at once after a full one, else in a second. A race lost to another worker is no error."""
        try:
            sealed = await self._seal()
        except Exception as error:
            if not is_retryable(error):
                raise
            return PAUSE_SECONDS
        return 0.0 if sealed == BLOCK_ENTRIES else PAUSE_SECONDS

    async def _seal(self) -> int:
        now, sealed = self._runtime.now(), 0
        async with self._begin() as transaction:
            chains = self._chains_of(transaction)
            if await chains.try_to_seal():
                growth = await chains.growth()
                self._tell(growth, now)
                if _is_due(growth, now):
                    sealed = await _seal_next(chains, cut(growth, BLOCK_ENTRIES), now)
                    self._runtime.crash_point("ledger.sealer.before_commit")
        if sealed:
            self._runtime.crash_point("ledger.sealer.after_commit")
            self._metrics.sealed(sealed)
        return sealed

    def _tell(self, growth: Sequence[Growth], now: datetime) -> None:
        oldest = min((each.since for each in growth), default=now)
        self._metrics.waiting(sum(map(len, growth)), max(0.0, (now - oldest).total_seconds()))


def _is_due(growth: Sequence[Growth], now: datetime) -> bool:
    """Whether some entry has waited long enough, or there are enough of them.

    How long one has waited that was written by a clock ahead of ours cannot be told: it waits no longer.
    """
    waits = (each.since <= now < each.since + SEAL_AFTER for each in growth)
    return not all(waits) or sum(map(len, growth)) >= BLOCK_ENTRIES


async def _seal_next(chains: Chains, asked: Sequence[Growth], now: datetime) -> int:
    """Append the block that seals these positions, and return how many those are.

    Raises: InvariantViolated: some of them have no link.
    """
    number, previous = await chains.last_block()
    links = await chains.links(asked)
    ranges = [ShardRange.of(list(of_shard)) for _, of_shard in groupby(links, key=lambda link: link.shard)]
    block = seal(number + 1, now, previous, ranges)
    _check_whole(block, asked)
    await chains.add_block(block)
    return len(links)


def _check_whole(block: Block, asked: Sequence[Growth]) -> None:
    wanted = sorted((each.shard, each.first_position, each.last_position) for each in asked)
    if [(each.shard, each.first_position, each.last_position) for each in block.shards] != wanted:
        raise InvariantViolated(f"block {block.number} would leave out links that the chains' ends say are there")
