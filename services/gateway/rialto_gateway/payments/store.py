"""Payments in PostgreSQL: set-based, one statement per kind of row and batch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import IdempotencyKeyReused
from rialto_common.events.common import Sealed
from rialto_common.events.envelope import Event
from rialto_common.keyring import Keyring
from rialto_gateway.attempts.store import PostgresAttempts
from rialto_gateway.increments.store import PostgresIncrements
from rialto_gateway.payments.machine import CaptureChange
from rialto_gateway.payments.ports import IdempotencyKey, NewPayment, TimelineLine
from rialto_gateway.payments.states import Payment, Settlement
from rialto_gateway.payouts.store import PostgresPayouts
from rialto_gateway.pricing.store import PostgresPricing
from rialto_gateway.refunds.store import PostgresRefunds
from rialto_gateway.saved_methods.uses import PostgresMandateUses
from rialto_gateway.webhooks.messages import PostgresMessages

QUERIES = load_queries(__package__)


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

    async def by_idempotency_key(self, keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, tuple[UUID, bytes]]:
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
        await self._connection.execute(
            QUERIES["save"],
            now,
            [payment.id for payment in payments],
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
            [settlement_json(payment.settlement) for payment in payments],
            [payment.authorised_at for payment in payments],
            [payment.deadline_at for payment in payments],
            [payment.sequence for payment in payments],
        )
        # Apart, as most payments are wallets' that nobody refunds, and each column of a batch costs all of them.
        more = [
            payment
            for payment in payments
            if payment.method == "card"
            or payment.refunds > 0
            or payment.increments > 0
            or payment.payout_schedule != "immediate"
            or payment.waits_for_payout
            or payment.payout_id is not None
        ]
        if more:
            await self._connection.execute(
                QUERIES["save_more"],
                [payment.id for payment in more],
                [payment.authorisations for payment in more],
                [payment.voids for payment in more],
                [payment.connector for payment in more],
                [payment.authorisation for payment in more],
                [payment.next_action_url for payment in more],
                [payment.amount_refunded_minor for payment in more],
                [payment.refund_pending_minor for payment in more],
                [payment.refunds for payment in more],
                [payment.waits_for_payout for payment in more],
                [payment.payout_id for payment in more],
                [payment.amount_disputed_minor for payment in more],
                [payment.amount_minor for payment in more],
                [payment.increments for payment in more],
                [payment.increment_to_minor for payment in more],
                [payment.amount_assessed_minor for payment in more],
            )
        priced = [payment for payment in payments if payment.fee_basis_minor > 0 or payment.fee_minor > 0]
        if priced:
            await self._connection.execute(
                QUERIES["save_fees"],
                [payment.id for payment in priced],
                [payment.fee_basis_minor for payment in priced],
                [payment.fee_pending_minor for payment in priced],
                [payment.fee_minor for payment in priced],
            )
        await self._keep_payables([payment for payment in payments if payment.amount_captured_minor > 0])

    async def _keep_payables(self, captured: Sequence[Payment]) -> None:
        """Keep what is captured and not yet paid in step with the payments."""
        unpaid = [
            payment
            for payment in captured
            if payment.state in ("authorised", "captured") and payment.amount_net_minor > 0
        ]
        paid = [payment.id for payment in captured if payment.state == "settled"]
        if unpaid:
            await self._connection.execute(
                QUERIES["keep_payables"],
                [payment.id for payment in unpaid],
                [payment.merchant_id for payment in unpaid],
                [payment.mode for payment in unpaid],
                [payment.currency for payment in unpaid],
                [payment.amount_net_minor for payment in unpaid],
                [payment.waits_for_payout for payment in unpaid],
            )
        if paid:
            await self._connection.execute(QUERIES["drop_payables"], paid)

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


class PostgresPeople:
    """Personal data under the keyring's keys, made in the caller's transaction."""

    def __init__(self, connection: Connection, keyring: Keyring) -> None:
        self._connection = connection
        self._keyring = keyring

    def party_id(self, scope: UUID, person: Mapping[str, object]) -> UUID:
        """Return a person's id within a scope."""
        return self._keyring.party_id(scope, person)

    async def seal(self, people: Sequence[tuple[UUID, bytes]]) -> list[Sealed]:
        """Seal one text per party."""
        return await self._keyring.seal(self._connection, people)


class PostgresUnit:
    """A unit of work of the gateway."""

    def __init__(self, transaction: PostgresTransaction, keyring: Keyring) -> None:
        self._transaction = transaction
        self.payments = PostgresPayments(transaction.connection)
        self.attempts = PostgresAttempts(transaction.connection)
        self.refunds = PostgresRefunds(transaction.connection)
        self.increments = PostgresIncrements(transaction.connection)
        self.mandates = PostgresMandateUses(transaction.connection)
        self.payouts = PostgresPayouts(transaction.connection)
        self.pricing = PostgresPricing(transaction.connection)
        self.messages = PostgresMessages(transaction.connection)
        self.people = PostgresPeople(transaction.connection, keyring)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


