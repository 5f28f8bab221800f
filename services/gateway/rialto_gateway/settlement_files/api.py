"""`/v1/connectors/{name}/settlement_files` and `…/settlement_differences`: the operator's."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.errors import Conflict, NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.connectors.api import ConnectorNotFound
from rialto_gateway.cursors import Cursors, Place
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.bodies import Text
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.settlement_files.file import Line, write
from rialto_gateway.settlement_files.importer import SettlementImporter
from rialto_gateway.settlement_files.store import QUERIES, SettlementDifferences

EXAMPLE = write(
    "file_1",
    [Line(2, "captured", "op_1", "att_01kb6w1m8xf0gbb7n5d8jq2c4r", "auth_1", "USD", 1250, 12, 1238, date(2026, 3, 1))],
)
PATH = "/v1/connectors/{name}/settlement_files"


class SettlementDifferenceNotFound(NotFound):
    """This acquirer has no such difference."""

    code = "settlement_difference_not_found"


class SettlementDifferenceResolved(Conflict):
    """The difference was resolved before."""

    code = "settlement_difference_resolved"


class ResolveDifference(Body):
    """Why a difference is none any more, for whoever looks next."""

    note: Annotated[Text, Field(max_length=1000, examples=["the acquirer will pay it with the next file"])]


def settlement_router(
    *,
    importer: SettlementImporter,
    differences: SettlementDifferences,
    connectors: Sequence[str],
    keys: ApiKeys,
    once: IdempotentRequests,
    cursors: Cursors,
    runtime: Runtime,
) -> APIRouter:
    """Return the routes; `connectors` are the names of the acquirers that settle."""
    router = APIRouter(prefix="/v1/connectors", tags=["connectors"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    def checked(name: str, caller: Principal) -> None:
        caller.require_operator()
        if name not in connectors:
            raise ConnectorNotFound(f"there is no acquirer {name} here")

    @router.post(
        "/{name}/settlement_files",
        status_code=201,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"text/csv": {"schema": {"type": "string"}, "example": EXAMPLE}},
            }
        },
    )
    async def take_settlement_file(name: str, request: Request, caller: Caller) -> Response:
        """Take an acquirer's settlement file, once for the same bytes: whole, or not at all."""
        checked(name, caller)
        row, replayed = await importer.take(name, await request.body())
        return json_answer(_file_view(row), 201, replay_header(replayed))

    @router.get("/{name}/settlement_differences")
    async def list_settlement_differences(
        name: str,
        caller: Caller,
        state: Literal["open", "resolved", "all"] = "open",
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """List where an acquirer's files and our books differ, the newest first."""
        checked(name, caller)
        context = f"settlement_differences/{name}/{state}"
        before = cursors.read(cursor, context)
        found = await differences.newest(name, None if state == "all" else state, before, limit + 1)
        page, more = found[:limit], len(found) > limit
        last = Place(page[-1]["opened_at"], page[-1]["difference_id"]) if more else None
        return json_answer(
            {
                "object": "list",
                "data": [_difference_view(row) for row in page],
                "has_more": more,
                "next_cursor": None if last is None else cursors.write(last, context),
            }
        )

    @router.post(
        "/{name}/settlement_differences/{difference_id}/resolve",
        openapi_extra=documented_body(ResolveDifference, {"note": "the acquirer will pay it with the next file"}),
    )
    async def resolve_settlement_difference(
        name: str, difference_id: str, request: Request, caller: Caller
    ) -> Response:
        """Say why a difference is none any more. It moves no money."""
        checked(name, caller)
        body = read_body(ResolveDifference, await request.body())
        wanted = ids.from_text("std", difference_id)

        async def work(connection: Connection, _: UUID) -> dict[str, Any]:
            resolved = await connection.execute(QUERIES["resolve"], name, wanted, runtime.now(), body.note)
            row = await connection.fetchrow(QUERIES["difference"], name, wanted)
            if row is None:
                raise SettlementDifferenceNotFound(f"{name} has no difference {difference_id}")
            if resolved != "UPDATE 1":
                raise SettlementDifferenceResolved(f"it was resolved before: {row['resolution']}")
            return _difference_view(row)

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, f"settlement_differences/{difference_id}", key, request_hash, work)
        return json_answer(answer, 200, replay_header(replayed))

    return router


def _file_view(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": ids.to_text("stf", row["file_id"]),
        "object": "settlement_file",
        "connector": row["connector"],
        "name": row["name"],
        "lines": row["lines"],
        "cleared": row["cleared"],
        "differing": row["differing"],
        "totals": orjson.loads(row["totals"]),
        "received_at": time_text(row["received_at"]),
    }


def _difference_view(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": ids.to_text("std", row["difference_id"]),
        "object": "settlement_difference",
        "connector": row["connector"],
        "reason": row["reason"],
        "status": row["state"],
        "reference": row["reference"],
        "attempt_id": None if row["attempt_id"] is None else ids.to_text("att", row["attempt_id"]),
        "amount_minor": str(row["amount_minor"]),
        "currency": row["currency"],
        "expected": row["expected"],
        "found": row["found"],
        "file": row["file_name"],
        "line": row["line"],
        "opened_at": time_text(row["opened_at"]),
        "resolved_at": time_text(row["resolved_at"]),
        "resolution": row["resolution"],
    }
