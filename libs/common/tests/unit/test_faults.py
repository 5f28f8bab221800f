"""What a test may do to a running service, and that nothing of it exists for a service that runs by itself."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rialto_common import ids
from rialto_common.faults import ARMED, CLAIMED, CLOCKS, clock_file
from rialto_common.faulty_runtime import CLOCK_LOOK_SECONDS, FaultyRuntime, system_runtime
from rialto_common.runtime import SystemRuntime

DIES = """
import sys
from pathlib import Path
from rialto_common.faulty_runtime import FaultyRuntime
runtime = FaultyRuntime(Path(sys.argv[1]), "ledger")
runtime.crash_point("ledger.elsewhere")
runtime.crash_point("ledger.here")
print("alive", flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory as a test prepares it."""
    for name in (ARMED, CLAIMED, CLOCKS):
        (tmp_path / name).mkdir()
    return tmp_path


def run(directory: Path) -> "subprocess.CompletedProcess[str]":
    """A process that comes to two crash points."""
    return subprocess.run(
        [sys.executable, "-c", DIES, str(directory)], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_process_dies_at_the_armed_point_and_the_next_one_does_not(directory: Path) -> None:
    (directory / ARMED / "ledger.here").touch()
    first = run(directory)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    [claimed] = (directory / CLAIMED).iterdir()
    assert claimed.name.startswith("ledger.here.")
    assert list((directory / ARMED).iterdir()) == []
    second = run(directory)
    assert (second.returncode, second.stdout) == (0, "alive\n")


def test_a_clock_that_is_off_shows_in_the_time_and_in_new_ids_but_not_in_durations(directory: Path) -> None:
    runtime, right = FaultyRuntime(directory, "ledger"), SystemRuntime()
    clock_file(directory, "ledger").write_text("-3600")
    assert abs(right.now() - runtime.now() - timedelta(hours=1)) < timedelta(seconds=1)
    assert abs(ids.unix_ms_of(right.ids.mint()) - ids.unix_ms_of(runtime.ids.mint()) - 3_600_000) < 1_000
    assert abs(right.monotonic() - runtime.monotonic()) < 1
    clock_file(directory, "ledger").unlink()
    looked = runtime.monotonic()
    while runtime.monotonic() < looked + 2 * CLOCK_LOOK_SECONDS:
        pass
    assert abs(right.now() - runtime.now()) < timedelta(seconds=1)


def test_without_the_directory_a_service_has_the_plain_runtime(directory: Path) -> None:
    assert type(system_runtime("ledger", None)) is SystemRuntime
    assert type(system_runtime("ledger", directory)) is FaultyRuntime
