"""`/v1/webhook_endpoints`: where a merchant wants to hear of its payments."""

from base64 import b64encode
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, field_validator

from rialto_common import ids
from rialto_common.database import Connection, Pool
from rialto_common.errors import NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.idempotency import IdempotentRequests, Vault, check_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.webhooks.messages import MESSAGES, QUERIES
from rialto_gateway.webhooks.outgoing import check_url

SECRET_BYTES = 32


class WebhookEndpointNotFound(NotFound):
    """No such endpoint for this key."""

    code = "webhook_endpoint_not_found"


class CreateWebhookEndpoint(Body):
    """An endpoint; without `events` it hears of all."""

    url: Annotated[str, Field(max_length=2048, examples=["https://shop.example/webhooks/rialto"])]
    events: Annotated[list[str], Field(max_length=50, examples=[["payment.settled", "payment.declined"]])] = Field(
        default_factory=list
    )

    @field_validator("events")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for event in value:
            if event not in MESSAGES.values():
                raise ValueError(f"'{event[:40]}' is not one of {', '.join(sorted(MESSAGES.values()))}")
        return sorted(set(value))


def webhook_router(
    *, pool: Pool, once: IdempotentRequests, vault: Vault, keys: ApiKeys, runtime: Runtime, allow_private: bool
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/webhook_endpoints", tags=["webhooks"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    example = {"url": "https://shop.example/webhooks/rialto", "events": ["payment.settled", "payment.declined"]}

    @router.post("", status_code=201, openapi_extra=documented_body(CreateWebhookEndpoint, example))
    async def create_endpoint(request: Request, caller: Caller) -> Response:
        """Add an endpoint. Its signing secret is shown here only."""
        merchant_id, mode, _ = caller.merchant()
        body = read_body(CreateWebhookEndpoint, await request.body())
        check_url(body.url, allow_private=allow_private)
        secret = "whsec_" + b64encode(runtime.random_bytes(SECRET_BYTES)).decode()
        created_at = runtime.now()

        async def work(connection: Connection, endpoint_id: UUID) -> dict[str, Any]:
            await connection.execute(
                QUERIES["add_endpoint"],
                endpoint_id,
                merchant_id,
                mode,
                body.url,
                body.events,
                vault.close(secret.encode(), endpoint_id.bytes),
                created_at,
            )
            return _view(endpoint_id, body.url, body.events, time_text(created_at)) | {"secret": secret}

        key = check_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, "webhook_endpoints", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    @router.get("")
    async def list_endpoints(caller: Caller) -> Response:
        """List the endpoints."""
        merchant_id, mode, _ = caller.merchant()
        rows = await pool.fetch(QUERIES["list_endpoints"], merchant_id, mode)
        data = [_view(row["endpoint_id"], row["url"], row["events"], time_text(row["created_at"])) for row in rows]
        return json_answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})

    @router.get("/{endpoint_id}")
    async def get_endpoint(endpoint_id: str, caller: Caller) -> Response:
        """Return one endpoint."""
        return json_answer(await _owned(endpoint_id, caller))

    @router.delete("/{endpoint_id}", status_code=204)
    async def delete_endpoint(endpoint_id: str, caller: Caller) -> Response:
        """Stop sending to an endpoint."""
        await _owned(endpoint_id, caller)
        merchant_id, mode, _ = caller.merchant()
        await pool.execute(
            QUERIES["delete_endpoint"], ids.from_text("we", endpoint_id), merchant_id, mode, runtime.now()
        )
        return Response(status_code=204)

    @router.get("/{endpoint_id}/deliveries")
    async def list_deliveries(endpoint_id: str, caller: Caller) -> Response:
        """List the newest hundred deliveries to an endpoint, with what became of each."""
        await _owned(endpoint_id, caller)
        rows = await pool.fetch(QUERIES["deliveries"], ids.from_text("we", endpoint_id))
        data = [
            {
                "id": ids.to_text("msg", row["delivery_id"]),
                "object": "webhook_delivery",
                "payment_id": ids.to_text("pay", row["payment_id"]),
                "event": row["event"],
                "status": row["state"],
                "attempts": row["attempts"],
                "last_http_status": row["status"],
                "last_error": row["error"],
                "next_attempt_at": time_text(row["next_attempt_at"]),
                "created_at": time_text(row["created_at"]),
            }
            for row in rows
        ]
        return json_answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})

    async def _owned(endpoint_id: str, caller: Principal) -> dict[str, Any]:
        merchant_id, mode, _ = caller.merchant()
        row = await pool.fetchrow(QUERIES["get_endpoint"], ids.from_text("we", endpoint_id), merchant_id, mode)
        if row is None:
            raise WebhookEndpointNotFound(f"there is no webhook endpoint {endpoint_id} for this key")
        return _view(row["endpoint_id"], row["url"], row["events"], time_text(row["created_at"]))

    return router


def _view(endpoint_id: UUID, url: str, events: list[str], created_at: str | None) -> dict[str, Any]:
    return {
        "id": ids.to_text("we", endpoint_id),
        "object": "webhook_endpoint",
        "url": url,
        "events": events,
        "created_at": created_at,
    }
