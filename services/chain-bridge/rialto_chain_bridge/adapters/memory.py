"""The bridge's tables in memory: for simulation and tests, under the same contract as PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_chain_bridge.application.ports import Attempt, Sent
from rialto_chain_bridge.application.records import Assigned, Deployment, Due, Intent, NewTransaction, Tracked
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.confirmation import FINAL, Standing, TransactionState
from rialto_chain_bridge.domain.settlement import is_due
from rialto_common.bus.memory import MemoryTransaction, MemoryUnitOfWork
from rialto_common.errors import InvariantViolated
from rialto_common.events import Event

_UNSEEN = Standing(TransactionState.PENDING)


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A signed transaction and what became of it."""

    new: NewTransaction
    next_attempt_at: datetime | None
    standing: Standing = _UNSEEN
    attempt: Attempt = Attempt.STARTED
    attempts: int = 0
    attempt_error: str | None = None
    reorgs: int = 0
    submitted_at: datetime | None = None
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IntentRow:
    """A payment to be settled, and the transaction that it is in."""

    intent: Intent
    next_attempt_at: datetime
    failure_code: str | None
    failure_detail: str | None
    transaction_id: UUID | None = None
    submissions: int = 0


@dataclass
class BridgeStore:
    """Everything the bridge keeps for one sender on one chain, committed."""

    deployments: dict[int, Deployment] = field(default_factory=dict)
    next_nonces: dict[str, int] = field(default_factory=dict)
    transactions: dict[UUID, TransactionRow] = field(default_factory=dict)
    intents: dict[UUID, IntentRow] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """Say whether there is nothing in it."""
        return not (self.deployments or self.next_nonces or self.transactions or self.intents)


