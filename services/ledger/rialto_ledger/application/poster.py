"""Posting for HTTP: requests that arrive together share one transaction, and each gets its own answer.

Nothing waits for company: while one batch is being committed the next one gathers, and is decided on what the books
will be after it (`ahead.py`), so that the database and we work at the same time. A large one is even sent before the
one under way is committed: it waits in the database for the locks. Where a batch cannot be decided ahead, that is done
in its own transaction, on accounts that are locked and read.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import structlog

from rialto_common.bus.port import Transaction
from rialto_common.database import is_retryable, is_unavailable
from rialto_common.errors import CommitUnknown, InvariantViolated
from rialto_common.runtime import Runtime
from rialto_ledger.application.ahead import Draft, Remembered
from rialto_ledger.application.ports import ConcurrentPosting, Ledger
from rialto_ledger.application.posting import Posted, post, rehearse
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain.commands import Command, Linked
from rialto_ledger.domain.outcomes import Outcome, OutcomeStatus

log = structlog.get_logger()

Tx = TypeVar("Tx", bound=Transaction)

MAX_BATCH_COMMANDS = 500
AHEAD_COMMANDS = 50
"""From how many commands on a request is decided ahead. Of smaller ones HTTP is what costs, and following each as it
arrives costs more than it saves: at 64 connections 3,500 single transfers a second without, 2,800 with it.
"""
PIECE_COMMANDS = 16
"""Decided ahead at a time: a third of a millisecond, for which the batch under way may have to wait at each step."""
EARLY_COMMANDS = 100
"""From how many commands on a draft is sent while the batch before it is under way: of small ones it is better to have
few.
"""
MOST_AGE = timedelta(seconds=5)
"""Of a draft when its transaction begins: entries bear its time, and must not appear long after it (`SETTLING`)."""
MOST_CAUTION = 64
"""Batches that are not decided ahead after many drafts in a row were in vain: others post on the same accounts."""
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

    def answer(self, answers: list[Answer]) -> None:
        if not self.answers.done():
            self.answers.set_result(answers)

    def fail(self, error: Exception) -> None:
        if not self.answers.done():
            self.answers.set_exception(error)


@dataclass(slots=True)
class _Drafted:
    """A draft, whose requests it is for, and which of the last one's commands it has yet to decide."""

    draft: Draft
    batch: list[_Waiting] = field(default_factory=list)
    size: int = 0
    pending: deque[Command] = field(default_factory=deque)
    fell: bool = False

    def take(self, waiting: _Waiting) -> None:
        self.batch.append(waiting)
        self.size += len(waiting.commands)
        self.pending.extend(waiting.commands)

    def decide(self, at_most: int) -> None:
        pending = self.pending
        self.draft.add([pending.popleft() for _ in range(min(at_most, len(pending)))])


class _OnlyRehearsed(Exception):
    """Rolls a dry run's transaction back."""


