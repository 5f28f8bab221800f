"""Reads of the payments' committed tables in memory, and of the wallets, under the same contract as PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_gateway.payments.memory import GatewayStore
from rialto_gateway.payments.ports import IdempotencyKey, NewPayment
from rialto_gateway.payments.states import UNDECIDED, Payment
from rialto_gateway.payments.store import settlement_json
from rialto_gateway.wallets.directory import Wallet

_CHANGING = tuple(name for name in Payment.__slots__ if name not in ("id", *NewPayment.__slots__))


class MemoryPaymentReader:
    """Reads of committed payments."""

    def __init__(self, store: GatewayStore) -> None:
        self._store = store

    async def row(self, payment_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a payment; None where there is none for this caller."""
        payment = self._store.payments.get(payment_id)
        if payment is None or merchant_id not in (None, payment.merchant_id) or mode not in (None, payment.mode):
            return None
        return self._row(payment)

    async def made_under(self, key: IdempotencyKey) -> tuple[UUID, bytes] | None:
        """Return the payment accepted under a key, and the hash of its request."""
        payment_id = self._store.by_key.get(key)
        return None if payment_id is None else (payment_id, self._store.accepted[payment_id].new.request_hash)

    async def rows(self, payment_ids: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        """Return payments by id."""
        return [self._row(self._store.payments[key]) for key in payment_ids if key in self._store.payments]

    async def timeline(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's timeline, oldest first."""
        lines = self._store.timelines.get(payment_id, {})
        return [
            {
                "at": line.at,
                "state": line.line.state,
                "event": line.line.event,
                "cause": line.line.cause,
                "actor": line.line.actor,
                "detail": None if line.line.detail is None else orjson.dumps(line.line.detail).decode(),
            }
            for _, line in sorted(lines.items())
        ]

    async def captures(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's captures, in the order of their ordinals."""
        names = ("capture_id", "ordinal", "amount_minor", "final", "state", "failure_code", "created_at", "updated_at")
        rows = sorted(self._store.captures.get(payment_id, {}).items())
        return [{name: getattr(capture, name) for name in names} for _, capture in rows]

    async def increments(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's increments, in the order of their ordinals."""
        return self._store.increments.of_payment(payment_id)

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
        found = [
            payment
            for payment in self._store.payments.values()
            if merchant_id in (None, payment.merchant_id)
            and payment.mode == mode
            and payment.id < before
            and (down_to is None or payment.id >= down_to)
            and state in (None, payment.state)
        ]
        found.sort(key=lambda payment: payment.id, reverse=True)
        return [self._row(payment) for payment in found[:limit]]

    async def floor(self, merchant_id: UUID | None, mode: str, *, before: UUID, depth: int) -> UUID | None:
        """Return the id to look down to, so as to look at no more than `depth` payments."""
        below = sorted(
            (
                payment.id
                for payment in self._store.payments.values()
                if payment.id < before and merchant_id in (None, payment.merchant_id)
                if merchant_id is None or payment.mode == mode
            ),
            reverse=True,
        )
        return below[depth - 1] if len(below) >= depth else None

    async def changes(
        self, merchant_id: UUID | None, mode: str, *, since: datetime, after: UUID, limit: int
    ) -> Sequence[tuple[datetime, UUID]]:
        """Return when which payment changed, oldest first."""
        places = sorted(
            (line.at, payment_id)
            for payment_id, lines in self._store.timelines.items()
            for line in lines.values()
            if (line.at, payment_id) > (since, after)
        )
        found = []
        for at, payment_id in places:
            payment = self._store.payments[payment_id]
            if payment.mode == mode and merchant_id in (None, payment.merchant_id):
                found.append((at, payment_id))
        return found[:limit]

    async def decided(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these payments are no longer undecided."""
        return [payment.id for payment in self._of(payment_ids) if payment.state not in UNDECIDED]

    async def answered(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return for which of these payments the ledger has answered everything."""
        return [
            payment.id
            for payment in self._of(payment_ids)
            if payment.state != "authorised"
            or (
                payment.capture_pending_minor == 0
                and payment.void_reason is None
                and payment.increment_to_minor is None
            )
        ]

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        """Return payments whose deadline has passed, the longest overdue first."""
        due = sorted((due_at, payment_id) for payment_id, due_at in self._store.deadlines.items() if due_at <= now)
        return [payment_id for _, payment_id in due[:limit]]

    async def postpone(self, payment_id: UUID, until: datetime) -> None:
        """Look at a payment again later."""
        if payment_id in self._store.deadlines:
            self._store.deadlines[payment_id] = until

    def _of(self, payment_ids: Iterable[UUID]) -> Iterable[Payment]:
        return (self._store.payments[key] for key in payment_ids if key in self._store.payments)

    def _row(self, payment: Payment) -> Mapping[str, Any]:
        accepted = self._store.accepted[payment.id]
        row = {name: getattr(accepted.new, name) for name in NewPayment.__slots__}
        row |= {name: getattr(payment, name) for name in _CHANGING}
        row["amount_minor"] = payment.amount_minor
        row["acquirer_reference"] = payment.authorisation
        row["settlement"] = settlement_json(payment.settlement)
        row["created_at"], row["updated_at"] = accepted.at, self._store.updated[payment.id]
        return row


class MemoryWallets:
    """Whose wallet is whose."""

    def __init__(self, wallets: Mapping[UUID, Wallet]) -> None:
        self._wallets = wallets

    async def get(self, wallet_id: UUID) -> Wallet | None:
        """Return a wallet, or None."""
        return self._wallets.get(wallet_id)