class PostgresUnits:
    """Opens units of work of the gateway."""

    def __init__(self, unit_of_work: UnitOfWork[PostgresTransaction], keyring: Keyring) -> None:
        self._unit_of_work = unit_of_work
        self._keyring = keyring

    @asynccontextmanager
    async def begin(self, *, admitting: bool = False) -> AsyncIterator[PostgresUnit]:
        """Open a unit of work."""
        async with self._unit_of_work.begin(admitting=admitting) as transaction:
            yield PostgresUnit(transaction, self._keyring)


class PostgresPaymentReader:
    """Reads of committed payments, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def row(self, payment_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a payment; None where there is none for this caller."""
        row: Mapping[str, Any] | None = await self._pool.fetchrow(QUERIES["get"], payment_id, merchant_id, mode)
        return row

    async def made_under(self, key: IdempotencyKey) -> tuple[UUID, bytes] | None:
        """Return the payment accepted under a key, and the hash of its request."""
        row = await self._pool.fetchrow(QUERIES["by_idempotency_key"], *([part] for part in key))
        return None if row is None else (row["payment_id"], row["request_hash"])

    async def rows(self, payment_ids: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        """Return payments by id."""
        return await self._pool.fetch(QUERIES["get_many"], list(payment_ids))

    async def timeline(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's timeline, oldest first."""
        return await self._pool.fetch(QUERIES["timeline"], payment_id)

    async def captures(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's captures."""
        return await self._pool.fetch(QUERIES["captures"], payment_id)

    async def increments(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's increments."""
        return await self._pool.fetch(QUERIES["increments"], payment_id)

    async def newest(
        self,
        merchant_id: UUID | None,
        mode: str,
        *,
        before: UUID,
        state: str | None,
        limit: int,
        down_to: UUID | None = None,
    ) -> Sequence[Mapping[str, Any]]:
        """Return payments below an id, the newest first."""
        if merchant_id is None:
            return await self._pool.fetch(QUERIES["list_of_all"], mode, before, state, limit, down_to)
        return await self._pool.fetch(QUERIES["list_of_merchant"], merchant_id, mode, before, state, limit, down_to)

    async def floor(self, merchant_id: UUID | None, mode: str, *, before: UUID, depth: int) -> UUID | None:
        """Return the id to look down to, so as to look at no more than `depth` payments."""
        found: UUID | None
        if merchant_id is None:
            found = await self._pool.fetchval(QUERIES["floor_of_all"], before, depth - 1)
        else:
            found = await self._pool.fetchval(QUERIES["floor_of_merchant"], merchant_id, mode, before, depth - 1)
        return found

    async def changes(
        self, merchant_id: UUID | None, mode: str, *, since: datetime, after: UUID, limit: int
    ) -> Sequence[tuple[datetime, UUID]]:
        """Return when which payment changed, oldest first."""
        rows = await self._pool.fetch(QUERIES["changed_since"], since, after, mode, merchant_id, limit)
        return [(row["at"], row["payment_id"]) for row in rows]

    async def decided(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these payments are no longer undecided."""
        return [row["payment_id"] for row in await self._pool.fetch(QUERIES["decided"], list(payment_ids))]

    async def answered(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return for which of these payments the ledger has answered everything."""
        return [row["payment_id"] for row in await self._pool.fetch(QUERIES["answered"], list(payment_ids))]

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        """Return payments whose deadline has passed."""
        return [row["payment_id"] for row in await self._pool.fetch(QUERIES["due"], now, limit)]

    async def postpone(self, payment_id: UUID, until: datetime) -> None:
        """Look at a payment again later."""
        await self._pool.execute(QUERIES["postpone"], payment_id, until)


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
        method="wallet" if row["wallet_id"] is not None else "card",
        authorisations=row["authorisations"],
        voids=row["voids"],
        connector=row["connector"],
        authorisation=row["acquirer_reference"],
        next_action_url=row["next_action_url"],
        amount_refunded_minor=int(row["amount_refunded_minor"]),
        refund_pending_minor=int(row["refund_pending_minor"]),
        refunds=row["refunds"],
        payout_schedule=row["payout_schedule"],
        reserve_bps=row["reserve_bps"],
        waits_for_payout=row["waits_for_payout"],
        payout_id=row["payout_id"],
        amount_disputed_minor=int(row["amount_disputed_minor"]),
        fee_bps=row["fee_bps"],
        fee_fixed_minor=int(row["fee_fixed_minor"]),
        fee_basis_minor=int(row["fee_basis_minor"]),
        fee_pending_minor=int(row["fee_pending_minor"]),
        fee_minor=int(row["fee_minor"]),
        increments=row["increments"],
        increment_to_minor=_minor(row["increment_to_minor"]),
        amount_assessed_minor=_minor(row["amount_assessed_minor"]),
    )


def _minor(value: Any) -> int | None:
    return None if value is None else int(value)


def settlement_json(settlement: Settlement | None) -> str | None:
    """Return where the merchant was paid as the column `settlement` has it."""
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
