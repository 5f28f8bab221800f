"""Runs many histories, in as many processes as there are cores, and tells how far it is."""

import gc
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import structlog

from rialto_cli.console import Progress
from rialto_cli.sim.history import Outcome, run
from rialto_cli.sim.instruments import Instruments

QUIET_SECONDS = 2.0
TELL_EVERY_SECONDS = 10.0
SEEDS_A_COLLECTION = 20
SEEDS_A_TASK = 10


@dataclass
class Run:
    """What came of some seeds. `cpu_seconds` is the time that the histories kept their cores busy."""

    payments_a_seed: int
    jobs: int
    outcomes: list[Outcome] = field(default_factory=list)
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether no history broke a promise."""
        return not any(outcome.violations for outcome in self.outcomes)


def run_seeds(seeds: Sequence[int], payments: int, *, jobs: int, trace: bool = False) -> Run:
    """Run these seeds' histories and return what came of them, in order."""
    result = Run(payments, jobs)
    began = time.monotonic()
    chunks = [seeds[start : start + SEEDS_A_TASK] for start in range(0, len(seeds), SEEDS_A_TASK)]
    with Progress() as progress, _many(chunks, payments, jobs, trace) as finished:
        told = began
        for outcomes, cpu_seconds in finished:
            result.outcomes += outcomes
            result.cpu_seconds += cpu_seconds
            now = time.monotonic()
            if now - began > QUIET_SECONDS:
                done = f"{len(result.outcomes)} of {len(seeds)} histories"
                progress.waiting(done)
                if not progress.console.is_terminal and now - told > TELL_EVERY_SECONDS:
                    progress.note(done)
                    told = now
    result.seconds = time.monotonic() - began
    return result


Chunk = tuple[list[Outcome], float]


@contextmanager
def _many(chunks: Sequence[Sequence[int]], payments: int, jobs: int, trace: bool) -> Iterator[Iterator[Chunk]]:
    work = partial(run_chunk, payments=payments, trace=trace)
    if jobs == 1 or len(chunks) == 1:
        yield map(work, chunks)
        return
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=get_context("spawn")) as pool:
        yield pool.map(work, chunks)


def run_chunk(seeds: Sequence[int], *, payments: int, trace: bool) -> Chunk:
    """Run some histories one after another; return what came of them, and the processor time that they took."""
    outcomes: list[Outcome] = []
    with _silence(), _collecting_seldom():
        instruments = Instruments.build()
        began = time.process_time()
        for nth, seed in enumerate(seeds, start=1):
            outcomes.append(run(seed, payments, instruments, trace=trace))
            if nth % SEEDS_A_COLLECTION == 0:
                gc.collect()
        return outcomes, time.process_time() - began


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what services log: in a history, errors are what is wanted."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Collect cycles between histories only: within one, nearly everything is still in use."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.collect()
