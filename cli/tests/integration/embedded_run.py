"""Runs `rialto` as a person does, in a process of its own, and looks at what it says."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from rialto_cli.embedded import processes

START_TIMEOUT_SECONDS = 60.0


def wait_for(condition: Callable[[], Any], what: str, timeout_seconds: float = 30.0) -> Any:
    """Return what the condition returns as soon as that is true."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
        time.sleep(0.05)


class Rialto:
    """Runs `rialto` on one data directory, with the stand-ins on the path."""

    def __init__(self, data_dir: Path, fakes: Path, prefix: tuple[str, ...] = ()) -> None:
        self.data_dir = data_dir
        self.port = processes.free_ports(1)[0]
        self.environment = {**os.environ, "PYTHONPATH": str(fakes), "COLUMNS": "200"}
        self._prefix = prefix
        self._started: list[subprocess.Popen[str]] = []
        self.said = ""
        self.process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line of `rialto ...`."""
        return [*self._prefix, sys.executable, "-m", "rialto_cli", *arguments, "--data-dir", str(self.data_dir)]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=90, check=False
        )

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the platform, and return at once."""
        process = subprocess.Popen(
            self.command("up", "--port", str(self.port), *arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        self.process = process
        return process

    def up(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the platform, and return when it has said how to reach it."""
        process = self.begin(*arguments)
        assert process.stdout is not None
        output = ""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while "Stop: Ctrl-C" not in output:
            line = process.stdout.readline()
            output += line
            assert line, f"`rialto up` ended with status {process.wait()}: {output}"
            assert time.monotonic() < deadline, output
        self.said = output
        return process

    def status(self) -> dict[str, Any]:
        """The document of `rialto status --json`; everything must be ready."""
        result = self.run("status", "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        return dict(json.loads(result.stdout))

    def processes(self) -> dict[str, psutil.Process]:
        """The running programs, from the status."""
        return {name: psutil.Process(each["pid"]) for name, each in self.status()["services"].items()}

    def end(self) -> None:
        """Stop whatever this test started."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()


def said_in_three_lines(result: "subprocess.CompletedProcess[str]") -> str:
    """Assert that a command failed as a command should, and return what it said."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert re.fullmatch(r"(.+\.)\n  Why:  .+\.\n  Next: .+\.\n", result.stderr), result.stderr
    return result.stderr
