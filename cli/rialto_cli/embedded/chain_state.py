"""anvil's state file and its last good copy.

anvil 1.7 rewrites the file in place each second: one killed in the middle leaves it empty or cut (4 % of random kills
at 28 MB), and does not start on such a file. So a copy is kept of each complete version, and put back before a start.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from rialto_cli.embedded.crashing import crash_point

FIRST_BYTES = b'{"block":'
LAST_BYTES = b'"historical_states":null}'


def good_copy(state_file: Path) -> Path:
    """Where the last complete version is kept."""
    return state_file.with_name(state_file.name + ".good")


def is_complete(state_file: Path) -> bool:
    """Whether a file holds a whole dump; its two ends tell, and 28 MB need not be parsed each second."""
    try:
        with state_file.open("rb") as file:
            if file.read(len(FIRST_BYTES)) != FIRST_BYTES:
                return False
            file.seek(-len(LAST_BYTES), os.SEEK_END)
            return file.read() == LAST_BYTES
    except OSError:  # absent, or shorter than its own ending
        return False


class Keeper:
    """Copies complete versions of one state file."""

    def __init__(self, state_file: Path) -> None:
        self._state_file = state_file
        self._copied: tuple[int, int] | None = None

    def copy(self) -> bool:
        """Copy the file when it is complete and new; True when a copy was made. Raises: OSError: the disk is full."""
        before = self._version()
        if before is None or before == self._copied or not is_complete(self._state_file):
            return False
        target = good_copy(self._state_file)
        temporary = target.with_name(target.name + ".tmp")
        try:
            shutil.copyfile(self._state_file, temporary)
            if self._version() != before or not is_complete(temporary):
                return False  # anvil wrote meanwhile: the copy may be half of each version
            crash_point("supervisor.before_chain_copied")
            os.replace(temporary, target)
            crash_point("supervisor.after_chain_copied")
        finally:
            temporary.unlink(missing_ok=True)
        self._copied = before
        return True

    def repair(self) -> None:
        """Before a start: leave a complete file, the last good copy in its place, or none at all (a new chain)."""
        self._copied = None
        if is_complete(self._state_file):
            return
        crash_point("supervisor.before_chain_repaired")
        with suppress(FileNotFoundError):
            shutil.copyfile(good_copy(self._state_file), self._state_file)
            crash_point("supervisor.after_chain_repaired")
            if is_complete(self._state_file):
                return
        self._state_file.unlink(missing_ok=True)

    def _version(self) -> tuple[int, int] | None:
        try:
            stat = self._state_file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size
