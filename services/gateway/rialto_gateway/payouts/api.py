"""`/v1/payouts` and `/v1/payout_settings`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, field_validator

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.request_bodies import documented_body, read_body
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.idempotency import required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.bodies import known_currency
from rialto_gateway.payments.view import time_text
from rialto_gateway.payouts.errors import PayoutNotFound
from rialto_gateway.payouts.payout import COUNTED_AGAIN_AFTER, LARGEST, State
from rialto_gateway.payouts.ports import Named, PayoutReader
from rialto_gateway.payouts.service import PayoutService
from rialto_gateway.requests import Body, caller_of


class CreatePayout(Body):
    """What waits in a currency is paid out, as far as the available balance covers it."""

    currency: Annotated[str, Field(max_length=12, description="ISO 4217 code", examples=["USD"])]

    _currency = field_validator("currency")(known_currency)


def payout_router(*, payouts: PayoutService, reader: PayoutReader, keys: ApiKeys, cursors: Cursors) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/payouts", tags=["payouts"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post("", status_code=201, openapi_extra=documented_body(CreatePayout, {"currency": "USD"}))
    async def create_payout(request: Request, caller: Caller) -> Response:
        """Pay out what waits, the oldest payments first, each whole; needs an Idempotency-Key.

        Under the schedule `manual` this is the only way; under `daily` it need not wait for the cut-off.
        """
        merchant_id, mode, _ = caller.merchant()
        body = read_body(CreatePayout, await request.body())
        key = required_key(request.headers.get("idempotency-key"))
        named = Named(key, keys.request_hash(body.model_dump_json().encode()))
        made = await payouts.pay_out(merchant_id, mode, body.currency, named)
        row = None if made.payout_id is None else await reader.row(made.payout_id, merchant_id, mode)
        if row is None:
            raise InvariantViolated("a payout was recorded and cannot be read")
        return json_answer(payout_view(as_created(row)), 201, replay_header(made.replayed))

    @router.get("")
    async def list_payouts(
        caller: Caller,
        status: Annotated[State | None, Query()] = None,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """List payouts, the newest first."""
        merchant_id, mode, _ = caller.merchant()
        context = f"payouts/{merchant_id}/{mode}"
        place = cursors.read(cursor, context)
        rows = await reader.page(merchant_id, mode, at=place.at, before=place.id, state=status, limit=limit + 1)
        page, more = rows[:limit], len(rows) > limit
        after = cursors.write(Place(page[-1]["created_at"], page[-1]["payout_id"]), context) if more else None
        data = [payout_view(row) for row in page]
        return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": after})

    @router.get("/{payout_id}")
    async def get_payout(payout_id: str, caller: Caller) -> Response:
        """Return a payout with the payments that it pays and how each of them stands."""
        merchant_id, mode, _ = caller.merchant()
        wanted = ids.from_text("po", payout_id)
        row = await reader.row(wanted, merchant_id, mode)
        if row is None:
            raise PayoutNotFound(f"there is no payout {payout_id} for this key")
        return json_answer(payout_view(row, await reader.payments(wanted, UUID(int=0), LARGEST)))

    return router


def payout_view(row: Mapping[str, Any], payments: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return the payout object of a row of `gateway.payouts`."""
    view = {
        "id": ids.to_text("po", row["payout_id"]),
        "object": "payout",
        "merchant_id": ids.to_text("mer", row["merchant_id"]),
        "mode": row["mode"],
        "status": row["state"],
        "failure_code": row["failure_code"],
        "amount_minor": str(int(row["amount_minor"])),
        "currency": row["currency"],
        "asked_by": row["asked_by"],
        "payments_count": row["payments"],
        "payments_paid": row["paid"],
        "payments_failed": row["failed"],
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"]),
        "deadline_at": time_text(row["deadline_at"]),
    }
    if payments is not None:
        view["payments"] = [
            {
                "payment_id": ids.to_text("pay", each["payment_id"]),
                "amount_minor": str(int(each["amount_minor"])),
                "status": each["state"],
                "failure_code": each["code"],
            }
            for each in payments
        ]
    return view


def as_created(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payout's row as it was when it was made: the first answer, also for a retry with the same key."""
    return dict(row) | {
        "state": "pending",
        "failure_code": None,
        "paid": 0,
        "failed": 0,
        "updated_at": row["created_at"],
        "deadline_at": row["created_at"] + COUNTED_AGAIN_AFTER,
    }
