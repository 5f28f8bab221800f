"""Payments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from rialto._call import Call, ListCall, Person, fields, path, query
from rialto.models import Payment


class WalletMethod(TypedDict):
    """Pay from a wallet on the ledger."""

    type: Literal["wallet"]
    wallet_id: str


class _Card(TypedDict):
    type: Literal["card"]
    token: str


class CardMethod(_Card, total=False):
    """Pay by card: the acquirer's token, made in the payer's browser. `return_url`: where 3-D Secure leads back to."""

    return_url: str
    descriptor: str


class _Saved(TypedDict):
    type: Literal["saved"]
    payment_method_id: str


class SavedMethod(_Saved, total=False):
    """Pay by a customer's saved card; what the `merchant` begins, with nobody there, needs a mandate."""

    initiator: Literal["customer", "merchant"]
    mandate_id: str
    return_url: str
    descriptor: str


Expandable = Literal[
    "customer", "disputes", "payment_method.mandate", "payment_method.payment_method", "payout", "refunds"
]
ListExpandable = Literal[
    "data.captures",
    "data.customer",
    "data.disputes",
    "data.payment_method.mandate",
    "data.payment_method.payment_method",
    "data.payout",
    "data.refunds",
    "data.timeline",
]


def create(
    *,
    amount_minor: int,
    currency: str,
    payment_method: WalletMethod | CardMethod | SavedMethod,
    payer: Person | None = None,
    payee: Person | None = None,
    capture_method: Literal["automatic", "manual"] | None = None,
    description: str | None = None,
    terminal_id: str | None = None,
    metadata: Mapping[str, str] | None = None,
    occurred_at: datetime | None = None,
    extra: Mapping[str, Any] | None = None,
    wait: float | None = None,
    idempotency_key: str | None = None,
) -> Call[Payment]:
    """Make a payment. It is durable once this returns; with `wait` (seconds, 30 at most) decided, if that is in time.

    Use an idempotency key of your own, such as the order's number, so that not even a crash of yours can pay twice.
    `payer` is left out where the method says who pays. `extra`: fields that this version of the package does not know.
    """
    body = fields(
        amount_minor=amount_minor,
        currency=currency,
        payment_method=dict(payment_method),
        payer=payer,
        payee=payee,
        capture_method=capture_method,
        description=description,
        terminal_id=terminal_id,
        metadata=metadata,
        occurred_at=occurred_at,
    ) | dict(extra or {})
    return Call(
        "POST",
        path("payments"),
        Payment.model_validate,
        body,
        idempotency_key=idempotency_key,
        wait_seconds=wait,
    )


def retrieve(payment_id: str, *, expand: Sequence[Expandable] = ()) -> Call[Payment]:
    """Return a payment with its timeline, captures, increments and attempts; `expand` shows what else belongs to it."""
    return Call("GET", path("payments", payment_id), Payment.model_validate, query=query(expand_=expand))


def list_(
    *,
    status: str | None = None,
    updated_since: datetime | None = None,
    expand: Sequence[ListExpandable] = (),
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Payment]:
    """List payments, newest first; with `updated_since` those that changed, in the order of change."""
    asked = query(status=status, updated_since=updated_since, expand_=expand, limit=limit, cursor=cursor)
    return ListCall(path("payments"), Payment.model_validate, asked)


def capture(
    payment_id: str,
    *,
    amount_minor: int | None = None,
    final: bool | None = None,
    wait: float | None = None,
    idempotency_key: str | None = None,
) -> Call[Payment]:
    """Capture all that is left, or a part; `final` gives the rest back."""
    return Call(
        "POST",
        path("payments", payment_id, "capture"),
        Payment.model_validate,
        fields(amount_minor=amount_minor, final=final),
        idempotency_key=idempotency_key,
        wait_seconds=wait,
    )


def increment(
    payment_id: str, *, amount_minor: int, wait: float | None = None, idempotency_key: str | None = None
) -> Call[Payment]:
    """Have more authorised under a payment that is to be captured by hand: `amount_minor` in all, the new total.

    Where it is declined the payment stays authorised as it was, and the last of its `increments` says why.
    """
    return Call(
        "POST",
        path("payments", payment_id, "increments"),
        Payment.model_validate,
        fields(amount_minor=amount_minor),
        idempotency_key=idempotency_key,
        wait_seconds=wait,
    )


def void(payment_id: str, *, wait: float | None = None, idempotency_key: str | None = None) -> Call[Payment]:
    """Give back what is not captured."""
    return Call(
        "POST",
        path("payments", payment_id, "void"),
        Payment.model_validate,
        {},
        idempotency_key=idempotency_key,
        wait_seconds=wait,
    )
