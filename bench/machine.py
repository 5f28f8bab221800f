"""What a figure depends on: the machine, and how fast its disk syncs just now."""

import json
import os
import platform
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

RESULTS = Path(__file__).parent / "results"


def fsync_rate(seconds: float = 1.0) -> float:
    """Return appended-and-synced 8 kB writes a second where temporary files lie."""
    with tempfile.NamedTemporaryFile() as file:
        count, started = 0, perf_counter()
        while perf_counter() - started < seconds:
            os.write(file.fileno(), b"x" * 8192)
            os.fdatasync(file.fileno())
            count += 1
        return count / (perf_counter() - started)


def describe() -> dict[str, Any]:
    """Return what the machine is."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), ""
        )
    return {"cores": os.cpu_count(), "cpu": model, "python": platform.python_version(), "kernel": platform.release()}


def write(name: str, ratios: dict[str, float], figures: dict[str, Any], machine: dict[str, Any]) -> Path:
    """Write `bench/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"ratios": ratios, "figures": figures, "machine": machine}, indent=2) + "\n")
    return path
