"""Delivering: each try is a recorded attempt, and what is not taken is tried again for three days."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx
import structlog
from prometheus_client import CollectorRegistry, Counter
from standardwebhooks import Webhook

from rialto_common import ids
from rialto_common.database import Pool
from rialto_common.runtime import Runtime
from rialto_gateway.idempotency import Vault
from rialto_gateway.webhooks.messages import QUERIES
from rialto_gateway.webhooks.outgoing import OutgoingCalls, UrlRefused

log = structlog.get_logger()

RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 57600, 86400)
)
"""How long after each failed attempt the next one comes: twelve retries within three days."""
LEASE = timedelta(seconds=60)
"""When an attempt whose process died is tried again; longer than a call may take."""
BATCH = 20
PAUSE_SECONDS = 0.5

AttemptState = Literal["succeeded", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt; unknown when the request may have arrived but no answer did."""

    state: AttemptState
    status: int | None = None
    error: str | None = None


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """Return when to try again after `attempts` tries that were not taken; None to give up."""
    return now + RETRY_AFTER[attempts - 1] if attempts <= len(RETRY_AFTER) else None


class WebhookDelivery:
    """Sends what is due."""

    def __init__(
        self, pool: Pool, runtime: Runtime, vault: Vault, calls: OutgoingCalls, registry: CollectorRegistry
    ) -> None:
        self._pool = pool
        self._runtime = runtime
        self._vault = vault
        self._calls = calls
        self._attempts = Counter(
            "rialto_webhook_attempts_total", "Webhook attempts by outcome", ["state"], registry=registry
        )

    async def step(self) -> float:
        """Send one batch of due deliveries, side by side."""
        now = self._runtime.now()
        due = await self._pool.fetch(QUERIES["claim"], now, now + LEASE, BATCH)
        if not due:
            return PAUSE_SECONDS
        self._runtime.crash_point("gateway.webhook.before_send")
        await asyncio.gather(*(self._deliver(delivery) for delivery in due))
        return 0.0

    async def _deliver(self, delivery: Mapping[str, Any]) -> None:
        deleted = delivery["deleted_at"] is not None
        outcome = Outcome("failed", error="endpoint_deleted") if deleted else await self._send(delivery)
        self._runtime.crash_point("gateway.webhook.after_send")
        self._attempts.labels(outcome.state).inc()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                QUERIES["finish_attempt"],
                delivery["delivery_id"],
                delivery["attempts"],
                outcome.state,
                outcome.status,
                outcome.error,
            )
            again = None
            state = "delivered"
            if outcome.state != "succeeded":
                again = None if deleted else next_attempt(delivery["attempts"], self._runtime.now())
                state = "pending" if again is not None else "given_up"
            await connection.execute(QUERIES["finish_delivery"], delivery["delivery_id"], state, again)
            self._runtime.crash_point("gateway.webhook.before_recorded")
        self._runtime.crash_point("gateway.webhook.after_recorded")
        if state == "given_up":
            log.warning("webhook.given_up", delivery_id=str(delivery["delivery_id"]))

    async def _send(self, delivery: Mapping[str, Any]) -> Outcome:
        message_id = ids.to_text("msg", delivery["delivery_id"])
        body: str = delivery["body"]
        now = self._runtime.now()
        secret = self._vault.open(delivery["secret"], delivery["endpoint_id"].bytes).decode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Rialto-Webhooks/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, now, body),
        }
        try:
            status = await self._calls.post(delivery["url"], body.encode(), headers)
        except UrlRefused as error:
            return Outcome("failed", error=error.code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            return Outcome("failed", error=type(error).__name__)  # never connected: certainly not taken
        except (httpx.HTTPError, TimeoutError) as error:
            return Outcome("unknown", error=type(error).__name__)
        except OSError as error:
            return Outcome("failed", error=type(error).__name__)
        return Outcome("succeeded" if 200 <= status < 300 else "failed", status)
