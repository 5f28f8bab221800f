"""`rialto demo`: start the platform, pay the bundled sample through it, report, and stay up.

A demo that was interrupted goes on where it ended; one that came to its report is followed by a fresh run of the same
sample, with merchants and wallets of its own. So every demo has something to show, and no row is paid twice in a run.
"""

import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console

from rialto_cli.console import Progress
from rialto_cli.embedded import platform, welcome
from rialto_cli.embedded.files import write_atomically
from rialto_cli.embedded.platform import Stopped
from rialto_cli.embedded.services import Installation
from rialto_cli.embedded.state import is_running
from rialto_cli.embedded.status import find_running
from rialto_cli.replay import source
from rialto_cli.replay.main import INTERRUPTED, platform_of, show
from rialto_cli.replay.names import CARD_SHARE
from rialto_cli.replay.progress import Lines
from rialto_cli.replay.report import Report
from rialto_cli.replay.run import Options, replay
from rialto_cli.replay.sample.generate import PATH as SAMPLE
from rialto_cli.replay.sender import Pace
from rialto_cli.replay.source import Choice
from rialto_common.money import currency_exponent

_RUNS_FILE = "demo-runs.json"
_RATE = 100.0
"""Rows a second: below what a small machine carries, so that the latencies shown are a payment's and not a queue's."""


def main(options: platform.Options, *, leave: bool, as_json: bool, patience_seconds: float) -> int:
    """Return the exit status: with `leave`, 0 only if every check holds.

    Raises: OperatorError: the platform cannot start, or the sample cannot be paid.
    """
    with Progress() as progress:
        if is_running(options.data_dir):
            progress.note(f"Rialto already runs on {options.data_dir}: using it, and leaving it running")
            return _on_running(options.data_dir, leave=leave, as_json=as_json, patience_seconds=patience_seconds)
        return asyncio.run(_start_and_pay(options, progress, leave=leave, as_json=as_json, patience=patience_seconds))


def _on_running(data_dir: Path, *, leave: bool, as_json: bool, patience_seconds: float) -> int:
    installation, _ = find_running(data_dir)
    try:
        report = asyncio.run(pay_sample(installation, patience_seconds))
    except KeyboardInterrupt:
        return INTERRUPTED
    show(report, as_json=as_json)
    if not leave:
        _greet(installation, as_json=as_json)
    return 1 if report.failures else 0


async def _start_and_pay(
    options: platform.Options, progress: Progress, *, leave: bool, as_json: bool, patience: float
) -> int:
    try:
        async with platform.running(options, progress) as running:
            await running.unless_stopped(asyncio.to_thread(welcome.ensure, running.installation))
            report = await running.unless_stopped(pay_sample(running.installation, patience))
            show(report, as_json=as_json)
            if not leave:
                _greet(running.installation, as_json=as_json)
                await running.wait_until_stopped()
    except Stopped:
        return INTERRUPTED
    return 1 if report.failures else 0


async def pay_sample(installation: Installation, patience_seconds: float) -> Report:
    """Pay the bundled sample as this data directory's next run, and return the report."""
    runs = Runs(installation.data_dir / "replay" / _RUNS_FILE)
    selection = source.read(SAMPLE, Choice(), currency_exponent("USD"))
    number = runs.begin()
    options = Options(Pace(rate=_RATE), f"demo-{number}", patience_seconds, card_share=CARD_SHARE)
    with Lines(Console(stderr=True)) as progress:
        progress.say(f"paying the bundled sample: {len(selection):,} rows, run {number}")
        report = await replay(selection, platform_of(installation), options, progress)
    if report.complete:
        runs.finish(number)
    return report


class Runs:
    """Counts a data directory's demos, and knows whether the last one came to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> int:
        """Return the number of the run to work on: the one that was interrupted, or else the next."""
        last, finished = self._read()
        number = last + 1 if finished else last
        self._write(number, finished=False)
        return number

    def finish(self, number: int) -> None:
        """Note that a run came to its end."""
        self._write(number, finished=True)

    def _read(self) -> tuple[int, bool]:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return int(kept["run"]), bool(kept["finished"])
        except FileNotFoundError:
            return 0, True

    def _write(self, number: int, *, finished: bool) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path, json.dumps({"run": number, "finished": finished}) + "\n")


def _greet(installation: Installation, *, as_json: bool) -> None:
    """Say how to go on; with --json on stderr, so that stdout stays one document."""
    out = sys.stderr if as_json else sys.stdout
    out.write(welcome.text(installation, welcome.ensure(installation)))
    out.flush()
