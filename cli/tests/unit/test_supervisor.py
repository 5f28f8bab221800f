"""Programs kept running: real processes, no services."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from rialto_cli.embedded import supervisor as supervision
from rialto_cli.embedded.processes import Identity
from rialto_cli.embedded.supervisor import Program, Supervisor, delay_before_restart, last_line, rotate
from rialto_cli.errors import OperatorError


class Diary:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.deaths: list[tuple[str, str, float]] = []
        self.readied: list[str] = []
        self.stops: list[str] = []
        self.full: list[int] = []
        self.launched = asyncio.Event()

    def ready(self, name: str, port: int, seconds: float) -> None:
        self.readied.append(name)

    def died(self, name: str, reason: str, delay_seconds: float) -> None:
        self.deaths.append((name, reason, delay_seconds))

    def stopped(self, name: str) -> None:
        self.stops.append(name)

    def processes_changed(self) -> None:
        self.launched.set()

    def disk_is_full(self, free_bytes: int) -> None:
        self.full.append(free_bytes)


def program(folder: Path, code: str, name: str = "it", stop_timeout_seconds: float = 5.0) -> Program:
    """Run some Python, ready as soon as it has made the file `ready`."""

    async def is_ready() -> bool:
        return (folder / "ready").exists()

    return Program(
        name=name,
        port=1,
        command=[sys.executable, "-I", "-S", "-c", code],
        environment={},
        working_directory=folder,
        is_ready=is_ready,
        stop_timeout_seconds=stop_timeout_seconds,
    )


STAYS = "import time; open('ready', 'w').close(); time.sleep(600)"


def test_a_first_death_is_not_waited_for_and_a_crash_loop_at_most_five_seconds() -> None:
    delays = [delay_before_restart(deaths) for deaths in range(1, 50)]
    assert delays[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert max(delays) == 5.0
    assert delays == sorted(delays)


async def test_a_dead_program_is_started_again_at_once(tmp_path: Path) -> None:
    diary = Diary()
    supervisor = Supervisor(tmp_path, diary)
    keeper = supervisor.start(program(tmp_path, STAYS))
    await keeper.wait_until_ready()
    first = keeper.identity
    assert first is not None
    diary.launched.clear()
    psutil.Process(first.pid).kill()
    async with asyncio.timeout(10):
        await diary.launched.wait()
    assert keeper.identity not in (None, first)
    assert diary.deaths == [("it", "ended by SIGKILL", 0.0)]
    await supervisor.stop(["it"])
    assert keeper.identity is None


async def test_a_program_that_never_gets_ready_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "LONGEST_DELAY_SECONDS", 0.01)
    diary = Diary()
    supervisor = Supervisor(tmp_path, diary)
    keeper = supervisor.start(program(tmp_path, "import sys; sys.exit('no such table')"))
    with pytest.raises(OperatorError) as told:
        await keeper.wait_until_ready()
    assert "no such table" in told.value.why
    assert str(tmp_path / "it.log") in told.value.next_step
    assert len(diary.deaths) == supervision.FIRST_START_ATTEMPTS - 1
    await supervisor.stop(["it"])


async def test_a_program_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STAYS
    supervisor = Supervisor(tmp_path, Diary())
    keeper = supervisor.start(program(tmp_path, deaf, stop_timeout_seconds=0.2))
    await keeper.wait_until_ready()
    identity = keeper.identity
    assert identity is not None
    await supervisor.stop(["it"])
    assert Identity(identity.pid, identity.started_at).process() is None


async def test_groups_are_stopped_one_after_the_other(tmp_path: Path) -> None:
    diary = Diary()
    supervisor = Supervisor(tmp_path, diary)
    for name in ("below", "above"):
        await supervisor.start(program(tmp_path, STAYS, name)).wait_until_ready()
    await supervisor.stop(["above"], ["below"])
    assert diary.stops == ["above", "below"]
    assert diary.deaths == []


def test_a_log_that_outgrows_its_limit_is_moved_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old " * 100)
        rotate(log, 100)
        writer.write(b"new")
        rotate(log, 100)
    assert log.read_bytes() == b"new"
    assert (tmp_path / "it.log.1").read_bytes() == b"old " * 100


def test_the_last_words_of_a_log_skip_empty_lines(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    log.write_text("first\nTypeError: no\n\n  \n")
    assert last_line(log) == "TypeError: no"
    assert last_line(tmp_path / "absent.log") == ""
