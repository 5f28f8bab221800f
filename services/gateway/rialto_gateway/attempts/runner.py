"""The loop that asks acquirers: what is queued is sent, what is not known is looked up.

An attempt is recorded as started, with its acquirer, in a commit before the call; its outcome is recorded in a commit
after it. A process that dies between the two leaves a started attempt whose lease runs out: it counts as unknown then,
and is looked up by its reference, never sent anew. No connection to the database is held during a call.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import structlog

from rialto_common.bus.consumer import describe
from rialto_common.database import is_unavailable
from rialto_common.errors import CommitUnknown
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.attempt import LATEST_DUE, Attempt, question_of, started
from rialto_gateway.attempts.cards import Cards
from rialto_gateway.attempts.metrics import AttemptMetrics
from rialto_gateway.attempts.ports import AttemptReader, Connectors
from rialto_gateway.attempts.resolver import AttemptResolver, route_of
from rialto_gateway.connectors.port import (
    Answer,
    Authorise,
    Capture,
    Connector,
    Increment,
    NotSent,
    Question,
    Unknown,
    Void,
)
from rialto_gateway.payments.ports import Units

log = structlog.get_logger()

CALLS = 16
"""Calls under way at once, a process: a slow acquirer holds up no more than its own."""

CALL_SECONDS = 30.0
LEASE = timedelta(seconds=60)
"""When an attempt whose process died is taken up again; longer than a call may take."""

PAUSE_SECONDS = 0.1
LOOK_AROUND_EVERY_SECONDS = 5.0

NO_ACQUIRER = "no_acquirer_available"


class AttemptRunner:
    """Asks about what is due, side by side."""

    def __init__(
        self,
        units: Units,
        reader: AttemptReader,
        resolver: AttemptResolver,
        connectors: Connectors,
        cards: Cards,
        runtime: Runtime,
        metrics: AttemptMetrics,
        *,
        calls: int = CALLS,
    ) -> None:
        self._units = units
        self._reader = reader
        self._resolver = resolver
        self._connectors = connectors
        self._cards = cards
        self._runtime = runtime
        self._metrics = metrics
        self._calls = calls
        self._running: set[asyncio.Task[None]] = set()
        self._looked_at = float("-inf")

    async def step(self) -> float:
        """Take up what is due, as far as there is room; come again at once while there may be more."""
        await self._look_around()
        room = self._calls - len(self._running)
        if room == 0:
            await asyncio.wait(self._running, timeout=PAUSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return 0.0
        now = self._runtime.now()
        due = await self._reader.claim(now, now + LEASE, room)
        for attempt in due:
            task = self._runtime.spawn(self._take_up(attempt), name="ask-acquirer")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return 0.0 if len(due) == room else PAUSE_SECONDS

    async def settle(self) -> None:
        """Wait for the calls that are under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _take_up(self, attempt: Attempt) -> None:
        try:
            await self._ask(attempt)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a task
            # The lease runs out and it is taken up again; what the database refuses for good must be seen.
            away = is_unavailable(error) or isinstance(error, CommitUnknown)
            tell = log.warning if away else log.error
            tell("attempt.not_recorded", attempt_id=attempt.reference, step=attempt.step, error=describe(error))

    async def _ask(self, attempt: Attempt) -> None:
        if attempt.state == "started":
            # Its process died, or lost its database: the call may have been made.
            found = await self._resolver.conclude(attempt, Unknown("interrupted"))
            if found is None or found.state != "unknown":
                return
            attempt = found
        if attempt.state == "queued":
            await self._send(attempt)
        else:
            await self._look_up(attempt)

    async def _send(self, attempt: Attempt) -> None:
        connector = await self._connector_for(attempt)
        if connector is None:
            await self._resolver.conclude(attempt, NotSent(NO_ACQUIRER))
            return
        # Before it counts as sent: what cannot even be asked is certainly not with the acquirer.
        question = await self._question(attempt)
        begun = await self._begin(attempt, connector)
        if begun is None:
            return
        self._runtime.crash_point("gateway.attempt.before_call")
        self._connectors.sent(connector.name)
        answer = await self._call(connector, question, begun)
        self._connectors.heard(connector.name, answer)
        self._runtime.crash_point("gateway.attempt.after_call")
        await self._resolver.conclude(begun, answer)

    async def _begin(self, attempt: Attempt, connector: Connector) -> Attempt | None:
        """Record that it goes out now; None where someone else has taken it meanwhile."""
        async with self._units.begin() as unit:
            await unit.payments.lock([attempt.payment_id])
            before = await unit.attempts.lock(attempt.id)
            if before is None or before.state != "queued":
                return None
            begun = started(before, connector.name, self._runtime.now(), LEASE)
            await unit.attempts.save(begun)
            self._runtime.crash_point("gateway.attempt.before_started")
        self._runtime.crash_point("gateway.attempt.after_started")
        return begun

    async def _look_up(self, attempt: Attempt) -> None:
        connector = self._connectors.named(attempt.connector or "")
        if connector is None:
            log.error("attempt.acquirer_missing", attempt_id=attempt.reference, connector=attempt.connector)
            await self._resolver.conclude(attempt, NotSent(NO_ACQUIRER))
            return
        question = await self._question(attempt)
        answer = await self._within_time(connector.lookup(question), attempt)
        self._connectors.heard(connector.name, answer)
        self._runtime.crash_point("gateway.attempt.after_lookup")
        await self._resolver.conclude(attempt, answer)

    async def _connector_for(self, attempt: Attempt) -> Connector | None:
        """Return the acquirer that it was or is to be put to."""
        if attempt.connector is not None:
            return self._connectors.named(attempt.connector)
        if attempt.step != "authorise":
            return None
        tried = await self._resolver.tried(attempt.payment_id)
        return self._connectors.choose(route_of(attempt, tried))

    async def _question(self, attempt: Attempt) -> Question:
        card = None
        if attempt.step == "authorise":
            kept = await self._reader.card(attempt.payment_id)
            card = None if kept is None else self._cards.open(kept, attempt.payment_id)
        return question_of(attempt, card)

    async def _call(self, connector: Connector, question: Question, attempt: Attempt) -> Answer:
        if isinstance(question, Authorise):
            return await self._within_time(connector.authorise(question), attempt)
        if isinstance(question, Increment):
            return await self._within_time(connector.increment(question), attempt)
        if isinstance(question, Capture):
            return await self._within_time(connector.capture(question), attempt)
        if isinstance(question, Void):
            return await self._within_time(connector.void(question), attempt)
        return await self._within_time(connector.refund(question), attempt)

    async def _within_time(self, call: Awaitable[Answer], attempt: Attempt) -> Answer:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call
        except TimeoutError:
            return Unknown("timed_out")
        except Exception as error:  # noqa: BLE001 - whatever broke in a connector, the request may have gone out
            log.error("connector.failed", connector=attempt.connector, step=attempt.step, error=describe(error))
            return Unknown("connector_failed")

    async def _look_around(self) -> None:
        """Show now and then what is unknown, and take up what a clock that was ahead has put off."""
        monotonic = self._runtime.monotonic()
        if monotonic - self._looked_at < LOOK_AROUND_EVERY_SECONDS:
            return
        self._looked_at, now = monotonic, self._runtime.now()
        self._metrics.standing(await self._reader.standing(), now)
        brought_back = await self._reader.bring_back(now, now + LATEST_DUE)
        if brought_back:
            log.warning("attempts.brought_back", attempts=brought_back)
