"""Two ledgers as real processes, each with a database of its own, that meet on a real Kafka and can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg

from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import Database, end_process
from rialto_cli.torture.control import Control
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.faults import FAULTS_DIR_VARIABLE
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.transfer_testing import MAP

SECRET = "a secret of thirty-two characters"
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 120.0
"""Far longer than it should take, as the machine may be busy with other things."""

Row = tuple[Any, ...]


class LedgerProcess:
    """One ledger: its process, started again whenever it has died, and its database."""

    def __init__(self, name: str, database: Database, cluster: KafkaCluster, directory: Path) -> None:
        self.name = name
        self.database = database
        self.deaths: list[str] = []
        self.url = f"http://127.0.0.1:{(port := free_ports(1)[0])}"
        self._control = Control(directory / name)
        self._armed: set[str] = set()
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "RIALTO_LEDGER_NAME": name,
            "RIALTO_LEDGER_SHARDS": MAP,
            "RIALTO_LEDGER_DATABASE_URL": database.dsn("ledger"),
            "RIALTO_LEDGER_HTTP_PORT": str(port),
            "RIALTO_SERVICE_TOKEN_SECRET": SECRET,
            "RIALTO_BUS_URL": f"kafka://{cluster.servers[0]}/{cluster.prefix}",
            "RIALTO_BUS_LEASE_SECONDS": "1",
            "RIALTO_LOG_LEVEL": "ERROR",
            FAULTS_DIR_VARIABLE: str(self._control.directory),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._tokens = ServiceTokens(SECRET, SystemRuntime())
        self.start()

    def start(self) -> None:
        """Start the process (again)."""
        self._process = subprocess.Popen([sys.executable, "-m", "rialto_ledger"], env=self._environment)

    def end(self) -> None:
        """Stop the process, and forget its crash points."""
        for point in self._armed:
            self._control.disarm(point)
        end_process(self._process, signal.SIGKILL)

    def kill(self) -> None:
        """`kill -9` the process, wherever it is, and start it again."""
        end_process(self._process, signal.SIGKILL)
        self.start()

    def arm(self, *points: str) -> None:
        """Let the process die the next time it comes to each of these crash points."""
        for point in points:
            self._control.arm(point)
            self._armed.add(point)

    def revive(self) -> None:
        """Start it again if it has died, which is only of a point that was armed."""
        assert self._process is not None
        if self._process.poll() is None:
            return
        died_of = [point for point in self._armed if self._control.victim(point) == self._process.pid]
        assert len(died_of) == 1, f"{self.name} ended by itself: {self._process.returncode}"
        self.deaths += died_of
        self._armed -= set(died_of)
        self._control.forget()  # a point may be armed again
        self.start()

    @property
    def has_died_of_all(self) -> bool:
        """Whether every point that was armed has been reached."""
        return not self._armed

    def query(self, statement: str, *parameters: object) -> list[Row]:
        """Ask the database as an auditor."""
        with psycopg.connect(self.database.dsn("auditor")) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    async def insist(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request, or read without a body, until it is answered, however often the process dies meanwhile."""
        token = self._tokens.issue(Caller("operator", None, "test"), audience="ledger")
        headers = {"Authorization": f"Bearer {token}"}
        method = "GET" if body is None else "POST"
        async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            while True:
                try:
                    answer = await client.request(method, f"/v1/{path}", json=body, headers=headers)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
                assert answer is None or answer.status_code == 503, answer.text
                await asyncio.sleep(LOOK_SECONDS)


class TwoLedgers:
    """East and west, and whoever starts them again."""

    def __init__(self, databases: tuple[Database, Database], cluster: KafkaCluster, directory: Path) -> None:
        self.east, self.west = (
            LedgerProcess(name, database, cluster, directory)
            for name, database in zip(("east", "west"), databases, strict=True)
        )

    def __iter__(self) -> Iterator[LedgerProcess]:
        return iter((self.east, self.west))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, starting again what dies meanwhile."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(condition):
                for ledger in self:
                    ledger.revive()
                await asyncio.sleep(LOOK_SECONDS)

    async def while_reviving(self, work: "asyncio.Task[Any]") -> Any:
        """Return what the work comes to, starting again what dies meanwhile."""
        await self.until(work.done)
        return await work

    def end(self) -> None:
        for ledger in self:
            ledger.end()
