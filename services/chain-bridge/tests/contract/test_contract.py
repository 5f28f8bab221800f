"""The contracts themselves, on a real node: what they promise, whoever calls them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from rialto_chain_bridge.adapters.contracts import Contracts
from rialto_chain_bridge.adapters.evm_rpc import JsonRpcChain
from rialto_chain_bridge.adapters.evm_signer import LocalSigner
from rialto_chain_bridge.application.ports import Attempt
from rialto_chain_bridge.domain import gas
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.testing import OPERATOR_KEY, Node, StoppableRuntime
from rialto_cli.testing import AnvilNode

TREASURY = 1_000_000
STRANGER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # account 1 of the test mnemonic
PAYEE, OTHER_PAYEE = f"0x{0xB1:040x}", f"0x{0xB2:040x}"
BATCH = UUID(int=99)


class Chainside:
    """Freshly deployed contracts, and transactions straight to them."""

    def __init__(self, url: str) -> None:
        self.node = Node(url)
        self.calls = Contracts()
        self.runtime = StoppableRuntime()
        self.signer = LocalSigner(OPERATOR_KEY, chain_id=31337, max_fee_gwei=500, priority_fee_gwei=1)
        self.rpc = JsonRpcChain(url, self.runtime, timeout_seconds=5, error_name=self.calls.error_name)

    async def deploy(self) -> None:
        owner = self.signer.address
        nonce = await self.rpc.next_nonce(owner)
        self.token = self.calls.created_address(owner, nonce)
        self.contract = self.calls.created_address(owner, nonce + 1)
        assert await self.execute(self.calls.create_token("RUSD", owner), to=None)
        assert await self.execute(self.calls.create_settlement(self.token, owner), to=None)
        assert await self.execute(self.calls.mint(self.contract, TREASURY), to=self.token)

    async def execute(self, data: bytes, *, to: str | None) -> bool:
        """Send a transaction of the operator, mine it, and say whether it had an effect."""
        nonce = await self.rpc.next_nonce(self.signer.address)
        signed = self.signer.sign(nonce=nonce, to=to, data=data, gas=gas.settle_batch(100))
        [sent] = await self.rpc.send([signed.raw])
        assert sent.attempt is Attempt.SUCCEEDED, sent.error
        await self.node.mine()
        [inclusion] = await self.rpc.inclusions([signed.tx_hash])
        assert inclusion is not None
        return inclusion.succeeded

    async def settle(self, *settlements: Waiting) -> bool:
        return await self.execute(self.calls.settle_batch(BATCH, settlements), to=self.contract)

    async def refusal(self, *settlements: Waiting, sender: str | None = None) -> str | None:
        call = self.calls.settle_batch(BATCH, settlements)
        [reason] = await self.rpc.refusals(sender or self.signer.address, self.contract, [call])
        return reason

    async def treasury(self) -> int:
        return await self.node.token_balance(self.token, self.contract)


@pytest.fixture
async def chain(anvil: AnvilNode) -> AsyncIterator[Chainside]:
    chainside = Chainside(anvil.url)
    await chainside.deploy()
    yield chainside
    await chainside.rpc.close()
    await chainside.node.close()


def payment(number: int, *, payee: str = PAYEE, amount: int = 10) -> Waiting:
    return Waiting(UUID(int=number), payee, amount, 0, datetime(2026, 3, 1, tzinfo=UTC))


async def test_a_batch_settled_twice_pays_once(chain: Chainside) -> None:
    before = await chain.node.token_balance(chain.token, PAYEE)
    batch = [payment(number) for number in range(1, 6)]
    assert await chain.settle(*batch)
    assert await chain.settle(*batch)
    assert await chain.treasury() == TREASURY - 50
    assert await chain.node.token_balance(chain.token, PAYEE) == before + 50
    assert len(await chain.node.settled_events(chain.contract)) == 5  # the second batch says AlreadySettled


async def test_one_that_is_paid_already_is_skipped_and_the_others_are_paid(chain: Chainside) -> None:
    assert await chain.settle(payment(1), payment(2))
    assert await chain.settle(payment(1), payment(3), payment(2), payment(4, payee=OTHER_PAYEE))
    assert await chain.treasury() == TREASURY - 40
    assert await chain.node.settled_events(chain.contract) == [UUID(int=number) for number in (1, 2, 3, 4)]


async def test_a_payment_twice_in_one_batch_is_paid_once(chain: Chainside) -> None:
    assert await chain.settle(payment(1), payment(1))
    assert await chain.treasury() == TREASURY - 10


async def test_every_payee_gets_exactly_the_sum_of_his_payments(chain: Chainside) -> None:
    payees = [f"0x{0xC000 + number:040x}" for number in range(4)]
    batch = [payment(number, payee=payees[number * number % 4], amount=number + 1) for number in range(60)]
    assert await chain.settle(*batch)
    for payee in payees:
        owed = sum(item.token_amount for item in batch if item.payee_address == payee)
        assert await chain.node.token_balance(chain.token, payee) == owed
        assert await chain.node.settled(chain.contract, batch[7].payment_id) == (batch[7].payee_address, 8)


@pytest.mark.parametrize("changed", [payment(1, amount=11), payment(1, payee=OTHER_PAYEE)])
async def test_other_content_for_a_paid_payment_reverts_the_batch(chain: Chainside, changed: Waiting) -> None:
    assert await chain.settle(payment(1))
    assert await chain.refusal(payment(2), changed) == "SettlementConflict"
    assert not await chain.settle(payment(2), changed)
    assert await chain.treasury() == TREASURY - 10


@pytest.mark.parametrize("amount", [0, 2**96])
async def test_an_amount_that_cannot_be_paid_is_refused(chain: Chainside, amount: int) -> None:
    assert await chain.refusal(payment(1, amount=amount)) == "InvalidSettlement"


async def test_a_payee_that_would_lose_the_money_is_refused(chain: Chainside) -> None:
    for payee in (f"0x{0:040x}", chain.contract, chain.token):
        assert await chain.refusal(payment(1, payee=payee)) == "InvalidSettlement"


async def test_more_than_the_treasury_is_refused_as_a_whole(chain: Chainside) -> None:
    assert await chain.refusal(payment(1), payment(2, amount=TREASURY)) == "ERC20InsufficientBalance"
    assert not await chain.settle(payment(1), payment(2, payee=OTHER_PAYEE, amount=TREASURY))
    assert await chain.treasury() == TREASURY


async def test_only_the_operator_settles_and_only_the_minter_mints(chain: Chainside) -> None:
    stranger = LocalSigner(STRANGER_KEY, chain_id=31337, max_fee_gwei=1, priority_fee_gwei=1).address
    assert await chain.refusal(payment(1), sender=stranger) == "AccessControlUnauthorizedAccount"
    for to, call in [
        (chain.token, chain.calls.mint(stranger, 1)),
        (chain.contract, keccak(text="pause()")[:4]),
        (chain.contract, keccak(text="unpause()")[:4]),
    ]:
        assert await chain.rpc.refusals(stranger, to, [call]) == ["AccessControlUnauthorizedAccount"]


async def test_nothing_is_paid_while_paused(chain: Chainside) -> None:
    assert await chain.execute(keccak(text="pause()")[:4], to=chain.contract)
    assert await chain.refusal(payment(1)) == "EnforcedPause"
    assert await chain.execute(keccak(text="unpause()")[:4], to=chain.contract)
    assert await chain.settle(payment(1))


async def test_a_token_that_is_no_contract_is_refused(chain: Chainside) -> None:
    creation = chain.calls.create_settlement(PAYEE, chain.signer.address)
    assert not await chain.execute(creation, to=None)


async def test_a_full_batch_fits_the_gas_it_is_given(chain: Chainside) -> None:
    """The worst case: a hundred payees who have never held the token, none of them neighbours."""
    batch = [payment(number, payee=f"0x{0xD00000 + number:040x}") for number in range(100)]
    nonce = await chain.rpc.next_nonce(chain.signer.address)
    call = chain.calls.settle_batch(BATCH, batch)
    signed = chain.signer.sign(nonce=nonce, to=chain.contract, data=call, gas=gas.settle_batch(100))
    await chain.rpc.send([signed.raw])
    await chain.node.mine()
    [inclusion] = await chain.rpc.inclusions([signed.tx_hash])
    assert inclusion is not None
    assert inclusion.succeeded
    assert 4_000_000 < inclusion.gas_used < gas.settle_batch(100) * 0.9


async def test_sending_the_same_bytes_again_is_known_to_the_node(chain: Chainside) -> None:
    nonce = await chain.rpc.next_nonce(chain.signer.address)
    call = chain.calls.settle_batch(BATCH, [payment(1)])
    signed = chain.signer.sign(nonce=nonce, to=chain.contract, data=call, gas=gas.settle_batch(1))
    await chain.node.ask("evm_setIntervalMining", 0)
    try:
        [first] = await chain.rpc.send([signed.raw])
        [again] = await chain.rpc.send([signed.raw])
        assert (first.attempt, again.attempt) == (Attempt.SUCCEEDED, Attempt.SUCCEEDED)
        await chain.node.mine()
        [used] = await chain.rpc.send([signed.raw])
        assert used.attempt is Attempt.UNKNOWN
    finally:
        await chain.node.ask("evm_setIntervalMining", 1)
    assert await chain.treasury() == TREASURY - 10


async def test_an_unpaid_payment_reads_as_nothing(chain: Chainside) -> None:
    unknown = await chain.node.call(chain.contract, "settled(bytes32)", ["bytes32"], [bytes(32)])
    assert unknown == encode(["address", "uint256"], [f"0x{0:040x}", 0])
