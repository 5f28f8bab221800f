"""Prices and fees in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, Pool, load_queries
from rialto_gateway.cursors import Place
from rialto_gateway.pricing.price import Fee, Price, Rate

QUERIES = load_queries(__package__)
ANY = "any"
"""What stands in the table for every method, or every currency."""


class PostgresPricing:
    """Prices and fees, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self) -> None:
        """Keep others from changing prices until the transaction ends."""
        await self._connection.execute(QUERIES["lock"])

    async def prices(self, merchant_id: UUID, mode: str) -> list[Price]:
        """Return a merchant's prices, in the order of methods and currencies."""
        return prices_of(await self._connection.fetch(QUERIES["prices"], merchant_id, mode))

    async def set_prices(self, merchant_id: UUID, mode: str, prices: Sequence[Price], now: datetime) -> None:
        """Put prices in the place of those before."""
        await self._connection.execute(QUERIES["forget_prices"], merchant_id, mode)
        await self._connection.execute(
            QUERIES["set_prices"],
            merchant_id,
            mode,
            now,
            [each.method or ANY for each in prices],
            [each.currency or ANY for each in prices],
            [each.rate.bps for each in prices],
            [each.rate.fixed_minor for each in prices],
        )

    async def charge(self, fees: Sequence[Fee], now: datetime) -> None:
        """Record fees."""
        await self._connection.execute(
            QUERIES["charge"],
            now,
            [fee.id for fee in fees],
            [fee.payment_id for fee in fees],
            [fee.merchant_id for fee in fees],
            [fee.mode for fee in fees],
            [fee.currency for fee in fees],
            [fee.kind for fee in fees],
            [fee.amount_minor for fee in fees],
            [fee.rate.bps for fee in fees],
            [fee.rate.fixed_minor for fee in fees],
        )


class PostgresFees:
    """Reads of what is committed, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def prices(self, merchant_id: UUID, mode: str) -> list[Price]:
        """Return a merchant's prices, in the order of methods and currencies."""
        return prices_of(await self._pool.fetch(QUERIES["prices"], merchant_id, mode))

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's fees, oldest first."""
        return await self._pool.fetch(QUERIES["of_payment"], payment_id)

    async def page(
        self, merchant_id: UUID, mode: str, *, since: datetime, before: Place, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return fees charged since an instant and before a place, the newest first."""
        return await self._pool.fetch(QUERIES["page"], merchant_id, mode, since, before.at, before.id, limit)

    async def totals(
        self, merchant_id: UUID, mode: str, *, since: datetime, until: datetime
    ) -> Sequence[Mapping[str, Any]]:
        """Return what the fees of a period come to, a row a currency and kind."""
        return await self._pool.fetch(QUERIES["totals"], merchant_id, mode, since, until)


def prices_of(rows: Sequence[Any]) -> list[Price]:
    """Return the prices of rows of `gateway.prices`."""
    return [
        Price(
            Rate(row["bps"], int(row["fixed_minor"])),
            None if row["method"] == ANY else row["method"],
            None if row["currency"] == ANY else row["currency"],
        )
        for row in rows
    ]
