"""Cards that are kept for a customer, and the mandates by which they may be charged without them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypedDict

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import Mandate, SavedPaymentMethod


class _Interval(TypedDict):
    interval: Literal["day", "week", "month", "year"]


class MandatePeriod(_Interval, total=False):
    """What may be charged within each period, counted from the mandate's start; one limit or both."""

    max_amount_minor: int
    max_payments: int


def attach(customer_id: str, *, token: str, idempotency_key: str | None = None) -> Call[SavedPaymentMethod]:
    """Keep a card for a customer, by the acquirer's token, which is encrypted and never shown."""
    return Call(
        "POST",
        path("customers", customer_id, "payment_methods"),
        SavedPaymentMethod.model_validate,
        fields(type="card", token=token),
        idempotency_key=idempotency_key,
    )


def list_(customer_id: str) -> ListCall[SavedPaymentMethod]:
    """List a customer's cards, newest first."""
    return ListCall(path("customers", customer_id, "payment_methods"), SavedPaymentMethod.model_validate)


def retrieve(payment_method_id: str) -> Call[SavedPaymentMethod]:
    """Return a saved card."""
    return Call("GET", path("payment_methods", payment_method_id), SavedPaymentMethod.model_validate)


def detach(payment_method_id: str) -> Call[SavedPaymentMethod]:
    """Forget a card's token."""
    where = path("payment_methods", payment_method_id, "detach")
    return Call("POST", where, SavedPaymentMethod.model_validate, {})


def create_mandate(
    *,
    payment_method_id: str,
    currency: str,
    max_amount_minor: int,
    period: MandatePeriod | None = None,
    accepted_at: datetime | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Mandate]:
    """Put on record what a customer has agreed may be charged to a saved card without them."""
    body = fields(
        payment_method_id=payment_method_id,
        currency=currency,
        max_amount_minor=max_amount_minor,
        period=period,
        accepted_at=accepted_at,
        starts_at=starts_at,
        ends_at=ends_at,
        metadata=metadata,
    )
    return Call("POST", path("mandates"), Mandate.model_validate, body, idempotency_key=idempotency_key)


def retrieve_mandate(mandate_id: str) -> Call[Mandate]:
    """Return a mandate, with what was charged in the present period."""
    return Call("GET", path("mandates", mandate_id), Mandate.model_validate)


def list_mandates(
    *, payment_method_id: str | None = None, limit: int | None = None, cursor: str | None = None
) -> ListCall[Mandate]:
    """List mandates, newest first."""
    asked = query(payment_method_id=payment_method_id, limit=limit, cursor=cursor)
    return ListCall(path("mandates"), Mandate.model_validate, asked)


def revoke_mandate(mandate_id: str) -> Call[Mandate]:
    """End a mandate: nothing more is charged by it."""
    return Call("POST", path("mandates", mandate_id, "revoke"), Mandate.model_validate, {})
