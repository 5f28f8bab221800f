"""`/v1/customers`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints, field_validator

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.cursors import id_cursor
from rialto_gateway.customers.store import Customer, Customers, Owner
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.bodies import Country, Metadata, MetadataKey, MetadataValue, Person, Text
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of

FACTS = ("name", "country", "email", "phone", "date_of_birth", "address_line", "city", "postal_code")
CUSTOMER_EXAMPLE = {"name": "Ada Example", "email": "ada@example.org", "country": "GB", "metadata": {"crm": "4711"}}
CHANGE_EXAMPLE = {"email": "ada@new.example.org", "phone": None}

MAX_PAGE = 200

Write = Callable[[Connection, UUID], Awaitable[UUID]]
"""Writes in the transaction, perhaps under the new id that it is given, and returns the id of the customer."""


class CreateCustomer(Person):
    """A customer to keep; its facts are sealed under a key of its own."""

    metadata: Metadata = Field(default_factory=dict)


class ChangeCustomer(Body):
    """What has changed. What is left out stays; null takes a fact away, and so it does with a key of the metadata."""

    name: Annotated[Text, Field(max_length=140)] | None = None
    country: Country | None = None
    email: Text | None = None
    phone: Annotated[Text | None, Field(max_length=35)] = None
    date_of_birth: Annotated[str | None, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] = None
    address_line: Text | None = None
    city: Annotated[Text | None, Field(max_length=70)] = None
    postal_code: Annotated[Text | None, Field(max_length=16)] = None
    metadata: Annotated[dict[MetadataKey, MetadataValue | None], Field(max_length=50)] | None = None

    @field_validator("name")
    @classmethod
    def _kept(cls, value: str | None) -> str | None:
        if value is None:
            raise ValueError("a customer has a name; leave it out to keep it")
        return value


def customer_router(*, customers: Customers, once: IdempotentRequests, keys: ApiKeys, runtime: Runtime) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/customers", tags=["customers"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    async def written(request: Request, caller: Principal, action: str, body: Body, write: Write) -> Response:
        """Write once per key. What is kept under the key names the customer and nothing that is known of the person."""
        key = required_key(request.headers.get("idempotency-key"))

        async def work(connection: Connection, resource_id: UUID) -> dict[str, Any]:
            return {"id": ids.to_text("cus", await write(connection, resource_id))}

        request_hash = keys.request_hash(body.model_dump_json(exclude_unset=True).encode())
        named, replayed = await once.once(caller, action, key, request_hash, work)
        customer = await customers.get(_owner(caller), ids.from_text("cus", named["id"]))
        return json_answer(customer_view(customer), 201 if action == "customers" else 200, replay_header(replayed))

    @router.post("", status_code=201, openapi_extra=documented_body(CreateCustomer, CUSTOMER_EXAMPLE))
    async def create_customer(request: Request, caller: Caller) -> Response:
        """Keep a customer; needs an Idempotency-Key."""
        owner, body = _owner(caller), read_body(CreateCustomer, await request.body())
        person = body.model_dump(include=set(FACTS), exclude_none=True)

        async def add(connection: Connection, customer_id: UUID) -> UUID:
            await customers.add(connection, owner, customer_id, person, body.metadata, runtime.now())
            return customer_id

        return await written(request, caller, "customers", body, add)

    @router.get("")
    async def list_customers(
        caller: Caller,
        cursor: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> Response:
        """List customers, newest first."""
        found = await customers.newest(_owner(caller), before=id_cursor("cus", cursor), limit=limit + 1)
        page = found[:limit]
        after = ids.to_text("cus", page[-1].id) if len(found) > limit else None
        data = [customer_view(customer) for customer in page]
        return json_answer({"object": "list", "data": data, "has_more": after is not None, "next_cursor": after})

    @router.get("/{customer_id}")
    async def get_customer(customer_id: str, caller: Caller) -> Response:
        """Return a customer; of one that was deleted only that it was."""
        return json_answer(customer_view(await customers.get(_owner(caller), ids.from_text("cus", customer_id))))

    @router.post("/{customer_id}", openapi_extra=documented_body(ChangeCustomer, CHANGE_EXAMPLE))
    async def change_customer(customer_id: str, request: Request, caller: Caller) -> Response:
        """Change what is known of a customer; needs an Idempotency-Key."""
        owner, body = _owner(caller), read_body(ChangeCustomer, await request.body())
        changed = ids.from_text("cus", customer_id)
        person = body.model_dump(include=set(FACTS), exclude_unset=True)

        async def change(connection: Connection, _id: UUID) -> UUID:
            await customers.change(connection, owner, changed, person, body.metadata, runtime.now())
            return changed

        return await written(request, caller, f"customers/{customer_id}", body, change)

    @router.delete("/{customer_id}")
    async def delete_customer(customer_id: str, caller: Caller) -> Response:
        """Forget a customer: the key of its person is destroyed. It can happen only once, so it needs no key."""
        owner, deleted = _owner(caller), ids.from_text("cus", customer_id)
        await customers.forget(owner, deleted, runtime.now())
        return json_answer(customer_view(await customers.get(owner, deleted)))

    return router


def _owner(caller: Principal) -> Owner:
    merchant_id, mode, _ = caller.merchant()
    return Owner(merchant_id, mode)


def customer_view(customer: Customer) -> dict[str, Any]:
    """Return the customer object."""
    view: dict[str, Any] = {
        "id": ids.to_text("cus", customer.id),
        "object": "customer",
        "deleted": customer.person is None,
        "created_at": time_text(customer.created_at),
        "updated_at": time_text(customer.updated_at),
    }
    if customer.person is None:
        return view
    return view | {name: customer.person.get(name) for name in FACTS} | {"metadata": customer.metadata}
