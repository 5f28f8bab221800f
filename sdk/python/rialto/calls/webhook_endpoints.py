"""Webhook endpoints and what was delivered to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import WebhookDelivery, WebhookEndpoint, WebhookRedelivery

WHERE = "webhook_endpoints"


def create(
    *,
    url: str,
    events: Sequence[str] | None = None,
    api_version: str | None = None,
    idempotency_key: str | None = None,
) -> Call[WebhookEndpoint]:
    """Add an endpoint, for all events or those named (`payment.*` for a kind). Keep its `secret`: it is shown once.

    Its messages come in the API's version that this package speaks, unless `api_version` names another.
    """
    return Call(
        "POST",
        path(WHERE),
        WebhookEndpoint.model_validate,
        fields(url=url, events=None if events is None else list(events), api_version=api_version),
        idempotency_key=idempotency_key,
    )


def retrieve(endpoint_id: str) -> Call[WebhookEndpoint]:
    """Return an endpoint; `circuit` says whether it is left alone just now."""
    return Call("GET", path(WHERE, endpoint_id), WebhookEndpoint.model_validate)


def list_() -> ListCall[WebhookEndpoint]:
    """List the endpoints."""
    return ListCall(path(WHERE), WebhookEndpoint.model_validate)


def update(
    endpoint_id: str,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    enabled: bool | None = None,
    api_version: str | None = None,
) -> Call[WebhookEndpoint]:
    """Change an endpoint; an empty list of events means all."""
    listened = None if events is None else list(events)
    body = fields(url=url, events=listened, enabled=enabled, api_version=api_version)
    return Call("PATCH", path(WHERE, endpoint_id), WebhookEndpoint.model_validate, body)


def rotate_secret(
    endpoint_id: str, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
) -> Call[WebhookEndpoint]:
    """Give an endpoint a new secret; for the overlap (a day) both sign. 0 where the old one is no secret any more."""
    return Call(
        "POST",
        path(WHERE, endpoint_id, "rotate_secret"),
        WebhookEndpoint.model_validate,
        fields(overlap_seconds=overlap_seconds),
        idempotency_key=idempotency_key,
    )


def delete(endpoint_id: str) -> Call[None]:
    """Stop sending to an endpoint; what waits for it is given up."""
    return Call("DELETE", path(WHERE, endpoint_id), _nothing, gone_is_done=True)


def send_test(
    endpoint_id: str,
    *,
    type: str,
    duplicate: bool | None = None,
    out_of_order: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[list[WebhookDelivery]]:
    """Send a made-up message; on purpose twice under one id, or before an earlier one of its object."""
    return Call(
        "POST",
        path(WHERE, endpoint_id, "test"),
        _deliveries,
        fields(type=type, duplicate=duplicate, out_of_order=out_of_order),
        idempotency_key=idempotency_key,
    )


def list_deliveries(
    endpoint_id: str,
    *,
    status: Literal["pending", "waiting", "sending", "delivered", "given_up"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[WebhookDelivery]:
    """List an endpoint's deliveries, newest first, with what became of each."""
    asked = query(status=status, limit=limit, cursor=cursor)
    return ListCall(path(WHERE, endpoint_id, "deliveries"), WebhookDelivery.model_validate, asked)


def retrieve_delivery(endpoint_id: str, delivery_id: str) -> Call[WebhookDelivery]:
    """Return a delivery with its message and its attempts."""
    return Call("GET", path(WHERE, endpoint_id, "deliveries", delivery_id), WebhookDelivery.model_validate)


def redeliver(endpoint_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Call[WebhookDelivery]:
    """Send a delivery again, under the same id."""
    return Call(
        "POST",
        path(WHERE, endpoint_id, "deliveries", delivery_id, "redeliver"),
        WebhookDelivery.model_validate,
        {},
        idempotency_key=idempotency_key,
    )


def redeliver_range(
    endpoint_id: str,
    *,
    created_since: datetime,
    created_until: datetime | None = None,
    status: Literal["given_up", "delivered"] | None = None,
    limit: int | None = None,
    idempotency_key: str | None = None,
) -> Call[WebhookRedelivery]:
    """Send deliveries of a range of time again, those of one payment in their order."""
    return Call(
        "POST",
        path(WHERE, endpoint_id, "redeliver"),
        WebhookRedelivery.model_validate,
        fields(created_since=created_since, created_until=created_until, status=status, limit=limit),
        idempotency_key=idempotency_key,
    )


def _deliveries(answer: Any) -> list[WebhookDelivery]:
    return [WebhookDelivery.model_validate(item) for item in answer["data"]]


def _nothing(_answer: Any) -> None:
    return None
