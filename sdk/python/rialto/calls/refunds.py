"""Refunds."""

from collections.abc import Mapping, Sequence
from typing import Literal

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import Refund


def create(
    payment_id: str,
    *,
    amount_minor: int | None = None,
    reason: Literal["requested_by_customer", "duplicate", "fraudulent"] | None = None,
    metadata: Mapping[str, str] | None = None,
    wait: float | None = None,
    idempotency_key: str | None = None,
) -> Call[Refund]:
    """Give back all that is left of what was captured, or a part; with `wait` (seconds, 30 at most) until it ends."""
    return Call(
        "POST",
        path("payments", payment_id, "refunds"),
        Refund.model_validate,
        fields(amount_minor=amount_minor, reason=reason, metadata=metadata),
        idempotency_key=idempotency_key,
        wait_seconds=wait,
    )


def retrieve(refund_id: str, *, expand: Sequence[Literal["payment"]] = ()) -> Call[Refund]:
    """Return a refund; `expand` shows its payment as it is now."""
    return Call("GET", path("refunds", refund_id), Refund.model_validate, query=query(expand_=expand))


def list_(payment_id: str) -> ListCall[Refund]:
    """List a payment's refunds, in the order in which they were asked for."""
    return ListCall(path("payments", payment_id, "refunds"), Refund.model_validate)
