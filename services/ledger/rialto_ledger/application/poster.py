"""Posting for HTTP: requests that arrive together share one transaction, and each gets its own answer.

Nothing waits for company: while one batch is being committed the next one gathers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from rialto_common.bus.port import Transaction
from rialto_common.database import is_retryable, is_unavailable
from rialto_common.errors import CommitUnknown
from rialto_common.runtime import Runtime
from rialto_ledger.application.ports import ConcurrentPosting, Ledger
from rialto_ledger.application.posting import Posted, post, rehearse
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain.commands import Command
from rialto_ledger.domain.outcomes import Outcome, OutcomeStatus

Tx = TypeVar("Tx", bound=Transaction)

MAX_BATCH_COMMANDS = 500
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.01


class Answer(NamedTuple):
    """A command's outcome, and the batch it was posted in."""

    outcome: Outcome
    posted: Posted


@dataclass(slots=True)
class _Waiting:
    commands: Sequence[Command]
    answers: asyncio.Future[list[Answer]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class _OnlyRehearsed(Exception):
    """Rolls a dry run's transaction back."""


class CoalescingPoster(Generic[Tx]):
    """Posts commands of many callers in shared transactions, one at a time."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Tx]],
        ledger_of: Callable[[Tx], Ledger],
        runtime: Runtime,
    ) -> None:
        self._begin = begin
        self._ledger_of = ledger_of
        self._runtime = runtime
        self._queue: deque[_Waiting] = deque()
        self._flushing = False

    async def post(self, command: Command) -> Answer:
        """Return what the command came to, once that is durable.

        Raises: whatever kept the transaction from committing; the same command may then be sent again.
        """
        [answer] = await self.post_all([command])
        return answer

    async def post_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Return what each command came to, in order, once that is durable: they share one transaction.

        Raises: as `post`.
        """
        waiting = _Waiting(commands)
        self._queue.append(waiting)
        if not self._flushing:
            self._flushing = True
            self._runtime.spawn(self._flush(), name="ledger-poster")
        return await waiting.answers

    async def rehearse(self, commands: Sequence[Command]) -> list[Answer]:
        """Return what each command would come to now; nothing is written."""
        answers = []
        try:
            async with self._begin() as transaction:
                posted = await rehearse(self._ledger_of(transaction), commands, self._runtime.now())
                answers = [Answer(outcome, posted) for outcome in posted.decision.outcomes]
                raise _OnlyRehearsed
        except _OnlyRehearsed:
            return answers

    async def _flush(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft()]
                size = len(batch[0].commands)
                while self._queue and size + len(self._queue[0].commands) <= MAX_BATCH_COMMANDS:
                    batch.append(self._queue.popleft())
                    size += len(batch[-1].commands)
                await self._answer(batch)
        finally:
            self._flushing = False

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Post a batch and give each its answers; where one caller of several breaks it, each is posted alone."""
        try:
            posted = await self._persist([command for waiting in batch for command in waiting.commands])
        except Exception as error:  # noqa: BLE001 - passed on to every caller, who answers for it
            if len(batch) > 1 and not is_retryable(error):
                for waiting in batch:
                    await self._answer([waiting])
                return
            for waiting in batch:
                if not waiting.answers.done():
                    waiting.answers.set_exception(error)
            return
        outcomes = iter(posted.decision.outcomes)
        for waiting in batch:
            answers = [Answer(outcome, posted) for outcome in islice(outcomes, len(waiting.commands))]
            if not waiting.answers.done():
                waiting.answers.set_result(answers)

    async def _persist(self, commands: Sequence[Command]) -> Posted:
        """Post, trying again after deadlocks, concurrent writers and lost commit answers: identities make that safe.

        Raises: CommitUnknown: the answer of a commit was lost, and asking again was not possible either.
        """
        unknown: CommitUnknown | None = None
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._persist_once(commands)
            except Exception as error:
                if isinstance(error, CommitUnknown):
                    unknown = error
                elif unknown is not None:
                    raise unknown from error
                elif not _may_pass(error):
                    raise
                await self._runtime.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        return await self._persist_once(commands)

    async def _persist_once(self, commands: Sequence[Command]) -> Posted:
        now = self._runtime.now()
        async with self._begin() as transaction:
            posted = await post(self._ledger_of(transaction), commands, now)
            teller = Teller(posted, now)
            for outcome in posted.decision.outcomes:
                # Told with the commit that wrote it; here the one who asks again has the HTTP answer, not the event.
                if outcome.status is OutcomeStatus.APPLIED:
                    transaction.publish(*teller.events_of(outcome))
            self._runtime.crash_point("ledger.poster.before_commit")
        self._runtime.crash_point("ledger.poster.after_commit")
        return posted


def _may_pass(error: Exception) -> bool:
    """Whether a moment's wait may be enough: another writer was first, and not: the database is away."""
    return isinstance(error, ConcurrentPosting) or (is_retryable(error) and not is_unavailable(error))
