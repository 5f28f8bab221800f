"""Every way in which the chain, the node or the bridge can lose something: each payment is still paid exactly once."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from rialto_chain_bridge.testing import Bench, Request, bench
from rialto_cli.testing import AnvilNode, Database, PostgresServer
from rialto_common.events.settlements import (
    DepositConfirmed,
    SettlementConfirmed,
    SettlementReorged,
    SettlementSubmitted,
)
from rialto_common.simulation import Crashed

CRASH_POINTS = [
    "chain_bridge.before_deployment_recorded",
    "chain_bridge.after_deployment_recorded",
    "chain_bridge.before_record",
    "chain_bridge.after_record",
    "chain_bridge.before_send",
    "chain_bridge.after_send",
    "chain_bridge.before_attempts_recorded",
    "chain_bridge.after_attempts_recorded",
    "chain_bridge.before_watch_recorded",
    "chain_bridge.after_watch_recorded",
    "chain_bridge.before_commit",
    "chain_bridge.after_commit",
    "chain_bridge.before_acknowledge",
    "chain_bridge.after_acknowledge",
]


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture
def node(anvil_factory: Callable[..., AnvilNode], state_file: Path) -> AnvilNode:
    return anvil_factory(state_file=state_file)


@pytest.fixture
async def bridge(database: Database, node: AnvilNode) -> AsyncIterator[Bench]:
    async with bench(database.dsn, node.url) as started:
        yield started


async def assert_paid_once(bridge: Bench, requests: list[Request]) -> None:
    token, contract = await bridge.contracts()
    settled = Counter(await bridge.node.settled_events(contract))
    assert settled == Counter(request.payment_id for request in requests)
    owed = sum(request.amount_minor * 10_000 for request in requests)
    assert await bridge.node.token_balance(token, contract) == bridge.settings.treasury_amount - owed


async def assert_confirmations_balance(bridge: Bench, requests: list[Request]) -> None:
    """Whoever applies the events in order ends with each payment settled once."""
    for request in requests:
        settled = 0
        for data in await bridge.events_of(request):
            if isinstance(data, SettlementConfirmed):
                settled += 1
            elif isinstance(data, SettlementReorged) and data.was_confirmed:
                settled -= 1
            assert settled in (0, 1)
        assert settled == 1


def is_complete(state_file: Path) -> bool:
    """Say whether the node had finished writing its state: it writes in place."""
    return state_file.exists() and state_file.read_text().endswith('"historical_states":null}')


def forget(state_file: Path) -> None:
    state_file.unlink(missing_ok=True)


def restore(backup: Path, state_file: Path) -> None:
    """Start from the backup if there is one, else from a state that was written to its end, else from nothing."""
    if backup.exists():
        shutil.copy(backup, state_file)
    elif not is_complete(state_file):
        forget(state_file)


async def dumped(bridge: Bench, state_file: Path) -> None:
    """Wait until the node has written a complete state that is newer than now: two blocks, so two seconds, on."""
    block = await bridge.node.block_number()
    for _ in range(100):
        await asyncio.sleep(0.1)
        if await bridge.node.block_number() > block + 1 and is_complete(state_file):
            return
    raise AssertionError("the node does not write its state")


async def test_a_killed_node_that_forgot_transactions_gets_them_again(
    bridge: Bench, node: AnvilNode, state_file: Path, tmp_path: Path
) -> None:
    before = await bridge.ask_for(30)
    await bridge.until_confirmed(before)
    await dumped(bridge, state_file)
    old_state = shutil.copy(state_file, tmp_path / "old.json")
    forgotten = await bridge.ask_for(120)
    await bridge.turn()
    await bridge.node.mine()
    await bridge.turn()
    waiting = await bridge.ask_for(20)
    await bridge.turn()
    assert await bridge.states(forgotten) == await bridge.states(waiting) == {"submitted"}
    node.kill()
    shutil.copy(old_state, state_file)
    node.start()
    await bridge.until_confirmed(forgotten + waiting)
    await assert_paid_once(bridge, before + forgotten + waiting)
    await assert_confirmations_balance(bridge, before + forgotten + waiting)


async def test_a_chain_that_lost_even_confirmed_blocks_is_paid_again_in_order(
    bridge: Bench, node: AnvilNode, state_file: Path
) -> None:
    """The contracts themselves are gone: the recorded transactions make them again, from the first nonce on."""
    requests = await bridge.ask_for(150)
    await bridge.until_confirmed(requests)
    node.kill()
    forget(state_file)
    node.start()

    async def noticed() -> bool:
        return await bridge.states(requests) == {"submitted"}

    await bridge.until(noticed)
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, requests)
    await assert_confirmations_balance(bridge, requests)
    kinds = Counter(type(data) for data in await bridge.events_of(requests[0]))
    assert kinds == {SettlementSubmitted: 1, SettlementConfirmed: 2, SettlementReorged: 1}
    # The treasury was minted again, by the same transaction: to the books it is one deposit.
    assert Counter(type(data) for _, data in await bridge.events())[DepositConfirmed] == 1


async def test_a_reorganisation_before_confirmation_is_told_and_healed(bridge: Bench) -> None:
    before = await bridge.ask_for(10)
    await bridge.until_confirmed(before)
    requests = await bridge.ask_for(10)
    await bridge.turn()
    await bridge.node.mine()
    await bridge.turn()
    await bridge.node.ask("anvil_reorg", 1, [])
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, before + requests)
    told = [data for data in await bridge.events_of(requests[0]) if isinstance(data, SettlementReorged)]
    assert [data.was_confirmed for data in told] == [False]
    await assert_confirmations_balance(bridge, before + requests)


async def test_a_reorganisation_after_confirmation_takes_the_confirmation_back_first(bridge: Bench) -> None:
    first = await bridge.ask_for(10)
    await bridge.until_confirmed(first)
    second = await bridge.ask_for(10)
    await bridge.until_confirmed(second)
    height = await bridge.node.block_number()
    [_, confirmed] = await bridge.events_of(second[0])
    assert isinstance(confirmed, SettlementConfirmed)
    await bridge.node.ask("anvil_reorg", height - confirmed.block_number + 1, [])
    await bridge.turn()
    assert await bridge.states(second) == {"submitted"}
    assert await bridge.states(first) == {"confirmed"}
    await bridge.until_confirmed(second)
    await assert_paid_once(bridge, first + second)
    kinds = [type(data) for data in await bridge.events_of(second[0])]
    assert kinds == [SettlementSubmitted, SettlementConfirmed, SettlementReorged, SettlementConfirmed]
    rows = await bridge.owner.fetch(
        "SELECT sequence FROM bus.log WHERE key = $1 AND topic = 'rialto.settlements.v1' ORDER BY position",
        second[0].event.key,
    )
    sequences = [row["sequence"] for row in rows]
    assert sequences == sorted(set(sequences))


async def test_requests_wait_while_the_node_is_away(bridge: Bench, node: AnvilNode, state_file: Path) -> None:
    first = await bridge.ask_for(5)
    await bridge.until_confirmed(first)
    await dumped(bridge, state_file)
    node.stop()
    requests = await bridge.ask_for(120)
    pauses = [await bridge.service.steps["bridge"]() for _ in range(3)]
    assert all(pause > 0 for pause in pauses)
    attempts = await bridge.owner.fetch(
        "SELECT attempt, attempts FROM chain_bridge.transactions WHERE state = 'pending' ORDER BY nonce"
    )
    assert {row["attempt"] for row in attempts} == {"unknown"}
    node.start()
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, first + requests)


async def test_a_bridge_started_before_its_node_deploys_once_the_node_comes(bridge: Bench, node: AnvilNode) -> None:
    node.stop()
    requests = await bridge.ask_for(3)
    await bridge.turn()
    assert await bridge.states(requests) == {"requested"}
    node.start()
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, requests)


async def test_a_killed_database_loses_and_repeats_nothing(
    postgres_factory: Callable[..., PostgresServer], node: AnvilNode
) -> None:
    server = postgres_factory(durable=True)
    async with bench(server.create_database().dsn, node.url) as bridge:
        requests = await bridge.ask_for(120)
        await bridge.turn()
        await bridge.node.mine()
        server.kill()
        pauses = [await bridge.service.steps["bridge"]() for _ in range(2)]
        assert all(pause > 0 for pause in pauses)
        server.start()
        await bridge.until_confirmed(requests)
        await assert_paid_once(bridge, requests)
        await assert_confirmations_balance(bridge, requests)


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_crash_at_any_point_neither_loses_nor_repeats_a_payment(bridge: Bench, point: str) -> None:
    bridge.runtime.crash_in = point
    requests = [bridge.request(number) for number in range(12)]
    await bridge.publish([request.event for request in requests])
    crashes = 0
    to_consume = True
    for _ in range(40):
        try:
            if to_consume:
                await bridge.consume()
                to_consume = await bridge.states(requests) == {"missing"}
            await bridge.node.mine()
            await bridge.turn()
        except Crashed:
            crashes += 1
            to_consume = True
            await bridge.restart()
        if await bridge.states(requests) == {"confirmed"}:
            break
    assert crashes == 1
    await assert_paid_once(bridge, requests)
    kinds = Counter(type(data) for _, data in await bridge.events())
    assert kinds[SettlementConfirmed] == kinds[SettlementSubmitted] == 12


async def test_many_restarts_with_a_dying_node_pay_each_payment_once(
    bridge: Bench, node: AnvilNode, state_file: Path, tmp_path: Path
) -> None:
    await dumped(bridge, state_file)
    backup = tmp_path / "backup.json"
    requests: list[Request] = []
    for round_number in range(5):
        requests += await bridge.ask_for(25)
        for _ in range(1 + round_number % 3):
            await bridge.turn()
            await bridge.node.mine()
        if round_number % 2 == 0:
            node.kill()
            restore(backup, state_file)
            node.start()
        else:
            await dumped(bridge, state_file)
            shutil.copy(state_file, backup)
        await bridge.restart()
    await bridge.until_confirmed(requests)
    await assert_paid_once(bridge, requests)
    await assert_confirmations_balance(bridge, requests)
