"""Delivering: each try is a recorded attempt, and what is not taken is tried again for three days.

A step records the attempts that ended since the last one, claims what there is room for and starts it; it waits for no
call. No connection to the database is held during a call.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import httpx
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from standardwebhooks import Webhook

from rialto_common import ids
from rialto_common.runtime import Runtime
from rialto_gateway.idempotency import Vault
from rialto_gateway.webhooks.addresses import UrlRefused
from rialto_gateway.webhooks.messages import in_version
from rialto_gateway.webhooks.outgoing import OutgoingCalls
from rialto_gateway.webhooks.ports import Attempted, BreakerChange, Claimed, DeliveryQueue
from rialto_gateway.webhooks.retries import Outcome, next_attempt

log = structlog.get_logger()

CALLS = 256
"""How many calls may be under way in this process."""
SLOW_SECONDS = 2.0
SLOW_CALLS = 768
"""How many more there may be that are older than SLOW_SECONDS: endpoints that hang must not take the others' room."""
CLAIM = 128
"""The most that is claimed at a time: a claim must not outgrow what can be started at once."""
PAUSE_SECONDS = 0.25
"""How long a new message may wait to be looked for."""
LINGER_SECONDS = 0.01
"""How long ended calls gather, to be recorded together."""
CLOSE_SECONDS = 5.0
DELAYS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 259200)


class WebhookDelivery:
    """Sends what is due."""

    def __init__(
        self, queue: DeliveryQueue, runtime: Runtime, vault: Vault, calls: OutgoingCalls, registry: CollectorRegistry
    ) -> None:
        self._queue = queue
        self._runtime = runtime
        self._vault = vault
        self._calls = calls
        self._under_way: dict[tuple[UUID, int], float] = {}
        """By delivery and attempt, since when by the monotonic clock."""
        self._ended: list[Attempted] = []
        self._news = asyncio.Event()
        self._attempts = Counter(
            "rialto_webhook_attempts_total", "Webhook attempts by outcome", ["state"], registry=registry
        )
        self._trips = Counter(
            "rialto_webhook_breaker_transitions_total",
            "Webhook endpoints' circuit breakers by the state they came into",
            ["state"],
            registry=registry,
        )
        self._calls_under_way = Gauge(
            "rialto_webhook_calls_under_way", "Webhook calls that wait for an answer", registry=registry
        )
        self._delay = Histogram(
            "rialto_webhook_delay_seconds",
            "From a message's event to the answer that took it",
            buckets=DELAYS,
            registry=registry,
        )

    async def step(self) -> float:
        """Record what ended, start what is due; come again at once while calls are under way."""
        await self._record()
        slots = self._free()
        claimed: Sequence[Claimed] = ()
        if slots > 0:
            claimed = await self._queue.claim(self._runtime.now(), slots)
        if claimed:
            self._runtime.crash_point("gateway.webhook.before_send")
            self._start(claimed)
        if not self._under_way and not self._ended:
            return PAUSE_SECONDS
        if len(claimed) < slots or slots <= 0:
            await self._hear(PAUSE_SECONDS)
            await self._runtime.sleep(LINGER_SECONDS)
        return 0.0

    async def close(self) -> None:
        """Give calls that are under way a little time, and record those that ended; the rest is found by its lease."""
        until = self._runtime.monotonic() + CLOSE_SECONDS
        while self._under_way and (left := until - self._runtime.monotonic()) > 0:
            await self._hear(left)
            await self._record()
        await self._record()

    def _free(self) -> int:
        now = self._runtime.monotonic()
        slow = sum(now - since > SLOW_SECONDS for since in self._under_way.values())
        return min(CALLS - (len(self._under_way) - slow), CALLS + SLOW_CALLS - len(self._under_way), CLAIM)

    def _start(self, claimed: Sequence[Claimed]) -> None:
        for delivery in claimed:
            self._under_way[delivery.delivery_id, delivery.attempt] = self._runtime.monotonic()
            self._runtime.spawn(self._deliver(delivery), name="webhook")
        self._calls_under_way.set(len(self._under_way))

    async def _hear(self, seconds: float) -> None:
        """Wait until a call ends, at most so long."""
        self._news.clear()
        if not self._ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    async def _deliver(self, claimed: Claimed) -> None:
        started = self._runtime.monotonic()
        try:
            outcome = await self._send(claimed)
        except Exception as error:  # a loop's edge: whatever broke, the attempt must not stay under way for ever
            log.error("webhook.broken", delivery_id=ids.to_text("msg", claimed.delivery_id), exc_info=error)
            outcome = Outcome("unknown", error=type(error).__name__)
        outcome = replace(outcome, duration_ms=int((self._runtime.monotonic() - started) * 1000))
        draw = self._runtime.random.random
        again = None if outcome.taken else next_attempt(claimed.tries, self._runtime.now(), draw())
        self._ended.append(Attempted(claimed, outcome, again, draw()))
        del self._under_way[claimed.delivery_id, claimed.attempt]
        self._news.set()

    async def _record(self) -> None:
        """Record the attempts that ended, in one transaction; should that fail, they are there the next time."""
        ended, self._ended = self._ended, []
        if not ended:
            return
        self._runtime.crash_point("gateway.webhook.after_send")
        now = self._runtime.now()
        try:
            changes = await self._queue.finish(ended, now)
        except Exception:
            self._ended[:0] = ended
            raise
        self._runtime.crash_point("gateway.webhook.after_recorded")
        self._calls_under_way.set(len(self._under_way))
        for each in ended:
            self._attempts.labels(each.outcome.state).inc()
            if each.outcome.taken:
                self._delay.observe((now - each.claimed.created_at) / timedelta(seconds=1))
            elif each.again is None:
                log.warning("webhook.given_up", delivery_id=ids.to_text("msg", each.claimed.delivery_id))
        for change in changes:
            self._tell(change)

    def _tell(self, change: BreakerChange) -> None:
        if change.before.state != change.after.state:
            self._trips.labels(change.after.state).inc()
            endpoint_id = ids.to_text("we", change.endpoint_id)
            log.info("webhook.breaker", endpoint_id=endpoint_id, state=change.after.state, trips=change.after.trips)

    async def _send(self, claimed: Claimed) -> Outcome:
        body = in_version(claimed.body, claimed.api_version, claimed.written)
        try:
            answer = await self._calls.post(claimed.url, body.encode(), self._headers(claimed, body))
        except UrlRefused as error:
            return Outcome("failed", error=error.code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            return Outcome("failed", error=type(error).__name__)  # never connected: certainly not taken
        except (httpx.HTTPError, TimeoutError) as error:
            return Outcome("unknown", error=type(error).__name__)
        except OSError as error:
            return Outcome("failed", error=type(error).__name__)
        return Outcome("succeeded" if 200 <= answer.status < 300 else "failed", answer.status, response=answer.body)

    def _headers(self, claimed: Claimed, body: str) -> dict[str, str]:
        message_id = ids.to_text("msg", claimed.message_id)
        now = self._runtime.now()
        sealed = [claimed.secret] + ([claimed.previous_secret] if claimed.previous_secret is not None else [])
        secrets = [self._vault.open(each, claimed.endpoint_id.bytes).decode() for each in sealed]
        return {
            "Content-Type": "application/json",
            "User-Agent": "Rialto-Webhooks/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
        }
