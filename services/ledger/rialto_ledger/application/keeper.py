"""Keeps the journal's months ahead of the time, so that none begins in the partition for whatever has no other."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from rialto_common.bus.port import Transaction
from rialto_common.database import is_retryable
from rialto_common.runtime import Runtime

Tx = TypeVar("Tx", bound=Transaction)

MONTHS_AHEAD = 2
DAY_SECONDS = 86_400.0
PAUSE_SECONDS = 60.0
"""Until it is tried again: there are two months for it."""


class Months(Protocol):
    """The journal's partitions."""

    async def prepare_months(self, now: datetime, ahead: int) -> None:
        """Make the partitions of this month and of so many after it, unless they are there; it gives up soon."""
        ...


class Keeper(Generic[Tx]):
    """Makes partitions, once a day."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Tx]],
        months_of: Callable[[Tx], Months],
        runtime: Runtime,
    ) -> None:
        self._begin = begin
        self._months_of = months_of
        self._runtime = runtime

    async def step(self) -> float:
        """Make what is missing; a journal in use, by an export for instance, is left alone for a minute."""
        try:
            async with self._begin() as transaction:
                await self._months_of(transaction).prepare_months(self._runtime.now(), MONTHS_AHEAD)
        except Exception as error:
            if not is_retryable(error):
                raise
            return PAUSE_SECONDS
        return DAY_SECONDS
