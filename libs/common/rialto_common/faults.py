"""Faults on purpose, for tests: a directory through which a test makes running services crash or misread the time.

    armed/NAME       the first process that comes to the crash point NAME dies there, as of `kill -9`
    claimed/NAME.PID that process: it moves the file before it dies, so exactly one does, once
    clocks/SERVICE   seconds by which the wall clock of that service is off; its monotonic clock goes on as ever

Only processes that were started with RIALTO_FAULTS_DIR have any of this: without it, a service runs on the plain
`SystemRuntime`, and nothing in requests, events or settings can lead here.
"""

import os
import signal
from pathlib import Path

FAULTS_DIR_VARIABLE = "RIALTO_FAULTS_DIR"
ARMED, CLAIMED, CLOCKS = "armed", "claimed", "clocks"


def die_if_armed(directory: Path, point: str) -> None:
    """Kill this process if a test has armed this crash point."""
    try:
        os.rename(directory / ARMED / point, directory / CLAIMED / f"{point}.{os.getpid()}")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def clock_file(directory: Path, service: str) -> Path:
    """Where a service's process reads by how many seconds its wall clock is off."""
    return directory / CLOCKS / service
