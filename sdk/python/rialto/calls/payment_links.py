"""Payment links."""

from collections.abc import Mapping
from datetime import datetime

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import PaymentLink


def create(
    *,
    amount_minor: int,
    currency: str,
    description: str,
    return_url: str | None = None,
    metadata: Mapping[str, str] | None = None,
    max_payments: int | None = None,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[PaymentLink]:
    """Make a link, for one payment unless `max_payments` says more. Its payments have it in their metadata."""
    body = fields(
        amount_minor=amount_minor,
        currency=currency,
        description=description,
        return_url=return_url,
        metadata=metadata,
        max_payments=max_payments,
        expires_at=expires_at,
    )
    return Call("POST", path("payment_links"), PaymentLink.model_validate, body, idempotency_key=idempotency_key)


def retrieve(link_id: str) -> Call[PaymentLink]:
    """Return a link."""
    return Call("GET", path("payment_links", link_id), PaymentLink.model_validate)


def list_(*, limit: int | None = None, cursor: str | None = None) -> ListCall[PaymentLink]:
    """List links, newest first."""
    return ListCall(path("payment_links"), PaymentLink.model_validate, query(limit=limit, cursor=cursor))


def deactivate(link_id: str) -> Call[PaymentLink]:
    """Take no more payments by a link."""
    return Call("POST", path("payment_links", link_id, "deactivate"), PaymentLink.model_validate, {})
