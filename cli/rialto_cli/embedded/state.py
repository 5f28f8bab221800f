"""What a data directory knows about its run: a lock, the ports (kept over restarts) and the processes."""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.files import write_atomically
from rialto_cli.embedded.processes import Identity
from rialto_cli.errors import OperatorError

STATE_FILE = "state.json"
LOCK_FILE = "lock"


@dataclass(slots=True)
class State:
    """The contents of state.json. `processes` are those last started, so a crashed run's leftovers can be told."""

    supervisor: Identity | None = None
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Identity] = field(default_factory=dict)

    @classmethod
    def load(cls, data_dir: Path) -> "State":
        """Read the state; an absent or unreadable file is an empty state, for it holds nothing that is not renewed."""
        try:
            raw = json.loads((data_dir / STATE_FILE).read_text())
            return cls(
                supervisor=None if raw["supervisor"] is None else Identity(**raw["supervisor"]),
                ports={str(name): int(port) for name, port in raw["ports"].items()},
                processes={str(name): Identity(**identity) for name, identity in raw["processes"].items()},
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, data_dir: Path) -> None:
        """Write the state atomically. Raises: OSError."""
        raw = {
            "supervisor": None if self.supervisor is None else _plain(self.supervisor),
            "ports": self.ports,
            "processes": {name: _plain(identity) for name, identity in self.processes.items()},
        }
        crash_point("supervisor.before_state_saved")
        write_atomically(data_dir / STATE_FILE, json.dumps(raw, indent=2) + "\n")
        crash_point("supervisor.after_state_saved")


def _plain(identity: Identity) -> dict[str, float]:
    return {"pid": identity.pid, "started_at": identity.started_at}


class RunLock:
    """Held by the one `rialto up` of a data directory; the kernel drops it when that process dies, however it dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def __enter__(self) -> "RunLock":
        """Take the lock. Raises: OperatorError: another process holds it."""
        descriptor = os.open(self._data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise _already_running(self._data_dir) from error
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_running(data_dir: Path) -> bool:
    """Whether some process holds the directory's lock now."""
    with suppress(FileNotFoundError, PermissionError):
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def _already_running(data_dir: Path) -> OperatorError:
    supervisor = State.load(data_dir).supervisor
    who = "another process" if supervisor is None else f"the process {supervisor.pid}"
    return OperatorError(
        f"Rialto is already running on {data_dir}",
        f"{who} holds its lock",
        f"use it (`rialto status --data-dir {data_dir}`), stop it with Ctrl-C, or name another --data-dir and --port",
    )
