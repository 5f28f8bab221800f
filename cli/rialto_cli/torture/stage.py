"""A platform to be hurt: `rialto up` in a process of its own, and the means to kill and to freeze what runs there."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from rialto_cli.embedded import services
from rialto_cli.embedded.processes import launch
from rialto_cli.embedded.services import Installation
from rialto_cli.embedded.state import State
from rialto_cli.embedded.status import collect, find_running
from rialto_cli.errors import OperatorError

SUPERVISOR = "supervisor"
READY_SECONDS = 120.0
STOP_SECONDS = 90.0
POLL_SECONDS = 0.1


class Stage:
    """One data directory and the `rialto up` on it. To be used from the main thread: see `processes.launch`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        bus: str,
        environment: Mapping[str, str],
        through: Mapping[str, int] | None = None,
        longest_restart_delay_seconds: float = 5.0,
    ) -> None:
        self.data_dir = data_dir
        self.output = data_dir.parent / "up.log"
        self._environment = {**os.environ, **environment}
        self._command = [sys.executable, "-m", "rialto_cli", "up", "--data-dir", str(data_dir), "--port", str(port)]
        self._command += ["--bus", bus, "--longest-restart-delay", str(longest_restart_delay_seconds)]
        for way, at in (through or {}).items():
            self._command += ["--through", f"{way}={at}"]
        self._up: subprocess.Popen[bytes] | None = None

    @property
    def installation(self) -> Installation:
        """Addresses and secrets. Raises: OperatorError: it does not run."""
        return find_running(self.data_dir)[0]

    @property
    def is_up(self) -> bool:
        """Whether the supervisor lives."""
        return self._up is not None and self._up.poll() is None

    def raise_curtain(self) -> None:
        """Start the supervisor; it is not ready yet."""
        with self.output.open("ab") as output:
            self._up = launch(
                self._command, environment=self._environment, working_directory=self.data_dir.parent, output=output
            )

    async def start(self) -> None:
        """Start the platform, and return when all of it is ready.

        Raises: OperatorError: it ended, or is not ready in time.
        """
        self.raise_curtain()
        await self.wait_until_ready(must_live=True)

    async def wait_until_ready(self, timeout_seconds: float = READY_SECONDS, *, must_live: bool = False) -> float:
        """Return when everything is ready, with the seconds that took.

        Raises: OperatorError: not in time; with `must_live` also when the supervisor ends.
        """
        began = time.monotonic()
        while not await asyncio.to_thread(self.is_ready):
            late = time.monotonic() - began > timeout_seconds
            if late or (must_live and not self.is_up):
                missing = ", ".join(self.missing()) or "its supervisor"
                raise OperatorError(
                    "The platform does not get ready",
                    f"{missing} is missing after {time.monotonic() - began:.0f} s",
                    f"read {self.output} and {self.data_dir / 'logs'}",
                )
            await asyncio.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def is_ready(self) -> bool:
        """Whether every program says so."""
        try:
            return collect(self.data_dir).ready
        except OperatorError:
            return False

    def is_program_ready(self, name: str) -> bool:
        """Whether a program has a living process that says so."""
        try:
            return self.pid(name) is not None and services.is_ready(self.installation, name)
        except OperatorError:
            return False

    def missing(self) -> list[str]:
        """The programs that are not ready."""
        with suppress(OperatorError):
            return [name for name, program in collect(self.data_dir).programs.items() if not program.ready]
        return []

    async def wait_until_dead(self, timeout_seconds: float) -> bool:
        """Whether the supervisor ends within this time, and all its children with it."""

        def dead() -> bool:
            known = State.load(self.data_dir).processes.values()
            return not self.is_up and not any(identity.process() for identity in known)

        return await comes_true(dead, timeout_seconds)

    def ask_to_stop(self) -> None:
        """SIGTERM, as an operator's Ctrl-C."""
        if self._up is not None and self._up.poll() is None:
            self._up.terminate()

    async def stop(self) -> int:
        """Stop everything and return the exit status; what does not stop is killed."""
        if self._up is None:
            return 0
        self.ask_to_stop()
        try:
            return await asyncio.to_thread(self._up.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._up.kill()
            return await asyncio.to_thread(self._up.wait)

    # Processes ----------------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int | None:
        """A program's process, None while it has none."""
        if name == SUPERVISOR:
            return self._up.pid if self._up is not None and self._up.poll() is None else None
        identity = State.load(self.data_dir).processes.get(name)
        process = None if identity is None else identity.process()
        return None if process is None else int(process.pid)

    def kill(self, name: str) -> int | None:
        """`kill -9`; returns the process, None when there was none to kill."""
        pid = self.pid(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def freeze(self, name: str) -> list[psutil.Process]:
        """SIGSTOP a program with all its children (the supervisor alone); returns who was stopped."""
        pid = self.pid(name)
        if pid is None:
            return []
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family = [process] if name == SUPERVISOR else [process, *process.children(recursive=True)]
            for member in family:
                member.suspend()
            return family
        return []


async def comes_true(condition: Callable[[], bool], timeout_seconds: float, *, every: float = POLL_SECONDS) -> bool:
    """Whether a condition, asked in a thread, comes true within this time."""
    deadline = time.monotonic() + timeout_seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every)
    return True


def thaw(family: list[psutil.Process]) -> None:
    """Let stopped processes go on, children first."""
    for member in reversed(family):
        with suppress(psutil.NoSuchProcess):
            member.resume()
