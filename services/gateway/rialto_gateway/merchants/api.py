"""`/v1/merchants`: the operator opens merchants and hands them their keys."""

import hmac
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from rialto_common import ids
from rialto_common.database import Connection, Pool
from rialto_common.errors import NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.audit import AuditLog
from rialto_gateway.merchants.key_api import CreateKey, key_view
from rialto_gateway.merchants.keys import QUERIES, ApiKeys, Mode, Principal
from rialto_gateway.payments.bodies import Country, Text
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.versions import CURRENT, up


class MerchantNotFound(NotFound):
    """No such merchant for this key."""

    code = "merchant_not_found"


class CreateMerchant(Body):
    """A merchant to open. Until bank files exist, it is paid on chain, to `settlement_address`."""

    name: Annotated[Text, Field(max_length=140, examples=["Harbour Books"])]
    country: Country | None = None
    settlement_address: Annotated[
        str | None,
        StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$"),
        Field(description="an EVM address; left out, one is made up for the test chain"),
    ] = None


def merchant_router(*, pool: Pool, once: IdempotentRequests, keys: ApiKeys, runtime: Runtime) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/merchants", tags=["merchants"])
    audit = AuditLog(runtime)
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post("", status_code=201, openapi_extra=documented_body(CreateMerchant, {"name": "Harbour Books"}))
    async def create_merchant(request: Request, caller: Caller) -> Response:
        """Open a merchant with a test and a live key. The keys are shown here only (and to a retry of this request)."""
        caller.require_operator()
        body = read_body(CreateMerchant, await request.body())
        created_at = runtime.now()

        async def work(connection: Connection, merchant_id: UUID) -> dict[str, Any]:
            address = body.settlement_address or _test_address(merchant_id)
            await connection.execute(QUERIES["add_merchant"], merchant_id, body.name, body.country, address, created_at)
            created = ids.to_text("mer", merchant_id)
            await audit.write(connection, caller, "merchant.created", created, merchant_id=merchant_id)
            return {
                "id": created,
                "object": "merchant",
                "name": body.name,
                "country": body.country,
                "settlement_address": address,
                "created_at": time_text(created_at),
                "keys": {
                    "test": (await keys.issue(connection, merchant_id, "test"))[1],
                    "live": (await keys.issue(connection, merchant_id, "live"))[1],
                },
            }

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, "merchants", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    @router.get("/{merchant_id}")
    async def get_merchant(merchant_id: str, caller: Caller) -> Response:
        """Return a merchant; its own key or the operator's."""
        wanted = ids.from_text("mer", merchant_id)
        if not caller.is_operator and caller.merchant_id != wanted:
            raise MerchantNotFound(f"there is no merchant {merchant_id} for this key")
        row = await pool.fetchrow(QUERIES["get_merchant"], wanted)
        if row is None:
            raise MerchantNotFound(f"there is no merchant {merchant_id} for this key")
        return json_answer(
            {
                "id": merchant_id,
                "object": "merchant",
                "name": row["name"],
                "country": row["country"],
                "settlement_address": row["settlement_address"],
                "created_at": time_text(row["created_at"]),
            }
        )

    @router.post("/{merchant_id}/keys", status_code=201, openapi_extra=documented_body(CreateKey, {"mode": "test"}))
    async def add_key(merchant_id: str, request: Request, caller: Caller, mode: Mode | None = None) -> Response:
        """Issue one more key for a merchant; the operator only. (`mode` in the query is the way of older versions.)"""
        caller.require_operator()
        wanted = ids.from_text("mer", merchant_id)
        raw = await request.body()
        if not raw:
            raw = orjson.dumps(up("api_key", {} if mode is None else {"mode": mode}, CURRENT.get()))
        body = read_body(CreateKey, raw)
        if await pool.fetchrow(QUERIES["get_merchant"], wanted) is None:
            raise MerchantNotFound(f"there is no merchant {merchant_id} for this key")

        async def work(connection: Connection, _: UUID) -> dict[str, Any]:
            key_id, secret = await keys.issue(
                connection,
                wanted,
                body.mode,
                kind=body.kind,
                scopes=frozenset(body.scopes),
                api_version=CURRENT.get(),
            )
            made = ids.to_text("key", key_id)
            await audit.write(connection, caller, "api_key.created", made, merchant_id=wanted, mode=body.mode)
            row = {
                "key_id": key_id,
                "merchant_id": wanted,
                "mode": body.mode,
                "kind": body.kind,
                "scopes": sorted(body.scopes),
                "api_version": CURRENT.get(),
                "hint": secret[-4:],
                "created_at": runtime.now(),
            }
            return key_view(row) | {"secret": secret}

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, f"keys/{merchant_id}", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    return router


def _test_address(merchant_id: UUID) -> str:
    """Return an address nobody holds the key of, for merchants who gave none: test tokens arrive and stay there."""
    return "0x" + hmac.digest(b"rialto test settlement address", merchant_id.bytes, sha256)[:20].hex()
