"""Keep programs running: each its own process, restarted when it dies, stopped in order, its log bounded.

Everything happens in the main thread's event loop, and programs are started from that thread: the kernel ties a
child's death signal to the thread that started it.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.processes import Account, Identity, launch
from rialto_cli.errors import OperatorError

POLL_SECONDS = 0.05
TEND_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 5.0
# A program that lived this long was well: its next death starts counting anew.
STABLE_SECONDS = 30.0
FIRST_START_ATTEMPTS = 4
LOG_LIMIT_BYTES = 32 * 1024 * 1024
DISK_CHECK_SECONDS = 5.0
LOW_DISK_BYTES = 64 * 1024 * 1024


def _nothing() -> None:
    """Prepare nothing."""


def _content(pid: int) -> bool:
    """Ask for no restart."""
    return False


@dataclass(frozen=True, slots=True)
class Program:
    """How to run one program.

    `prepare` runs before every start and `tend` (with the pid) each second of its life, both in a thread; when `tend`
    returns True the program is stopped and started again. `is_ready` asks the program itself.
    """

    name: str
    port: int
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    working_directory: Path
    is_ready: Callable[[], Awaitable[bool]]
    prepare: Callable[[], None] = _nothing
    tend: Callable[[int], bool] = _content
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 20.0
    death_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None


class Observer(Protocol):
    """Who is told what happens to the programs."""

    def ready(self, name: str, port: int, seconds: float) -> None:
        """A program answered for the first time since its start."""

    def died(self, name: str, reason: str, delay_seconds: float) -> None:
        """A program ended by itself; it starts again after the delay."""

    def stopped(self, name: str) -> None:
        """A program was stopped."""

    def processes_changed(self) -> None:
        """Some program has another process now."""

    def disk_is_full(self, free_bytes: int) -> None:
        """The disk is as good as full; told once each time it gets so."""


def delay_before_restart(deaths_in_a_row: int, longest_seconds: float = LONGEST_DELAY_SECONDS) -> float:
    """Seconds to wait: none the first time, then 0.5, 1, 2, 4 and at most `longest_seconds`."""
    if deaths_in_a_row <= 1:
        return 0.0
    return min(longest_seconds, 0.5 * 2.0 ** min(deaths_in_a_row - 2, 10))


class Keeper:
    """Keeps one program running until told to stop."""

    def __init__(
        self,
        program: Program,
        log_file: Path,
        observer: Observer,
        *,
        longest_delay_seconds: float = LONGEST_DELAY_SECONDS,
    ) -> None:
        self.program = program
        self._log_file = log_file
        self._observer = observer
        self._longest_delay_seconds = longest_delay_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._deaths = 0
        self.was_ready = asyncio.Event()
        self.gave_up: OperatorError | None = None

    @property
    def identity(self) -> Identity | None:
        """The running process."""
        if self._process is None or self._process.poll() is not None:
            return None
        return Identity.of(self._process.pid)

    def start(self) -> None:
        """Begin to keep the program running."""
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A keeper that fails is a bug of ours; it must not go unnoticed, and nobody may wait for it for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})
            self.was_ready.set()

    async def wait_until_ready(self) -> None:
        """Return when the program has answered.

        Raises: OperatorError: it died several times without ever getting there.
        """
        await self.was_ready.wait()
        if self.gave_up is not None:
            raise self.gave_up

    async def stop(self) -> None:
        """Ask the program to stop, and kill it when it does not."""
        self._stopping = True
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(self.program.stop_signal)
            try:
                await asyncio.to_thread(process.wait, self.program.stop_timeout_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._observer.stopped(self.program.name)

    def kill(self) -> None:
        """End the program at once (a second Ctrl-C)."""
        self._stopping = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def _keep(self) -> None:
        while not self._stopping:
            started = time.monotonic()
            reason = await self._live_once(started)
            if self._stopping:
                return
            self._deaths = 1 if time.monotonic() - started > STABLE_SECONDS else self._deaths + 1
            if not self.was_ready.is_set() and self._deaths >= FIRST_START_ATTEMPTS:
                self._give_up(reason)
                return
            delay = delay_before_restart(self._deaths, self._longest_delay_seconds)
            self._observer.died(self.program.name, reason, delay)
            await asyncio.sleep(delay)

    async def _live_once(self, started: float) -> str:
        """Start the program and return when it has ended, with the reason."""
        try:
            await asyncio.to_thread(self.program.prepare)
            if self._stopping:
                return ""
            process = self._launch()
        except OSError as error:
            return f"cannot be started: {error}"  # a full disk, or no more processes: both may pass
        await self._live(process, started)
        return self._reason(process)

    def _launch(self) -> "subprocess.Popen[bytes]":
        crash_point("supervisor.before_launch")
        with self._log_file.open("ab") as log:
            self._process = launch(
                self.program.command,
                environment=self.program.environment,
                working_directory=self.program.working_directory,
                output=log,
                death_signal=self.program.death_signal,
                account=self.program.account,
            )
        crash_point("supervisor.after_launch")
        self._observer.processes_changed()
        return self._process

    async def _live(self, process: "subprocess.Popen[bytes]", started: float) -> None:
        """Return when the process has ended; tell when it first answers."""
        ready = False
        tend_at = started + TEND_SECONDS
        while process.poll() is None:
            if not ready and await self.program.is_ready():
                ready = True
                self._observer.ready(self.program.name, self.program.port, time.monotonic() - started)
                self.was_ready.set()
            if ready and time.monotonic() >= tend_at:
                await self._tend(process)
                tend_at = time.monotonic() + TEND_SECONDS
            await asyncio.sleep(POLL_SECONDS)

    async def _tend(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            restart = await asyncio.to_thread(self.program.tend, process.pid)
        except OSError:
            return  # a full disk, or the process went away meanwhile: the next second tells
        if restart and process.poll() is None:
            process.send_signal(self.program.stop_signal)

    def _give_up(self, reason: str) -> None:
        self.gave_up = OperatorError(
            f"{self.program.name} does not start",
            reason,
            f"read {self._log_file}, then run the command again",
        )
        self.was_ready.set()

    def _reason(self, process: "subprocess.Popen[bytes]") -> str:
        code = process.returncode
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        if shutil.disk_usage(self._log_file.parent).free < LOW_DISK_BYTES:
            return f"{how}; the disk is full: free some space and it recovers by itself"
        last = "" if code == -signal.SIGKILL else last_line(self._log_file)
        return f"{how}; its log ends with: {last}" if last else how


class Supervisor:
    """Several keepers: started together, stopped in reverse order, their logs kept small."""

    def __init__(
        self, log_directory: Path, observer: Observer, *, longest_delay_seconds: float = LONGEST_DELAY_SECONDS
    ) -> None:
        self._log_directory = log_directory
        self._observer = observer
        self._longest_delay_seconds = longest_delay_seconds
        self._disk_watch: asyncio.Task[None] | None = None
        self.keepers: dict[str, Keeper] = {}

    def start(self, program: Program) -> Keeper:
        """Start a program and keep it running."""
        log_file = self._log_directory / f"{program.name}.log"
        keeper = Keeper(program, log_file, self._observer, longest_delay_seconds=self._longest_delay_seconds)
        self.keepers[program.name] = keeper
        keeper.start()
        if self._disk_watch is None:
            self._disk_watch = asyncio.create_task(self._watch_the_disk(), name="watch the disk")
        return keeper

    def identities(self) -> dict[str, Identity]:
        """The running processes by name."""
        found = {name: keeper.identity for name, keeper in self.keepers.items()}
        return {name: identity for name, identity in found.items() if identity is not None}

    async def stop(self, *groups: Sequence[str]) -> None:
        """Stop the groups one after the other, the programs of a group together."""
        for group in groups:
            await asyncio.gather(*(self.keepers[name].stop() for name in group if name in self.keepers))
        if self._disk_watch is not None:
            self._disk_watch.cancel()

    def kill(self) -> None:
        """End everything at once."""
        for keeper in self.keepers.values():
            keeper.kill()

    async def _watch_the_disk(self) -> None:
        told = False
        while True:
            await asyncio.sleep(DISK_CHECK_SECONDS)
            free = shutil.disk_usage(self._log_directory).free
            if free < LOW_DISK_BYTES and not told:
                self._observer.disk_is_full(free)
            told = free < LOW_DISK_BYTES
            for log_file in self._log_directory.glob("*.log"):
                with suppress(OSError):  # a full disk: the log is the least of it, and the next round tries again
                    await asyncio.to_thread(rotate, log_file, LOG_LIMIT_BYTES)


def rotate(log_file: Path, limit_bytes: int) -> None:
    """Move a log that has outgrown the limit to NAME.log.1, in place: its writer appends and never notices."""
    if log_file.stat().st_size > limit_bytes:
        shutil.copyfile(log_file, log_file.with_suffix(".log.1"))
        os.truncate(log_file, 0)


def last_line(log_file: Path, *, longest: int = 200) -> str:
    """The last line of a log that says something."""
    with suppress(OSError), log_file.open("rb") as file:
        file.seek(max(0, log_file.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:longest] if lines else ""
    return ""
