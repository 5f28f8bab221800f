"""The bridge's tables in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_chain_bridge.application.ports import Sent
from rialto_chain_bridge.application.records import (
    Assigned,
    Deployment,
    Due,
    Intent,
    NewTransaction,
    SettlementView,
    Tracked,
)
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.confirmation import Block, Inclusion, Standing, TransactionState
from rialto_chain_bridge.domain.settlement import latest
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Connection, load_queries
from rialto_common.events import Event

_QUERIES = load_queries(__package__)

SETTLED_BY_DAY = _QUERIES["settled_by_day"]

# Far above what may be in flight: only a chain that lost everything comes near it, and the next turn takes the rest.
TRACKED_LIMIT = 500


class PostgresUnit:
    """A unit of work of the bridge."""

    def __init__(self, transaction: PostgresTransaction, chain_id: int, sender: str) -> None:
        self._transaction = transaction
        self.store = PostgresStore(transaction.connection, chain_id, sender)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


class PostgresUnits:
    """Opens units of work for one sender on one chain."""

    def __init__(self, unit_of_work: PostgresUnitOfWork, chain_id: int, sender: str) -> None:
        self._unit_of_work = unit_of_work
        self._chain_id = chain_id
        self._sender = sender

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        """Open a unit of work."""
        async with self._unit_of_work.begin() as transaction:
            yield PostgresUnit(transaction, self._chain_id, self._sender)


class PostgresStore:
    """One sender's rows on one chain, through one connection."""

    def __init__(self, connection: Connection, chain_id: int, sender: str) -> None:
        self._connection = connection
        self._key = (chain_id, sender)

    async def deployment(self) -> Deployment | None:
        """Return the contracts in use."""
        row = await self._connection.fetchrow(_QUERIES["deployment"], self._key[0])
        if row is None:
            return None
        treasury = row["treasury_amount"]
        return Deployment(**{**dict(row), "treasury_amount": None if treasury is None else int(treasury)})

    async def save_deployment(self, deployment: Deployment) -> bool:
        """Record the contracts."""
        saved = await self._connection.fetchval(
            _QUERIES["save_deployment"],
            deployment.chain_id,
            deployment.operator_address,
            deployment.token,
            deployment.token_decimals,
            deployment.token_address,
            deployment.settlement_address,
            deployment.mode,
            None if deployment.treasury_amount is None else str(deployment.treasury_amount),
            deployment.deposit_id,
            deployment.created_at,
        )
        return saved is not None

    async def save_intents(self, intents: Sequence[Intent]) -> set[UUID]:
        """Record requests; return the payments that had none."""
        rows = await self._connection.fetch(
            _QUERIES["save_intents"],
            self._key[0],
            [intent.payment_id for intent in intents],
            [intent.settlement_id for intent in intents],
            [intent.merchant_id for intent in intents],
            [intent.mode for intent in intents],
            [intent.shard for intent in intents],
            [str(intent.amount_minor) for intent in intents],
            [intent.currency for intent in intents],
            [intent.payee_address for intent in intents],
            [None if intent.token_amount is None else str(intent.token_amount) for intent in intents],
            [intent.deadline_at for intent in intents],
            [intent.failure_code for intent in intents],
            [intent.failure_detail for intent in intents],
            [intent.cause_id for intent in intents],
            [intent.traceparent for intent in intents],
            [intent.requested_at for intent in intents],
        )
        return {row["payment_id"] for row in rows}

    async def intent_contents(self, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
        """Return what was asked for before, as `Intent.content` has it."""
        rows = await self._connection.fetch(_QUERIES["intent_contents"], list(payment_ids))
        return {
            row["payment_id"]: (
                row["settlement_id"],
                row["merchant_id"],
                row["mode"],
                int(row["amount_minor"]),
                row["currency"],
                row["payee_address"],
            )
            for row in rows
        }

    async def waiting(self, now: datetime, limit: int) -> list[Waiting]:
        """Return settlements that are due for a batch."""
        rows = await self._connection.fetch(_QUERIES["waiting"], self._key[0], now, limit, latest(now))
        return [
            Waiting(
                row["payment_id"],
                row["payee_address"],
                int(row["token_amount"]),
                row["submissions"],
                row["next_attempt_at"],
            )
            for row in rows
        ]

    async def lock_sender(self, address: str, first_nonce: int) -> int:
        """Return the sender's next nonce, locked."""
        nonce = await self._connection.fetchval(_QUERIES["lock_sender"], self._key[0], address)
        if nonce is None:
            await self._connection.execute(_QUERIES["add_sender"], self._key[0], address, first_nonce)
            nonce = await self._connection.fetchval(_QUERIES["lock_sender"], self._key[0], address)
        return int(nonce)

    async def skip_nonces(self, next_nonce: int) -> None:
        """Never sign with a nonce below this one."""
        await self._connection.execute(_QUERIES["skip_nonces"], *self._key, next_nonce)

    async def under_way(self) -> int:
        """Return how many transactions are in no block yet."""
        return int(await self._connection.fetchval(_QUERIES["under_way"], *self._key))

    async def save_transactions(self, transactions: Sequence[NewTransaction], next_nonce: int) -> None:
        """Record signed transactions with their payments, and move the nonce on."""
        for new in transactions:
            await self._connection.execute(
                _QUERIES["save_transaction"],
                new.id,
                *self._key,
                new.nonce,
                new.kind,
                new.tx_hash,
                new.raw,
                new.payment_ids,
                new.recorded_at,
                new.deadline_at,
            )
            if new.payment_ids:
                await self._connection.execute(_QUERIES["assign"], new.id, new.payment_ids)
        await self._connection.execute(_QUERIES["move_nonce"], *self._key, next_nonce)

    async def due(self, now: datetime, limit: int) -> list[Due]:
        """Return transactions to hand to the node."""
        rows = await self._connection.fetch(_QUERIES["due"], *self._key, now, limit, latest(now))
        return [Due(row["id"], row["raw"], row["attempts"]) for row in rows]

    async def hurry(self, now: datetime) -> None:
        """Make every pending transaction due now."""
        await self._connection.execute(_QUERIES["hurry"], *self._key, now)

    async def record_attempts(
        self, due: Sequence[Due], outcomes: Sequence[Sent], now: datetime, next_attempts: Sequence[datetime]
    ) -> list[Tracked]:
        """Record outcomes; return the transactions that were accepted for the first time, in nonce order."""
        rows = await self._connection.fetch(
            _QUERIES["record_attempts"],
            [transaction.id for transaction in due],
            [outcome.attempt for outcome in outcomes],
            [outcome.error for outcome in outcomes],
            list(next_attempts),
            now,
        )
        accepted = [_tracked(row) for row in rows if row["accepted"] and not row["submitted"]]
        return sorted(accepted, key=lambda transaction: transaction.nonce)

    async def tracked(self) -> list[Tracked]:
        """Return the transactions under way, in nonce order."""
        return [_tracked(row) for row in await self._connection.fetch(_QUERIES["tracked"], *self._key, TRACKED_LIMIT)]

    async def newest_final(self, limit: int) -> list[Tracked]:
        """Return the newest final transactions, the newest first."""
        return [_tracked(row) for row in await self._connection.fetch(_QUERIES["newest_final"], *self._key, limit)]

    async def record_standings(
        self, changes: Sequence[tuple[Tracked, Standing, int]], now: datetime
    ) -> list[tuple[Tracked, Standing]]:
        """Record where transactions stand now; return those that stood as was thought, as known under the lock."""
        old = [transaction.standing.inclusion for transaction, _, _ in changes]
        new = [standing.inclusion for _, standing, _ in changes]
        rows = await self._connection.fetch(
            _QUERIES["record_standings"],
            [transaction.id for transaction, _, _ in changes],
            [transaction.standing.state for transaction, _, _ in changes],
            [None if inclusion is None else inclusion.block.hash for inclusion in old],
            [transaction.reorgs for transaction, _, _ in changes],
            [standing.state for _, standing, _ in changes],
            [None if inclusion is None else inclusion.succeeded for inclusion in new],
            [None if inclusion is None else inclusion.block.number for inclusion in new],
            [None if inclusion is None else inclusion.block.hash for inclusion in new],
            [None if inclusion is None else inclusion.gas_used for inclusion in new],
            [reorgs for _, _, reorgs in changes],
            now,
        )
        moved = {row["id"]: row for row in rows}
        return [
            (
                replace(
                    transaction,
                    submitted=moved[transaction.id]["submitted"],
                    confirmed_before=moved[transaction.id]["confirmed_before"],
                ),
                standing,
            )
            for transaction, standing, _ in changes
            if transaction.id in moved
        ]

    async def assigned(self, transactions: Sequence[Tracked]) -> list[Assigned]:
        """Return the settlements in these transactions, by payment id."""
        payment_ids = [payment_id for transaction in transactions for payment_id in transaction.payment_ids]
        if not payment_ids:
            return []
        rows = await self._connection.fetch(
            _QUERIES["assigned"], payment_ids, [transaction.id for transaction in transactions]
        )
        return [
            Assigned(
                **{**dict(row), "amount_minor": int(row["amount_minor"]), "token_amount": int(row["token_amount"])}
            )
            for row in rows
        ]

    async def send_again(self, payment_ids: Sequence[UUID], due_ats: Sequence[datetime]) -> None:
        """Take settlements out of their transaction, to wait for another one."""
        await self._connection.execute(_QUERIES["send_again"], list(payment_ids), list(due_ats))

    async def fail(self, payment_ids: Sequence[UUID], codes: Sequence[str], details: Sequence[str]) -> None:
        """Take settlements out of their transaction and give them up."""
        await self._connection.execute(_QUERIES["fail"], list(payment_ids), list(codes), list(details))

    async def settlement(self, payment_id: UUID) -> SettlementView | None:
        """Return a settlement as the API shows it."""
        row = await self._connection.fetchrow(_QUERIES["settlement"], payment_id)
        if row is None:
            return None
        amount = row["token_amount"]
        numbers = {
            "amount_minor": int(row["amount_minor"]),
            "token_amount": None if amount is None else int(amount),
        }
        return SettlementView(**{**dict(row), **numbers})

    async def overview(self, now: datetime) -> dict[str, int]:
        """Return how much waits, is pending, is unknown and is overdue."""
        row = await self._connection.fetchrow(_QUERIES["overview"], *self._key, now)
        return {} if row is None else {name: int(value) for name, value in row.items()}


def _tracked(row: Any) -> Tracked:
    inclusion = None
    if row["block_hash"] is not None:
        block = Block(row["block_number"], row["block_hash"])
        inclusion = Inclusion(block, bool(row["succeeded"]), row["gas_used"] or 0)
    return Tracked(
        id=row["id"],
        nonce=row["nonce"],
        kind=row["kind"],
        tx_hash=row["tx_hash"],
        standing=Standing(TransactionState(row["state"]), inclusion),
        payment_ids=tuple(row["payment_ids"]),
        reorgs=row["reorgs"],
        submitted=row["submitted"],
        confirmed_before=row["confirmed_before"],
    )
