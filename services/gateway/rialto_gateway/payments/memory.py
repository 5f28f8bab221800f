"""The gateway's tables in memory: for simulation and tests, under the same contract as PostgreSQL.

Each transaction has its own view, laid over what is committed; the others see its changes once it commits. The tables'
constraints hold here too.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction, MemoryUnitOfWork
from rialto_common.errors import IdempotencyKeyReused, InvariantViolated
from rialto_common.events.common import Sealed
from rialto_common.events.envelope import Event
from rialto_common.memory_keyring import MemoryKeyring
from rialto_gateway.attempts.memory import AttemptRows, MemoryAttempts
from rialto_gateway.increments.memory import IncrementRows, MemoryIncrements, NoMandates
from rialto_gateway.payments.machine import CaptureChange
from rialto_gateway.payments.ports import IdempotencyKey, NewPayment, TimelineLine
from rialto_gateway.payments.states import FINAL, Payment
from rialto_gateway.payouts.memory import MemoryPayouts, PayoutRows
from rialto_gateway.pricing.memory import MemoryPricing, PricingRows
from rialto_gateway.pricing.price import Rate, rate_for
from rialto_gateway.refunds.memory import MemoryRefunds, RefundRows
from rialto_gateway.webhooks.memory import Deliveries, MemoryMessages


@dataclass(frozen=True, slots=True)
class Accepted:
    """What never changes of a payment."""

    new: NewPayment
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A timeline line and when it was written."""

    line: TimelineLine
    at: datetime


@dataclass(frozen=True, slots=True)
class Capture:
    """A row of the captures' table."""

    capture_id: UUID
    payment_id: UUID
    ordinal: int
    amount_minor: int
    final: bool
    state: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime
    idempotency_key: str | None = None
    request_hash: bytes | None = None


@dataclass
class GatewayStore:
    """Everything the gateway keeps about payments, committed."""

    accepted: dict[UUID, Accepted] = field(default_factory=dict)
    payments: dict[UUID, Payment] = field(default_factory=dict)
    updated: dict[UUID, datetime] = field(default_factory=dict)
    by_key: dict[IdempotencyKey, UUID] = field(default_factory=dict)
    deadlines: dict[UUID, datetime] = field(default_factory=dict)
    timelines: dict[UUID, dict[int, Line]] = field(default_factory=dict)
    captures: dict[UUID, dict[int, Capture]] = field(default_factory=dict)
    """By payment and ordinal."""

    capture_ids: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    attempts: AttemptRows = field(default_factory=AttemptRows)
    increments: IncrementRows = field(default_factory=IncrementRows)
    refunds: RefundRows = field(default_factory=RefundRows)
    payouts: PayoutRows = field(default_factory=PayoutRows)
    pricing: PricingRows = field(default_factory=PricingRows)
    deliveries: Deliveries = field(default_factory=Deliveries)

    def card_of(self, payment_id: UUID) -> str | None:
        """Return what is kept of a payment's card."""
        return self.accepted[payment_id].new.card


