"""Payouts in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.payouts.payout import Counts, Line, Payout, Waiting, counted
from rialto_gateway.payouts.ports import HeldBack, Named, Settings
from rialto_gateway.payouts.schedule import Terms, held_since

QUERIES = load_queries(__package__)


class PostgresPayouts:
    """The payouts' tables, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock_settings(self, merchant_id: UUID, mode: str) -> Settings | None:
        """Load a merchant's settings, locked."""
        return _settings(await self._connection.fetchrow(QUERIES["lock_settings"], merchant_id, mode))

    async def save_settings(self, settings: Settings, now: datetime) -> None:
        """Write settings back, or for the first time."""
        await self._connection.execute(
            QUERIES["save_settings"],
            settings.merchant_id,
            settings.mode,
            settings.terms.schedule,
            settings.terms.cut_off_hour,
            settings.next_at,
            settings.payouts,
            now,
            settings.terms.reserve_bps,
            settings.terms.reserve_days,
        )

    async def hold_back(self, shares: Sequence[HeldBack], now: datetime) -> None:
        """Add to what is held back of today's captures."""
        await self._connection.execute(
            QUERIES["hold_back"],
            now.date(),
            [share.merchant_id for share in shares],
            [share.mode for share in shares],
            [share.currency for share in shares],
            [share.amount_minor for share in shares],
        )

    async def waiting(self, merchant_id: UUID, mode: str, currency: str, limit: int) -> list[Waiting]:
        """Return payments that wait for a payout, the oldest first."""
        rows = await self._connection.fetch(QUERIES["waiting"], merchant_id, mode, currency, limit)
        return [Waiting(row["payment_id"], int(row["amount_minor"])) for row in rows]

    async def made_under(self, merchant_id: UUID, mode: str, named: Named) -> UUID | None:
        """Return the payout that was asked for before under the key, if any. Raises: IdempotencyKeyReused."""
        row = await self._connection.fetchrow(QUERIES["by_key"], merchant_id, mode, named.key)
        return None if row is None else found_under(row["payout_id"], row["request_hash"], named)

    async def add(self, payout: Payout, payments: Sequence[Waiting], named: Named | None) -> None:
        """Record a payout with its payments."""
        await self._connection.execute(
            QUERIES["add"],
            payout.id,
            payout.merchant_id,
            payout.mode,
            payout.currency,
            payout.amount_minor,
            payout.payments,
            payout.asked_by,
            payout.sequence,
            payout.deadline_at,
            None if named is None else named.key,
            None if named is None else named.request_hash,
            payout.created_at,
        )
        await self._connection.execute(
            QUERIES["add_payments"],
            payout.id,
            [each.payment_id for each in payments],
            [each.amount_minor for each in payments],
        )

    async def move(self, lines: Sequence[Line], recount: Sequence[UUID], now: datetime) -> list[tuple[Payout, Payout]]:
        """Write how payments stand, and count their payouts anew."""
        payout_ids = sorted({*(line.payout_id for line in lines), *recount})
        before = [payout_of(row) for row in await self._connection.fetch(QUERIES["lock"], payout_ids)]
        newest = list({line.payment_id: line for line in lines}.values())
        await self._connection.execute(
            QUERIES["move"],
            [line.payout_id for line in newest],
            [line.payment_id for line in newest],
            [line.state for line in newest],
            [line.code for line in newest],
        )
        rows = await self._connection.fetch(QUERIES["count"], payout_ids)
        counts = {row["payout_id"]: Counts(row["in_transit"], row["paid"], row["failed"], row["code"]) for row in rows}
        after = [counted(payout, counts[payout.id], now) for payout in before]
        await self._connection.execute(
            QUERIES["save"],
            now,
            [payout.id for payout in after],
            [payout.in_transit for payout in after],
            [payout.paid for payout in after],
            [payout.failed for payout in after],
            [payout.state for payout in after],
            [payout.failure_code for payout in after],
            [payout.sequence for payout in after],
            [payout.deadline_at for payout in after],
        )
        return list(zip(before, after, strict=True))


