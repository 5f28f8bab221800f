"""Customers."""

from collections.abc import Mapping

from rialto._call import UNSET, Call, ListCall, Unset, changes, fields, path, query
from rialto.models import Customer


def create(
    *,
    name: str,
    country: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    date_of_birth: str | None = None,
    address_line: str | None = None,
    city: str | None = None,
    postal_code: str | None = None,
    metadata: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Customer]:
    """Keep a customer; what is known of the person is sealed under a key of its own."""
    body = fields(
        name=name,
        country=country,
        email=email,
        phone=phone,
        date_of_birth=date_of_birth,
        address_line=address_line,
        city=city,
        postal_code=postal_code,
        metadata=metadata,
    )
    return Call("POST", path("customers"), Customer.model_validate, body, idempotency_key=idempotency_key)


def retrieve(customer_id: str) -> Call[Customer]:
    """Return a customer; of one that was deleted only that it was."""
    return Call("GET", path("customers", customer_id), Customer.model_validate)


def list_(*, limit: int | None = None, cursor: str | None = None) -> ListCall[Customer]:
    """List customers, newest first."""
    return ListCall(path("customers"), Customer.model_validate, query(limit=limit, cursor=cursor))


def update(
    customer_id: str,
    *,
    name: str | Unset = UNSET,
    country: str | Unset | None = UNSET,
    email: str | Unset | None = UNSET,
    phone: str | Unset | None = UNSET,
    date_of_birth: str | Unset | None = UNSET,
    address_line: str | Unset | None = UNSET,
    city: str | Unset | None = UNSET,
    postal_code: str | Unset | None = UNSET,
    metadata: Mapping[str, str | None] | Unset = UNSET,
    idempotency_key: str | None = None,
) -> Call[Customer]:
    """Change what is given; None takes a fact away, and so it does with a key of the metadata."""
    body = changes(
        name=name,
        country=country,
        email=email,
        phone=phone,
        date_of_birth=date_of_birth,
        address_line=address_line,
        city=city,
        postal_code=postal_code,
        metadata=metadata,
    )
    return Call("POST", path("customers", customer_id), Customer.model_validate, body, idempotency_key=idempotency_key)


def delete(customer_id: str) -> Call[Customer]:
    """Forget a customer: the key that the person is sealed under is destroyed."""
    return Call("DELETE", path("customers", customer_id), Customer.model_validate)
