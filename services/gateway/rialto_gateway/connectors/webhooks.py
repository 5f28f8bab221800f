"""Acquirers' own messages: checked, kept with what they came to, and heard.

A message is kept before it is heard, and answered with 2xx only once what it says is committed, so that one that is
lost on the way comes again. It may come twice, late or out of order: what is certain of an attempt stays
(`attempts/attempt.py`), and a message that was heard to its end is only counted when it comes again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from rialto_common.database import Pool, load_queries
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.resolver import Outcome
from rialto_gateway.connectors.disputes import Standing
from rialto_gateway.connectors.port import Answer
from rialto_gateway.cursors import Place
from rialto_gateway.idempotency import Vault

log = structlog.get_logger()

QUERIES = load_queries(__package__)
SWEEP = 1_000
PAUSE_SECONDS = 60.0
MAX_LENGTH = 255


class WebhookInvalid(Exception):
    """A message that is not this acquirer's, or not readable."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message says: an answer to one of our references, or how a dispute of one stands.

    Without a reference, it is about nothing of ours.
    """

    message_id: str
    reference: str | None
    says: Answer | Standing


ReadWebhook = Callable[[bytes, Mapping[str, str]], Heard]
"""Checks a message's signature and says what it means. Raises: WebhookInvalid."""

Hear = Callable[[str, str, Answer], Awaitable[Outcome | None]]
"""Records an answer to one of our references; None where the acquirer was never asked under it."""

HearDispute = Callable[[str, Standing], Awaitable[bool]]
"""Records how a dispute stands; False where it is of no payment of ours, or cannot be."""


class ConnectorWebhooks:
    """Takes messages; keeps them for `keep`."""

    def __init__(
        self,
        readers: Mapping[str, ReadWebhook],
        hear: Hear,
        hear_dispute: HearDispute,
        pool: Pool,
        vault: Vault,
        runtime: Runtime,
        registry: CollectorRegistry,
        *,
        keep: timedelta,
    ) -> None:
        """`readers` by the acquirers' names."""
        self._readers = readers
        self._hear = hear
        self._hear_dispute = hear_dispute
        self._pool = pool
        self._vault = vault
        self._runtime = runtime
        self._keep = keep
        self._messages = Counter(
            "rialto_connector_webhooks_total",
            "Messages of acquirers by what they came to; `again` is one that was heard before",
            ["connector", "outcome"],
            registry=registry,
        )

    def knows(self, connector: str) -> bool:
        """Whether an acquirer of this name sends messages here."""
        return connector in self._readers

    async def take(self, connector: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Take a message, with headers by their names in lower case. Raises: WebhookInvalid."""
        try:
            heard = self._readers[connector](body, headers)
            for text in (heard.message_id, heard.reference or "none"):
                if not (0 < len(text) <= MAX_LENGTH and text.isprintable()):
                    raise WebhookInvalid("the message's id and reference are texts of 1 to 255 characters")
        except WebhookInvalid:
            self._messages.labels(connector, "refused").inc()
            raise
        webhook_id, before = await self._kept(connector, heard, body)
        self._runtime.crash_point("gateway.connector_webhook.after_kept")
        if before != "received":
            self._messages.labels(connector, "again").inc()
            return
        outcome = await self._outcome(connector, heard)
        if outcome is None:
            # Taken all the same: told again, it would be no better known.
            log.warning("connector.webhook_of_nothing", connector=connector)
            outcome = "unknown_reference"
        self._runtime.crash_point("gateway.connector_webhook.before_concluded")
        await self._pool.execute(QUERIES["conclude"], webhook_id, outcome)
        self._messages.labels(connector, outcome).inc()

    async def _outcome(self, connector: str, heard: Heard) -> str | None:
        if isinstance(heard.says, Standing):
            return "applied" if await self._hear_dispute(connector, heard.says) else None
        return "ignored" if heard.reference is None else await self._hear(connector, heard.reference, heard.says)

    async def newest(
        self, connector: str, before: Place, reference: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return rows of messages after a place, the newest first."""
        return await self._pool.fetch(QUERIES["newest"], connector, before.at, before.id, reference, limit)

    def body_of(self, row: Mapping[str, Any]) -> str:
        """Return the body of a row as it came; what is no UTF-8 in it is replaced."""
        return self._vault.open(row["body"], _context(row["connector"], row["message_id"])).decode(errors="replace")

    async def sweep(self) -> float:
        """Forget a batch of old messages; come again at once after a full one."""
        tag: str = await self._pool.execute(QUERIES["sweep"], self._runtime.now() - self._keep, SWEEP)
        return 0.0 if tag == f"DELETE {SWEEP}" else PAUSE_SECONDS

    async def _kept(self, connector: str, heard: Heard, body: bytes) -> tuple[UUID, str]:
        [row] = await self._pool.fetch(
            QUERIES["keep"],
            self._runtime.ids.mint(),
            connector,
            heard.message_id,
            sha256(body).digest(),
            heard.reference,
            type(heard.says).__name__,
            self._vault.close(body, _context(connector, heard.message_id)),
            self._runtime.now(),
        )
        return row["webhook_id"], row["outcome"]


def _context(connector: str, message_id: str) -> bytes:
    return f"connector_webhook/{connector}/{message_id}".encode()
