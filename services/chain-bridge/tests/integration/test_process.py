"""The service as the supervisor runs it: a process, killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rialto_chain_bridge.testing import OPERATOR_KEY, SECRET, bench
from rialto_cli.testing import AnvilNode, Database
from rialto_cli.torture.control import Control
from rialto_common.events.settlements import SettlementConfirmed
from rialto_common.faults import FAULTS_DIR_VARIABLE

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(database: Database, anvil: AnvilNode, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(**changes: str) -> "subprocess.Popen[bytes]":
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RIALTO_SERVICE_TOKEN_SECRET": SECRET,
            "RIALTO_CHAIN_BRIDGE_DATABASE_URL": database.dsn("chain_bridge"),
            "RIALTO_CHAIN_BRIDGE_RPC_URL": anvil.url,
            "RIALTO_CHAIN_BRIDGE_OPERATOR_KEY": OPERATOR_KEY,
            "RIALTO_CHAIN_BRIDGE_DEPLOY": "true",
            "RIALTO_CHAIN_BRIDGE_TREASURY_AMOUNT": "1000000000000000",
            "RIALTO_CHAIN_BRIDGE_RESEND_SECONDS": "1",
            **changes,
        }
        with (tmp_path / "bridge.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rialto_chain_bridge", "--role", "all"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


async def test_a_killed_process_goes_on_where_it_was(
    start: Start, database: Database, anvil: AnvilNode, tmp_path: Path
) -> None:
    async with bench(database.dsn, anvil.url) as observer:
        await observer.turn()  # deploys, so that the process dies after the batch was sent
        requests = [observer.request(number) for number in range(60)]
        await observer.publish([request.event for request in requests])
        Control(tmp_path).arm("chain_bridge.after_send")
        dies = start(**{FAULTS_DIR_VARIABLE: str(tmp_path)})
        assert await asyncio.to_thread(dies.wait, 30) == -signal.SIGKILL
        process = start()
        for _ in range(300):
            await asyncio.sleep(0.1)
            if await observer.states(requests) == {"confirmed"}:
                break
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
        _, contract = await observer.contracts()
        settled = Counter(await observer.node.settled_events(contract))
        assert settled == Counter(request.payment_id for request in requests)
        kinds = Counter(type(data) for _, data in await observer.events())
        assert kinds[SettlementConfirmed] == 60


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"RIALTO_CHAIN_BRIDGE_OPERATOR_KEY": "not a key"}, "operator_key"),
        ({"RIALTO_CHAIN_BRIDGE_DEPLOY": "false"}, "token_address"),
        ({"RIALTO_CHAIN_BRIDGE_TOKEN": "XYZ"}, "token"),
    ],
)
async def test_wrong_settings_end_it_with_a_sentence(
    start: Start, tmp_path: Path, change: dict[str, str], named: str
) -> None:
    process = start(**change)
    assert await asyncio.to_thread(process.wait, 30) == 1
    message = await asyncio.to_thread((tmp_path / "bridge.log").read_text)
    assert "the settings are not complete" in message
    assert named in message
    assert "not a key" not in message
