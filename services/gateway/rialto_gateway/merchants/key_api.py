"""`/v1/api_keys` and `/v1/audit_log`: what keys there are, exchanging and ending them, and who did what."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints, model_validator

from rialto_common import ids
from rialto_common.database import Connection, Pool
from rialto_common.errors import InvalidRequest, NotFound
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.cursors import id_cursor
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.audit import AuditLog
from rialto_gateway.merchants.keys import QUERIES, ApiKeys, KeyNotAllowed, Kind, Mode, Principal
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of

MAX_OVERLAP_SECONDS = 7 * 24 * 3600
_AFTER_ALL = UUID(int=(1 << 128) - 1)

ScopeName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}:(read|write)$")]


class ApiKeyNotFound(NotFound):
    """No such key in force for this caller."""

    code = "api_key_not_found"


class CreateKey(Body):
    """A key to issue. A restricted one reaches no further than its scopes."""

    mode: Mode = "test"
    kind: Kind = "secret"
    scopes: Annotated[list[ScopeName], Field(max_length=50, examples=[["payments:read"]])] = Field(default_factory=list)

    @model_validator(mode="after")
    def _scoped(self) -> "CreateKey":
        if (self.kind == "restricted") != bool(self.scopes):
            raise ValueError("a restricted key needs scopes such as payments:read, and no other key has any")
        return self


class RollKey(Body):
    """A key to exchange for a new one; the old one is good for so long still."""

    expires_in_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS, examples=[86400])] = 0


def key_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a key as the API shows it: all but the key."""
    return {
        "id": ids.to_text("key", row["key_id"]),
        "object": "api_key",
        "merchant_id": ids.to_text("mer", row["merchant_id"]),
        "mode": row["mode"],
        "kind": row["kind"],
        "scopes": list(row["scopes"]),
        "api_version": row["api_version"],
        "hint": row["hint"],
        "created_at": time_text(row["created_at"]),
        "expires_at": time_text(row.get("expires_at")),
        "revoked_at": time_text(row.get("revoked_at")),
        "last_used_at": time_text(row.get("last_used_at")),
    }


def key_router(
    *, pool: Pool, once: IdempotentRequests, keys: ApiKeys, runtime: Runtime, tell: Callable[[], None]
) -> APIRouter:
    """Return the routes. `tell`: that keys were changed, to the other gateways."""
    router = APIRouter(prefix="/v1", tags=["api keys"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]
    audit = AuditLog(runtime)

    @router.get("/api_keys")
    async def list_keys(
        caller: Caller,
        merchant_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: str | None = None,
    ) -> Response:
        """List a merchant's keys, newest first: what they are and when they were used, never themselves."""
        if caller.merchant_id is None and merchant_id is None:
            raise InvalidRequest("with the admin key name the merchant", param="merchant_id")
        asked = None if merchant_id is None else ids.from_text("mer", merchant_id)
        owner = caller.merchant_id or asked
        if asked not in (None, owner):
            raise KeyNotAllowed("a merchant's key lists its own merchant's keys alone")
        before = id_cursor("key", cursor) or _AFTER_ALL
        rows = await pool.fetch(QUERIES["list_keys"], owner, caller.mode, before, limit + 1)
        return _page([key_view(row) for row in rows], limit)

    @router.post(
        "/api_keys/{key_id}/roll",
        status_code=201,
        openapi_extra=documented_body(RollKey, {"expires_in_seconds": 86400}),
    )
    async def roll_key(key_id: str, request: Request, caller: Caller) -> Response:
        """Exchange a key for a new one of the same reach; the old one ends after `expires_in_seconds`."""
        _check_may_change(caller)
        wanted = ids.from_text("key", key_id)
        body = read_body(RollKey, await request.body())

        async def work(connection: Connection, _: UUID) -> dict[str, Any]:
            old = await _lock(connection, wanted, caller)
            new_id, secret = await keys.issue(
                connection,
                old["merchant_id"],
                old["mode"],
                kind=old["kind"],
                scopes=frozenset(old["scopes"]),
                api_version=old["api_version"],
            )
            now = runtime.now()
            await connection.execute(QUERIES["expire_key"], wanted, now + timedelta(seconds=body.expires_in_seconds))
            await audit.write(
                connection, caller, "api_key.rolled", key_id, merchant_id=old["merchant_id"], mode=old["mode"]
            )
            new = dict(old) | {"key_id": new_id, "hint": secret[-4:], "created_at": now}
            return key_view(new | {"expires_at": None, "last_used_at": None}) | {"secret": secret}

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, f"roll/{key_id}", key, request_hash, work)
        tell()
        return json_answer(answer, 201, replay_header(replayed))

    @router.delete("/api_keys/{key_id}", status_code=204)
    async def revoke_key(key_id: str, caller: Caller) -> Response:
        """End a key at once; every gateway refuses it within 5 s."""
        _check_may_change(caller)
        wanted = ids.from_text("key", key_id)
        async with pool.acquire() as connection, connection.transaction():
            row = await _lock(connection, wanted, caller)
            await connection.execute(QUERIES["revoke_key"], wanted, runtime.now())
            await audit.write(
                connection, caller, "api_key.revoked", key_id, merchant_id=row["merchant_id"], mode=row["mode"]
            )
        tell()
        return Response(status_code=204)

    @router.get("/audit_log")
    async def list_audit(
        caller: Caller, limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
    ) -> Response:
        """List administrative acts, newest first: the operator all, a merchant those on its own keys of this mode."""
        before = id_cursor("act", cursor) or _AFTER_ALL
        rows = await pool.fetch(QUERIES["list_audit"], caller.merchant_id, caller.mode, before, limit + 1)
        entries = [
            {
                "id": ids.to_text("act", row["entry_id"]),
                "object": "audit_entry",
                "at": time_text(row["at"]),
                "actor": row["actor"],
                "act": row["act"],
                "target": row["object"],
                "merchant_id": ids.to_text("mer", row["merchant_id"]),
                "mode": row["mode"],
                "request_id": row["request_id"],
            }
            for row in rows
        ]
        return _page(entries, limit)

    async def _lock(connection: Connection, wanted: UUID, caller: Principal) -> Any:
        row = await connection.fetchrow(QUERIES["lock_key"], wanted, caller.merchant_id, caller.mode, runtime.now())
        if row is None:
            raise ApiKeyNotFound(f"there is no API key {ids.to_text('key', wanted)} in force for this key")
        return row

    return router


def _check_may_change(caller: Principal) -> None:
    """A restricted key could otherwise hand itself a secret one.

    Raises: KeyNotAllowed.
    """
    if caller.kind != "secret":
        raise KeyNotAllowed("API keys are changed with a secret key or the admin key alone")


def _page(rows: list[dict[str, Any]], limit: int) -> Response:
    more = len(rows) > limit
    data = rows[:limit]
    cursor = data[-1]["id"] if more else None
    return json_answer({"object": "list", "data": data, "has_more": more, "next_cursor": cursor})
