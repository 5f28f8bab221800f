"""`/v1/webhook_endpoints/{id}/deliveries`: what became of each message, sending it again, and trying an endpoint."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from rialto_common import ids
from rialto_common.database import Connection, Pool
from rialto_common.errors import Conflict, NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway import versions
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.idempotency import IdempotentRequests, Vault, check_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.versions import AsShown
from rialto_gateway.webhooks.api import Endpoints
from rialto_gateway.webhooks.bodies import RedeliverRange, SendTest
from rialto_gateway.webhooks.examples import examples
from rialto_gateway.webhooks.messages import QUERIES, in_version

Status = Literal["pending", "waiting", "sending", "delivered", "given_up"]


class WebhookDeliveryNotFound(NotFound):
    """No such delivery to this endpoint."""

    code = "webhook_delivery_not_found"


class WebhookDeliveryInLine(Conflict):
    """This delivery is under way, or waits for the one before it of its object; it is sent in its turn."""

    code = "webhook_delivery_in_line"


class WebhookEndpointDisabled(Conflict):
    """A disabled endpoint is sent nothing; enable it first."""

    code = "webhook_endpoint_disabled"


class Nothing(Body):
    """Nothing to say."""


def delivery_router(
    *, pool: Pool, once: IdempotentRequests, vault: Vault, keys: ApiKeys, runtime: Runtime, cursors: Cursors
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/webhook_endpoints/{endpoint_id}", tags=["webhooks"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]
    endpoints = Endpoints(pool)

    @router.get("/deliveries")
    async def list_deliveries(
        endpoint_id: str,
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: str | None = None,
        status: Status | None = None,
    ) -> Response:
        """List an endpoint's deliveries, newest first, with what became of each."""
        wanted, _ = await endpoints.owned(endpoint_id, caller)
        context = f"deliveries/{endpoint_id}"
        place = cursors.read(cursor, context)
        rows = await pool.fetch(QUERIES["deliveries"], wanted, place.at, place.id, status, limit + 1)
        page, more = rows[:limit], len(rows) > limit
        after = cursors.write(Place(page[-1]["created_at"], page[-1]["delivery_id"]), context) if more else None
        data = [delivery_view(row) for row in page]
        return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": after})

    @router.get("/deliveries/{delivery_id}")
    async def get_delivery(endpoint_id: str, delivery_id: str, caller: Caller) -> Response:
        """Return a delivery: the message, and its newest hundred attempts with the beginning of each answer."""
        wanted, endpoint = await endpoints.owned(endpoint_id, caller)
        return json_answer(await one(wanted, delivery_id, endpoint["api_version"]))

    async def one(endpoint_id: UUID, delivery_id: str, version: str) -> dict[str, Any]:
        row = await pool.fetchrow(QUERIES["delivery"], ids.from_text("msg", delivery_id), endpoint_id)
        if row is None:
            raise WebhookDeliveryNotFound(f"there is no delivery {delivery_id} to this endpoint")
        attempts = await pool.fetch(QUERIES["attempts"], row["delivery_id"])
        message = None
        if row["body"] is not None:
            message = AsShown(orjson.loads(in_version(row["body"], version, row["written"])))
        log = [attempt_view(attempt, row["delivery_id"], vault) for attempt in attempts]
        return delivery_view(row) | {"message": message, "attempt_log": log}

    @router.post("/deliveries/{delivery_id}/redeliver", openapi_extra=documented_body(Nothing, {}))
    async def redeliver(endpoint_id: str, delivery_id: str, request: Request, caller: Caller) -> Response:
        """Send a delivery again, under the same id: one at its end anew, one that waits for its next attempt now."""
        wanted, endpoint = await endpoints.owned(endpoint_id, caller)
        read_body(Nothing, await request.body())
        found = await one(wanted, delivery_id, endpoint["api_version"])
        if found["message"] is None:
            raise WebhookDeliveryNotFound(f"the message of {delivery_id} is no longer kept")

        async def work(connection: Connection, request_id: UUID) -> dict[str, Any]:
            chosen = [ids.from_text("msg", delivery_id)]
            if not await connection.fetch(QUERIES["redeliver"], wanted, chosen, runtime.now(), request_id):
                raise WebhookDeliveryInLine(f"{delivery_id} is {found['status']}; it is sent in its turn")
            (row,) = await connection.fetch(QUERIES["delivery"], chosen[0], wanted)
            return delivery_view(row)

        key = check_key(request.headers.get("idempotency-key"))
        answer, replayed = await once.once(caller, f"deliveries/{delivery_id}", key, keys.request_hash(b""), work)
        return json_answer(answer, headers=replay_header(replayed))

    range_example = {"status": "given_up", "created_since": "2026-03-01T00:00:00Z"}

    @router.post("/redeliver", openapi_extra=documented_body(RedeliverRange, range_example))
    async def redeliver_range(endpoint_id: str, request: Request, caller: Caller) -> Response:
        """Send deliveries of a range again, those of one payment in their order. `has_more`: ask again for the rest."""
        wanted, _ = await endpoints.owned(endpoint_id, caller)
        body = read_body(RedeliverRange, await request.body())
        now = runtime.now()

        async def work(connection: Connection, request_id: UUID) -> dict[str, Any]:
            rows = await connection.fetch(
                QUERIES["range_to_redeliver"],
                wanted,
                body.created_since,
                body.created_until or now,
                body.status,
                body.limit + 1,
            )
            chosen = [row["delivery_id"] for row in rows[: body.limit]]
            done = await connection.fetch(QUERIES["redeliver"], wanted, chosen, now, request_id)
            return {"object": "webhook_redelivery", "deliveries": len(done), "has_more": len(rows) > body.limit}

        key = check_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, f"redeliver/{endpoint_id}", key, request_hash, work)
        return json_answer(answer, headers=replay_header(replayed))

    @router.post("/test", status_code=201, openapi_extra=documented_body(SendTest, {"type": "payment.captured"}))
    async def send_test(endpoint_id: str, request: Request, caller: Caller) -> Response:
        """Send a made-up message, whatever the endpoint listens to; `duplicate` and `out_of_order` try its care."""
        wanted, endpoint = await endpoints.owned(endpoint_id, caller)
        merchant_id, mode, _ = caller.merchant()
        body = read_body(SendTest, await request.body())
        now = runtime.now()

        async def work(connection: Connection, request_id: UUID) -> dict[str, Any]:
            if not endpoint["enabled"]:
                raise WebhookEndpointDisabled(f"{endpoint_id} is disabled; enable it first")
            payment_id, made = examples(
                request_id,
                merchant_id,
                mode,
                body.type,
                now,
                duplicate=body.duplicate,
                out_of_order=body.out_of_order,
            )
            await connection.execute(
                QUERIES["add_tests"],
                now,
                wanted,
                payment_id,
                [each.delivery_id for each in made],
                [each.event for each in made],
                [each.message_id for each in made],
                [each.body for each in made],
                [each.place for each in made],
                versions.LATEST,
            )
            rows = [
                row for each in made for row in await connection.fetch(QUERIES["delivery"], each.delivery_id, wanted)
            ]
            data = [delivery_view(row) for row in rows]
            return {"object": "list", "data": data, "has_more": False, "next_cursor": None}

        key = check_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, f"test/{endpoint_id}", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    return router


