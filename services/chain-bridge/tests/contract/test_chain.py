"""One suite for the model of a chain and for a real node with the real contracts: what the bridge relies on."""

from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest

from rialto_chain_bridge.adapters.contracts import Contracts
from rialto_chain_bridge.adapters.evm_rpc import JsonRpcChain
from rialto_chain_bridge.adapters.evm_signer import LocalSigner
from rialto_chain_bridge.adapters.memory_chain import ModelCalls, ModelChain, ModelSigner
from rialto_chain_bridge.application.ports import Attempt, Calls, Chain, Sent, Signed, Signer
from rialto_chain_bridge.domain import gas
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.testing import OPERATOR_KEY, Node
from rialto_cli.testing import AnvilNode
from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_common.testing import START

CHAIN_ID = 31337
SUPPLY = 10**12
PAYEE, OTHER_PAYEE, NOBODY = "0x" + "ab" * 20, "0x" + "cd" * 20, "0x" + "00" * 20


class World:
    """A chain with our contracts on it, whichever kind it is."""

    def __init__(self, chain: Chain, signer: Signer, calls: Calls) -> None:
        self.chain = chain
        self.signer = signer
        self.calls = calls
        self.nonce = 0

    async def mine(self) -> None:
        """Make a block of what waits."""
        raise NotImplementedError

    async def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by empty ones."""
        raise NotImplementedError

    async def treasury(self) -> int:
        """Return what the settlement contract holds."""
        raise NotImplementedError

    async def deploy(self) -> None:
        """Make the contracts and mint the treasury."""
        owner = self.signer.address
        self.token = self.calls.created_address(owner, 0)
        self.contract = self.calls.created_address(owner, 1)
        await self.send(self.sign(None, self.calls.create_token("RUSD", owner), gas.DEPLOYMENT))
        await self.send(self.sign(None, self.calls.create_settlement(self.token, owner), gas.DEPLOYMENT))
        await self.send(self.sign(self.token, self.calls.mint(self.contract, SUPPLY), gas.MINT))
        await self.mine()

    def sign(self, to: str | None, data: bytes, limit: int) -> Signed:
        """Sign with the next nonce."""
        self.nonce += 1
        return self.signer.sign(nonce=self.nonce - 1, to=to, data=data, gas=limit)

    def settle(self, *settlements: Waiting) -> Signed:
        """Sign a batch."""
        call = self.calls.settle_batch(payment(900 + self.nonce), settlements)
        return self.sign(self.contract, call, gas.settle_batch(len(settlements)))

    async def send(self, *signed: Signed) -> list[Sent]:
        return await self.chain.send([item.raw for item in signed])

    async def succeeded(self, signed: Signed) -> bool | None:
        """Return whether it had effect; None when it is in no block."""
        [inclusion] = await self.chain.inclusions([signed.tx_hash])
        return None if inclusion is None else inclusion.succeeded

    async def paid(self, payment_id: UUID) -> tuple[int, int]:
        """Return payee and amount, as numbers."""
        [answer] = await self.chain.views(self.contract, [self.calls.settled(payment_id)])
        return int.from_bytes(answer[:32], "big"), int.from_bytes(answer[32:64], "big")


class Model(World):
    def __init__(self) -> None:
        self.model = ModelChain(CHAIN_ID)
        super().__init__(self.model, ModelSigner("0x" + "0e" * 20), ModelCalls())

    async def mine(self) -> None:
        self.model.mine()

    async def reorganise(self, depth: int) -> None:
        self.model.reorganise(depth, keep_in_pool=False)

    async def treasury(self) -> int:
        return self.model.state.treasury


class Anvil(World):
    def __init__(self, node: Node, chain: JsonRpcChain) -> None:
        self.node = node
        signer = LocalSigner(OPERATOR_KEY, chain_id=CHAIN_ID, max_fee_gwei=500, priority_fee_gwei=1)
        super().__init__(chain, signer, Contracts())

    async def mine(self) -> None:
        await self.node.mine()

    async def reorganise(self, depth: int) -> None:
        await self.node.ask("anvil_reorg", depth, [])

    async def treasury(self) -> int:
        return await self.node.token_balance(self.token, self.contract)


@pytest.fixture(params=["model", "anvil"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "model":
        model = Model()
        await model.deploy()
        yield model
        return
    factory: Callable[..., AnvilNode] = request.getfixturevalue("anvil_factory")
    url = factory().url
    node, contracts = Node(url), Contracts()
    await node.ask("evm_setIntervalMining", 0)
    await node.ask("evm_setAutomine", False)
    chain = JsonRpcChain(url, SystemRuntime(), timeout_seconds=5, error_name=contracts.error_name)
    anvil = Anvil(node, chain)
    await anvil.deploy()
    yield anvil
    await chain.close()
    await node.close()


def payment(number: int) -> UUID:
    return ids.uuid7(int(START.timestamp() * 1000), number)


def owed(number: int, amount: int = 1000, *, payee: str = PAYEE) -> Waiting:
    return Waiting(payment(number), payee, amount, 0, START)


async def test_the_contracts_are_there_with_the_treasury(world: World) -> None:
    assert await world.chain.chain_id() == CHAIN_ID
    assert await world.chain.has_code(world.token)
    assert await world.chain.has_code(world.contract)
    assert not await world.chain.has_code(PAYEE)
    [supply] = await world.chain.views(world.token, [world.calls.token_supply()])
    assert int.from_bytes(supply, "big") == SUPPLY == await world.treasury()


async def test_a_batch_pays_each_payment(world: World) -> None:
    batch = world.settle(owed(1), owed(2, 500), owed(3, 7, payee=OTHER_PAYEE))
    assert [sent.attempt for sent in await world.send(batch)] == [Attempt.SUCCEEDED]
    assert await world.succeeded(batch) is None
    await world.mine()
    assert await world.succeeded(batch) is True
    assert await world.paid(payment(2)) == (int(PAYEE, 16), 500)
    assert await world.paid(payment(9)) == (0, 0)
    assert await world.treasury() == SUPPLY - 1507


async def test_a_payment_that_comes_again_is_skipped_and_the_rest_of_its_batch_is_paid(world: World) -> None:
    await world.send(world.settle(owed(1)))
    await world.mine()
    again = world.settle(owed(1), owed(2))
    await world.send(again)
    await world.mine()
    assert await world.succeeded(again) is True
    assert await world.treasury() == SUPPLY - 2000


@pytest.mark.parametrize(
    ("settlement", "reason"),
    [
        (owed(1, 999), "SettlementConflict"),
        (owed(1, payee=OTHER_PAYEE), "SettlementConflict"),
        (owed(2, payee=NOBODY), "InvalidSettlement"),
        (owed(2, SUPPLY), "ERC20InsufficientBalance"),
    ],
)
async def test_a_settlement_that_cannot_be_has_its_whole_batch_refused(
    world: World, settlement: Waiting, reason: str
) -> None:
    await world.send(world.settle(owed(1)))
    await world.mine()
    call = world.calls.settle_batch(payment(99), [settlement])
    fine = world.calls.settle_batch(payment(98), [owed(3)])
    assert await world.chain.refusals(world.signer.address, world.contract, [call, fine]) == [reason, None]
    bad = world.settle(owed(3), settlement)
    await world.send(bad)
    await world.mine()
    assert await world.succeeded(bad) is False
    assert await world.paid(payment(3)) == (0, 0)
    assert await world.treasury() == SUPPLY - 1000


async def test_transactions_run_in_the_order_of_their_nonces_and_a_gap_waits(world: World) -> None:
    first, second = world.settle(owed(1)), world.settle(owed(2))
    await world.send(second)
    await world.mine()
    assert await world.succeeded(second) is None
    await world.send(first)
    await world.mine()
    assert await world.succeeded(first) is True
    assert await world.succeeded(second) is True


async def test_the_same_bytes_may_be_sent_again(world: World) -> None:
    batch = world.settle(owed(1))
    await world.send(batch)
    assert [sent.attempt for sent in await world.send(batch)] == [Attempt.SUCCEEDED]
    assert await world.chain.next_nonce(world.signer.address) == world.nonce
    await world.mine()
    assert [sent.attempt for sent in await world.send(batch)] == [Attempt.UNKNOWN]
    await world.mine()
    assert await world.treasury() == SUPPLY - 1000


async def test_the_head_tells_the_nonces_in_the_chain_and_the_hashes_of_blocks(world: World) -> None:
    before = (await world.chain.head(world.signer.address, [])).mined_nonces
    await world.send(world.settle(owed(1)))
    newest = await world.chain.newest_block()
    head = await world.chain.head(world.signer.address, [newest.number, newest.number + 50])
    assert (head.block, head.mined_nonces) == (newest, before)
    assert head.hashes == {newest.number: newest.hash, newest.number + 50: None}
    await world.mine()
    after = await world.chain.head(world.signer.address, [newest.number])
    assert (after.block.number, after.mined_nonces) == (newest.number + 1, before + 1)
    assert after.hashes == {newest.number: newest.hash}


async def test_a_block_that_is_taken_back_takes_its_payouts_with_it(world: World) -> None:
    batch = world.settle(owed(1))
    await world.send(batch)
    await world.mine()
    included = await world.chain.newest_block()
    await world.reorganise(1)
    head = await world.chain.head(world.signer.address, [included.number])
    assert head.hashes[included.number] != included.hash
    assert head.mined_nonces == world.nonce - 1
    assert await world.succeeded(batch) is None
    assert await world.paid(payment(1)) == (0, 0)
    assert await world.treasury() == SUPPLY
    await world.send(batch)
    await world.mine()
    assert await world.succeeded(batch) is True
    assert await world.treasury() == SUPPLY - 1000
