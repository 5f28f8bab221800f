"""Our ledger as the process that is deployed, over HTTP: service tokens, JSON, 64 connections.

Every second there is another token, as the gateway's are: a token says the second in which it was issued. The next turn
begins only when the service has sealed what came in, so that none of its work falls into the time of the other.
"""

import os
import random
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, sleep, time

import psutil
import psycopg

from bench import load
from bench.gateway import wait_for
from bench.ledger import loads
from bench.ledger.loads import Load
from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import Database
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens

CONNECTIONS = 64
BATCH = 100
SINGLES_A_SECOND, BATCHES_A_SECOND = 20_000, 600
"""For how many requests there are bodies; they are made before the clock runs."""
SEALED_SECONDS = 60
UNSEALED = "SELECT coalesce(sum(position - sealed_position), 0) FROM ledger.chain_growth"


@dataclass(frozen=True)
class Run:
    """What a run came to: transfers a second, each request's seconds, the service's CPU a request."""

    rate: float
    took: Sequence[float]
    cpu_us: float


class HttpLedger:
    """The service over a database whose accounts are open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._runtime = SystemRuntime()
        secret = b64encode(os.urandom(32)).decode()
        self._tokens = ServiceTokens(secret, self._runtime)
        [self._port] = free_ports(1)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rialto_ledger", "--role", "all"],
            env={
                **os.environ,
                "RIALTO_LEDGER_DATABASE_URL": database.dsn("ledger"),
                "RIALTO_LEDGER_HTTP_PORT": str(self._port),
                "RIALTO_SERVICE_TOKEN_SECRET": secret,
                "RIALTO_LOG_LEVEL": "WARNING",
            },
        )

    def wait(self) -> None:
        """Return when it is ready."""
        wait_for(f"http://127.0.0.1:{self._port}/readyz")

    async def run(self, load_: Load, batch: int, seconds: float, draw: random.Random) -> Run:
        """Send transfers, one a request or a batch of them. Raises: load.Refused."""
        mint = self._runtime.ids.mint
        if batch == 1:
            path, bodies = "", loads.singles(load_, int(seconds * SINGLES_A_SECOND), mint, draw)
        else:
            path, bodies = "/batch", loads.batches(load_, batch, int(seconds * BATCHES_A_SECOND), mint, draw)
        token, issued = "", 0

        def request(_number: int) -> bytes:
            nonlocal token, issued
            if (now := int(time())) != issued:
                token, issued = self._tokens.issue(Caller("bench", None, "test"), audience="ledger"), now
            return load.post(f"/v1/journal_entries{path}", bodies.pop(), {"Authorization": f"Bearer {token}"})

        before = self._cpu_seconds()
        result = await load.closed_loop(
            self._port,
            request,
            connections=CONNECTIONS,
            seconds=seconds,
            accept=_is_posted if batch == 1 else _are_posted,
        )
        answers = len(result.latencies)
        return Run(answers * batch / result.seconds, result.latencies, (self._cpu_seconds() - before) / answers * 1e6)

    def settle(self) -> None:
        """Return when all that was posted is sealed."""
        deadline = monotonic() + SEALED_SECONDS
        with psycopg.connect(self._database.superuser_dsn(), autocommit=True) as connection:
            while (connection.execute(UNSEALED).fetchone() or [1])[0] > 0:
                if monotonic() > deadline:
                    raise SystemExit(f"the service did not seal what it was sent within {SEALED_SECONDS} s")
                sleep(0.1)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _cpu_seconds(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


def _is_posted(status: int, _body: bytes) -> bool:
    return status == 201


def _are_posted(status: int, body: bytes) -> bool:
    return status == 200 and b'"refused"' not in body and b'"duplicate"' not in body