class CoalescingPoster(Generic[Tx]):
    """Posts commands of many callers in shared transactions, one at a time."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Tx]],
        ledger_of: Callable[[Tx], Ledger],
        runtime: Runtime,
        *,
        ahead_commands: int = AHEAD_COMMANDS,
    ) -> None:
        self._begin = begin
        self._ledger_of = ledger_of
        self._runtime = runtime
        self._ahead_commands = ahead_commands
        self._queue: deque[_Waiting] = deque()
        self._flushing = False
        self._woken = asyncio.Event()
        self._remembered = Remembered()
        self._drafted: _Drafted | None = None
        self._reading = asyncio.Lock()
        self._caution = self._cautious_for = 0

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
        self._woken.set()
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
        """Post batches in their order until nothing waits; while one is under way, decide on the next, and send it."""
        under_way: list[asyncio.Task[None]] = []
        before: _Drafted | None = None
        try:
            while True:
                for ended in [task for task in under_way if task.done()]:
                    under_way.remove(ended)
                    ended.result()
                if not under_way or (len(under_way) == 1 and self._is_early()):
                    following = self._next()
                    if following is None:
                        return
                    work, drafted = following
                    if under_way and before is not None and drafted is not None:
                        drafted.draft.build_on(before.draft.posted())
                    before = drafted
                    under_way.append(self._runtime.spawn(work, name="ledger-poster-batch"))
                    under_way[-1].add_done_callback(lambda _: self._woken.set())
                    await self._runtime.sleep(0)
                    if drafted is not None and not drafted.fell:
                        # Only now, as the database is at work by now.
                        self._remembered.keep(drafted.draft.posted())
                elif self._draft_more():
                    await self._runtime.sleep(0)
                elif unknown := self._unknown():
                    await self._read_ahead(unknown)
                else:
                    self._woken.clear()
                    await self._woken.wait()
        except Exception as error:
            # A bug in here, and not a batch that failed: nobody shall wait for an answer that will not come, and no
            # batch begins beside the one under way.
            log.exception("poster.broken")
            if under_way:
                await asyncio.wait(under_way)
            self._drop_draft()
            while self._queue:
                self._queue.popleft().fail(error)
        finally:
            self._flushing = False

    def _is_early(self) -> bool:
        """Whether a draft is to be sent while the batch that it builds on, a draft as well, is under way."""
        drafted = self._drafted
        return self._may_draft and drafted is not None and not drafted.pending and drafted.size >= EARLY_COMMANDS

    def _next(self) -> tuple[Coroutine[Any, Any, None], _Drafted | None] | None:
        """Return how to post the next batch: as a draft if it can be, or else on accounts that are read."""
        while self._draft_more():
            pass
        if self._drafted is not None:
            drafted, self._drafted = self._drafted, None
            return self._answer_drafted(drafted), drafted
        if not self._queue:
            return None
        batch = [self._queue.popleft()]
        size = _entries_of(batch[0].commands)
        while self._queue and (size := size + _entries_of(self._queue[0].commands)) <= MAX_BATCH_COMMANDS:
            batch.append(self._queue.popleft())
        return self._answer_read(batch), None

    # Ahead ----------------------------------------------------------------------------------------------------------

    def _draft_more(self) -> bool:
        """Decide on some of what waits, in its order; False where nothing can be decided now."""
        drafted = self._drafted
        if drafted is not None and drafted.pending:
            try:
                drafted.decide(PIECE_COMMANDS)
            except Exception:
                # A bug: without a draft it meets its own caller, and not all who wait.
                log.exception("poster.draft_broken")
                self._drop_draft()
            return True
        if not self._queue or not self._may_draft or self._cautious_for > 0:
            return False
        commands = self._queue[0].commands
        if drafted is not None and drafted.size + len(commands) > MAX_BATCH_COMMANDS:
            return False
        if len(commands) < self._ahead_commands or not self._remembered.covers(commands):
            return False
        if drafted is None:
            drafted = self._drafted = _Drafted(Draft(self._remembered, self._runtime.now()))
        drafted.take(self._queue.popleft())
        return True

    def _unknown(self) -> set[UUID]:
        """Return the accounts that are all that keeps some of what waits from being decided ahead."""
        unknown: set[UUID] = set()
        size = 0 if self._drafted is None else self._drafted.size
        if not self._may_draft or self._cautious_for > 0:
            return unknown
        for waiting in self._queue:
            commands = waiting.commands
            size += len(commands)
            if size > MAX_BATCH_COMMANDS and size > len(commands):
                break
            if len(commands) < self._ahead_commands or not self._remembered.may_cover(commands):
                break
            these = self._remembered.unknown(commands)
            if self._remembered.are_absent(these):
                break
            unknown |= these
        return unknown

    async def _read_ahead(self, account_ids: set[UUID]) -> None:
        """Read accounts beside the batch under way, which changes none of them; if that fails, do without drafts."""
        try:
            async with self._begin() as transaction:
                found = await self._ledger_of(transaction).accounts(account_ids)
        except Exception as error:
            if not is_retryable(error):
                log.exception("poster.read_ahead_broken")
            self._cautious_for = 1
            return
        if self._may_draft:
            self._remembered.learn(account_ids, found)

    async def _answer_drafted(self, drafted: _Drafted) -> None:
        """Write a draft and give each request its answers; where it no longer holds, post as if there were none."""
        unknown: CommitUnknown | None = None
        try:
            posted = await self._persist_drafted(drafted.draft)
            if posted is not None:
                self._caution = 0
                _tell(drafted.batch, posted)
                return
        except CommitUnknown as error:
            unknown = error
        except Exception as error:
            # Whatever it was, posting without the draft runs into it as well, or does not.
            if is_retryable(error):
                log.info("poster.draft_failed", error=type(error).__name__)
            else:
                log.exception("poster.draft_broken")
        drafted.fell = True
        self._drop_draft()
        await self._answer_read(drafted.batch, unknown)

    def _drop_draft(self) -> None:
        """Give back what the next batch has been decided on, and do not decide ahead for some batches."""
        if self._drafted is not None:
            self._queue.extendleft(reversed(self._drafted.batch))
            self._drafted = None
        self._remembered.forget()
        self._caution = min(MOST_CAUTION, max(1, 2 * self._caution))
        self._cautious_for = self._caution

    async def _persist_drafted(self, draft: Draft) -> Posted | None:
        if self._runtime.now() - draft.now > MOST_AGE:
            return None
        async with self._begin() as transaction:
            posted = await draft.write(self._ledger_of(transaction))
            if posted is None:
                return None
            transaction.publish(*draft.events)
            self._runtime.crash_point("ledger.poster.before_commit")
        self._runtime.crash_point("ledger.poster.after_commit")
        return posted

    # On accounts that are read --------------------------------------------------------------------------------------

    async def _answer_read(self, batch: Sequence[_Waiting], unknown: CommitUnknown | None = None) -> None:
        """Post a batch without deciding ahead meanwhile, as it may change anything that is remembered."""
        async with self._reading:
            self._cautious_for = max(0, self._cautious_for - 1)
            await self._answer(batch, unknown)

    @property
    def _may_draft(self) -> bool:
        return not self._reading.locked()

    async def _answer(self, batch: Sequence[_Waiting], unknown: CommitUnknown | None = None) -> None:
        """Post a batch and give each its answers; where one caller of several breaks it, each is posted alone."""
        try:
            posted = await self._persist([command for waiting in batch for command in waiting.commands], unknown)
            self._remembered.keep(posted)
            _tell(batch, posted)
        except Exception as error:  # noqa: BLE001 - passed on to every caller, who answers for it
            if len(batch) > 1 and not is_retryable(error):
                for waiting in batch:
                    await self._answer([waiting], unknown)
                return
            for waiting in batch:
                waiting.fail(error)

    async def _persist(self, commands: Sequence[Command], unknown: CommitUnknown | None) -> Posted:
        """Post, trying again after deadlocks, concurrent writers and lost commit answers: identities make that safe.

        Raises: CommitUnknown: the answer of a commit was lost, also if only that of `unknown`, and asking again was not
        possible either.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._persist_once(commands)
            except Exception as error:
                if isinstance(error, CommitUnknown):
                    unknown = error
                if attempt == ATTEMPTS or not (error is unknown or _may_pass(error)):
                    if unknown is not None and error is not unknown:
                        raise unknown from error
                    raise
                await self._runtime.sleep(FIRST_PAUSE_SECONDS * 2**attempt)

    async def _persist_once(self, commands: Sequence[Command]) -> Posted:
        now = self._runtime.now()
        async with self._begin() as transaction:
            posted = await post(self._ledger_of(transaction), commands, now)
            teller = Teller(posted.accounts, now)
            for outcome in posted.decision.outcomes:
                # Told with the commit that wrote it; here the one who asks again has the HTTP answer, not the event.
                if outcome.status is OutcomeStatus.APPLIED:
                    transaction.publish(*teller.events_of(outcome))
            self._runtime.crash_point("ledger.poster.before_commit")
        self._runtime.crash_point("ledger.poster.after_commit")
        return posted


def _entries_of(commands: Sequence[Command]) -> int:
    """Return how many commands these are, those counted that are linked in one."""
    return sum(len(command.commands) if isinstance(command, Linked) else 1 for command in commands)


def _tell(batch: Sequence[_Waiting], posted: Posted) -> None:
    if len(posted.decision.outcomes) != sum(len(waiting.commands) for waiting in batch):
        raise InvariantViolated("a batch has more outcomes than commands, or fewer")
    outcomes = iter(posted.decision.outcomes)
    for waiting in batch:
        waiting.answer([Answer(outcome, posted) for outcome in islice(outcomes, len(waiting.commands))])


def _may_pass(error: Exception) -> bool:
    """Whether a moment's wait may be enough: another writer was first, and not: the database is away."""
    return isinstance(error, ConcurrentPosting) or (is_retryable(error) and not is_unavailable(error))
