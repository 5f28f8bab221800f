"""Disputes in PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import Keyring
from rialto_gateway.disputes.dispute import Dispute
from rialto_gateway.payments.store import PostgresUnit

QUERIES = load_queries(__package__)


class Disputes:
    """The disputes' table, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self, dispute_id: UUID) -> Dispute | None:
        """Load a dispute and keep others from changing it until the transaction ends."""
        row = await self._connection.fetchrow(QUERIES["lock"], dispute_id)
        return None if row is None else dispute_of(row)

    async def add(self, dispute: Dispute, now: datetime) -> None:
        """Record a dispute that was just opened."""
        await self._connection.execute(
            QUERIES["add"],
            dispute.id,
            dispute.payment_id,
            dispute.merchant_id,
            dispute.mode,
            dispute.currency,
            dispute.connector,
            dispute.reference,
            dispute.amount_minor,
            dispute.fee_minor,
            dispute.reason,
            dispute.respond_by,
            dispute.opened_at,
            dispute.due_at,
            now,
        )

    async def save(self, dispute: Dispute, now: datetime) -> None:
        """Write a dispute back."""
        await self._connection.execute(
            QUERIES["save"],
            dispute.id,
            dispute.state,
            dispute.cause,
            dispute.sending,
            dispute.asks,
            dispute.respond_by,
            dispute.submitted_at,
            dispute.closed_at,
            dispute.due_at,
            now,
        )

    async def keep_evidence(self, dispute_id: UUID, sealed: Sealed, now: datetime) -> None:
        """Keep evidence, sealed under the payer's key, in place of any before."""
        await self._connection.execute(QUERIES["keep_evidence"], dispute_id, sealed.model_dump_json(), now)

    async def payer(self, payment_id: UUID) -> UUID:
        """Return the party whose key seals what is told of a payer."""
        payer = await self._connection.fetchval(QUERIES["payer"], payment_id)
        return Sealed.model_validate_json(payer).party_id


@dataclass(frozen=True, slots=True)
class DisputeUnit:
    """A unit of work of the gateway, with the disputes' table."""

    unit: PostgresUnit
    disputes: Disputes


class DisputeUnits:
    """Opens units of work."""

    def __init__(self, unit_of_work: UnitOfWork[PostgresTransaction], keyring: Keyring) -> None:
        self._unit_of_work = unit_of_work
        self._keyring = keyring

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[DisputeUnit]:
        """Open one: it commits when the block ends and rolls back when the block raises."""
        async with self._unit_of_work.begin() as transaction:
            yield DisputeUnit(PostgresUnit(transaction, self._keyring), Disputes(transaction.connection))


class DisputeReader:
    """Reads of what is committed, and the claims of those that are due."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Dispute]:
        """Take disputes that are due, the longest overdue first, and leave them to nobody else until the lease ends."""
        return [dispute_of(row) for row in await self._pool.fetch(QUERIES["claim"], now, until, limit)]

    async def find(self, dispute_id: UUID) -> Dispute | None:
        """Return a dispute of any merchant, or None."""
        row = await self._pool.fetchrow(QUERIES["find"], dispute_id)
        return None if row is None else dispute_of(row)

    async def row(self, dispute_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a dispute; None where there is none for this caller."""
        row: Mapping[str, Any] | None = await self._pool.fetchrow(QUERIES["get"], dispute_id, merchant_id, mode)
        return row

    async def page(
        self,
        merchant_id: UUID,
        mode: str,
        *,
        at: datetime,
        before: UUID,
        state: str | None,
        payment_id: UUID | None,
        limit: int,
    ) -> Sequence[Mapping[str, Any]]:
        """Return disputes before a place, the newest first."""
        return await self._pool.fetch(QUERIES["page"], merchant_id, mode, at, before, state, payment_id, limit)

    async def evidence(self, dispute_id: UUID) -> bytes | None:
        """Return the evidence as it was kept; None where there is none, or its person's key was destroyed."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(QUERIES["find"], dispute_id)
            if row is None or row["evidence"] is None:
                return None
            [text] = await self._keyring.open(connection, [Sealed.model_validate_json(row["evidence"])])
            return None if isinstance(text, PaymentError) else text


def dispute_of(row: Any) -> Dispute:
    """Return the dispute of a row."""
    return Dispute(
        id=row["dispute_id"],
        payment_id=row["payment_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        currency=row["currency"],
        connector=row["connector"],
        reference=row["reference"],
        amount_minor=int(row["amount_minor"]),
        fee_minor=int(row["fee_minor"]),
        reason=row["reason"],
        respond_by=row["respond_by"],
        opened_at=row["opened_at"],
        due_at=row["due_at"],
        state=row["state"],
        cause=row["cause"],
        has_evidence=row["evidence"] is not None,
        sending=row["sending"],
        asks=row["asks"],
        submitted_at=row["submitted_at"],
        closed_at=row["closed_at"],
    )