class MemoryBridge:
    """One transaction's view of the tables."""

    def __init__(self, tables: BridgeStore, chain_id: int, sender: str, transaction: MemoryTransaction) -> None:
        self._tables = tables
        self._chain_id = chain_id
        self._sender = sender
        self._new = BridgeStore()
        transaction.on_commit(self._commit, unless=self._new.is_empty)

    async def deployment(self) -> Deployment | None:
        """Return the contracts in use."""
        return self._new.deployments.get(self._chain_id) or self._tables.deployments.get(self._chain_id)

    async def save_deployment(self, deployment: Deployment) -> bool:
        """Record the contracts; False when another worker was first."""
        if await self.deployment() is not None:
            return False
        self._new.deployments[deployment.chain_id] = deployment
        return True

    async def save_intents(self, intents: Sequence[Intent]) -> set[UUID]:
        """Record requests; return the payments that had none."""
        saved = set()
        for intent in intents:
            if intent.payment_id in self._new.intents or intent.payment_id in self._tables.intents:
                continue
            self._new.intents[intent.payment_id] = IntentRow(
                intent, intent.requested_at, intent.failure_code, intent.failure_detail
            )
            saved.add(intent.payment_id)
        return saved

    async def intent_contents(self, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
        """Return what was asked for before, as `Intent.content` has it."""
        intents = self._intents()
        return {key: intents[key].intent.content() for key in payment_ids if key in intents}

    async def waiting(self, now: datetime, limit: int) -> list[Waiting]:
        """Return settlements that are due for a batch, the longest waiting first."""
        found = [
            Waiting(key, row.intent.payee_address, row.intent.token_amount, row.submissions, row.next_attempt_at)
            for key, row in self._intents().items()
            if row.transaction_id is None
            and row.failure_code is None
            and row.intent.token_amount is not None
            and is_due(row.next_attempt_at, now)
        ]
        found.sort(key=lambda waiting: (waiting.due_at, waiting.payment_id))
        return found[:limit]

    async def lock_sender(self, address: str, first_nonce: int) -> int:
        """Return the sender's next nonce; a sender that is new starts at `first_nonce`."""
        known = self._next_nonce(address)
        if known is None:
            self._new.next_nonces[address] = known = first_nonce
        return known

    async def skip_nonces(self, next_nonce: int) -> None:
        """Never sign with a nonce below this one."""
        known = self._next_nonce(self._sender)
        if known is not None:
            self._new.next_nonces[self._sender] = max(known, next_nonce)

    async def under_way(self) -> int:
        """Return how many transactions are in no block yet."""
        return sum(row.standing.state is TransactionState.PENDING for row in self._transactions())

    async def save_transactions(self, transactions: Sequence[NewTransaction], next_nonce: int) -> None:
        """Record signed transactions with their payments, and move the nonce on.

        Raises: InvariantViolated: one of their nonces or hashes is taken.
        """
        for new in transactions:
            if any(row.new.nonce == new.nonce or row.new.tx_hash == new.tx_hash for row in self._transactions()):
                raise InvariantViolated(f"there is a transaction with nonce {new.nonce} or hash {new.tx_hash} already")
            self._new.transactions[new.id] = TransactionRow(new, new.recorded_at)
            for payment_id in new.payment_ids:
                row = self._intent(payment_id)
                if row is not None and row.transaction_id is None and row.failure_code is None:
                    assigned = replace(row, transaction_id=new.id, submissions=row.submissions + 1)
                    self._new.intents[payment_id] = assigned
        if self._next_nonce(self._sender) is not None:
            self._new.next_nonces[self._sender] = next_nonce

    async def due(self, now: datetime, limit: int) -> list[Due]:
        """Return transactions to hand to the node, in nonce order."""
        rows = [row for row in self._transactions() if _is_due(row, now)]
        return [Due(row.new.id, row.new.raw, row.attempts) for row in rows[:limit]]

    async def hurry(self, now: datetime) -> None:
        """Make every pending transaction due now."""
        for row in self._transactions():
            if row.standing.state is TransactionState.PENDING and not _is_due(row, now):
                self._new.transactions[row.new.id] = replace(row, next_attempt_at=now)

    async def record_attempts(
        self, due: Sequence[Due], outcomes: Sequence[Sent], now: datetime, next_attempts: Sequence[datetime]
    ) -> list[Tracked]:
        """Record outcomes; return the transactions that were accepted for the first time, in nonce order."""
        accepted = []
        for transaction, sent, next_attempt_at in zip(due, outcomes, next_attempts, strict=True):
            row = self._transaction(transaction.id)
            if row is None or row.standing.state is not TransactionState.PENDING:
                continue
            succeeded = sent.attempt is Attempt.SUCCEEDED
            self._new.transactions[transaction.id] = replace(
                row,
                attempt=sent.attempt,
                attempts=row.attempts + 1,
                attempt_error=sent.error,
                next_attempt_at=next_attempt_at,
                submitted_at=now if succeeded and row.submitted_at is None else row.submitted_at,
            )
            if succeeded and row.submitted_at is None:
                accepted.append(_tracked(row))
        return sorted(accepted, key=lambda transaction: transaction.nonce)

    async def tracked(self) -> list[Tracked]:
        """Return the transactions under way, in nonce order."""
        under_way = (TransactionState.PENDING, TransactionState.MINED)
        return [_tracked(row) for row in self._transactions() if row.standing.state in under_way]

    async def newest_final(self, limit: int) -> list[Tracked]:
        """Return the newest final transactions, the newest first."""
        final = [_tracked(row) for row in self._transactions() if row.standing.state in FINAL]
        return final[::-1][:limit]

    async def record_standings(
        self, changes: Sequence[tuple[Tracked, Standing, int]], now: datetime
    ) -> list[tuple[Tracked, Standing]]:
        """Record where transactions stand now; return those that still stood as was thought."""
        moved = []
        for tracked, standing, reorgs in changes:
            row = self._transaction(tracked.id)
            if row is None or _place(row.standing, row.reorgs) != _place(tracked.standing, tracked.reorgs):
                continue
            in_block = standing.state not in (TransactionState.PENDING, TransactionState.REPLACED)
            self._new.transactions[tracked.id] = replace(
                row,
                standing=standing,
                reorgs=reorgs,
                next_attempt_at=now if standing.state is TransactionState.PENDING else None,
                submitted_at=now if in_block and row.submitted_at is None else row.submitted_at,
                confirmed_at=now if standing.state in FINAL else row.confirmed_at,
            )
            submitted, confirmed = row.submitted_at is not None, row.confirmed_at is not None
            moved.append((replace(tracked, submitted=submitted, confirmed_before=confirmed), standing))
        return moved

    async def assigned(self, transactions: Sequence[Tracked]) -> list[Assigned]:
        """Return the settlements in these transactions, by payment id."""
        wanted = {transaction.id for transaction in transactions}
        payment_ids = {payment_id for transaction in transactions for payment_id in transaction.payment_ids}
        intents = self._intents()
        rows = [intents[key] for key in sorted(payment_ids) if key in intents]
        return [_assigned(row, row.transaction_id) for row in rows if row.transaction_id in wanted]

    async def send_again(self, payment_ids: Sequence[UUID], due_ats: Sequence[datetime]) -> None:
        """Take settlements out of their transaction, to wait for another one."""
        for payment_id, due_at in zip(payment_ids, due_ats, strict=True):
            self._change(payment_id, transaction_id=None, next_attempt_at=due_at)

    async def fail(self, payment_ids: Sequence[UUID], codes: Sequence[str], details: Sequence[str]) -> None:
        """Take settlements out of their transaction and give them up."""
        for payment_id, code, detail in zip(payment_ids, codes, details, strict=True):
            self._change(payment_id, transaction_id=None, failure_code=code, failure_detail=detail)

    def _change(self, payment_id: UUID, **changes: Any) -> None:
        row = self._intent(payment_id)
        if row is not None:
            self._new.intents[payment_id] = replace(row, **changes)

    def _next_nonce(self, address: str) -> int | None:
        known = self._new.next_nonces.get(address)
        return self._tables.next_nonces.get(address) if known is None else known

    def _intent(self, payment_id: UUID) -> IntentRow | None:
        return self._new.intents.get(payment_id) or self._tables.intents.get(payment_id)

    def _intents(self) -> dict[UUID, IntentRow]:
        return self._tables.intents | self._new.intents

    def _transaction(self, transaction_id: UUID) -> TransactionRow | None:
        return self._new.transactions.get(transaction_id) or self._tables.transactions.get(transaction_id)

    def _transactions(self) -> Iterable[TransactionRow]:
        """Return them in nonce order."""
        rows = (self._tables.transactions | self._new.transactions).values()
        return sorted(rows, key=lambda row: row.new.nonce)

    def _commit(self) -> None:
        self._tables.deployments.update(self._new.deployments)
        self._tables.next_nonces.update(self._new.next_nonces)
        self._tables.transactions.update(self._new.transactions)
        self._tables.intents.update(self._new.intents)


class MemoryUnit:
    """A unit of work of the bridge."""

    def __init__(self, tables: BridgeStore, chain_id: int, sender: str, transaction: MemoryTransaction) -> None:
        self._transaction = transaction
        self.store = transaction.view(MemoryBridge, lambda: MemoryBridge(tables, chain_id, sender, transaction))

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


class MemoryUnits:
    """Opens units of work for one sender on one chain."""

    def __init__(self, unit_of_work: MemoryUnitOfWork, tables: BridgeStore, chain_id: int, sender: str) -> None:
        self._unit_of_work = unit_of_work
        self._tables = tables
        self._chain_id = chain_id
        self._sender = sender

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryUnit]:
        """Open a unit of work."""
        async with self._unit_of_work.begin() as transaction:
            yield MemoryUnit(self._tables, self._chain_id, self._sender, transaction)


