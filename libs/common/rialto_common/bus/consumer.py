"""The consumer every service runs: a batch, one transaction, then the acknowledgement.

A failure is one of two kinds. The environment's (database away, deadlock, full disk): the batch keeps its place and is
tried again with back-off. The event's own: the batch is bisected until the poison event stands alone; it is parked with
its error and its key with it, so later events of that key queue behind it in order while all others go on. An operator
replays a key when the cause is mended.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from rialto_common import ids
from rialto_common.bus.port import DEAD_LETTER_SUFFIX, Subscription, Transaction, UnitOfWork
from rialto_common.database import is_retryable
from rialto_common.errors import PaymentError
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics
from rialto_common.runtime import Runtime

log = structlog.get_logger()

Tx = TypeVar("Tx", bound=Transaction)
Handler = Callable[[Tx, Sequence[Event]], Awaitable[None]]
"""Handles a batch inside a transaction: load, decide, save, publish. No network calls."""

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 2.0
REPLAY_CHECK_SECONDS = 2.0
LONGEST_REST_SECONDS = 0.025
"""Measured in turns on two slow cores, p99 at 300/s: with 15 ms (the linger alone) 1.4 s, with 25 ms 0.4 to 0.7 s, with
50 ms 0.9 to 1.5 s, which also doubled the latency at 200/s."""


class Consumer(Generic[Tx]):
    """Feeds one group's events of the given types to a handler."""

    def __init__(
        self,
        *,
        group: str,
        types: frozenset[str],
        subscription: Subscription,
        unit_of_work: UnitOfWork[Tx],
        handler: Handler[Tx],
        runtime: Runtime,
        metrics: BusMetrics,
        max_events: int = 400,
        wait_seconds: float = 1.0,
        linger_seconds: float = 0.0,
        shards: frozenset[int] | None = None,
    ) -> None:
        """`linger_seconds`: how long the next batch may gather, trading latency for fewer commits; see `_rest`.

        `shards`: only events of these are handled. The others leave no trace in the inbox, so that they can still be
        handled here once their shard has come here and the group was rewound. None: of all.
        """
        self.group = group
        self._types = types
        self._subscription = subscription
        self._unit_of_work = unit_of_work
        self._handler = handler
        self._runtime = runtime
        self._metrics = metrics
        self._max_events = max_events
        self._wait_seconds = wait_seconds
        self._linger_seconds = linger_seconds
        self._shards = shards
        self._backoff = 0.0
        self._replay_due = 0.0

    async def step(self) -> float:
        """Handle the next batch, and one parked key whose replay was asked for; return when to come again.

        Raises nothing that a retry can mend: those become a back-off.
        """
        try:
            deliveries = await self._subscription.poll(max_events=self._max_events, wait_seconds=self._wait_seconds)
            if not deliveries or self._runtime.monotonic() >= self._replay_due:
                await self._replay_one()
                self._replay_due = self._runtime.monotonic() + REPLAY_CHECK_SECONDS
            started = self._runtime.monotonic()
            if deliveries:
                await self.handle([delivery.event for delivery in deliveries])
                self._runtime.crash_point(f"{self.group}.before_acknowledge")
                await self._subscription.acknowledge(deliveries)
                self._runtime.crash_point(f"{self.group}.after_acknowledge")
        except Exception as error:
            if not is_retryable(error):
                raise
            return self._back_off(error)
        self._backoff = 0.0
        return self._rest(len(deliveries), self._runtime.monotonic() - started)

    def _rest(self, events: int, seconds: float) -> float:
        """Return how long the next batch may gather: as long as this one took, within bounds; not if it was full.

        A batch costs the same dozen statements whatever it holds. When the machine is busy, batches take longer, so
        they come less often and hold more, and the cost of an event falls just when it must.
        """
        if events >= self._max_events or self._linger_seconds == 0.0:
            return 0.0
        return max(self._linger_seconds, min(LONGEST_REST_SECONDS, seconds))

    async def close(self) -> None:
        """Leave the group."""
        await self._subscription.close()

    async def handle(self, events: Sequence[Event]) -> None:
        """Handle what is of this consumer's types and shards in one transaction, or in halves where one is poison."""
        wanted = [
            event
            for event in events
            if event.type in self._types and (self._shards is None or event.shard in self._shards)
        ]
        if not wanted:
            return
        started = self._runtime.monotonic()
        try:
            await self._in_one_transaction(wanted)
        except Exception as error:
            if is_retryable(error):
                raise
            if len(wanted) == 1:
                await self._park(wanted[0], error)
            else:
                middle = len(wanted) // 2
                await self.handle(wanted[:middle])
                await self.handle(wanted[middle:])
            return
        self._metrics.handled(self.group, wanted, self._runtime.now(), self._runtime.monotonic() - started)

    async def _in_one_transaction(self, events: Sequence[Event]) -> None:
        async with self._unit_of_work.begin() as transaction:
            fresh = await transaction.inbox.take(events)
            if not fresh:
                return
            parked = await transaction.dead_letters.parked(self.group, sorted({event.key for event in fresh}))
            for event in fresh:
                if event.key in parked:
                    await transaction.dead_letters.park(self.group, event, None)
            free = [event for event in fresh if event.key not in parked]
            if free:
                await self._handler(transaction, free)

    async def _park(self, event: Event, error: Exception) -> None:
        log.error(
            "event.parked",
            group=self.group,
            event_id=str(event.id),
            event_type=event.type,
            key=event.key,
            error=describe(error),
            exc_info=not isinstance(error, PaymentError),
        )
        self._metrics.parked(self.group, event)
        async with self._unit_of_work.begin() as transaction:
            if await transaction.inbox.take([event]):
                await transaction.dead_letters.park(self.group, event, describe(error))
                transaction.publish(
                    event._replace(
                        id=ids.derive(event.id, f"{self.group}.dead_letter"),
                        topic=event.topic + DEAD_LETTER_SUFFIX,
                        causation_id=str(event.id),
                    )
                )
            self._runtime.crash_point(f"{self.group}.before_parked")
        self._runtime.crash_point(f"{self.group}.after_parked")

    async def _replay_one(self) -> None:
        """Handle everything parked under one key, in order, in one transaction; on failure it stays parked."""
        key = None
        try:
            async with self._unit_of_work.begin() as transaction:
                key = await transaction.dead_letters.to_replay(self.group)
                if key is None:
                    return
                letters = await transaction.dead_letters.of_key(self.group, key)
                for letter in letters:
                    await self._handler(transaction, [letter.event])
                await transaction.dead_letters.release(self.group, key)
                self._runtime.crash_point(f"{self.group}.before_replayed")
        except Exception as error:
            if key is None or is_retryable(error):
                raise
            log.error("dead_letter.replay_failed", group=self.group, key=key, error=describe(error))
            async with self._unit_of_work.begin() as transaction:
                await transaction.dead_letters.fail_again(self.group, key, describe(error))
            return
        self._runtime.crash_point(f"{self.group}.after_replayed")
        log.info("dead_letter.replayed", group=self.group, key=key, events=len(letters))

    def _back_off(self, error: Exception) -> float:
        if self._backoff == 0.0:
            log.warning("consumer.waiting", group=self.group, error=describe(error))
        self._backoff = min(LONGEST_BACKOFF_SECONDS, max(FIRST_BACKOFF_SECONDS, self._backoff * 2))
        return self._backoff * (0.5 + self._runtime.random.random() / 2)


def describe(error: BaseException) -> str:
    """Return an error as an operator should read it: its code or class, and what it says, bounded."""
    name = error.code if isinstance(error, PaymentError) else type(error).__name__
    # What text columns refuse is spelt out: an error that could not be stored would keep its event from being parked.
    return f"{name}: {error}"[:500].encode(errors="backslashreplace").decode().replace("\0", "\\0")