class MemoryPayments:
    """One transaction's view of the tables."""

    def __init__(self, store: GatewayStore, transaction: MemoryTransaction) -> None:
        self._store = store
        self._accepted: dict[UUID, Accepted] = {}
        self._by_key: dict[IdempotencyKey, UUID] = {}
        self._payments: dict[UUID, Payment] = {}
        self._updated: dict[UUID, datetime] = {}
        self._deadlines: dict[UUID, datetime | None] = {}
        self._lines: dict[tuple[UUID, int], Line] = {}
        self._captures: dict[tuple[UUID, int], Capture] = {}
        transaction.on_commit(self._commit, unless=lambda: not (self._payments or self._captures))

    async def insert(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> set[UUID]:
        """Insert the payments whose idempotency key is free; return their ids."""
        inserted = set()
        for item in new:
            key = (item.merchant_id, item.mode, item.idempotency_key)
            if key in self._store.by_key or key in self._by_key:
                continue
            self._by_key[key] = item.payment_id
            self._accepted[item.payment_id] = Accepted(item, now)
            self._put(_first_state(item, deadline_at, self._price_of(item)), now)
            inserted.add(item.payment_id)
        return inserted

    def _price_of(self, new: NewPayment) -> Rate:
        prices = self._store.pricing.prices.get((new.merchant_id, new.mode), [])
        return rate_for(prices, "wallet" if new.card is None else "card", new.currency)

    async def start_timeline(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> None:
        """Write the first timeline line and the deadline row of each."""
        for item in new:
            detail = {"amount_minor": str(item.amount_minor), "currency": item.currency}
            self._write(TimelineLine(item.payment_id, 1, "created", "payment.created", None, "merchant", detail), now)
            self._deadlines[item.payment_id] = deadline_at

    async def by_idempotency_key(self, keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, tuple[UUID, bytes]]:
        """Return payment id and request hash by key."""
        found = {}
        for key in keys:
            payment_id = self._by_key.get(key) or self._store.by_key.get(key)
            if payment_id is not None:
                accepted = self._accepted.get(payment_id) or self._store.accepted[payment_id]
                found[key] = (payment_id, accepted.new.request_hash)
        return found

    async def lock(self, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
        """Load payments; the unit of work keeps the others out."""
        found = {}
        for payment_id in payment_ids:
            payment = self._payments.get(payment_id) or self._store.payments.get(payment_id)
            if payment is not None:
                terms = self._store.payouts.terms_of(payment.merchant_id, payment.mode)
                if (payment.payout_schedule, payment.reserve_bps) != (terms.schedule, terms.reserve_bps):
                    payment = replace(payment, payout_schedule=terms.schedule, reserve_bps=terms.reserve_bps)
                found[payment_id] = payment
        return found

    async def save(self, payments: Sequence[Payment], now: datetime) -> None:
        """Write payments back, and their deadline rows.

        Raises: InvariantViolated: a constraint of the table is broken.
        """
        for payment in payments:
            self._put(payment, now)
            if payment.deadline_at is None or payment.id in self._deadlines or payment.id in self._store.deadlines:
                self._deadlines[payment.id] = payment.deadline_at

    async def add_timeline(self, lines: Sequence[TimelineLine], now: datetime) -> None:
        """Add lines to timelines. Raises: InvariantViolated: a payment has a line of this number."""
        for line in lines:
            self._write(line, now)

    async def record_captures(self, captures: Sequence[tuple[UUID, CaptureChange]], now: datetime) -> None:
        """Insert the captures asked for; resolve those that have an outcome."""
        for payment_id, change in captures:
            if change.state == "pending" and change.ordinal is not None:
                self._insert_capture(payment_id, change.ordinal, change, now)
        for _, change in captures:
            if change.state != "pending":
                self._resolve(change, now)

    async def captured_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this capture was asked for before under the key.

        Raises: IdempotencyKeyReused: another capture was.
        """
        for capture in self._captures_of(payment_id):
            if capture.idempotency_key == key:
                if capture.request_hash != request_hash:
                    raise IdempotencyKeyReused("this Idempotency-Key was used for another capture; use a new key")
                return True
        return False

    async def name_capture(self, payment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of the capture just recorded, and what it stands for."""
        captures = list(self._captures_of(payment_id))
        newest = max(captures, key=lambda capture: capture.ordinal, default=None)
        if any(capture.idempotency_key == key for capture in captures if capture is not newest):
            raise InvariantViolated(f"payment {payment_id} has a capture under the key {key} already")
        if newest is not None:
            named = replace(newest, idempotency_key=key, request_hash=request_hash)
            self._captures[payment_id, newest.ordinal] = named

    def _put(self, payment: Payment, now: datetime) -> None:
        if (payment.deadline_at is None) != (payment.state in FINAL):
            raise InvariantViolated(f"payment {payment.id} is {payment.state} with deadline {payment.deadline_at}")
        captured, pending = payment.amount_captured_minor, payment.capture_pending_minor
        if captured < 0 or pending < 0 or captured + pending > payment.amount_minor:
            raise InvariantViolated(f"payment {payment.id} has {captured} captured and {pending} pending")
        if payment.increment_to_minor is not None and payment.increment_to_minor <= payment.amount_minor:
            raise InvariantViolated(f"payment {payment.id} is raised to {payment.increment_to_minor}")
        refunded, refunding = payment.amount_refunded_minor, payment.refund_pending_minor
        if refunded < 0 or refunding < 0 or refunded + refunding > captured:
            raise InvariantViolated(f"payment {payment.id} has {refunded} refunded and {refunding} pending")
        if not 0 <= payment.amount_disputed_minor <= captured:
            raise InvariantViolated(f"payment {payment.id} has {payment.amount_disputed_minor} disputed of {captured}")
        if (
            min(payment.fee_basis_minor, payment.fee_pending_minor, payment.fee_minor) < 0
            or payment.fee_minor > captured
        ):
            raise InvariantViolated(f"payment {payment.id} has {payment.fee_minor} charged of {captured} captured")
        self._payments[payment.id] = payment
        self._updated[payment.id] = now

    def _write(self, line: TimelineLine, now: datetime) -> None:
        place = (line.payment_id, line.nth)
        if place in self._lines or line.nth in self._store.timelines.get(line.payment_id, ()):
            raise InvariantViolated(f"payment {line.payment_id} has a timeline line {line.nth} already")
        self._lines[place] = Line(line, now)

    def _insert_capture(self, payment_id: UUID, ordinal: int, change: CaptureChange, now: datetime) -> None:
        taken = (payment_id, ordinal) in self._captures or ordinal in self._store.captures.get(payment_id, ())
        if taken or change.capture_id in self._store.capture_ids:
            raise InvariantViolated(f"payment {payment_id} has a capture {ordinal} already")
        self._captures[payment_id, ordinal] = Capture(
            change.capture_id,
            payment_id,
            ordinal,
            change.amount_minor,
            change.final,
            change.state,
            change.failure_code,
            now,
            now,
        )

    def _resolve(self, change: CaptureChange, now: datetime) -> None:
        mine = [place for place, capture in self._captures.items() if capture.capture_id == change.capture_id]
        place = mine[0] if mine else self._store.capture_ids.get(change.capture_id)
        if place is None:
            return
        capture = self._captures.get(place) or self._store.captures[place[0]][place[1]]
        self._captures[place] = replace(capture, state=change.state, failure_code=change.failure_code, updated_at=now)

    def _captures_of(self, payment_id: UUID) -> Iterable[Capture]:
        committed = self._store.captures.get(payment_id, {})
        mine = {place[1]: capture for place, capture in self._captures.items() if place[0] == payment_id}
        return (committed | mine).values()

    def _commit(self) -> None:
        store = self._store
        store.accepted.update(self._accepted)
        store.by_key.update(self._by_key)
        store.payments.update(self._payments)
        store.updated.update(self._updated)
        for payment_id, due_at in self._deadlines.items():
            if due_at is None:
                store.deadlines.pop(payment_id, None)
            else:
                store.deadlines[payment_id] = due_at
        for (payment_id, nth), line in self._lines.items():
            store.timelines.setdefault(payment_id, {})[nth] = line
        for (payment_id, ordinal), capture in self._captures.items():
            store.captures.setdefault(payment_id, {})[ordinal] = capture
            store.capture_ids[capture.capture_id] = (payment_id, ordinal)


class MemoryPeople:
    """Personal data under the keyring's keys, made in the caller's transaction."""

    def __init__(self, keyring: MemoryKeyring, transaction: MemoryTransaction) -> None:
        self._keyring = keyring
        self._transaction = transaction

    def party_id(self, scope: UUID, person: Mapping[str, object]) -> UUID:
        """Return a person's id within a scope."""
        return self._keyring.party_id(scope, person)

    async def seal(self, people: Sequence[tuple[UUID, bytes]]) -> list[Sealed]:
        """Seal one text per party."""
        return await self._keyring.seal(self._transaction, people)


class MemoryUnit:
    """A unit of work of the gateway."""

    def __init__(self, store: GatewayStore, keyring: MemoryKeyring, transaction: MemoryTransaction) -> None:
        self._transaction = transaction
        # One view a transaction: who asks again sees what was written in it before.
        self.payments = transaction.view(MemoryPayments, lambda: MemoryPayments(store, transaction))
        self.attempts = transaction.view(
            MemoryAttempts, lambda: MemoryAttempts(store.attempts, store.payments, transaction)
        )
        self.refunds = transaction.view(
            MemoryRefunds, lambda: MemoryRefunds(store.refunds, store.payments, transaction)
        )
        self.increments = transaction.view(
            MemoryIncrements, lambda: MemoryIncrements(store.increments, store.payments, transaction)
        )
        self.mandates = NoMandates()
        self.payouts = transaction.view(
            MemoryPayouts, lambda: MemoryPayouts(store.payouts, store.payments, transaction)
        )
        self.pricing = transaction.view(MemoryPricing, lambda: MemoryPricing(store.pricing, transaction))
        self.messages = transaction.view(MemoryMessages, lambda: MemoryMessages(store.deliveries, transaction))
        self.people = MemoryPeople(keyring, transaction)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


class MemoryUnits:
    """Opens units of work of the gateway."""

    def __init__(self, unit_of_work: MemoryUnitOfWork, store: GatewayStore, keyring: MemoryKeyring) -> None:
        self._unit_of_work = unit_of_work
        self._store = store
        self._keyring = keyring

    @asynccontextmanager
    async def begin(self, *, admitting: bool = False) -> AsyncIterator[MemoryUnit]:
        """Open a unit of work."""
        async with self._unit_of_work.begin(admitting=admitting) as transaction:
            yield MemoryUnit(self._store, self._keyring, transaction)


def _first_state(new: NewPayment, deadline_at: datetime, rate: Rate) -> Payment:
    return Payment(
        id=new.payment_id,
        merchant_id=new.merchant_id,
        mode=cast(Literal["test", "live"], new.mode),
        shard=new.shard,
        amount_minor=new.amount_minor,
        currency=new.currency,
        wallet_id=new.wallet_id,
        capture_method=cast(Literal["automatic", "manual"], new.capture_method),
        payee_address=new.payee_address,
        state="created",
        reason=None,
        decline_code=None,
        fraud=None,
        compliance=None,
        amount_captured_minor=0,
        capture_pending_minor=0,
        captures=0,
        void_reason=None,
        asked=0,
        settlement=None,
        authorised_at=None,
        deadline_at=deadline_at,
        sequence=1,
        method="wallet" if new.card is None else "card",
        fee_bps=rate.bps,
        fee_fixed_minor=rate.fixed_minor,
    )
