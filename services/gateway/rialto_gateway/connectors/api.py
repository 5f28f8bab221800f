"""`/v1/connectors/{name}/webhooks`: what acquirers tell of themselves, and for the operator what they told."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from rialto_common import ids
from rialto_common.errors import InvalidRequest, NotFound
from rialto_gateway.answers import json_answer
from rialto_gateway.connectors.webhooks import ConnectorWebhooks, WebhookInvalid
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import caller_of


class ConnectorNotFound(NotFound):
    """No such acquirer here."""

    code = "connector_not_found"


class ConnectorWebhookInvalid(InvalidRequest):
    """The message is not signed by the acquirer, is too old, or says nothing that can be read."""

    code = "connector_webhook_invalid"


def connector_router(webhooks: ConnectorWebhooks, keys: ApiKeys, cursors: Cursors) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/connectors", tags=["connectors"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post("/{name}/webhooks", include_in_schema=False)
    async def take_webhook(name: str, request: Request) -> Response:
        """Take a message of an acquirer."""
        if not webhooks.knows(name):
            raise ConnectorNotFound("there is no such acquirer")
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            await webhooks.take(name, await request.body(), headers)
        except WebhookInvalid as error:
            raise ConnectorWebhookInvalid(str(error)) from error
        return Response(status_code=204)

    @router.get("/{name}/webhooks")
    async def list_connector_webhooks(
        name: str,
        caller: Caller,
        reference: Annotated[str | None, Query(max_length=64, description="of one attempt, `att_…`")] = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """List what an acquirer told and what came of it, the newest first, for as long as it is kept."""
        caller.require_operator()
        if not webhooks.knows(name):
            raise ConnectorNotFound("there is no such acquirer")
        context = f"connector_webhooks/{name}/{reference}"
        found = await webhooks.newest(name, cursors.read(cursor, context), reference, limit + 1)
        page, more = found[:limit], len(found) > limit
        last = Place(page[-1]["received_at"], page[-1]["webhook_id"]) if more else None
        return json_answer(
            {
                "object": "list",
                "data": [_view(row, webhooks.body_of(row)) for row in page],
                "has_more": more,
                "next_cursor": None if last is None else cursors.write(last, context),
            }
        )

    return router


def _view(row: Mapping[str, Any], body: str) -> dict[str, Any]:
    return {
        "id": ids.to_text("cwh", row["webhook_id"]),
        "object": "connector_webhook",
        "connector": row["connector"],
        "message_id": row["message_id"],
        "reference": row["reference"],
        "says": row["says"],
        "outcome": row["outcome"],
        "times": row["times"],
        "body": body,
        "received_at": time_text(row["received_at"]),
        "last_received_at": time_text(row["last_received_at"]),
    }
