"""A running platform as its operator has it: `rialto` commands, processes to kill or freeze, the database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
from psycopg.rows import dict_row

from rialto_cli.embedded.processes import free_ports
from rialto_cli.embedded.services import SERVICES, Installation
from rialto_cli.embedded.status import collect, find_running

Found = TypeVar("Found")

INVARIANTS = tuple(f"I{number}" for number in range(1, 9))
START_SECONDS = 120.0
PATIENCE_SECONDS = 90.0
"""How long a condition may take: far longer than it should, as the machine may be busy with other things."""


def eventually(condition: Callable[[], Found], what: str, timeout_seconds: float = PATIENCE_SECONDS) -> Found:
    """Return what the condition returns as soon as that is true; `what` says what was awaited when it never is."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_seconds:.0f} s: {what}"
        time.sleep(0.1)


class Rialto:
    """One `rialto up` on a data directory of its own, with some variables added to the environment."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.port = free_ports(1)[0]
        self.environment = dict(environment)
        self._output = data_dir.parent / "up.log"
        self._up: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the platform and return when all of it is ready."""
        with self._output.open("wb") as output:
            up = self._up = subprocess.Popen(
                self.command("up", "--port", str(self.port)),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

        def started() -> bool:
            assert up.poll() is None, f"`rialto up` ended:\n{self.said}"
            return "Stop: Ctrl-C" in self.said

        eventually(started, "`rialto up` is ready", START_SECONDS)

    def stop(self) -> None:
        """Ask it to stop; nothing of it may stay."""
        if self._up is None:
            return
        supervisor = psutil.Process(self._up.pid)
        programs = supervisor.children(recursive=True) if supervisor.is_running() else []
        self._up.terminate()
        try:
            status = self._up.wait(60)
        except subprocess.TimeoutExpired:
            self._up.kill()
            status = self._up.wait()
        _, left = psutil.wait_procs(programs, timeout=10)
        for process in left:
            process.kill()
        assert status == 0, f"`rialto up` ended with status {status}:\n{self.said}"
        assert not left, f"these outlived `rialto up`: {left}"

    @property
    def said(self) -> str:
        """What `rialto up` has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def supervisor(self) -> psutil.Process:
        """The process of `rialto up` itself."""
        assert self._up is not None
        return psutil.Process(self._up.pid)

    # The command line ---------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """The command line of `rialto ...` on this data directory."""
        return [sys.executable, "-m", "rialto_cli", *arguments, "--data-dir", str(self.data_dir)]

    def run(self, *arguments: str, timeout_seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def json_of(self, *arguments: str) -> Any:
        """The document that a command prints with --json; it must succeed."""
        result = self.run(*arguments, "--json")
        assert result.returncode == 0, f"rialto {' '.join(arguments)}: {result.stdout}{result.stderr}"
        return json.loads(result.stdout)

    def status(self) -> dict[str, Any]:
        """The document of `rialto status --json`; its exit status tells what `ready` says."""
        result = self.run("status", "--json")
        assert result.stdout, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        assert document["ready"] == (result.returncode == 0)
        return document

    def wait_until_ready(self) -> None:
        """Return as soon as everything is ready; asked here, as a process for each question costs a second."""
        eventually(lambda: collect(self.data_dir).ready, "everything is ready again")

    def pids(self) -> dict[str, int]:
        """Every program's process id, once everything is ready."""
        self.wait_until_ready()
        return {name: int(each["pid"]) for name, each in self.status()["services"].items()}

    def check_books(self) -> None:
        """`rialto audit`: every invariant holds, and none of them over nothing."""
        result = self.run("audit", "--json")
        assert result.stdout, result.stderr
        books = json.loads(result.stdout)
        wrong = {name: books[name] for name in INVARIANTS if not books[name]["checked"] or books[name]["violations"]}
        assert not wrong, json.dumps(wrong, indent=2)
        assert result.returncode == 0, result.stderr

    # Processes ----------------------------------------------------------------------------------------------------

    @property
    def installation(self) -> Installation:
        """Addresses and secrets."""
        return find_running(self.data_dir)[0]

    def kill(self, name: str) -> int:
        """`kill -9` a program, whatever the others are doing, and return its process id; the supervisor restarts it."""
        pid = int(eventually(lambda: self.status()["services"][name]["pid"], f"{name} runs"))
        os.kill(pid, signal.SIGKILL)
        return pid

    @contextmanager
    def frozen(self, name: str) -> Iterator[int]:
        """Stop a program in its tracks (SIGSTOP, with all its children), and let it go on at the end."""
        pid = self.pids()[name]
        with frozen(psutil.Process(pid)):
            yield pid

    def service_pids(self) -> dict[str, int]:
        """The five services' process ids."""
        pids = self.pids()
        return {name: pids[name] for name in SERVICES}

    # The database -------------------------------------------------------------------------------------------------

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """What the auditor, who may only read, sees."""
        with psycopg.connect(self.installation.access.dsn("auditor"), row_factory=dict_row) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    @contextmanager
    def superuser(self) -> "Iterator[psycopg.Connection[dict[str, Any]]]":
        """A connection of the superuser, each statement for itself: to break what no role of ours may touch."""
        dsn = self.installation.access.superuser_dsn("rialto")
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
            yield connection


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Stop a process and its children, and let them go on at the end."""
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        yield
    finally:
        for member in reversed(family):
            with suppress(psutil.NoSuchProcess):
                member.resume()