def delivery_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the delivery object of a row; `webhook_id` is what the endpoint knows it by."""
    return {
        "id": ids.to_text("msg", row["delivery_id"]),
        "object": "webhook_delivery",
        "webhook_id": ids.to_text("msg", row["message_id"] or row["delivery_id"]),
        "endpoint_id": ids.to_text("we", row["endpoint_id"]),
        "event_id": None if row["event_id"] is None else ids.to_text("evt", row["event_id"]),
        "payment_id": None if row["event"].startswith("payout.") else ids.to_text("pay", row["payment_id"]),
        "event": row["event"],
        "test": row["test"],
        "status": row["state"],
        "attempts": row["attempts"],
        "last_http_status": row["last_status"],
        "last_error": row["last_error"],
        "next_attempt_at": time_text(row["next_attempt_at"]),
        "created_at": time_text(row["created_at"]),
    }


def attempt_view(row: Mapping[str, Any], delivery_id: UUID, vault: Vault) -> dict[str, Any]:
    """Return an attempt; of the answer's body the beginning, as text."""
    response = None if row["response"] is None else vault.open(row["response"], delivery_id.bytes)
    return {
        "number": row["nth"],
        "started_at": time_text(row["started_at"]),
        "status": row["state"],
        "http_status": row["status"],
        "error": row["error"],
        "duration_ms": row["duration_ms"],
        "response_body": None if response is None else response.decode(errors="replace"),
    }
