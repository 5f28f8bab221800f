"""Saved cards and mandates in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import NotFound
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.cards import Cards
from rialto_gateway.customers.store import Customers, Owner, not_found
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.payments.bodies import SavedPayment
from rialto_gateway.payments.ports import SavedCard
from rialto_gateway.saved_methods.mandate import Mandate, MandateNotFound, MandateRequired, Used
from rialto_gateway.saved_methods.uses import ACCEPTED_WITHIN, mandate_of

QUERIES = load_queries(__package__)
LAST_ID = UUID(int=(1 << 128) - 1)


class PaymentMethodNotFound(NotFound):
    """No such saved payment method for this key, or it was detached."""

    code = "payment_method_not_found"


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A card of a customer; `token` is encrypted, None once it is detached."""

    id: UUID
    customer_id: UUID
    token: bytes | None = field(repr=False)
    fingerprint: str
    created_at: datetime
    detached_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptMandate:
    """A mandate, and what is kept of it besides its rules."""

    mandate: Mandate
    metadata: dict[str, str]
    created_at: datetime


class SavedMethods:
    """Keeps cards and mandates, and says what a payment by one is charged to."""

    def __init__(self, pool: Pool, cards: Cards, customers: Customers, runtime: Runtime) -> None:
        self._pool = pool
        self._cards = cards
        self._customers = customers
        self._runtime = runtime

    async def attach(
        self, connection: Connection, owner: Owner, method_id: UUID, customer_id: UUID, token: str
    ) -> None:
        """Keep a card, in the caller's transaction. Raises: CustomerNotFound."""
        kept = self._cards.close(token, method_id)
        fingerprint = self._cards.fingerprint(token, owner.mode, customer_id)
        now = self._runtime.now()
        if not await connection.fetchval(
            QUERIES["add_method"], method_id, customer_id, owner.merchant_id, owner.mode, kept, fingerprint, now
        ):
            raise not_found(customer_id)

    async def method(self, owner: Owner, method_id: UUID) -> SavedMethod:
        """Return a saved card, also a detached one. Raises: PaymentMethodNotFound."""
        row = await self._pool.fetchrow(QUERIES["method"], method_id, owner.merchant_id, owner.mode)
        if row is None:
            raise _no_method(method_id)
        return _method(row)

    async def methods(self, owner: Owner, method_ids: Sequence[UUID]) -> list[SavedMethod]:
        """Return those of these saved cards that there are, in any order, also detached ones."""
        rows = await self._pool.fetch(QUERIES["methods"], method_ids, owner.merchant_id, owner.mode)
        return [_method(row) for row in rows]

    async def of_customer(self, owner: Owner, customer_id: UUID) -> list[SavedMethod]:
        """Return a customer's cards, newest first. Raises: CustomerNotFound."""
        await self._customers.get(owner, customer_id)
        rows = await self._pool.fetch(QUERIES["methods_of_customer"], customer_id, owner.merchant_id, owner.mode)
        return [_method(row) for row in rows]

    async def detach(self, owner: Owner, method_id: UUID) -> None:
        """Forget a card's token. Detaching it again changes nothing. Raises: PaymentMethodNotFound."""
        await self.method(owner, method_id)
        await self._pool.execute(QUERIES["detach"], method_id, owner.merchant_id, owner.mode, self._runtime.now())

    async def agree(
        self, connection: Connection, owner: Owner, mandate: Mandate, metadata: dict[str, str], now: datetime
    ) -> None:
        """Keep a new mandate, in the caller's transaction. Raises: PaymentMethodNotFound."""
        method = await self.method(owner, mandate.method_id)
        if method.token is None:
            raise _no_method(mandate.method_id)
        await connection.execute(
            QUERIES["add_mandate"],
            mandate.id,
            mandate.method_id,
            owner.merchant_id,
            owner.mode,
            mandate.currency,
            str(mandate.max_amount_minor),
            mandate.period,
            None if mandate.period_amount_minor is None else str(mandate.period_amount_minor),
            mandate.period_payments,
            mandate.accepted_at,
            mandate.starts_at,
            mandate.ends_at,
            orjson.dumps(metadata).decode(),
            now,
        )

    async def mandates_named(self, owner: Owner, mandate_ids: Sequence[UUID]) -> list[KeptMandate]:
        """Return those of these mandates that there are, in any order."""
        rows = await self._pool.fetch(QUERIES["mandates_named"], mandate_ids, owner.merchant_id, owner.mode)
        return [_kept(row) for row in rows]

    async def mandate(self, owner: Owner, mandate_id: UUID) -> KeptMandate:
        """Return a mandate. Raises: MandateNotFound."""
        row = await self._pool.fetchrow(QUERIES["mandate"], mandate_id, owner.merchant_id, owner.mode)
        if row is None:
            raise _no_mandate(mandate_id)
        return _kept(row)

    async def mandates(
        self, owner: Owner, *, method_id: UUID | None, before: UUID | None, limit: int
    ) -> list[KeptMandate]:
        """Return mandates, newest first, older than `before`."""
        rows = await self._pool.fetch(
            QUERIES["mandates"], owner.merchant_id, owner.mode, before or LAST_ID, method_id, limit
        )
        return [_kept(row) for row in rows]

    async def revoke(self, owner: Owner, mandate_id: UUID) -> None:
        """End a mandate. Revoking it again changes nothing. Raises: MandateNotFound."""
        await self.mandate(owner, mandate_id)
        await self._pool.execute(QUERIES["revoke"], mandate_id, owner.merchant_id, owner.mode, self._runtime.now())

    async def used(self, mandate: Mandate, now: datetime) -> Used | None:
        """Return what was charged in the present period; None where there is none."""
        since = mandate.period_start(now)
        return None if since is None else await self._used(self._pool, mandate, "", since, now)

    async def charge(
        self, merchant_id: UUID, mode: Mode, method: SavedPayment, amount_minor: int, currency: str, key: str
    ) -> SavedCard:
        """Return what a payment is charged to; its use of a mandate is on record, and counts, before it is accepted.

        Raises: PaymentMethodNotFound, MandateRequired, MandateNotFound, MandateMismatch, MandateNotActive,
        MandateLimitExceeded.
        """
        owner = Owner(merchant_id, mode)
        saved = await self.method(owner, method.payment_method_id)
        customer = await self._customers.get(owner, saved.customer_id)
        if saved.token is None or customer.person is None:
            raise _no_method(saved.id)
        if method.mandate_id is not None:
            await self._use(owner, method.mandate_id, saved.id, amount_minor, currency, key)
        elif method.initiator == "merchant":
            raise MandateRequired(
                "a payment that the customer does not begin needs the mandate they gave",
                param="payment_method.mandate_id",
            )
        return SavedCard(self._cards.read(saved.token, saved.id), dict(customer.person))

    async def take_back(self, method: SavedPayment, key: str) -> None:
        """Forget the use of a mandate by a payment that was refused; one that was accepted stays."""
        if method.mandate_id is not None:
            await self._pool.execute(QUERIES["take_back"], method.mandate_id, key)

    async def _use(
        self, owner: Owner, mandate_id: UUID, method_id: UUID, amount_minor: int, currency: str, key: str
    ) -> None:
        now = self._runtime.now()
        async with self._pool.acquire() as connection, connection.transaction():
            # Payments by one mandate take turns here: each sees what those before it have left.
            row = await connection.fetchrow(QUERIES["lock_mandate"], mandate_id, owner.merchant_id, owner.mode)
            if row is None:
                raise _no_mandate(mandate_id)
            mandate = _kept(row).mandate
            mandate.check(method_id, amount_minor, currency, now)
            since = mandate.period_start(now)
            if since is not None:
                mandate.check_period(amount_minor, await self._used(connection, mandate, key, since, now))
            await connection.execute(QUERIES["use"], mandate_id, key, str(amount_minor), now)

    async def _used(
        self, connection: "Connection | Pool", mandate: Mandate, key: str, since: datetime, now: datetime
    ) -> Used:
        row = await connection.fetchrow(QUERIES["used"], mandate.id, key, since, now - ACCEPTED_WITHIN, None)
        return Used(0, 0) if row is None else Used(row["payments"], int(row["amount_minor"]))


def _no_method(method_id: UUID) -> PaymentMethodNotFound:
    return PaymentMethodNotFound(
        f"there is no payment method {ids.to_text('pm', method_id)} for this key that can be charged",
        param="payment_method_id",
    )


def _no_mandate(mandate_id: UUID) -> MandateNotFound:
    return MandateNotFound(f"there is no mandate {ids.to_text('mdt', mandate_id)} for this key", param="mandate_id")


def _method(row: Mapping[str, Any]) -> SavedMethod:
    return SavedMethod(
        id=row["method_id"],
        customer_id=row["customer_id"],
        token=row["token"],
        fingerprint=row["fingerprint"],
        created_at=row["created_at"],
        detached_at=row["detached_at"],
    )


def _kept(row: Mapping[str, Any]) -> KeptMandate:
    return KeptMandate(mandate_of(row), orjson.loads(row["metadata"]), row["created_at"])
