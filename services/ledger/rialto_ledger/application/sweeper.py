"""Expires holds: a loop over rows, so that a restart forgets nothing."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from rialto_common.bus.port import Transaction
from rialto_common.database import is_retryable
from rialto_common.runtime import Runtime
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.posting import post
from rialto_ledger.application.telling import Teller

Tx = TypeVar("Tx", bound=Transaction)

BATCH_HOLDS = 200
PAUSE_SECONDS = 1.0


class Sweeper(Generic[Tx]):
    """Releases holds whose deadline has passed, a batch a step."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Tx]],
        ledger_of: Callable[[Tx], Ledger],
        runtime: Runtime,
    ) -> None:
        self._begin = begin
        self._ledger_of = ledger_of
        self._runtime = runtime

    async def step(self) -> float:
        """Expire one batch; due at once after a full one, else in a second. What others hold locked is next time's."""
        try:
            expired = await self._sweep()
        except Exception as error:
            if not is_retryable(error):
                raise
            return PAUSE_SECONDS
        return 0.0 if expired == BATCH_HOLDS else PAUSE_SECONDS

    async def _sweep(self) -> int:
        now = self._runtime.now()
        async with self._begin() as transaction:
            ledger = self._ledger_of(transaction)
            due = await ledger.due_holds(now, BATCH_HOLDS)
            if due:
                posted = await post(ledger, due, now)
                teller = Teller(posted.accounts, now)
                for outcome in posted.decision.outcomes:
                    transaction.publish(*teller.events_of(outcome))
                self._runtime.crash_point("ledger.sweeper.before_commit")
        if due:
            self._runtime.crash_point("ledger.sweeper.after_commit")
        return len(due)
