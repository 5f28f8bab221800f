"""`/v1/events`: what a merchant was told or could have been, newest first, for as long as it is kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Response

from rialto_common import ids
from rialto_common.database import Pool, load_queries
from rialto_common.errors import InvalidRequest, NotFound
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.expand import expand_query, read_expand
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer
from rialto_gateway.payments.bodies import instant
from rialto_gateway.payments.ports import PaymentReader
from rialto_gateway.payments.view import payment_view, time_text
from rialto_gateway.requests import caller_of
from rialto_gateway.versions import CURRENT, AsShown, down
from rialto_gateway.webhooks.messages import MESSAGES, matches, patterns

QUERIES = load_queries(__package__)

OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
OF_LIST = {"data.payment": "payments"}
OF_ONE = dict.fromkeys(("payment", "payment.captures", "payment.timeline"), "payments")
Row = Mapping[str, Any]


class EventNotFound(NotFound):
    """No such event for this key; events are kept for a limited time."""

    code = "event_not_found"


def event_router(*, pool: Pool, keys: ApiKeys, payments: PaymentReader, cursors: Cursors) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/events", tags=["events"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.get("")
    async def list_events(
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: str | None = None,
        types: Annotated[
            list[str] | None,
            Query(alias="type", max_length=20, description="a name, or all of a kind as `payment.*`; may be repeated"),
        ] = None,
        object_id: Annotated[str | None, Query(description="events of this object, such as `pay_…`")] = None,
        created_since: datetime | None = None,
        created_until: Annotated[datetime | None, Query(description="before this instant")] = None,
        expand: Annotated[list[str], expand_query(OF_LIST)] = [],  # noqa: B006 - FastAPI copies it
    ) -> Response:
        """List events, newest first. `expand[]=data.payment` shows each payment as it is now."""
        merchant_id, mode, _ = caller.merchant()
        wanted = read_expand(expand, OF_LIST, caller)
        context = f"events/{merchant_id}/{mode}"
        place = cursors.read(cursor, context)
        if created_until is not None:
            place = min(place, Place(instant(created_until, "created_until"), UUID(int=0)), key=_in_order)
        since = OLDEST if created_since is None else instant(created_since, "created_since")
        asked: list[Any] = [merchant_id, mode, _types(types or []), place.at, place.id, since, limit + 1]
        if object_id is None:
            rows = await pool.fetch(QUERIES["page"], *asked)
        else:
            rows = await pool.fetch(QUERIES["page_of_object"], *asked, _object(object_id))
        page, more = rows[:limit], len(rows) > limit
        after = cursors.write(Place(page[-1]["created_at"], page[-1]["event_id"]), context) if more else None
        data = [event_view(row) for row in page]
        if wanted:
            shown = await _payments(payments, page, merchant_id, mode)
            data = [event | {"payment": shown.get(row["payment_id"])} for event, row in zip(data, page, strict=True)]
        return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": after})

    @router.get("/{event_id}")
    async def get_event(
        event_id: str,
        caller: Caller,
        expand: Annotated[list[str], expand_query(OF_ONE)] = [],  # noqa: B006 - as above
    ) -> Response:
        """Return one event. `expand[]=payment`, `payment.captures` and `payment.timeline` show the payment as it is."""
        merchant_id, mode, _ = caller.merchant()
        wanted = read_expand(expand, OF_ONE, caller)
        row = await pool.fetchrow(QUERIES["get"], ids.from_text("evt", event_id), merchant_id, mode)
        if row is None:
            raise EventNotFound(f"there is no event {event_id} for this key")
        event = event_view(row)
        if wanted:
            payment_id = row["payment_id"]
            found = await payments.row(payment_id, merchant_id, mode)
            timeline = await payments.timeline(payment_id) if "payment.timeline" in wanted else None
            captures = await payments.captures(payment_id) if "payment.captures" in wanted else None
            event["payment"] = None if found is None else payment_view(found, timeline=timeline, captures=captures)
        return json_answer(event)

    return router


def event_view(row: Row) -> dict[str, Any]:
    """Return the event object of a row; `data` is the object as it was then, as the webhooks tell it.

    It is in the request's version, or in the one that was the newest when it happened where that is older.
    """
    message = orjson.loads(row["body"])
    version = min(CURRENT.get(), row["api_version"])
    is_of_payment = message["data"]["object"] == "payment"
    return {
        "id": ids.to_text("evt", row["event_id"]),
        "object": "event",
        "type": message["type"],
        "created_at": time_text(row["created_at"]),
        "payment": ids.to_text("pay", row["payment_id"]) if is_of_payment else None,
        "api_version": version,
        "data": AsShown(down(message["data"], version, row["api_version"])),
    }


async def _payments(
    reader: PaymentReader, page: Sequence[Row], merchant_id: UUID, mode: str
) -> dict[UUID, dict[str, Any]]:
    rows = await reader.rows(list({row["payment_id"] for row in page}))
    own = [row for row in rows if (row["merchant_id"], row["mode"]) == (merchant_id, mode)]
    return {row["payment_id"]: payment_view(row) for row in own}


def _types(asked: list[str]) -> list[str]:
    for each in asked:
        if each not in patterns():
            raise InvalidRequest(f"'{each[:40]}' is not one of {', '.join(patterns())}", param="type")
    return [name for name in MESSAGES.values() if matches(name, asked)]


def _object(text: str) -> UUID:
    return ids.from_text(text.partition("_")[0], text)


def _in_order(place: Place) -> tuple[datetime, int]:
    return place.at, place.id.int
