"""Accepting payments: many waiting requests, one commit.

A request is answered only when its payment is durable together with its `payment.created` event. Requests that arrive
while a commit is under way share the next one, so the cost of a commit is paid once a batch and the latency stays one
commit long. The payment's identity is minted in the commit that inserts its (merchant, mode, idempotency key).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson
from rialto_common import ids
from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import is_unavailable
from rialto_common.errors import CommitUnknown, IdempotencyKeyReused, ServiceUnavailable
from rialto_common.events.common import Sealed
from rialto_common.events.envelope import Event, compose
from rialto_common.events.payments import PaymentCreated, WalletMethod
from rialto_common.keyring import Keyring
from rialto_common.runtime import Runtime

from rialto_gateway.payments.handlers import SOURCE
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.store import NewPayment, PostgresPayments

MAX_BATCH = 200
MAX_WAITING = 5_000


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """A request that passed every check; `payer` and `payee` are the people's facts as given, in clear."""

    merchant_id: UUID
    mode: str
    idempotency_key: str
    request_hash: bytes
    amount_minor: int
    currency: str
    wallet_id: UUID
    capture_method: str
    terminal_id: str | None
    description: str | None
    metadata: dict[str, str]
    payer: dict[str, object]
    payee: dict[str, object] | None
    payee_address: str
    occurred_at: datetime | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The payment behind an idempotency key.

    `row` is the payment as it was inserted; None when an earlier request made it.
    """

    payment_id: UUID
    row: Mapping[str, Any] | None


class Accepts(Protocol):
    """What the HTTP side needs."""

    async def accept(self, request: AcceptRequest) -> Accepted:
        """Make a payment durable, or find the one made before under the same key."""
        ...


class Acceptor:
    """Gathers waiting requests into one transaction at a time."""

    def __init__(
        self, unit_of_work: UnitOfWork[PostgresTransaction], keyring: Keyring, runtime: Runtime, deadlines: Deadlines
    ) -> None:
        self._unit_of_work = unit_of_work
        self._keyring = keyring
        self._runtime = runtime
        self._deadlines = deadlines
        self._waiting: list[tuple[AcceptRequest, asyncio.Future[Accepted]]] = []
        self._flushing = False

    async def accept(self, request: AcceptRequest) -> Accepted:
        """Return the payment once it is durable.

        Raises: IdempotencyKeyReused; ServiceUnavailable: too many wait already; CommitUnknown: ask again by the key.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ServiceUnavailable("more payments are waiting than can be taken in soon; send it again")
        future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if not self._flushing:
            self._flushing = True
            self._runtime.spawn(self._flush(), name="accept-payments")
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._settle(batch)
        finally:
            self._flushing = False

    async def _settle(self, batch: Sequence[tuple[AcceptRequest, asyncio.Future[Accepted]]]) -> None:
        """Answer every request of a batch, whatever happens."""
        try:
            answers = await self._commit([request for request, _ in batch])
        except Exception as error:  # noqa: BLE001 - every waiting request must get its answer
            if len(batch) > 1 and not (isinstance(error, CommitUnknown) or is_unavailable(error)):
                # One of them is at fault (an erased person, say): the others must not suffer for it.
                for single in batch:
                    await self._settle([single])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, IdempotencyKeyReused):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _commit(self, requests: Sequence[AcceptRequest]) -> list[Accepted | IdempotencyKeyReused]:
        now = self._runtime.now()
        deadline_at = self._deadlines.of("created", now)
        if deadline_at is None:
            raise ValueError("created is not a final state")
        async with self._unit_of_work.begin() as transaction:
            payments = PostgresPayments(transaction.connection)
            sealed = await self._seal(transaction, requests)
            new = [self._new(request, people, now) for request, people in zip(requests, sealed, strict=True)]
            inserted = await payments.insert(new, now, deadline_at)
            fresh = [payment for payment in new if payment.payment_id in inserted]
            if fresh:
                await payments.start_timeline(fresh, now, deadline_at)
                by_id = {payment.payment_id: people for payment, people in zip(new, sealed, strict=True)}
                transaction.publish(*(_created(payment, by_id[payment.payment_id], now) for payment in fresh))
            earlier = (
                await payments.by_idempotency_key(
                    [
                        (payment.merchant_id, payment.mode, payment.idempotency_key)
                        for payment in new
                        if payment.payment_id not in inserted
                    ]
                )
                if len(fresh) < len(new)
                else {}
            )
        return [self._answer(payment, inserted, earlier, now) for payment in new]

    async def _seal(
        self, transaction: PostgresTransaction, requests: Sequence[AcceptRequest]
    ) -> list[tuple[Sealed, Sealed | None]]:
        people = []
        for request in requests:
            for person in (request.payer, request.payee):
                if person is not None:
                    party_id = self._keyring.party_id(request.merchant_id, person)
                    people.append((party_id, orjson.dumps(person)))
        sealed = iter(await self._keyring.seal(transaction.connection, people))
        return [(next(sealed), next(sealed) if request.payee is not None else None) for request in requests]

    def _new(self, request: AcceptRequest, people: tuple[Sealed, Sealed | None], now: datetime) -> NewPayment:
        payer, payee = people
        return NewPayment(
            payment_id=self._runtime.ids.mint(),
            merchant_id=request.merchant_id,
            mode=request.mode,
            shard=ids.shard_of(request.merchant_id),
            idempotency_key=request.idempotency_key,
            request_hash=request.request_hash,
            amount_minor=request.amount_minor,
            currency=request.currency,
            wallet_id=request.wallet_id,
            capture_method=request.capture_method,
            terminal_id=request.terminal_id,
            description=request.description,
            metadata=orjson.dumps(request.metadata).decode(),
            payer=payer.model_dump_json(),
            payee=None if payee is None else payee.model_dump_json(),
            payee_address=request.payee_address,
            occurred_at=request.occurred_at or now,
            traceparent=request.traceparent,
        )

    def _answer(
        self,
        payment: NewPayment,
        inserted: set[UUID],
        earlier: dict[tuple[UUID, str, str], tuple[UUID, bytes]],
        now: datetime,
    ) -> Accepted | IdempotencyKeyReused:
        if payment.payment_id in inserted:
            return Accepted(payment.payment_id, _row(payment, now))
        payment_id, request_hash = earlier[(payment.merchant_id, payment.mode, payment.idempotency_key)]
        if request_hash != payment.request_hash:
            return IdempotencyKeyReused(
                "this Idempotency-Key was used for another request; use a new key for a new payment"
            )
        return Accepted(payment_id, None)


def _row(payment: NewPayment, now: datetime) -> dict[str, Any]:
    return {name: getattr(payment, name) for name in NewPayment.__slots__} | {"created_at": now}


def _created(payment: NewPayment, people: tuple[Sealed, Sealed | None], now: datetime) -> Event:
    data = PaymentCreated(
        payment_id=payment.payment_id,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payment_method=WalletMethod(type="wallet", wallet_id=payment.wallet_id),
        capture_method=payment.capture_method,
        terminal_id=payment.terminal_id,
        payer=people[0],
        payee=people[1],
        occurred_at=payment.occurred_at,
    )
    return compose(
        data,
        source=SOURCE,
        root=payment.payment_id,
        key=ids.to_text("pay", payment.payment_id),
        shard=payment.shard,
        time=now,
        sequence=1,
        traceparent=payment.traceparent,
    )
