"""A data directory, made ready: writable, with room on its disk, its ports chosen."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from rialto_cli.embedded.processes import free_ports, port_is_free
from rialto_cli.embedded.services import GATEWAY, PROGRAMS
from rialto_cli.errors import OperatorError

# The write-ahead log's smallest size (min_wal_size), and some for the data.
NEEDED_BYTES = 300 * 1024 * 1024
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write on the directory's disk."""
    return shutil.disk_usage(directory).free


def prepare(data_dir: Path, *, free: Callable[[Path], int] = free_bytes) -> None:
    """Make the directory, and see to it that it can be written.

    Raises: OperatorError: it cannot, or its disk is nearly full.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".probe-", dir=data_dir) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        room = free(data_dir)
        for name in ("logs", "anvil"):
            (data_dir / name).mkdir(exist_ok=True)
    except OSError as error:
        raise explain(error, data_dir) from error
    if room < NEEDED_BYTES:
        raise disk_full(data_dir, f"only {room // 2**20} MB are free, and PostgreSQL needs {NEEDED_BYTES // 2**20} MB")


def explain(error: OSError, data_dir: Path) -> OperatorError:
    """What an operating system's refusal means for someone who runs a command."""
    if error.errno in NO_SPACE:
        return disk_full(data_dir, os.strerror(error.errno or 0))
    return OperatorError(
        f"The data directory {data_dir} cannot be written",
        f"{error.strerror or error}{'' if error.filename is None else f' ({error.filename})'}",
        "name a directory of yours that can be written: --data-dir DIR",
    )


def disk_full(data_dir: Path, why: str) -> OperatorError:
    """The disk has no room."""
    return OperatorError(
        f"The disk of {data_dir} is full",
        why,
        "free some space, or name a directory on another disk: --data-dir DIR",
    )


def choose_ports(remembered: dict[str, int], public_port: int, names: Sequence[str] = PROGRAMS) -> dict[str, int]:
    """A port for each name: the public one for the gateway, the remembered ones where they are free, else new ones.

    Raises: OperatorError: the public port is in use.
    """
    if not port_is_free(public_port):
        raise OperatorError(
            f"Port {public_port} is in use",
            f"{listener(public_port)} listens on it",
            "stop that program, or name another port: --port P",
        )
    chosen = {GATEWAY: public_port}
    others = [name for name in names if name != GATEWAY]
    for name in others:
        port = remembered.get(name)
        if port is not None and port not in chosen.values() and port_is_free(port):
            chosen[name] = port
    missing = [name for name in others if name not in chosen]
    chosen.update(zip(missing, free_ports(len(missing), taken=chosen.values()), strict=True))
    return chosen


def listener(port: int) -> str:
    """Who listens on a port, as far as we may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is not None:
                    return f"`{psutil.Process(connection.pid).name()}` (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another program"
