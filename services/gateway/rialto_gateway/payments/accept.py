"""Accepting payments: many waiting requests, one commit.

A request is answered only when its payment is durable together with its `payment.created` event. Requests that arrive
while a commit is under way share the next one, so the cost of a commit is paid once a batch and the latency stays one
commit long. The payment's identity is minted in the commit that inserts its (merchant, mode, idempotency key).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import is_unavailable
from rialto_common.errors import CommitUnknown, IdempotencyKeyReused, ServiceUnavailable
from rialto_common.events.common import Sealed
from rialto_common.events.envelope import Event, compose
from rialto_common.events.payments import CardMethod, PaymentCreated, PaymentCreatedV2, WalletMethod
from rialto_common.keyring import PersonErased
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.cards import Cards, GivenCard, fingerprint_of
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import IdempotencyKey, NewPayment, Payments, People, Units
from rialto_gateway.source import SOURCE

MAX_BATCH = 200
MAX_WAITING = 5_000
ENOUGH = 6
LINGER_SECONDS = 0.01
"""After a commit of less than ENOUGH, how long the next batch may gather: a commit costs the same whatever it holds."""
FLUSHES = 2
"""Commits under way at once: while one waits for the disk, the next is made ready."""


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """A request that passed every check; `payer` and `payee` are the people's facts as given, in clear."""

    merchant_id: UUID
    mode: str
    idempotency_key: str
    request_hash: bytes
    amount_minor: int
    currency: str
    wallet_id: UUID | None
    capture_method: str
    terminal_id: str | None
    description: str | None
    metadata: dict[str, str]
    payer: dict[str, object]
    payee: dict[str, object] | None
    payee_address: str
    occurred_at: datetime | None
    traceparent: str | None
    card: GivenCard | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The payment behind an idempotency key.

    `row` is the payment as it was inserted; None when an earlier request made it.
    """

    payment_id: UUID
    row: Mapping[str, Any] | None


Waiting = tuple[AcceptRequest, asyncio.Future[Accepted]]


class Acceptor:
    """Gathers waiting requests into few transactions."""

    def __init__(self, units: Units, cards: Cards, runtime: Runtime, deadlines: Deadlines) -> None:
        self._units = units
        self._cards = cards
        self._runtime = runtime
        self._deadlines = deadlines
        self._waiting: list[Waiting] = []
        self._flushes = 0

    async def accept(self, request: AcceptRequest) -> Accepted:
        """Return the payment once it is durable.

        Raises: IdempotencyKeyReused; ServiceUnavailable: too many wait already; CommitUnknown: ask again by the key.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ServiceUnavailable("more payments are waiting than can be taken in soon; send it again")
        future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._flushes < FLUSHES:
            self._flushes += 1
            self._runtime.spawn(self._flush(), name="accept-payments")
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._settle(batch)
                if len(batch) < ENOUGH:
                    await self._runtime.sleep(LINGER_SECONDS)
        finally:
            self._flushes -= 1

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Answer every request of a batch, whatever happens."""
        if not batch:
            return
        try:
            answers = await self._commit([request for request, _ in batch])
        except _KeysReused as reused:
            # Rolled back, so that a refused request leaves nothing behind, not even a new person's key.
            for nth in reused.places:
                _refuse(batch[nth], reused)
            await self._settle([waiting for nth, waiting in enumerate(batch) if nth not in reused.places])
        except Exception as error:  # noqa: BLE001 - every waiting request must get its answer
            if isinstance(error, CommitUnknown) or is_unavailable(error):
                for waiting in batch:
                    _refuse(waiting, error)
            elif len(batch) > 1:
                # One of them is at fault (an erased person, say): the others must not suffer for it.
                for waiting in batch:
                    await self._settle([waiting])
            else:
                _refuse(batch[0], error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _commit(self, requests: Sequence[AcceptRequest]) -> list[Accepted]:
        """Insert in one transaction; raises _KeysReused, having written nothing, where keys stand for other requests.

        In the order of their keys, so that two gateways with the same retries wait for each other and do not deadlock.
        """
        now = self._runtime.now()
        deadline_at = self._deadlines.of("created", now)
        if deadline_at is None:
            raise ValueError("created is not a final state")
        async with self._units.begin(admitting=True) as unit:
            payments = unit.payments
            try:
                sealed = await _seal(unit.people, requests)
            except PersonErased:
                return await _accepted_before(payments, requests)
            new = [self._new(request, people, now) for request, people in zip(requests, sealed, strict=True)]
            inserted = await payments.insert(sorted(new, key=_key), now, deadline_at)
            fresh = [
                (payment, people) for payment, people in zip(new, sealed, strict=True) if payment.payment_id in inserted
            ]
            earlier = {}
            if len(fresh) < len(new):
                earlier = await payments.by_idempotency_key([_key(payment) for payment in new])
                _check_same_requests(requests, earlier)
            if fresh:
                await payments.start_timeline([payment for payment, _ in fresh], now, deadline_at)
                unit.publish(*(_created(payment, people, now) for payment, people in fresh))
            self._runtime.crash_point("gateway.accept.before_commit")
        self._runtime.crash_point("gateway.accept.after_commit")
        return [
            Accepted(payment.payment_id, _row(payment, now))
            if payment.payment_id in inserted
            else Accepted(earlier[_key(payment)][0], None)
            for payment in new
        ]

    def _new(self, request: AcceptRequest, people: tuple[Sealed, Sealed | None], now: datetime) -> NewPayment:
        payer, payee = people
        payment_id, card = self._runtime.ids.mint(), None
        if request.card is not None:
            card = self._cards.seal(request.card, payment_id=payment_id, mode=request.mode, payer_id=payer.party_id)
        return NewPayment(
            payment_id=payment_id,
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
            card=card,
        )


async def _seal(people: People, requests: Sequence[AcceptRequest]) -> list[tuple[Sealed, Sealed | None]]:
    facts = []
    for request in requests:
        for person in (request.payer, request.payee):
            if person is not None:
                facts.append((people.party_id(request.merchant_id, person), orjson.dumps(person)))
    sealed = iter(await people.seal(facts))
    return [(next(sealed), next(sealed) if request.payee is not None else None) for request in requests]


class _KeysReused(IdempotencyKeyReused):
    """Some requests of a batch, by their places in it, came under keys that stand for other requests."""

    def __init__(self, places: set[int]) -> None:
        super().__init__("this Idempotency-Key was used for another request; use a new key for a new payment")
        self.places = places


def _key(request: AcceptRequest | NewPayment) -> IdempotencyKey:
    return request.merchant_id, request.mode, request.idempotency_key


def _check_same_requests(requests: Sequence[AcceptRequest], held: Mapping[IdempotencyKey, tuple[UUID, bytes]]) -> None:
    places = {nth for nth, request in enumerate(requests) if held[_key(request)][1] != request.request_hash}
    if places:
        raise _KeysReused(places)


def _row(payment: NewPayment, now: datetime) -> dict[str, Any]:
    return {name: getattr(payment, name) for name in NewPayment.__slots__} | {"created_at": now}


async def _accepted_before(payments: Payments, requests: Sequence[AcceptRequest]) -> list[Accepted]:
    """Answer requests about an erased person: what was accepted before the erasure stands, also for a retry.

    Raises: PersonErased: one of them is new.
    """
    earlier = await payments.by_idempotency_key([_key(request) for request in requests])
    if not all(_key(request) in earlier for request in requests):
        raise PersonErased("the data of this payer or payee was erased; no new payment can name them")
    _check_same_requests(requests, earlier)
    return [Accepted(earlier[_key(request)][0], None) for request in requests]


def _refuse(waiting: Waiting, error: Exception) -> None:
    _, future = waiting
    if not future.done():
        future.set_exception(error)


def _created(payment: NewPayment, people: tuple[Sealed, Sealed | None], now: datetime) -> Event:
    common = {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "mode": payment.mode,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "capture_method": payment.capture_method,
        "terminal_id": payment.terminal_id,
        "payer": people[0],
        "payee": people[1],
        "occurred_at": payment.occurred_at,
    }
    data: PaymentCreated | PaymentCreatedV2
    if payment.card is None:
        data = PaymentCreated(payment_method=WalletMethod(type="wallet", wallet_id=payment.wallet_id), **common)
    else:
        method = CardMethod(type="card", fingerprint=fingerprint_of(payment.card))
        data = PaymentCreatedV2(payment_method=method, **common)
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
