"""The loop without a clock: what one seed decides, and what a process that dies or stands still does not do."""

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from rialto_common.virtual_time import ProcessGone, SimulatedProcess, VirtualLoop, let_others_run


@contextmanager
def a_loop(seed: int = 1) -> Iterator[VirtualLoop]:
    loop = VirtualLoop(Random(seed))  # type: ignore[abstract]
    outer = _get_running_loop()
    _set_running_loop(loop)
    try:
        yield loop
    finally:
        _set_running_loop(outer)


def run(loop: VirtualLoop, until_seconds: float | None = None) -> None:
    while True:
        while loop.run_ready():
            pass
        if (until_seconds is not None and loop.time() >= until_seconds) or not loop.advance():
            return


def never(process: SimulatedProcess, point: str) -> bool:
    return False


def at(name: str) -> Callable[[SimulatedProcess, str], bool]:
    return lambda process, point: point == name


def test_time_jumps_to_the_next_instant_at_which_somebody_wants_to_run() -> None:
    seen: list[tuple[str, float]] = []

    async def sleeper(process: SimulatedProcess, name: str, seconds: float) -> None:
        await process.sleep(seconds)
        seen.append((name, process.monotonic()))
        await process.sleep(7 * 86_400)
        seen.append((name, process.monotonic()))

    with a_loop() as loop:
        process = SimulatedProcess(loop, "one", never)
        process.spawn(sleeper(process, "late", 3.5), name="late")
        process.spawn(sleeper(process, "early", 0.25), name="early")
        run(loop)
        assert seen == [("early", 0.25), ("late", 3.5), ("early", 604_800.25), ("late", 604_803.5)]
        assert (process.now() - loop.start).total_seconds() == 604_803.5


def history(seed: int) -> list[int]:
    written: list[int] = []

    async def writer(number: int) -> None:
        for _ in range(20):
            written.append(number)
            await let_others_run()

    with a_loop(seed) as loop:
        process = SimulatedProcess(loop, "one", never)
        for number in range(3):
            process.spawn(writer(number), name=str(number))
        run(loop)
    return written


def test_the_seed_decides_how_tasks_interleave() -> None:
    assert history(1) == history(1)
    assert len({tuple(history(seed)) for seed in range(10)}) == 10
    assert sorted(history(3)) == [0] * 20 + [1] * 20 + [2] * 20


def test_asyncio_locks_timeouts_and_futures_work_on_it() -> None:
    inside: list[str] = []

    async def worker(process: SimulatedProcess, lock: asyncio.Lock, name: str) -> None:
        async with lock:
            inside.append(name)
            await process.sleep(1)
            inside.append(name)

    async def impatient(process: SimulatedProcess) -> None:
        try:
            async with asyncio.timeout(2):
                await process.sleep(60)
        except TimeoutError:
            inside.append(f"given up at {process.monotonic()}")

    with a_loop() as loop:
        process, lock = SimulatedProcess(loop, "one", never), asyncio.Lock()
        for name in "abc":
            process.spawn(worker(process, lock, name), name=name)
        process.spawn(impatient(process), name="impatient")
        run(loop)
    assert inside.count("given up at 2.0") == 1
    inside.remove("given up at 2.0")
    assert [inside[nth] == inside[nth + 1] for nth in (0, 2, 4)] == [True, True, True]


def test_nothing_of_a_killed_process_runs_and_its_callers_learn_that_it_is_gone() -> None:
    done: list[str] = []

    async def long(process: SimulatedProcess) -> str:
        try:
            await process.sleep(10)
            done.append("finished")
        finally:
            done.append("cleaned up inside")
        return "answer"

    async def caller(other: SimulatedProcess) -> None:
        try:
            await other.call(long(other), "question")
        except ProcessGone as error:
            done.append(str(error))

    with a_loop() as loop:
        server, client = SimulatedProcess(loop, "server", never), SimulatedProcess(loop, "client", never)
        client.spawn(caller(server), name="caller")
        server.spawn(long_loop(server, done), name="loop")
        loop.call_later(5, server.kill)
        run(loop)
        assert not server.alive
        assert "finished" not in done
        assert done[-1] == "server died before it answered"
        assert done.count("turn") == 5
        client.spawn(caller(server), name="caller")
        run(loop)
        assert done[-1] == "server is not there"
        assert loop.errors == []


async def long_loop(process: SimulatedProcess, done: list[str]) -> None:
    while True:
        done.append("turn")
        await process.sleep(1)


def test_a_process_dies_at_a_crash_point_and_goes_no_further() -> None:
    done: list[str] = []

    async def work(process: SimulatedProcess) -> None:
        process.crash_point("before")
        done.append("written")
        process.crash_point("after")
        done.append("told")

    with a_loop() as loop:
        process = SimulatedProcess(loop, "one", at("after"))
        process.spawn(work(process), name="work")
        process.spawn(long_loop(process, []), name="loop")
        run(loop, until_seconds=3)
        assert done == ["written"]
        assert loop.crashed == [process]
        assert not process.alive
        process.kill()
        assert loop.errors == []


def test_what_a_frozen_process_was_to_do_it_does_once_it_is_thawed() -> None:
    at_seconds: list[float] = []

    async def work(process: SimulatedProcess) -> None:
        for _ in range(3):
            await process.sleep(1)
            at_seconds.append(process.monotonic())

    with a_loop() as loop:
        process = SimulatedProcess(loop, "one", never)
        process.spawn(work(process), name="work")
        loop.call_later(1.5, process.freeze)
        loop.call_later(30, process.thaw)
        run(loop)
    assert at_seconds == [1.0, 30.0, 31.0]


def test_an_idle_loop_sleeps_until_it_has_something_to_do() -> None:
    turns: list[float] = []
    due: list[int | None] = [None]

    async def idler(process: SimulatedProcess) -> None:
        for _ in range(2):
            await process.idle(0.5, lambda: due[0])
            turns.append(process.monotonic())

    def give_work(loop: VirtualLoop) -> None:
        due[0] = 20_000_000
        loop.changed()

    with a_loop() as loop:
        process = SimulatedProcess(loop, "one", never)
        process.spawn(idler(process), name="idler")
        loop.call_later(10, give_work, loop)
        run(loop)
    assert turns == [20.0, 20.5]


def test_an_error_that_ends_a_task_is_kept() -> None:
    async def broken() -> None:
        raise ValueError("no")

    with a_loop() as loop:
        SimulatedProcess(loop, "one", never).spawn(broken(), name="work")
        run(loop)
    assert loop.errors == ["one: work ended with ValueError: no"]


@pytest.mark.parametrize("count", [1, 16, 32])
def test_random_bytes_come_from_the_seed(count: int) -> None:
    def drawn(seed: int) -> bytes:
        with a_loop(seed) as loop:
            return SimulatedProcess(loop, "one", never).random_bytes(count)

    assert len(drawn(1)) == count
    assert drawn(1) == drawn(1)
    assert count == 1 or drawn(1) != drawn(2)
