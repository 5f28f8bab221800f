"""An event loop without a clock: many processes in one, one callback at a time, all of it decided by one seed.

Time stands still while anything can run, and then jumps to the next instant at which somebody wants to. Which of the
callbacks that can run goes next is drawn from the seed, so that tasks interleave at every `await` as they might on real
machines, and do so again for the same seed. Real asyncio tasks and futures run on it unchanged.

A `SimulatedProcess` is the `Runtime` of one process: it can be killed at any callback or crash point, and then nothing
of it runs any more, or frozen, and then everything of it runs later.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random  # noqa: TID251 - a simulation's randomness must be reproducible from its seed
from types import coroutine
from typing import Any, TypeVar

import httpx

from rialto_common.ids import Ids
from rialto_common.simulation import Crashed

Result = TypeVar("Result")
Due = Callable[[], int | None]
"""Answers from when on (microseconds) running again is of use; None: not before something else happens."""

MICROSECONDS = 1_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)

_PROCESS: "ContextVar[SimulatedProcess | None]" = ContextVar("rialto_process", default=None)


class ProcessGone(ConnectionError):
    """The process died before it answered: whether it did what was asked is unknown."""


class _Callback:
    """Something to run, in some process. Stands in for asyncio.Handle, at a fraction of its cost."""

    __slots__ = ("args", "call", "cancelled_", "context", "when")

    def __init__(self, call: Callable[..., object], args: tuple[Any, ...], context: Context, when: int = 0) -> None:
        self.call = call
        self.args = args
        self.context = context
        self.when = when
        self.cancelled_ = False

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_


@dataclass(eq=False, slots=True)
class IdleWait:
    """A loop that has nothing to do: it runs again once `due` says so, not before `earliest` (microseconds)."""

    process: "SimulatedProcess"
    woken: "asyncio.Future[None]"
    earliest: int
    due: Due
    topics: tuple[str, ...] = ()


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop. Only what asyncio's tasks, futures, locks and timeouts need."""

    def __init__(self, random: Random, *, start: datetime = START) -> None:
        self.random = random
        self.start = start
        self.micros = 0
        self.steps = 0
        self.errors: list[str] = []
        """What callbacks raised that nobody awaits: none in a good history."""

        self.crashed: list[SimulatedProcess] = []
        """Processes that died at a crash point and were not yet buried."""

        self.idle: list[IdleWait] = []
        self._idle_due: int | None = None
        self._idle_due_is_known = False
        self._ready: list[_Callback] = []
        self._timers: list[tuple[int, int, _Callback]] = []
        self._numbers = count()
        self._outside = copy_context()
        self._now = start
        self._now_micros = 0

    # Running --------------------------------------------------------------------------------------------------------

    def run_ready(self) -> bool:
        """Run one of the callbacks that can run; say whether there was one."""
        ready = self._ready
        while ready:
            last = len(ready) - 1
            if last:
                nth = int(self.random.random() * (last + 1))
                ready[nth], ready[last] = ready[last], ready[nth]
            callback = ready.pop()
            if callback.cancelled_:
                continue
            process = callback.context.get(_PROCESS)
            if process is not None:
                if not process.alive:
                    continue
                if process.frozen:
                    process.deferred.append(callback)
                    continue
            self.steps += 1
            callback.context.run(callback.call, *callback.args)
            return True
        return False

    def advance(self) -> bool:
        """Move the clock to the next instant at which somebody wants to run; say whether there is one."""
        timer, idle = self._next_timer(), self._next_idle()
        if timer is None and idle is None:
            return False
        if idle is None or (timer is not None and timer <= idle):
            self.micros = max(self.micros, timer or 0)
            while (due := self._next_timer()) is not None and due <= self.micros:
                self._ready.append(heappop(self._timers)[2])
        else:
            self.micros = max(self.micros, idle)
            self.wake(lambda wait: (due := _due_of(wait)) is not None and due <= self.micros)
        return True

    def wake(self, chosen: Callable[[IdleWait], object]) -> None:
        """Wake the loops that are chosen."""
        waits = [wait for wait in self.idle if chosen(wait)]
        if waits:
            self.idle = [wait for wait in self.idle if wait not in waits]
            self.changed()
            for wait in waits:
                if not wait.woken.done():
                    wait.woken.set_result(None)

    def changed(self) -> None:
        """Ask the idle loops anew when they are due: something happened that may be of use to them."""
        self._idle_due_is_known = False

    def _next_idle(self) -> int | None:
        if not self._idle_due_is_known:
            earliest = None
            for wait in self.idle:
                due = _due_of(wait)
                if due is not None and (earliest is None or due < earliest):
                    earliest = due
            self._idle_due, self._idle_due_is_known = earliest, True
        return self._idle_due

    def _next_timer(self) -> int | None:
        while self._timers:
            when, _, callback = self._timers[0]
            process = callback.context.get(_PROCESS)
            if callback.cancelled_ or (process is not None and not process.alive):
                heappop(self._timers)
            else:
                return when
        return None

    def put_back(self, callbacks: list[Any]) -> None:
        """Let callbacks that were deferred run."""
        self._ready.extend(callbacks)

    # What asyncio asks of a loop ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self.micros / MICROSECONDS

    def now(self) -> datetime:
        """Return the virtual instant."""
        if self._now_micros != self.micros:
            self._now_micros, self._now = self.micros, self.start + timedelta(microseconds=self.micros)
        return self._now

    def call_soon(  # type: ignore[override]  # our callbacks are no asyncio.Handle
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> _Callback:
        handle = _Callback(callback, args, context or copy_context())
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> _Callback:
        return self._call_at(self.micros + round(delay * MICROSECONDS), callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> _Callback:
        return self._call_at(round(when * MICROSECONDS), callback, args, context)

    def _call_at(self, when: int, callback: Any, args: tuple[Any, ...], context: Context | None) -> _Callback:
        handle = _Callback(callback, args, context or copy_context(), when)
        heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name, context=context or self._outside)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio complains about, but for errors that nobody came to fetch: their callers have died."""
        message, error = str(context.get("message")), context.get("exception")
        if "never retrieved" not in message:
            self.errors.append(f"{message}: {type(error).__name__}: {error}")


def _due_of(wait: IdleWait) -> int | None:
    if wait.process.frozen:
        return None
    due = wait.due()
    return wait.earliest if due is not None and due < wait.earliest else due


@coroutine
def let_others_run() -> Generator[None, None, None]:
    """Let whatever else can run go first, perhaps."""
    yield


class SimulatedProcess:
    """The runtime of one process. All processes share the loop's clock and the seed's randomness."""

    def __init__(self, loop: VirtualLoop, name: str, crashes: Callable[["SimulatedProcess", str], bool]) -> None:
        """`crashes(process, crash point)` says whether the process dies there."""
        self.name = name
        self.loop = loop
        self.random = loop.random
        self.ids = Ids(self._unix_ms, loop.random.getrandbits)
        self.alive = True
        self.frozen = False
        self.deferred: list[Any] = []
        self._crashes = crashes
        self._start_ms = int(loop.start.timestamp() * 1000)
        self._context = copy_context()
        self._context.run(_PROCESS.set, self)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._calls: dict[asyncio.Task[Any], asyncio.Future[Any]] = {}

    # The runtime ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the virtual instant."""
        return self.loop.now()

    def monotonic(self) -> float:
        """Return the virtual seconds since the start."""
        return self.loop.micros / MICROSECONDS

    async def sleep(self, seconds: float) -> None:
        """Pause this task; the clock moves on when nobody can run."""
        if seconds <= 0:
            await let_others_run()
            return
        over: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_later(seconds, _finish, over, context=self._context)
        await over

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
        """Run work in this process."""
        return self._start(work, name)

    def crash_point(self, name: str) -> None:
        """Die here if the history wants it. Raises: Crashed."""
        if self.alive and self._crashes(self, name):
            self.alive = False
            self.loop.crashed.append(self)
            raise Crashed(name)

    def token(self, nbytes: int) -> str:
        """Return reproducible text."""
        return self.random_bytes(nbytes).hex()

    def random_bytes(self, nbytes: int) -> bytes:
        """Return reproducible bytes."""
        return self.random.getrandbits(nbytes * 8).to_bytes(nbytes, "big")

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return a client that reaches nothing: in a simulation, services meet on the bus."""
        options.setdefault("transport", httpx.MockTransport(lambda request: httpx.Response(503)))
        return httpx.AsyncClient(**options)

    # What a simulation does with a process --------------------------------------------------------------------------

    async def idle(self, seconds: float, due: Due, topics: tuple[str, ...] = ()) -> None:
        """Wait until `due` says that there is something to do, and at least so long."""
        woken: asyncio.Future[None] = self.loop.create_future()
        earliest = self.loop.micros + round(seconds * MICROSECONDS)
        self.loop.idle.append(IdleWait(self, woken, earliest, due, topics))
        self.loop.changed()
        await woken

    def call(self, work: Coroutine[Any, Any, Result], name: str) -> "asyncio.Future[Result]":
        """Have this process answer a caller of another one.

        The future raises ProcessGone where the process dies first, or is dead already.
        """
        answer: asyncio.Future[Result] = self.loop.create_future()
        if not self.alive:
            work.close()
            answer.set_exception(ProcessGone(f"{self.name} is not there"))
            return answer
        task = self._start(work, name)
        self._calls[task] = answer
        return answer

    def kill(self) -> None:
        """End the process: nothing of it runs any more, and its callers learn nothing but that."""
        self.alive = False
        self.deferred.clear()
        self.loop.idle = [wait for wait in self.loop.idle if wait.process is not self]
        self.loop.changed()
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(ProcessGone(f"{self.name} died before it answered"))
        self._calls.clear()
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            _abandon(task)

    def freeze(self) -> None:
        """Let nothing of it run until it is thawed."""
        self.frozen = True
        self.loop.changed()

    def thaw(self) -> None:
        """Let everything run that was to run meanwhile."""
        self.frozen = False
        self.loop.changed()
        deferred, self.deferred = self.deferred, []
        self.loop.put_back(deferred)

    def _start(self, work: Coroutine[Any, Any, Result], name: str) -> "asyncio.Task[Result]":
        task: asyncio.Task[Result] = asyncio.Task(work, loop=self.loop, name=name, context=self._context)
        self._tasks[task] = None
        task.add_done_callback(self._ended, context=self._context)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        answer = self._calls.pop(task, None)
        if answer is not None and not answer.done():
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)
        elif error is not None and answer is None and not isinstance(error, Crashed):
            self.loop.errors.append(f"{self.name}: {task.get_name()} ended with {type(error).__name__}: {error}")

    def _unix_ms(self) -> int:
        return self._start_ms + self.loop.micros // 1000


def _finish(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)


def _abandon(task: "asyncio.Task[Any]") -> None:
    """Forget a task of a dead process. What its `finally` blocks do can only be seen inside that process."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    work = task.get_coro()
    try:
        if work is not None:
            work.close()
    except RuntimeError:
        return  # it wanted to go on waiting, or is the one that runs: nothing will wake it
