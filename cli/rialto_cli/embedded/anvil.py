"""The development EVM node that runs beside the services: anvil, from the npm packages in node/."""

import json
import platform
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rialto_cli.embedded.processes import launch
from rialto_cli.errors import OperatorError

FOLDER = Path(__file__).with_name("node")
START_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.02
# The npm packages' names for what Python calls the machine.
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def program() -> Path:
    """The anvil program itself, not npm's wrapper: signals must reach it.

    Raises: OperatorError: not installed.
    """
    architecture = ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    found = FOLDER / "node_modules" / "@foundry-rs" / f"anvil-{sys.platform}-{architecture}" / "bin" / "anvil"
    if not found.exists():
        raise OperatorError(
            "anvil, the development EVM node, is not installed",
            f"{found} does not exist",
            "run `make install` in the checkout",
        )
    return found


def command(port: int, *, directory: Path, state_file: Path | None, mnemonic: str | None = None) -> list[str | Path]:
    """The command line: a block each second, and the whole state on disk each second and at the end.

    Without `--prune-history N` it writes every block's whole state to disk for ever (3 GB within minutes); without a
    number it keeps no history at all, and nobody can ask for a balance at a confirmed block. One funded account keeps
    the dumps small. The gas limit is twice the default, for batches of a hundred settlements and more.
    """
    arguments: list[str | Path] = [program(), "--host", "127.0.0.1", "--port", str(port), "--block-time", "1"]
    arguments += ["--prune-history", "64", "--cache-path", directory / "cache", "--gas-limit", "60000000", "--quiet"]
    if mnemonic is not None:
        arguments += ["--accounts", "1", "--mnemonic", mnemonic]
    if state_file is not None:
        arguments += ["--state", state_file, "--state-interval", "1"]
    return arguments


def start(arguments: list[str | Path], working_directory: Path, output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    """Start anvil. When we die it gets SIGTERM, upon which it writes its state once more."""
    return launch(
        arguments,
        environment={"HOME": str(working_directory)},
        working_directory=working_directory,
        output=output,
        death_signal=signal.SIGTERM,
    )


def block_number(url: str, *, timeout_seconds: float = 2.0) -> int | None:
    """The latest block, None when the node does not answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own http URL
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            return int(json.load(response)["result"], 16)
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return None


def wait_until_ready(url: str, still_running: Callable[[], bool]) -> None:
    """Return when the node answers.

    Raises: OperatorError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while block_number(url) is None:
        if not still_running() or time.monotonic() > deadline:
            raise OperatorError(
                "anvil did not start",
                "it ended while starting" if not still_running() else "it did not answer in time",
                "read logs/anvil.log in the data directory: its last lines name the reason",
            )
        time.sleep(POLL_SECONDS)
