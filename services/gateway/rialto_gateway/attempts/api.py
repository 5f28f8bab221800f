"""`/v1/attempts`: what the operator must see, as no clock ends it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from rialto_common import ids
from rialto_gateway.attempts.ports import AttemptReader
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer
from rialto_gateway.payments.view import attempt_view, time_text
from rialto_gateway.requests import caller_of


def attempt_router(reader: AttemptReader, keys: ApiKeys) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/attempts", tags=["attempts"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.get("")
    async def list_unknown_attempts(caller: Caller, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        """List attempts whose outcome is unknown, the oldest first; those with `overdue_at` need a person."""
        caller.require_operator()
        found = await reader.unknown(limit + 1)
        data = [
            attempt_view(attempt)
            | {
                "payment_id": ids.to_text("pay", attempt.payment_id),
                "merchant_id": ids.to_text("mer", attempt.merchant_id),
                "mode": attempt.mode,
                "currency": attempt.currency,
                "overdue_at": time_text(attempt.overdue_at),
            }
            for attempt in found[:limit]
        ]
        return json_answer({"object": "list", "data": data, "has_more": len(found) > limit, "next_cursor": None})

    return router
