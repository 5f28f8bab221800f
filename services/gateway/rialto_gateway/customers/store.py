"""Customers in PostgreSQL: the person sealed under the customer's own key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import InvariantViolated, NotFound, PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import Keyring, PersonErased
from rialto_gateway.merchants.keys import Mode

QUERIES = load_queries(__package__)
LAST_ID = UUID(int=(1 << 128) - 1)

Person = dict[str, str]


class CustomerNotFound(NotFound):
    """No such customer for this key."""

    code = "customer_not_found"


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of a merchant; `person` is None once it is deleted."""

    id: UUID
    person: Person | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose customers are spoken of."""

    merchant_id: UUID
    mode: Mode


class Customers:
    """Keeps customers."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def add(
        self,
        connection: Connection,
        owner: Owner,
        customer_id: UUID,
        person: Person,
        metadata: dict[str, str],
        now: datetime,
    ) -> None:
        """Keep a new customer, in the caller's transaction."""
        sealed = await self._seal(connection, customer_id, person)
        await connection.execute(
            QUERIES["add"], customer_id, owner.merchant_id, owner.mode, sealed, orjson.dumps(metadata).decode(), now
        )

    async def change(
        self,
        connection: Connection,
        owner: Owner,
        customer_id: UUID,
        person: Mapping[str, str | None],
        metadata: Mapping[str, str | None] | None,
        now: datetime,
    ) -> None:
        """Change what is named, in the caller's transaction; None takes a fact, or a key of the metadata, away.

        Raises: CustomerNotFound: none, another merchant's, or deleted.
        """
        row = await connection.fetchrow(QUERIES["lock"], customer_id, owner.merchant_id, owner.mode)
        if row is None or row["deleted_at"] is not None:
            raise not_found(customer_id)
        [held] = await self._open(connection, [row])
        if held.person is None:
            raise not_found(customer_id)
        facts = {**held.person, **person}
        values = {**held.metadata, **(metadata or {})}
        sealed = await self._seal(connection, customer_id, {k: v for k, v in facts.items() if v is not None})
        kept = orjson.dumps({key: value for key, value in values.items() if value is not None}).decode()
        await connection.execute(QUERIES["change"], customer_id, sealed, kept, now)

    async def forget(self, owner: Owner, customer_id: UUID, now: datetime) -> None:
        """Forget a customer: its key is destroyed, so that what was sealed under it can nowhere be read again.

        Raises: CustomerNotFound.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["lock"], customer_id, owner.merchant_id, owner.mode)
            if row is None:
                raise not_found(customer_id)
            if row["deleted_at"] is None:
                await connection.execute(QUERIES["delete"], customer_id, now)
                await self._keyring.destroy(connection, customer_id)

    async def get(self, owner: Owner, customer_id: UUID) -> Customer:
        """Return a customer, also one that was deleted. Raises: CustomerNotFound."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(QUERIES["get"], customer_id, owner.merchant_id, owner.mode)
            if row is None:
                raise not_found(customer_id)
            [customer] = await self._open(connection, [row])
            return customer

    async def named(self, owner: Owner, customer_ids: Sequence[UUID]) -> list[Customer]:
        """Return those of these customers that there are, in any order, also those that were deleted."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["named"], customer_ids, owner.merchant_id, owner.mode)
            return await self._open(connection, rows)

    async def newest(self, owner: Owner, *, before: UUID | None, limit: int) -> list[Customer]:
        """Return customers, newest first, older than `before`."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["list"], owner.merchant_id, owner.mode, before or LAST_ID, limit)
            return await self._open(connection, rows)

    async def _seal(self, connection: Connection, customer_id: UUID, person: Person) -> str:
        [sealed] = await self._keyring.seal(connection, [(customer_id, orjson.dumps(person))])
        return sealed.model_dump_json()

    async def _open(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Customer]:
        held = [(row, Sealed.model_validate_json(row["person"])) for row in rows if row["person"] is not None]
        opened = await self._keyring.open(connection, [sealed for _, sealed in held])
        people = {row["customer_id"]: text for (row, _), text in zip(held, opened, strict=True)}
        return [_customer(row, people.get(row["customer_id"])) for row in rows]


def not_found(customer_id: UUID) -> CustomerNotFound:
    """Return the error that says nothing of whether there is such a customer of somebody else's."""
    return CustomerNotFound(f"there is no customer {ids.to_text('cus', customer_id)} for this key", param="customer_id")


def _customer(row: Mapping[str, Any], text: bytes | PaymentError | None) -> Customer:
    if isinstance(text, PaymentError) and not isinstance(text, PersonErased):
        raise InvariantViolated(f"customer {row['customer_id']} cannot be opened: {text.stable_code}") from text
    return Customer(
        id=row["customer_id"],
        person=orjson.loads(text) if isinstance(text, bytes) else None,
        metadata=orjson.loads(row["metadata"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deleted_at=row["deleted_at"],
    )
