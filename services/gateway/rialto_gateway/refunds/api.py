"""`/v1/payments/{id}/refunds` and `/v1/refunds`."""

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from rialto_common import ids
from rialto_common.events.envelope import MinorUnits
from rialto_common.request_bodies import documented_body, read_body
from rialto_gateway.expand import TO_PAYMENT, Expansions, expand_query, read_expand
from rialto_gateway.idempotency import required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import WAITS, json_answer, replay_header
from rialto_gateway.payments.bodies import Metadata
from rialto_gateway.payments.facts import RefundAsked
from rialto_gateway.payments.wait import wait_of
from rialto_gateway.refunds.service import RefundService
from rialto_gateway.requests import Body, caller_of

Reason = Literal["requested_by_customer", "duplicate", "fraudulent"]


class CreateRefund(Body):
    """Give back all that is left, or a part."""

    amount_minor: MinorUnits | None = None
    reason: Reason | None = None
    metadata: Metadata = Field(default_factory=dict)


def refund_router(refunds: RefundService, keys: ApiKeys, expansions: Expansions) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["refunds"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post(
        "/payments/{payment_id}/refunds",
        status_code=202,
        openapi_extra=documented_body(CreateRefund, {"amount_minor": "500", "reason": "requested_by_customer"}) | WAITS,
        responses={200: {"description": "it has an outcome within the time of Prefer: wait"}},
    )
    async def create_refund(payment_id: str, request: Request, caller: Caller) -> Response:
        """Refund all or part of what was captured. The outcome follows, or is waited for with Prefer."""
        caller.merchant()
        body = read_body(CreateRefund, await request.body())
        key = required_key(request.headers.get("idempotency-key"))
        refund, replayed = await refunds.create(
            caller,
            ids.from_text("pay", payment_id),
            RefundAsked(body.amount_minor, body.reason, orjson.dumps(body.metadata).decode()),
            key=key,
            request_hash=keys.request_hash(body.model_dump_json().encode()),
            wait_seconds=wait_of(request.headers.get("prefer")),
        )
        return json_answer(refund, 202 if refund["status"] == "pending" else 200, replay_header(replayed))

    @router.get("/payments/{payment_id}/refunds")
    async def list_refunds(payment_id: str, caller: Caller) -> Response:
        """List a payment's refunds, in the order in which they were asked for."""
        data = await refunds.of_payment(caller, ids.from_text("pay", payment_id))
        return json_answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})

    @router.get("/refunds/{refund_id}")
    async def get_refund(
        refund_id: str,
        caller: Caller,
        expand: Annotated[list[str], expand_query(TO_PAYMENT)] = [],  # noqa: B006 - FastAPI copies it
    ) -> Response:
        """Return a refund; with `expand[]=payment` its payment as it is now."""
        wanted = read_expand(expand, TO_PAYMENT, caller)
        refund = await refunds.get(caller, ids.from_text("re", refund_id))
        if wanted:
            refund["payment"] = await expansions.payment(ids.from_text("pay", refund["payment_id"]), caller)
        return json_answer(refund)

    return router
