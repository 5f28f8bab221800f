"""`/v1/webhook_endpoints`: where a merchant wants to hear of its payments."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from rialto_common import ids
from rialto_common.database import Connection, Pool
from rialto_common.errors import NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.idempotency import IdempotentRequests, Vault, check_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import caller_of
from rialto_gateway.versions import CURRENT, known
from rialto_gateway.webhooks.addresses import check_url
from rialto_gateway.webhooks.bodies import CreateWebhookEndpoint, RotateSecret, UpdateWebhookEndpoint
from rialto_gateway.webhooks.messages import QUERIES

SECRET_BYTES = 32


class WebhookEndpointNotFound(NotFound):
    """No such endpoint for this key."""

    code = "webhook_endpoint_not_found"


class Endpoints:
    """A merchant's endpoints, for the routes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self, caller: Principal) -> list[dict[str, Any]]:
        """Return the caller's endpoints."""
        merchant_id, mode, _ = caller.merchant()
        return [
            endpoint_view(row) for row in await self._pool.fetch(QUERIES["list_endpoints"], merchant_id, mode, None)
        ]

    async def owned(self, endpoint_id: str, caller: Principal) -> tuple[UUID, dict[str, Any]]:
        """Return an endpoint's id, and the endpoint.

        Raises: WebhookEndpointNotFound: none, or another merchant's or mode's.
        """
        merchant_id, mode, _ = caller.merchant()
        wanted = ids.from_text("we", endpoint_id)
        row = await self._pool.fetchrow(QUERIES["list_endpoints"], merchant_id, mode, wanted)
        if row is None:
            raise WebhookEndpointNotFound(f"there is no webhook endpoint {endpoint_id} for this key")
        return wanted, endpoint_view(row)


def webhook_router(
    *, pool: Pool, once: IdempotentRequests, vault: Vault, keys: ApiKeys, runtime: Runtime, allow_private: bool
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/webhook_endpoints", tags=["webhooks"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]
    endpoints = Endpoints(pool)
    example = {"url": "https://shop.example/webhooks/rialto", "events": ["payment.settled", "payment.declined"]}

    def new_secret(endpoint_id: UUID) -> tuple[str, bytes]:
        secret = "whsec_" + b64encode(runtime.random_bytes(SECRET_BYTES)).decode()
        return secret, vault.close(secret.encode(), endpoint_id.bytes)

    @router.post("", status_code=201, openapi_extra=documented_body(CreateWebhookEndpoint, example))
    async def create_endpoint(request: Request, caller: Caller) -> Response:
        """Add an endpoint. Its signing secret is shown here only.

        It is sent messages in the version of the API that this request speaks, unless `api_version` names another.
        """
        merchant_id, mode, _ = caller.merchant()
        body = read_body(CreateWebhookEndpoint, await request.body())
        check_url(body.url, allow_private=allow_private)
        version = CURRENT.get() if body.api_version is None else known(body.api_version, "api_version")
        created_at = runtime.now()

        async def work(connection: Connection, endpoint_id: UUID) -> dict[str, Any]:
            secret, sealed = new_secret(endpoint_id)
            await connection.execute(
                QUERIES["add_endpoint"],
                endpoint_id,
                merchant_id,
                mode,
                body.url,
                body.events,
                sealed,
                created_at,
                version,
            )
            (row,) = await connection.fetch(QUERIES["list_endpoints"], merchant_id, mode, endpoint_id)
            return endpoint_view(row) | {"secret": secret}

        key = check_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json(exclude_none=True).encode())
        answer, replayed = await once.once(caller, "webhook_endpoints", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    @router.get("")
    async def list_endpoints(caller: Caller) -> Response:
        """List the endpoints, with how each fares."""
        data = await endpoints.all(caller)
        return json_answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})

    @router.get("/{endpoint_id}")
    async def get_endpoint(endpoint_id: str, caller: Caller) -> Response:
        """Return one endpoint; `circuit` says whether it is left alone just now."""
        return json_answer((await endpoints.owned(endpoint_id, caller))[1])

    @router.patch("/{endpoint_id}", openapi_extra=documented_body(UpdateWebhookEndpoint, {"events": ["payment.*"]}))
    async def update_endpoint(endpoint_id: str, request: Request, caller: Caller) -> Response:
        """Change an endpoint. A new URL, or enabling it, closes its circuit.

        Another `api_version` holds for all that is sent from then on, what is tried again too.
        """
        wanted, _ = await endpoints.owned(endpoint_id, caller)
        merchant_id, mode, _ = caller.merchant()
        body = read_body(UpdateWebhookEndpoint, await request.body())
        version = None if body.api_version is None else known(body.api_version, "api_version")
        if body.url is not None:
            check_url(body.url, allow_private=allow_private)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                QUERIES["change_endpoint"],
                wanted,
                merchant_id,
                mode,
                body.url,
                body.events,
                body.enabled,
                runtime.now(),
                version,
            )
            if body.url is not None or body.enabled:
                await connection.execute(QUERIES["reset_breaker"], wanted)
        return json_answer((await endpoints.owned(endpoint_id, caller))[1])

    @router.post("/{endpoint_id}/rotate_secret", openapi_extra=documented_body(RotateSecret, {"overlap_seconds": 3600}))
    async def rotate_secret(endpoint_id: str, request: Request, caller: Caller) -> Response:
        """Give an endpoint a new signing secret, shown here only; until the overlap ends, both sign every message.

        Two sign at most: a rotation within the overlap of another ends that one.
        """
        wanted, _ = await endpoints.owned(endpoint_id, caller)
        merchant_id, mode, _ = caller.merchant()
        body = read_body(RotateSecret, await request.body())
        now = runtime.now()
        until = now + timedelta(seconds=body.overlap_seconds) if body.overlap_seconds else None

        async def work(connection: Connection, _new_id: UUID) -> dict[str, Any]:
            secret, sealed = new_secret(wanted)
            await connection.execute(QUERIES["rotate_secret"], wanted, merchant_id, mode, sealed, until, now)
            (row,) = await connection.fetch(QUERIES["list_endpoints"], merchant_id, mode, wanted)
            return endpoint_view(row) | {"secret": secret}

        key = check_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        action = f"webhook_endpoints/{endpoint_id}/rotate_secret"
        answer, replayed = await once.once(caller, action, key, request_hash, work)
        return json_answer(answer, 200, replay_header(replayed))

    @router.delete("/{endpoint_id}", status_code=204)
    async def delete_endpoint(endpoint_id: str, caller: Caller) -> Response:
        """Stop sending to an endpoint; what waits for it is given up."""
        wanted, _ = await endpoints.owned(endpoint_id, caller)
        merchant_id, mode, _ = caller.merchant()
        await pool.execute(QUERIES["delete_endpoint"], wanted, merchant_id, mode, runtime.now())
        return Response(status_code=204)

    return router


def endpoint_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the endpoint object of a row of `list_endpoints`."""
    return {
        "id": ids.to_text("we", row["endpoint_id"]),
        "object": "webhook_endpoint",
        "url": row["url"],
        "events": row["events"],
        "api_version": row["api_version"],
        "enabled": row["disabled_at"] is None,
        "circuit": {
            "state": row["state"],
            "failures": row["failures"],
            "opened_at": time_text(row["opened_at"]),
            "next_probe_at": time_text(row["probe_at"]),
        },
        "previous_secret_valid_until": time_text(row["previous_secret_until"]),
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"] or row["created_at"]),
    }
