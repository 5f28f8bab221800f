"""Payment links in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import Conflict, NotFound
from rialto_gateway.merchants.keys import Mode, Principal

QUERIES = load_queries(__package__)
LAST_ID = UUID(int=(1 << 128) - 1)
ACCEPTED_WITHIN = timedelta(minutes=10)
"""How long a form that was sent counts while it has no payment: longer than accepting one can take."""


class PaymentLinkNotFound(NotFound):
    """No such payment link for this key, or at this address."""

    code = "payment_link_not_found"


class PaymentLinkClosed(Conflict):
    """The link takes no payment any more: it was deactivated, has expired, or has made all it was for."""

    code = "payment_link_closed"


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """A link; `amount_minor` in minor units of `currency`, `max_payments` how many it is for."""

    id: UUID
    slug: str
    merchant_id: UUID
    mode: Mode
    amount_minor: int
    currency: str
    description: str
    return_url: str | None
    metadata: dict[str, str]
    max_payments: int
    expires_at: datetime | None
    created_at: datetime
    deactivated_at: datetime | None
    merchant_name: str
    settlement_address: str

    @property
    def text_id(self) -> str:
        """Its id as the API writes it."""
        return ids.to_text("plink", self.id)

    @property
    def principal(self) -> Principal:
        """The merchant, in whose name a payer pays by it."""
        return Principal(self.merchant_id, self.mode, self.settlement_address)

    def is_open(self, now: datetime) -> bool:
        """Whether it takes payments, as far as it knows by itself."""
        return self.deactivated_at is None and (self.expires_at is None or now < self.expires_at)

    def key_of(self, nonce: str) -> str:
        """Return the idempotency key of the payment that a form makes."""
        return f"payment_link/{self.text_id}/{nonce}"


class PaymentLinks:
    """Keeps links, and counts what is paid by them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, connection: Connection, link: PaymentLink) -> None:
        """Keep a new link, in the caller's transaction."""
        await connection.execute(
            QUERIES["add"],
            link.id,
            link.slug,
            link.merchant_id,
            link.mode,
            str(link.amount_minor),
            link.currency,
            link.description,
            link.return_url,
            orjson.dumps(link.metadata).decode(),
            link.max_payments,
            link.expires_at,
            link.created_at,
        )

    async def get(self, link_id: UUID, merchant_id: UUID, mode: Mode) -> PaymentLink:
        """Return a merchant's link. Raises: PaymentLinkNotFound."""
        row = await self._pool.fetchrow(QUERIES["get"], link_id, merchant_id, mode)
        if row is None:
            raise PaymentLinkNotFound(f"there is no payment link {ids.to_text('plink', link_id)} for this key")
        return _link(row)

    async def newest(self, merchant_id: UUID, mode: Mode, *, before: UUID | None, limit: int) -> list[PaymentLink]:
        """Return a merchant's links, newest first, older than `before`."""
        rows = await self._pool.fetch(QUERIES["list"], merchant_id, mode, before or LAST_ID, limit)
        return [_link(row) for row in rows]

    async def deactivate(self, link_id: UUID, merchant_id: UUID, mode: Mode, now: datetime) -> None:
        """Take no more payments by a link; what was paid stays."""
        await self._pool.execute(QUERIES["deactivate"], link_id, merchant_id, mode, now)

    async def at(self, slug: str) -> PaymentLink | None:
        """Return the link of an address, or None."""
        row = await self._pool.fetchrow(QUERIES["by_slug"], slug)
        return None if row is None else _link(row)

    async def has_room(self, link: PaymentLink, now: datetime) -> bool:
        """Whether another payment may be made by a link, as far as is known now."""
        made = await self._pool.fetchval(QUERIES["uses"], link.id, "", now - ACCEPTED_WITHIN)
        return int(made) < link.max_payments

    async def use(self, link: PaymentLink, key: str, now: datetime) -> None:
        """Record that a form was sent, before its payment is accepted; the same form again is the same use.

        Raises: PaymentLinkClosed: it has made all the payments that it is for.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            limit = await connection.fetchval(QUERIES["lock"], link.id)
            made = await connection.fetchval(QUERIES["uses"], link.id, key, now - ACCEPTED_WITHIN)
            if made >= limit:
                raise PaymentLinkClosed("what this link asks for has been paid, or is being paid")
            await connection.execute(QUERIES["use"], link.id, key, now)

    async def take_back(self, link: PaymentLink, key: str) -> None:
        """Forget a form that was refused: its payer may want to begin anew. One that has a payment stays."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchval(QUERIES["lock"], link.id)
            await connection.execute(QUERIES["take_back"], link.id, key)

    async def payment_under(self, link: PaymentLink, key: str) -> UUID | None:
        """Return the payment that a form has made, or None."""
        found: UUID | None = await self._pool.fetchval(QUERIES["payment_under"], link.merchant_id, link.mode, key)
        return found


def _link(row: Mapping[str, Any]) -> PaymentLink:
    return PaymentLink(
        id=row["link_id"],
        slug=row["slug"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
        description=row["description"],
        return_url=row["return_url"],
        metadata=orjson.loads(row["metadata"]),
        max_payments=row["max_payments"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        deactivated_at=row["deactivated_at"],
        merchant_name=row["merchant_name"],
        settlement_address=row["settlement_address"],
    )
