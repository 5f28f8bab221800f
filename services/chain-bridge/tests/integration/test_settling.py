"""The whole way of a settlement, on a real database and a real node."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from importlib import resources
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]
import pytest
from eth_utils.crypto import keccak

from rialto_chain_bridge.adapters.contracts import Contracts
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.testing import OPERATOR, Bench, Request, bench
from rialto_cli.testing import AnvilNode, Database
from rialto_common.errors import InvariantViolated
from rialto_common.events.payments import SettlementRequested
from rialto_common.events.settlements import (
    DepositConfirmed,
    SettlementConfirmed,
    SettlementFailed,
    SettlementSubmitted,
)
from rialto_common.simulation import Crashed

ALREADY_SETTLED = "0x" + keccak(text="AlreadySettled(bytes32,address,uint256,bytes32)").hex()


@pytest.fixture
async def bridge(database: Database, anvil: AnvilNode) -> AsyncIterator[Bench]:
    async with bench(database.dsn, anvil.url) as started:
        yield started


def _data(request: Request) -> SettlementRequested:
    return request.event.read(SettlementRequested)


async def assert_paid_once(bridge: Bench, requests: list[Request]) -> None:
    """The chain itself says so: one Settled event each, and the treasury lowered by exactly the sum."""
    token, contract = await bridge.contracts()
    settled = Counter(await bridge.node.settled_events(contract))
    assert settled == Counter(request.payment_id for request in requests)
    owed = sum(request.amount_minor * 10_000 for request in requests)
    assert await bridge.node.token_balance(token, contract) == bridge.settings.treasury_amount - owed
    for request in requests[:3]:
        paid = await bridge.node.settled(contract, request.payment_id)
        assert paid == (request.payee_address, request.amount_minor * 10_000)


async def test_every_requested_settlement_is_paid_once_and_confirmed(bridge: Bench) -> None:
    requests = await bridge.ask_for(230)
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, requests)
    events = await bridge.events()
    kinds = Counter(type(data) for _, data in events)
    assert kinds == {SettlementSubmitted: 230, SettlementConfirmed: 230, DepositConfirmed: 1}
    batches = Counter(data.batch_id for _, data in events if isinstance(data, SettlementConfirmed))
    assert sorted(batches.values()) == [30, 100, 100]


async def test_a_confirmation_names_the_block_that_holds_its_transaction(bridge: Bench) -> None:
    [request] = await bridge.ask_for(1)
    await bridge.until_confirmed([request])
    [submitted, confirmed] = await bridge.events_of(request)
    assert isinstance(submitted, SettlementSubmitted)
    assert isinstance(confirmed, SettlementConfirmed)
    receipt = await bridge.node.ask("eth_getTransactionReceipt", confirmed.tx_hash)
    assert int(receipt["blockNumber"], 16) == confirmed.block_number
    assert receipt["blockHash"] == confirmed.block_hash
    assert submitted.tx_hash == confirmed.tx_hash
    assert confirmed.token_amount == request.amount_minor * 10_000
    assert (confirmed.token, confirmed.currency, confirmed.chain_id) == ("RUSD", "USD", 31337)


async def test_a_settlement_is_not_confirmed_before_three_blocks_lie_on_top(bridge: Bench) -> None:
    await bridge.node.ask("evm_setIntervalMining", 0)
    try:
        requests = await bridge.ask_for(1)
        await bridge.turn()
        for _ in range(3):
            await bridge.node.mine()
            await bridge.turn()
            assert await bridge.states(requests) == {"submitted"}
        await bridge.node.mine()
        await bridge.turn()
        assert await bridge.states(requests) == {"confirmed"}
    finally:
        await bridge.node.ask("evm_setIntervalMining", 1)


async def test_sequences_of_a_payments_events_grow(bridge: Bench) -> None:
    requests = await bridge.ask_for(3)
    await bridge.until_confirmed(requests)
    rows = await bridge.owner.fetch(
        "SELECT key, sequence FROM bus.log WHERE topic = 'rialto.settlements.v1' AND key LIKE 'pay%' ORDER BY position"
    )
    for request in requests:
        sequences = [row["sequence"] for row in rows if row["key"] == request.event.key]
        assert len(sequences) == 2
        assert sequences[0] < sequences[1]


async def test_the_treasury_is_announced_as_a_deposit(bridge: Bench) -> None:
    async def announced() -> bool:
        return any(isinstance(data, DepositConfirmed) for _, data in await bridge.events())

    await bridge.until(announced)
    [(key, deposit)] = await bridge.events()
    assert isinstance(deposit, DepositConfirmed)
    assert key.startswith("dep_")
    assert deposit.token_amount == bridge.settings.treasury_amount
    token, contract = await bridge.contracts()
    assert await bridge.node.token_balance(token, contract) == deposit.token_amount


async def test_what_is_emitted_fits_the_committed_schemas(bridge: Bench) -> None:
    await bridge.ask_for(1, payee_address="0x12")
    requests = await bridge.ask_for(2)
    await bridge.until_confirmed(requests)
    rows = await bridge.owner.fetch("SELECT type, data::TEXT FROM bus.log WHERE topic = 'rialto.settlements.v1'")
    assert len({row["type"] for row in rows}) == 4
    for row in rows:
        schema = resources.files("rialto_common.events").joinpath("schemas", f"{row['type']}.json").read_text()
        jsonschema.validate(json.loads(row["data"]), json.loads(schema))


async def test_the_same_request_again_changes_nothing(bridge: Bench) -> None:
    [first] = await bridge.ask_for(1)
    again = bridge.request(
        1,
        payment_id=first.payment_id,
        settlement_id=_data(first).settlement_id,
        merchant_id=_data(first).merchant_id,
        amount_minor=first.amount_minor,
        payee_address=first.payee_address,
    )
    await bridge.publish([again.event])
    await bridge.consume()
    await bridge.until_confirmed([first])
    await assert_paid_once(bridge, [first])
    assert await bridge.owner.fetchval("SELECT count(*) FROM chain_bridge.parked_keys") == 0


async def test_a_request_with_other_content_for_the_same_payment_is_parked(bridge: Bench) -> None:
    [first] = await bridge.ask_for(1)
    data = _data(first)
    other = bridge.request(
        1,
        payment_id=first.payment_id,
        settlement_id=data.settlement_id,
        merchant_id=data.merchant_id,
        amount_minor=first.amount_minor + 1,
        payee_address=first.payee_address,
    )
    bystander = bridge.request(2)
    await bridge.publish([other.event, bystander.event])
    await bridge.consume()
    error = await bridge.owner.fetchval("SELECT error FROM chain_bridge.dead_letters")
    assert error.startswith("settlement_content_changed")
    await bridge.until_confirmed([first, bystander])
    await assert_paid_once(bridge, [first, bystander])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payee_address": "0x1234"}, "payee_address_invalid"),
        ({"payee_address": "0x" + "00" * 20}, "payee_address_invalid"),
        # The checksum of 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed (EIP-55's example) with one letter's case changed.
        ({"payee_address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed"}, "payee_address_invalid"),
        ({"mode": "live"}, "mode_not_served"),
        ({"currency": "ETH", "amount_minor": 1}, "amount_not_payable"),
        ({"amount_minor": 10**38 - 1}, "amount_not_payable"),
    ],
)
async def test_what_can_never_be_paid_fails_at_once(bridge: Bench, changes: dict[str, object], code: str) -> None:
    [refused] = await bridge.ask_for(1, **changes)
    [good] = await bridge.ask_for(1)
    [failed] = await bridge.events_of(refused)
    assert isinstance(failed, SettlementFailed)
    assert failed.code == code
    await bridge.until_confirmed([good])
    assert await bridge.states([refused]) == {"failed"}
    await assert_paid_once(bridge, [good])


async def test_one_that_the_contract_refuses_fails_alone(bridge: Bench) -> None:
    """A payment to the token contract would be lost in it: the contract reverts the whole batch it is in."""
    await bridge.turn()
    token, _ = await bridge.contracts()
    good = [bridge.request(number) for number in range(20)]
    bad = bridge.request(20, payee_address=token)
    await bridge.publish([request.event for request in [*good[:10], bad, *good[10:]]])
    await bridge.consume()
    await bridge.until_confirmed(good)
    await assert_paid_once(bridge, good)
    [submitted, failed] = await bridge.events_of(bad)
    assert isinstance(submitted, SettlementSubmitted)
    assert isinstance(failed, SettlementFailed)
    assert failed.code == "settlement_invalid"
    # In its first transaction it held the others up; in their second one they were paid.
    assert [type(data) for data in await bridge.events_of(good[0])] == [
        SettlementSubmitted,
        SettlementSubmitted,
        SettlementConfirmed,
    ]


async def test_a_paused_contract_delays_and_loses_nothing(bridge: Bench) -> None:
    first = await bridge.ask_for(1)
    await bridge.until_confirmed(first)
    _, contract = await bridge.contracts()
    await bridge.node.send(contract, bytes.fromhex("8456cb59"))  # pause()
    await bridge.node.mine()
    requests = await bridge.ask_for(8)

    async def released() -> bool:
        return await bridge.states(requests) == {"requested"}

    await bridge.turn()
    await bridge.until(released)
    await bridge.node.send(contract, bytes.fromhex("3f4ba83a"))  # unpause()
    await bridge.node.mine()
    # Pausing used the operator's nonces beside the bridge: that costs turns as well.
    await bridge.until_confirmed(requests, seconds_a_turn=20)
    await assert_paid_once(bridge, first + requests)


async def test_what_the_chain_refuses_until_the_deadline_fails(bridge: Bench) -> None:
    first = await bridge.ask_for(1)
    await bridge.until_confirmed(first)
    _, contract = await bridge.contracts()
    await bridge.node.send(contract, bytes.fromhex("8456cb59"))  # pause()
    await bridge.node.mine()
    [request] = await bridge.ask_for(1)

    async def released() -> bool:
        return await bridge.states([request]) == {"requested"}

    await bridge.turn()
    await bridge.until(released)
    bridge.runtime.advance(bridge.settings.settlement_deadline_seconds)

    async def failed() -> bool:
        return await bridge.states([request]) == {"failed"}

    await bridge.until(failed)
    last = (await bridge.events_of(request))[-1]
    assert isinstance(last, SettlementFailed)
    assert last.code == "settlement_not_possible"
    assert "EnforcedPause" in last.detail


async def test_a_nonce_used_outside_the_bridge_does_not_lose_the_payments(bridge: Bench) -> None:
    first = await bridge.ask_for(1)
    await bridge.until_confirmed(first)
    requests = await bridge.ask_for(5)
    await bridge.node.send(f"0x{0xEE:040x}", b"")
    await bridge.node.mine()
    await bridge.turn()
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, first + requests)
    states = await bridge.owner.fetch("SELECT state FROM chain_bridge.transactions")
    assert Counter(row["state"] for row in states)["replaced"] == 1


async def test_effects_without_a_receipt_are_not_paid_again(bridge: Bench) -> None:
    """What a killed node can leave behind: the payments are made and the nonce is used, but no block holds the hash.

    Here the same call with another fee stands in for it: another hash, and the same effects.
    """
    first = await bridge.ask_for(1)
    await bridge.until_confirmed(first)
    requests = await bridge.ask_for(5)
    _, contract = await bridge.contracts()
    paid = [Waiting(r.payment_id, r.payee_address, r.amount_minor * 10_000, 0, bridge.runtime.now()) for r in requests]
    await bridge.node.send(contract, Contracts().settle_batch(UUID(int=7), paid))
    await bridge.node.mine()
    await bridge.turn()
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, first + requests)
    last = (await bridge.events_of(requests[0]))[-1]
    assert isinstance(last, SettlementConfirmed)
    receipt = await bridge.node.ask("eth_getTransactionReceipt", last.tx_hash)
    assert int(receipt["status"], 16) == 1
    assert {entry["topics"][0] for entry in receipt["logs"]} == {ALREADY_SETTLED}


async def test_contracts_that_are_there_without_a_receipt_are_used(bridge: Bench) -> None:
    bridge.runtime.crash_in = "chain_bridge.after_deployment_recorded"
    with pytest.raises(Crashed):
        await bridge.turn()
    token, contract = await bridge.contracts()
    calls = Contracts()
    owner = OPERATOR.lower()
    await bridge.node.send(None, calls.create_token("RUSD", owner))
    await bridge.node.send(None, calls.create_settlement(token, owner))
    await bridge.node.send(token, calls.mint(contract, bridge.settings.treasury_amount))
    await bridge.node.mine()
    await bridge.restart()
    requests = await bridge.ask_for(3)
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, requests)
    assert Counter(type(data) for _, data in await bridge.events())[DepositConfirmed] == 1


async def test_contracts_whose_nonce_was_used_for_something_else_stop_the_bridge(bridge: Bench) -> None:
    bridge.runtime.crash_in = "chain_bridge.after_deployment_recorded"
    with pytest.raises(Crashed):
        await bridge.turn()
    await bridge.node.send(f"0x{0xEE:040x}", b"")
    await bridge.restart()

    async def never() -> bool:
        return False

    with pytest.raises(InvariantViolated, match="was used outside this bridge"):
        await bridge.until(never)


async def test_two_workers_pay_each_settlement_once(bridge: Bench) -> None:
    other = await bridge.another_worker()
    try:
        await bridge.turn()
        requests = await bridge.ask_for(400)
        for _ in range(40):
            await asyncio.gather(bridge.turn(), other.steps["bridge"]())
            await bridge.node.mine()
            if await bridge.states(requests) == {"confirmed"}:
                break
        await assert_paid_once(bridge, requests)
        kinds = Counter(type(data) for _, data in await bridge.events())
        assert kinds[SettlementConfirmed] == kinds[SettlementSubmitted] == 400
    finally:
        await other.close()