def _is_due(row: TransactionRow, now: datetime) -> bool:
    pending = row.standing.state is TransactionState.PENDING
    return pending and row.next_attempt_at is not None and is_due(row.next_attempt_at, now)


def _place(standing: Standing, reorgs: int) -> tuple[TransactionState, str | None, int]:
    return standing.state, None if standing.inclusion is None else standing.inclusion.block.hash, reorgs


def _tracked(row: TransactionRow) -> Tracked:
    return Tracked(
        id=row.new.id,
        nonce=row.new.nonce,
        kind=row.new.kind,
        tx_hash=row.new.tx_hash,
        standing=row.standing,
        payment_ids=row.new.payment_ids,
        reorgs=row.reorgs,
        submitted=row.submitted_at is not None,
        confirmed_before=row.confirmed_at is not None,
    )


def _assigned(row: IntentRow, transaction_id: UUID | None) -> Assigned:
    intent = row.intent
    if transaction_id is None or intent.token_amount is None:
        raise InvariantViolated(f"the settlement of payment {intent.payment_id} is in no transaction")
    return Assigned(
        payment_id=intent.payment_id,
        transaction_id=transaction_id,
        settlement_id=intent.settlement_id,
        merchant_id=intent.merchant_id,
        mode=intent.mode,
        shard=intent.shard,
        amount_minor=intent.amount_minor,
        currency=intent.currency,
        payee_address=intent.payee_address,
        token_amount=intent.token_amount,
        submissions=row.submissions,
        deadline_at=intent.deadline_at,
        cause_id=intent.cause_id,
        traceparent=intent.traceparent,
    )
