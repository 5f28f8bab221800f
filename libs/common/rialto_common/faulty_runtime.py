"""The runtime of a service under test: crash points that can be armed, a clock that can be moved. See faults.py."""

from datetime import datetime, timedelta
from pathlib import Path

from rialto_common.faults import clock_file, die_if_armed
from rialto_common.runtime import SystemRuntime

CLOCK_LOOK_SECONDS = 0.05
"""How often the clock's file is read: `now()` is asked thousands of times a second."""


class FaultyRuntime(SystemRuntime):
    """The system's runtime, with crash points and a clock that a test holds in its hands."""

    def __init__(self, directory: Path, service: str) -> None:
        self._directory = directory
        self._clock = clock_file(directory, service)
        self._look_due = 0.0
        self._offset = timedelta()
        super().__init__()

    def now(self) -> datetime:
        return super().now() + self._clock_offset()

    def unix_ms(self) -> int:
        return super().unix_ms() + self._clock_offset() // timedelta(milliseconds=1)

    def crash_point(self, name: str) -> None:
        die_if_armed(self._directory, name)

    def _clock_offset(self) -> timedelta:
        if self.monotonic() >= self._look_due:
            self._look_due = self.monotonic() + CLOCK_LOOK_SECONDS
            try:
                self._offset = timedelta(seconds=float(self._clock.read_text()))
            except FileNotFoundError:
                self._offset = timedelta()
        return self._offset


def system_runtime(service: str, faults_dir: Path | None) -> SystemRuntime:
    """Return the runtime of a service's process; `faults_dir` is None but in tests."""
    return SystemRuntime() if faults_dir is None else FaultyRuntime(faults_dir, service)
