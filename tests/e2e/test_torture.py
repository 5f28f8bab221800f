"""Two minutes of everything that can go wrong, on each bus, while customers go on paying."""

import json
import subprocess
import sys

import pytest

from rialto_cli.torture.schedule import ROUND, schedule

SEED = 1492
MINUTES = 2
PATIENCE_SECONDS = 560


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bus", ["postgres", "kafka"])
def test_two_minutes_of_torture_break_no_promise(bus: str, request: pytest.FixtureRequest) -> None:
    if bus == "kafka":
        request.getfixturevalue("kafka_factory")  # skips, loudly, where there is no JDK
    arguments = ["--minutes", str(MINUTES), "--seed", str(SEED), "--bus", bus, "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "rialto_cli", "torture", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert result.stdout, result.stderr[-4000:]
    run = json.loads(result.stdout)
    assert run["violations"] == [], json.dumps(run, indent=1)[:8000]
    assert (result.returncode, run["ok"], run["seed"], run["bus"]) == (0, True, SEED, bus)
    assert run["repeat"] == f"rialto torture --minutes {MINUTES} --seed {SEED} --bus {bus}"
    planned = [(fault.kind, fault.target) for fault in schedule(SEED, MINUTES * 60, bus)]
    assert [(entry["kind"], entry["target"]) for entry in run["timeline"]] == planned
    assert {entry["kind"] for entry in run["timeline"]} == set(ROUND)
    payments = run["payments"]
    assert payments["accepted"] > 100
    assert payments["captures_booked"] > 0
    assert payments["webhooks"] > 0
    assert set(payments["states"]) <= {"settled", "declined", "voided", "expired", "failed"}
    assert all(book["checked"] > 0 for book in run["books"].values())
