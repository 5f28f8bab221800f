"""The service as a process: killed at its worst moments, restarted, and asked to stop."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rialto_cli.testing import Database
from rialto_cli.torture.control import Control
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool, open_pool
from rialto_common.events.common import LEDGER
from rialto_common.faults import FAULTS_DIR_VARIABLE
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.testing import Payment, Sender, open_wallet, top_up

Start = Callable[[str | None], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Start]:
    """Start a worker, which dies at the named crash point."""
    started: list[subprocess.Popen[bytes]] = []

    def run(crash_point: str | None) -> "subprocess.Popen[bytes]":
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "RIALTO_LEDGER_DATABASE_URL": database.dsn("ledger"),
            "RIALTO_SERVICE_TOKEN_SECRET": "a secret of thirty-two characters",
        }
        if crash_point is not None:
            Control(tmp_path).arm(crash_point)
            environment[FAULTS_DIR_VARIABLE] = str(tmp_path)
        started.append(subprocess.Popen([sys.executable, "-m", "rialto_ledger", "--role", "worker"], env=environment))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
async def outside(database: Database) -> AsyncIterator[PostgresUnitOfWork]:
    """Transactions of another service."""
    pool = await open_pool(database.dsn("gateway"), application="test", max_size=2)
    yield PostgresUnitOfWork(pool, schema="gateway", runtime=SystemRuntime())
    pool.terminate()


async def until(pool: Pool, query: str, wanted: int) -> None:
    """Wait until a count is reached."""
    runtime = SystemRuntime()
    async with asyncio.timeout(60):
        while await pool.fetchval(query) < wanted:
            await runtime.sleep(0.05)


@pytest.mark.parametrize("crash_point", ["ledger.before_commit", "ledger.after_commit", "ledger.before_acknowledge"])
async def test_a_worker_killed_around_its_commit_leaves_each_effect_once(
    crash_point: str,
    pool: Pool,
    unit_of_work: PostgresUnitOfWork,
    outside: PostgresUnitOfWork,
    start: Start,
    check_books: Callable[[], Any],
) -> None:
    runtime = SystemRuntime()
    payments = [Payment(n, amount_minor=100) for n in range(25)]
    async with unit_of_work.begin() as transaction:
        await post(PostgresLedger(transaction.connection), [open_wallet(), top_up(0, 10_000)], runtime.now())
    sender = Sender(runtime.now())
    async with outside.begin() as transaction:
        transaction.publish(*(event for p in payments for event in (sender.approved(p), sender.capture(p))))
    doomed = start(crash_point)
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    # Instead of waiting out the dead member's lease.
    await expire_leases(pool)
    start(None)
    await until(pool, "SELECT count(*) FROM ledger.journal_entries", 26)
    await until(pool, f"SELECT count(*) FROM bus.log WHERE topic = '{LEDGER}'", 75)
    assert await pool.fetchval(f"SELECT count(DISTINCT event_id) FROM bus.log WHERE topic = '{LEDGER}'") == 75
    assert await pool.fetchval(f"SELECT count(*) FROM bus.log WHERE topic = '{LEDGER}'") == 75
    assert await check_books() == 26


async def expire_leases(pool: Pool) -> None:
    """End the leases of members that are gone."""
    await pool.execute("UPDATE bus.members SET alive_until = '2000-01-01+00'")
    await pool.execute("UPDATE bus.cursors SET owned_until = '2000-01-01+00'")


async def test_sigterm_ends_the_worker_cleanly(start: Start, pool: Pool) -> None:
    worker = start(None)
    await until(pool, "SELECT count(*) FROM bus.members WHERE consumer_group = 'ledger'", 1)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 60) == 0
    assert await pool.fetchval("SELECT count(*) FROM bus.members WHERE consumer_group = 'ledger'") == 0
