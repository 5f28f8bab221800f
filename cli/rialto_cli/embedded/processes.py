"""Child processes that end with us, and the recognition of those that an earlier run left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from rialto_cli.errors import OperatorError

LAUNCHER = Path(__file__).with_name("launcher.py")
# Below the range from which Linux takes ports for outgoing connections (32768-60999): a listener that restarts would
# otherwise now and then find its port taken by some connection.
PORT_RANGE = range(20000, 32000)
# Two reads of one process's start time may differ by a clock adjustment, never by this much.
START_TIME_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account a program runs under when we are root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from a later one that got the same pid by its start time (seconds since the epoch)."""

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a living process, None when there is none with this pid."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """The living process of this identity, None when it is gone or a zombie."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < START_TIME_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


def launch(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    working_directory: Path,
    output: IO[bytes] | int,
    death_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that gets `death_signal` when we die, in a session of its own (Ctrl-C reaches only us)."""
    identity = "-" if account is None else f"{account.uid}:{account.gid}"
    launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), identity)
    return subprocess.Popen(
        [*launcher, *map(str, command)],
        env=dict(environment),
        cwd=working_directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def working_in(name: str, directory: Path) -> list[psutil.Process]:
    """Every living process of this name whose working directory is `directory`, whoever started it."""
    home = directory.resolve()
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == name and Path(process.cwd()) == home:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def end(processes: Iterable[psutil.Process], *, grace_seconds: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Ask processes to stop, and kill those that have not after `grace_seconds`; return when all are gone."""
    remaining = list(processes)
    for process in remaining:
        _send(process, first)
    _, remaining = psutil.wait_procs(remaining, timeout=grace_seconds)
    for process in remaining:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(remaining, timeout=10)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)  # psutil compares the start time first: a reused pid is left alone
    except psutil.NoSuchProcess:
        pass


def memory_bytes(pid: int) -> int:
    """The resident memory of a process, 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(count: int, *, taken: Iterable[int] = ()) -> list[int]:
    """`count` different ports that nothing listens on now.

    Starts at a place that depends on the process, so that two runs beside each other seldom try the same ones.

    Raises: OperatorError: there are not so many.
    """
    found: list[int] = []
    used = set(taken)
    start = (os.getpid() * 131 + time.monotonic_ns() // 1000) % len(PORT_RANGE)
    for step in range(len(PORT_RANGE)):
        if len(found) == count:
            return found
        port = PORT_RANGE[(start + step) % len(PORT_RANGE)]
        if port not in used and port_is_free(port):
            found.append(port)
    raise OperatorError(
        "There are no free ports",
        f"fewer than {count} between {PORT_RANGE.start} and {PORT_RANGE.stop} can be listened on",
        "stop some of this machine's servers",
    )
