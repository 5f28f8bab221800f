"""Crash points of `rialto up` itself: where a test kills the supervisor, and with it everything it started."""

import os
from pathlib import Path

from rialto_common.faults import FAULTS_DIR_VARIABLE, die_if_armed


def crash_point(name: str) -> None:
    """Mark a place where a crash is interesting; only with RIALTO_FAULTS_DIR set can it be one."""
    directory = os.environ.get(FAULTS_DIR_VARIABLE)
    if directory:
        die_if_armed(Path(directory), name)