class PostgresPayoutReader:
    """Reads of what is committed, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def settings(self, merchant_id: UUID, mode: str) -> Settings | None:
        """Return a merchant's settings; None: those of everyone."""
        return _settings(await self._pool.fetchrow(QUERIES["settings"], merchant_id, mode))

    async def due(self, now: datetime, limit: int) -> Sequence[Settings]:
        """Return settings whose next look is due."""
        rows = await self._pool.fetch(QUERIES["due"], now, limit)
        return [found for row in rows if (found := _settings(row)) is not None]

    async def currencies(self, merchant_id: UUID, mode: str) -> list[str]:
        """Return the currencies in which payments of a merchant wait."""
        return [row["currency"] for row in await self._pool.fetch(QUERIES["currencies"], merchant_id, mode)]

    async def pending_minor(self, merchant_id: UUID, mode: str, currency: str) -> int:
        """Return what of a merchant's money is captured and neither waits nor is paid."""
        return int(await self._pool.fetchval(QUERIES["pending"], merchant_id, mode, currency))

    async def held_minor(self, settings: Settings, currency: str, now: datetime) -> int:
        """Return what of a merchant's captures is held back now."""
        return (await held(self._pool, settings, now, currency)).get(currency, 0)

    async def overdue(self, now: datetime, limit: int) -> list[UUID]:
        """Return payouts whose deadline has passed."""
        return [row["payout_id"] for row in await self._pool.fetch(QUERIES["overdue"], now, limit)]

    async def row(self, payout_id: UUID, merchant_id: UUID, mode: str) -> Mapping[str, Any] | None:
        """Return a payout; None where there is none for this caller."""
        row: Mapping[str, Any] | None = await self._pool.fetchrow(QUERIES["get"], payout_id, merchant_id, mode)
        return row

    async def page(
        self, merchant_id: UUID, mode: str, *, at: datetime, before: UUID, state: str | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return payouts before a place, the newest first."""
        return await self._pool.fetch(QUERIES["page"], merchant_id, mode, at, before, state, limit)

    async def payments(self, payout_id: UUID, after: UUID, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return a payout's payments after an id, in id order."""
        return await self._pool.fetch(QUERIES["payments"], payout_id, after, limit)


async def held(pool: Pool, settings: Settings, now: datetime, currency: str | None = None) -> dict[str, int]:
    """Return what of a merchant's captures is held back now, by currency."""
    if settings.terms.reserve_bps == 0:
        return {}
    since = held_since(settings.terms, now.date())
    rows = await pool.fetch(QUERIES["held"], settings.merchant_id, settings.mode, since, currency)
    return {row["currency"]: int(row["amount_minor"]) for row in rows}


def payout_of(row: Any) -> Payout:
    """Return the payout of a row."""
    return Payout(
        id=row["payout_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        currency=row["currency"],
        amount_minor=int(row["amount_minor"]),
        payments=row["payments"],
        asked_by=row["asked_by"],
        created_at=row["created_at"],
        deadline_at=row["deadline_at"],
        in_transit=row["in_transit"],
        paid=row["paid"],
        failed=row["failed"],
        state=row["state"],
        failure_code=row["failure_code"],
        sequence=row["sequence"],
    )


def found_under(payout_id: UUID, request_hash: bytes, named: Named) -> UUID:
    """Return the payout of a row found by its key. Raises: IdempotencyKeyReused: the key stands for another."""
    if request_hash != named.request_hash:
        raise IdempotencyKeyReused("this Idempotency-Key was used for another payout; use a new key")
    return payout_id


def _settings(row: Any) -> Settings | None:
    if row is None:
        return None
    terms = Terms(row["schedule"], row["cut_off_hour"], row["reserve_bps"], row["reserve_days"])
    return Settings(row["merchant_id"], row["mode"], terms, row["next_at"], row["payouts"])
