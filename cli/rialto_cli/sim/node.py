"""The way from one process to the chain's node: it takes time, and answers get lost on it."""

from collections.abc import Sequence

from rialto_chain_bridge.application.ports import Attempt, Head, Sent
from rialto_chain_bridge.domain.confirmation import Block, Inclusion
from rialto_chain_bridge.domain.errors import ChainUnavailable
from rialto_cli.sim.world import World
from rialto_common.virtual_time import SimulatedProcess


class Line:
    """The node as a process reaches it."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self._world = world
        self._chain = world.chain
        self._give_way = world.give_way(process)

    async def chain_id(self) -> int:
        await self._travel()
        return await self._chain.chain_id()

    async def newest_block(self) -> Block:
        await self._travel()
        return await self._chain.newest_block()

    async def next_nonce(self, sender: str) -> int:
        await self._travel()
        return await self._chain.next_nonce(sender)

    async def head(self, sender: str, block_numbers: Sequence[int]) -> Head:
        await self._travel()
        return await self._chain.head(sender, block_numbers)

    async def send(self, raw_transactions: Sequence[bytes]) -> list[Sent]:
        """Hand transactions over; with a lost question none arrives, with a lost answer all do."""
        unknown = [Sent(Attempt.UNKNOWN, "the EVM node does not answer")] * len(raw_transactions)
        await self._give_way()
        if self._world.strikes("chain_question_lost", self._world.trouble.lost_answer):
            return unknown
        sent = await self._chain.send(raw_transactions)
        await self._give_way()
        return unknown if self._world.strikes("chain_answer_lost", self._world.trouble.lost_answer) else sent

    async def inclusions(self, tx_hashes: Sequence[str]) -> list[Inclusion | None]:
        await self._travel()
        return await self._chain.inclusions(tx_hashes)

    async def has_code(self, address: str) -> bool:
        await self._travel()
        return await self._chain.has_code(address)

    async def views(self, to: str, calls: Sequence[bytes]) -> list[bytes]:
        await self._travel()
        return await self._chain.views(to, calls)

    async def refusals(self, sender: str, to: str, calls: Sequence[bytes]) -> list[str | None]:
        await self._travel()
        return await self._chain.refusals(sender, to, calls)

    async def _travel(self) -> None:
        """Raises: ChainUnavailable: the answer was lost."""
        await self._give_way()
        if self._world.strikes("chain_answer_lost", self._world.trouble.lost_answer):
            raise ChainUnavailable("the EVM node does not answer")
