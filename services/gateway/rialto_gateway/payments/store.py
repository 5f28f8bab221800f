"""Payments in PostgreSQL: set-based, one statement per kind of row and batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from rialto_common.database import Connection, load_queries
from rialto_common.errors import IdempotencyKeyReused
from rialto_gateway.payments.machine import CaptureChange
from rialto_gateway.payments.states import Payment, Settlement

QUERIES = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to accept; `payer` and `payee` are sealed JSON."""

    payment_id: UUID
    merchant_id: UUID
    mode: str
    shard: int
    idempotency_key: str
    request_hash: bytes
    amount_minor: int
    currency: str
    wallet_id: UUID
    capture_method: str
    terminal_id: str | None
    description: str | None
    metadata: str
    payer: str
    payee: str | None
    payee_address: str
    occurred_at: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """A line to add to a payment's timeline."""

    payment_id: UUID
    nth: int
    state: str
    event: str
    cause: str | None
    actor: str
    detail: Mapping[str, Any] | None


class Payments(Protocol):
    """What the handlers need of the payments inside one transaction."""

    async def lock(self, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
        """Load payments and keep others from changing them until the transaction ends."""
        ...

    async def save(self, payments: Sequence[Payment], now: datetime) -> None:
        """Write payments back, and their deadline rows."""
        ...

    async def add_timeline(self, lines: Sequence[TimelineLine], now: datetime) -> None:
        """Add lines to timelines."""
        ...

    async def record_captures(self, captures: Sequence[tuple[UUID, CaptureChange]], now: datetime) -> None:
        """Record captures asked for (payment id, capture), and the outcomes of earlier ones."""
        ...


class PostgresPayments:
    """The payments' tables, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> set[UUID]:
        """Insert the payments whose idempotency key is free; return their ids."""
        columns: list[list[Any]] = [[getattr(payment, name) for payment in new] for name in NewPayment.__slots__]
        rows = await self._connection.fetch(QUERIES["insert"], now, deadline_at, *columns)
        return {row["payment_id"] for row in rows}

    async def start_timeline(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> None:
        """Write the first timeline line and the deadline row of each."""
        details = [
            orjson.dumps({"amount_minor": str(item.amount_minor), "currency": item.currency}).decode() for item in new
        ]
        await self._connection.execute(
            QUERIES["start_timeline"], [item.payment_id for item in new], now, deadline_at, details
        )

    async def by_idempotency_key(
        self, keys: Sequence[tuple[UUID, str, str]]
    ) -> dict[tuple[UUID, str, str], tuple[UUID, bytes]]:
        """Return payment id and request hash by (merchant, mode, idempotency key)."""
        rows = await self._connection.fetch(
            QUERIES["by_idempotency_key"], [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]
        )
        return {
            (row["merchant_id"], row["mode"], row["idempotency_key"]): (row["payment_id"], row["request_hash"])
            for row in rows
        }

    async def lock(self, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
        """Load payments, locked in id order."""
        rows = await self._connection.fetch(QUERIES["lock"], list(payment_ids))
        return {row["payment_id"]: _payment(row) for row in rows}

    async def save(self, payments: Sequence[Payment], now: datetime) -> None:
        """Write payments back, and their deadline rows."""
        ids = [payment.id for payment in payments]
        deadlines = [payment.deadline_at for payment in payments]
        await self._connection.execute(
            QUERIES["save"],
            now,
            ids,
            [payment.state for payment in payments],
            [payment.reason for payment in payments],
            [payment.decline_code for payment in payments],
            [payment.fraud for payment in payments],
            [payment.compliance for payment in payments],
            [payment.amount_captured_minor for payment in payments],
            [payment.capture_pending_minor for payment in payments],
            [payment.captures for payment in payments],
            [payment.void_reason for payment in payments],
            [payment.asked for payment in payments],
            [_settlement_json(payment.settlement) for payment in payments],
            [payment.authorised_at for payment in payments],
            deadlines,
            [payment.sequence for payment in payments],
        )
        await self._connection.execute(QUERIES["move_deadlines"], ids, deadlines)

    async def add_timeline(self, lines: Sequence[TimelineLine], now: datetime) -> None:
        """Add lines to timelines."""
        await self._connection.execute(
            QUERIES["add_timeline"],
            now,
            [line.payment_id for line in lines],
            [line.nth for line in lines],
            [line.state for line in lines],
            [line.event for line in lines],
            [line.cause for line in lines],
            [line.actor for line in lines],
            [None if line.detail is None else orjson.dumps(line.detail).decode() for line in lines],
        )

    async def record_captures(self, captures: Sequence[tuple[UUID, CaptureChange]], now: datetime) -> None:
        """Insert the captures asked for; resolve those that have an outcome."""
        asked = [(payment_id, change) for payment_id, change in captures if change.state == "pending"]
        resolved = [change for _, change in captures if change.state != "pending"]
        if asked:
            await self._connection.execute(
                QUERIES["record_captures"],
                now,
                [change.capture_id for _, change in asked],
                [payment_id for payment_id, _ in asked],
                [change.ordinal for _, change in asked],
                [change.amount_minor for _, change in asked],
                [change.final for _, change in asked],
                [change.state for _, change in asked],
                [change.failure_code for _, change in asked],
            )
        if resolved:
            await self._connection.execute(
                QUERIES["resolve_captures"],
                now,
                [change.capture_id for change in resolved],
                [change.state for change in resolved],
                [change.failure_code for change in resolved],
            )

    async def captured_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this capture was asked for before under the key.

        Raises: IdempotencyKeyReused: another capture was.
        """
        row = await self._connection.fetchrow(QUERIES["capture_by_key"], payment_id, key)
        if row is not None and row["request_hash"] != request_hash:
            raise IdempotencyKeyReused("this Idempotency-Key was used for another capture; use a new key")
        return row is not None

    async def name_capture(self, payment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of the capture just recorded, and what it stands for."""
        await self._connection.execute(QUERIES["name_capture"], payment_id, key, request_hash)


def _payment(row: Any) -> Payment:
    return Payment(
        id=row["payment_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        shard=row["shard"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
        wallet_id=row["wallet_id"],
        capture_method=row["capture_method"],
        payee_address=row["payee_address"],
        state=row["state"],
        reason=row["reason"],
        decline_code=row["decline_code"],
        fraud=row["fraud"],
        compliance=row["compliance"],
        amount_captured_minor=int(row["amount_captured_minor"]),
        capture_pending_minor=int(row["capture_pending_minor"]),
        captures=row["captures"],
        void_reason=row["void_reason"],
        asked=row["asked"],
        settlement=_settlement(row["settlement"]),
        authorised_at=row["authorised_at"],
        deadline_at=row["deadline_at"],
        sequence=row["sequence"],
    )


def _settlement_json(settlement: Settlement | None) -> str | None:
    if settlement is None:
        return None
    return orjson.dumps(
        {
            "batch_id": str(settlement.batch_id),
            "chain_id": settlement.chain_id,
            "tx_hash": settlement.tx_hash,
            "token": settlement.token,
            "token_amount": None if settlement.token_amount is None else str(settlement.token_amount),
            "block_number": settlement.block_number,
        }
    ).decode()


def _settlement(text: str | None) -> Settlement | None:
    if text is None:
        return None
    fields = orjson.loads(text)
    return Settlement(
        UUID(fields["batch_id"]),
        fields["chain_id"],
        fields["tx_hash"],
        fields["token"],
        None if fields["token_amount"] is None else int(fields["token_amount"]),
        fields["block_number"],
    )
