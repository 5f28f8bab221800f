"""`/v1/disputes`."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, model_validator

from rialto_common import ids
from rialto_common.request_bodies import documented_body, read_body
from rialto_gateway.answers import json_answer
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.disputes.dispute import Dispute, State
from rialto_gateway.disputes.errors import DisputeNotFound
from rialto_gateway.disputes.service import DisputeService
from rialto_gateway.disputes.store import DisputeReader, dispute_of
from rialto_gateway.expand import TO_PAYMENT, Expansions, expand_query, read_expand
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of

LONGEST_FIELD = 5_000
LONGEST_EVIDENCE = 20_000
EXAMPLE = {"product_description": "Two books", "shipping_tracking_number": "HB1001", "customer_name": "Ada Example"}

Text = Annotated[str | None, Field(min_length=1, max_length=LONGEST_FIELD)]


class Evidence(Body):
    """What speaks for the merchant, in words; it takes the place of any before. Together 20,000 characters."""

    product_description: Text = None
    customer_name: Text = None
    customer_email: Text = None
    customer_communication: Text = None
    billing_address: Text = None
    shipping_address: Text = None
    shipping_carrier: Text = None
    shipping_tracking_number: Text = None
    shipping_date: Text = None
    service_date: Text = None
    refund_policy: Text = None
    cancellation_policy: Text = None
    other: Text = None

    @model_validator(mode="after")
    def _says_something(self) -> "Evidence":
        length = sum(len(text) for text in self.fields().values())
        if not 0 < length <= LONGEST_EVIDENCE:
            raise ValueError(f"evidence is 1 to {LONGEST_EVIDENCE} characters, all fields together")
        return self

    def fields(self) -> dict[str, str]:
        """Return the fields that are given."""
        given: dict[str, str] = self.model_dump(exclude_none=True)
        return given


class Nothing(Body):
    """No fields."""


def dispute_router(
    *,
    disputes: DisputeService,
    reader: DisputeReader,
    once: IdempotentRequests,
    keys: ApiKeys,
    cursors: Cursors,
    expansions: Expansions,
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/disputes", tags=["disputes"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    async def found(caller: Principal, dispute_id: str) -> Mapping[str, Any]:
        row = await reader.row(ids.from_text("dp", dispute_id), caller.merchant_id, caller.mode)
        if row is None:
            raise DisputeNotFound(f"there is no dispute {dispute_id} for this key")
        return row

    async def shown(caller: Principal, dispute_id: str) -> dict[str, Any]:
        row = await found(caller, dispute_id)
        kept = await reader.evidence(row["dispute_id"])
        return dispute_view(row) | {"evidence": None if kept is None else orjson.loads(kept)}

    async def answered(request: Request, caller: Principal, dispute_id: str, act: str, body: Body) -> Response:
        """Do once per key. What is kept under the key names the dispute, and nothing of the evidence."""
        caller.merchant()
        key = required_key(request.headers.get("idempotency-key"))
        known: Dispute = dispute_of(await found(caller, dispute_id))

        async def work() -> dict[str, Any]:
            match body:
                case Evidence():
                    await disputes.keep_evidence(known, body.fields())
                case _ if act == "submit":
                    await disputes.submit(known)
                case _:
                    await disputes.accept(known)
            return dispute_view(await found(caller, dispute_id))

        request_hash = keys.request_hash(body.model_dump_json(exclude_none=True).encode())
        return await once.first_answer(caller, f"disputes/{dispute_id}/{act}", key, request_hash, work)

    @router.get("")
    async def list_disputes(
        caller: Caller,
        status: Annotated[State | None, Query()] = None,
        payment_id: Annotated[str | None, Query(max_length=40, description="those of a payment")] = None,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """List disputes, the newest first."""
        merchant_id, mode, _ = caller.merchant()
        context = f"disputes/{merchant_id}/{mode}"
        place = cursors.read(cursor, context)
        of_payment: UUID | None = None if payment_id is None else ids.from_text("pay", payment_id)
        rows = await reader.page(
            merchant_id, mode, at=place.at, before=place.id, state=status, payment_id=of_payment, limit=limit + 1
        )
        page, more = rows[:limit], len(rows) > limit
        after = cursors.write(Place(page[-1]["created_at"], page[-1]["dispute_id"]), context) if more else None
        data = [dispute_view(row) for row in page]
        return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": after})

    @router.get("/{dispute_id}")
    async def get_dispute(
        dispute_id: str,
        caller: Caller,
        expand: Annotated[list[str], expand_query(TO_PAYMENT)] = [],  # noqa: B006 - FastAPI copies it
    ) -> Response:
        """Return a dispute with the evidence that was posted, until the payer's data is erased.

        `expand[]=payment` shows its payment as it is now.
        """
        caller.merchant()
        wanted = read_expand(expand, TO_PAYMENT, caller)
        dispute = await shown(caller, dispute_id)
        if wanted:
            dispute["payment"] = await expansions.payment(ids.from_text("pay", dispute["payment_id"]), caller)
        return json_answer(dispute)

    @router.post("/{dispute_id}/evidence", openapi_extra=documented_body(Evidence, EXAMPLE))
    async def post_evidence(dispute_id: str, request: Request, caller: Caller) -> Response:
        """Keep evidence; the acquirer sees it once it is submitted. Needs an Idempotency-Key."""
        return await answered(request, caller, dispute_id, "evidence", read_body(Evidence, await request.body()))

    @router.post("/{dispute_id}/submit", openapi_extra=documented_body(Nothing, {}))
    async def submit_evidence(dispute_id: str, request: Request, caller: Caller) -> Response:
        """Send the evidence, once and for all: `under_review` once the acquirer has it. Needs an Idempotency-Key."""
        return await answered(request, caller, dispute_id, "submit", read_body(Nothing, await request.body() or b"{}"))

    @router.post("/{dispute_id}/accept", openapi_extra=documented_body(Nothing, {}))
    async def accept_dispute(dispute_id: str, request: Request, caller: Caller) -> Response:
        """Give the dispute up: `lost` once the acquirer has closed it. Needs an Idempotency-Key."""
        return await answered(request, caller, dispute_id, "accept", read_body(Nothing, await request.body() or b"{}"))

    return router


def dispute_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dispute object of a row of `gateway.disputes`, without its evidence."""
    return {
        "id": ids.to_text("dp", row["dispute_id"]),
        "object": "dispute",
        "payment_id": ids.to_text("pay", row["payment_id"]),
        "merchant_id": ids.to_text("mer", row["merchant_id"]),
        "mode": row["mode"],
        "status": row["state"],
        "cause": row["cause"],
        "amount_minor": str(int(row["amount_minor"])),
        "fee_minor": str(int(row["fee_minor"])),
        "currency": row["currency"],
        "reason": row["reason"],
        "connector": row["connector"],
        "has_evidence": row["evidence"] is not None,
        "sending": row["sending"],
        "respond_by": time_text(row["respond_by"]),
        "opened_at": time_text(row["opened_at"]),
        "submitted_at": time_text(row["submitted_at"]),
        "closed_at": time_text(row["closed_at"]),
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"]),
    }
