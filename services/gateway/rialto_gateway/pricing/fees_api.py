"""`/v1/fees`: what a merchant was charged, and what that comes to."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from rialto_gateway.answers import json_answer
from rialto_gateway.cursors import NEWEST, Cursors, Place
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.bodies import instant
from rialto_gateway.payments.view import time_text
from rialto_gateway.pricing.store import PostgresFees
from rialto_gateway.pricing.view import fee_view
from rialto_gateway.requests import caller_of

From = Annotated[datetime | None, Query(description="charged at this instant or after")]
To = Annotated[datetime | None, Query(description="charged before this instant")]


def fee_router(*, reader: PostgresFees, keys: ApiKeys, cursors: Cursors) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/fees", tags=["fees"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.get("")
    async def list_fees(
        caller: Caller,
        created_from: From = None,
        created_to: To = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """List what was charged, the newest first; a page's cursor is of its own period alone."""
        merchant_id, mode, _ = caller.merchant()
        since, until = _period(created_from, created_to)
        context = f"fees/{merchant_id}/{mode}/{since.isoformat()}/{until.isoformat()}"
        # Before the first fee that is not in the period: at `until`, and below every id.
        place = Place(until, UUID(int=0)) if cursor is None else cursors.read(cursor, context)
        rows = await reader.page(merchant_id, mode, since=since, before=place, limit=limit + 1)
        page, more = rows[:limit], len(rows) > limit
        after = cursors.write(Place(page[-1]["charged_at"], page[-1]["fee_id"]), context) if more else None
        data = [fee_view(row) for row in page]
        return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": after})

    @router.get("/totals")
    async def total_fees(caller: Caller, created_from: From = None, created_to: To = None) -> Response:
        """Say what the fees of a period come to, by currency and type: the sum of those that `GET /v1/fees` lists."""
        merchant_id, mode, _ = caller.merchant()
        since, until = _period(created_from, created_to)
        rows = await reader.totals(merchant_id, mode, since=since, until=until)
        data: list[dict[str, Any]] = [
            {
                "currency": row["currency"],
                "type": row["kind"],
                "fees": row["fees"],
                "amount_minor": str(int(row["amount_minor"])),
            }
            for row in rows
        ]
        return json_answer(
            {
                "object": "fee_totals",
                "mode": mode,
                "created_from": None if created_from is None else time_text(since),
                "created_to": None if created_to is None else time_text(until),
                "data": data,
            }
        )

    return router


def _period(created_from: datetime | None, created_to: datetime | None) -> tuple[datetime, datetime]:
    """Return the period in UTC, without end where none is named. Raises: InvalidRequest: not plausible."""
    since = datetime(1970, 1, 1, tzinfo=UTC) if created_from is None else instant(created_from, "created_from")
    return since, NEWEST.at if created_to is None else instant(created_to, "created_to")
