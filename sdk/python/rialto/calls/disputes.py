"""Disputes: a payer's bank wants the money back."""

from collections.abc import Sequence
from typing import Any, Literal

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import Dispute


def retrieve(dispute_id: str, *, expand: Sequence[Literal["payment"]] = ()) -> Call[Dispute]:
    """Return a dispute with the evidence that was posted; `expand` shows its payment as it is now."""
    return Call("GET", path("disputes", dispute_id), Dispute.model_validate, query=query(expand_=expand))


def list_(
    *, status: str | None = None, payment_id: str | None = None, limit: int | None = None, cursor: str | None = None
) -> ListCall[Dispute]:
    """List disputes, newest first."""
    asked = query(status=status, payment_id=payment_id, limit=limit, cursor=cursor)
    return ListCall(path("disputes"), Dispute.model_validate, asked)


def post_evidence(
    dispute_id: str,
    *,
    product_description: str | None = None,
    customer_name: str | None = None,
    customer_email: str | None = None,
    customer_communication: str | None = None,
    billing_address: str | None = None,
    shipping_address: str | None = None,
    shipping_carrier: str | None = None,
    shipping_tracking_number: str | None = None,
    shipping_date: str | None = None,
    service_date: str | None = None,
    refund_policy: str | None = None,
    cancellation_policy: str | None = None,
    other: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Dispute]:
    """Keep what speaks for you, in the place of any before; the acquirer sees it once you `submit` it."""
    body = fields(
        product_description=product_description,
        customer_name=customer_name,
        customer_email=customer_email,
        customer_communication=customer_communication,
        billing_address=billing_address,
        shipping_address=shipping_address,
        shipping_carrier=shipping_carrier,
        shipping_tracking_number=shipping_tracking_number,
        shipping_date=shipping_date,
        service_date=service_date,
        refund_policy=refund_policy,
        cancellation_policy=cancellation_policy,
        other=other,
    )
    return _act(dispute_id, "evidence", body, idempotency_key)


def submit(dispute_id: str, *, idempotency_key: str | None = None) -> Call[Dispute]:
    """Send the evidence, once and for all."""
    return _act(dispute_id, "submit", {}, idempotency_key)


def accept(dispute_id: str, *, idempotency_key: str | None = None) -> Call[Dispute]:
    """Give the dispute up."""
    return _act(dispute_id, "accept", {}, idempotency_key)


def _act(dispute_id: str, act: str, body: dict[str, Any], idempotency_key: str | None) -> Call[Dispute]:
    where = path("disputes", dispute_id, act)
    return Call("POST", where, Dispute.model_validate, body, idempotency_key=idempotency_key)
