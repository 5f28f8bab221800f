"""The simulated acquirer as a process of its own, for tests that need a real one."""

import os
import signal
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from time import monotonic, sleep

import httpx

from rialto_cli.acquirer_sim.commands import KEY_VARIABLE, WEBHOOK_SECRET_VARIABLE
from rialto_cli.embedded.processes import free_ports

KEY = "a-key-of-the-acquirers"
WEBHOOK_SECRET = "whsec_" + b64encode(b"a secret of both, 32 bytes long.").decode()


class Process:
    """The acquirer, which can be killed and started again on its books."""

    def __init__(self, directory: Path, webhook_url: str = "", name: str = "sim") -> None:
        self.name = name
        self.directory = directory
        self._webhook_url = webhook_url
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = ["acquirer-sim", "--port", str(self.port), "--data-dir", str(self.directory)]
        command += ["--webhook-url", self._webhook_url, "--name", self.name]
        environment = {**os.environ, KEY_VARIABLE: KEY, WEBHOOK_SECRET_VARIABLE: WEBHOOK_SECRET}
        self._process = subprocess.Popen([sys.executable, "-m", "rialto_cli", *command], env=environment)
        deadline = monotonic() + 30
        while True:
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            except httpx.HTTPError:
                assert monotonic() < deadline
                assert self._process.poll() is None
                sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its status."""
        self._process.send_signal(number)
        return self._process.wait(20)
