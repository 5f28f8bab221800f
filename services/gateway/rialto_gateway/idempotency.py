"""Idempotency keys of requests other than payments: the first answer, again, for every retry.

`once` takes the key, does the work and keeps the answer in one transaction, so a crash leaves either all of it or
nothing. `first_answer` is for work that commits by itself or calls another service: the key is leased before, and the
answer kept after. Answers may hold a new API key or secret, so they rest encrypted. (Payments keep their key on their
own row: see `payments/accept.py`.)

Which refusals are kept: those that rest on the object's state (409, or more than is left to capture). They would come
out otherwise later, and a duplicate that the network held back must not capture what its sender was told is refused.
A request that is wrong in itself, or not allowed, is refused before its key is looked at, and leaves nothing: mended,
it may go under the same key. What is retryable (503) is never kept.
"""

import hmac
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.responses import Response

from rialto_common import problems
from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection, Pool
from rialto_common.errors import Conflict, IdempotencyKeyReused, InvalidRequest, PaymentError
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer
from rialto_gateway.merchants.keys import QUERIES, Principal
from rialto_gateway.payments.errors import (
    CaptureAboveAuthorised,
    IdempotencyKeyMissing,
    IncrementAboveLimit,
    IncrementNotAbove,
)

MAX_KEY_LENGTH = 255
KEPT = timedelta(hours=24)
"""How long an answer is kept at least."""
LEASE = timedelta(seconds=15)
"""How long a request under way keeps its key to itself; longer than a call of the ledger may take, so that only a crash
ends it."""
SWEEP_SIZE = 1_000
SWEEP_EVERY_SECONDS = 60.0
_NONCE_BYTES = 12

Work = Callable[[Connection, UUID], Awaitable[dict[str, Any]]]
"""Does the work inside the transaction for a resource id and returns the answer."""


class IdempotencyKeyInvalid(InvalidRequest):
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""

    code = "idempotency_key_invalid"


class RequestInProgress(Conflict):
    """The first request under this Idempotency-Key is still under way; ask again after Retry-After."""

    code = "request_in_progress"
    retryable = True


_KEPT_REFUSALS = (Conflict, CaptureAboveAuthorised, IncrementNotAbove, IncrementAboveLimit)


def required_key(key: str | None) -> str:
    """Return a usable key.

    Raises: IdempotencyKeyMissing, IdempotencyKeyInvalid.
    """
    checked = check_key(key)
    if checked is None:
        raise IdempotencyKeyMissing(
            "send an Idempotency-Key header: a new one for each new request, the same one for its retries",
            param="Idempotency-Key",
        )
    return checked


def check_key(key: str | None) -> str | None:
    """Return a usable key, or None where there is none.

    Raises: IdempotencyKeyInvalid.
    """
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid(f"an Idempotency-Key is 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    return key


class Vault:
    """Encrypts what the gateway must be able to give back: answers and webhook secrets."""

    def __init__(self, master_key: bytes, runtime: Runtime) -> None:
        self._cipher = AESGCM(hmac.digest(master_key, b"rialto gateway vault", sha256))
        self._runtime = runtime

    def close(self, text: bytes, context: bytes) -> bytes:
        """Return the ciphertext, bound to its context."""
        nonce = self._runtime.random_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, context)

    def open(self, ciphertext: bytes, context: bytes) -> bytes:
        """Return the text."""
        return self._cipher.decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], context)


class IdempotentRequests:
    """Runs a request once per key."""

    def __init__(
        self, unit_of_work: UnitOfWork[PostgresTransaction], vault: Vault, runtime: Runtime, pool: Pool
    ) -> None:
        self._unit_of_work = unit_of_work
        self._vault = vault
        self._runtime = runtime
        self._pool = pool

    async def once(
        self, principal: Principal, action: str, key: str | None, request_hash: bytes, work: Work
    ) -> tuple[dict[str, Any], bool]:
        """Return the answer and whether it is a replay.

        Raises: IdempotencyKeyMissing; IdempotencyKeyReused: the key came with another request before;
        RequestInProgress: the first request under the key has not committed yet.
        """
        name = _scope(principal, action), required_key(key)
        resource_id = self._runtime.ids.mint()
        async with self._unit_of_work.begin() as transaction:
            connection = transaction.connection
            kept = await self._kept(connection, name, request_hash)
            if kept is not None:
                return kept["body"], True
            # Tried and not waited for: the other holds it until its commit, however long that takes.
            if not await connection.fetchval(QUERIES["try_key"], "/".join(name)):
                raise _in_progress()
            taken = await connection.execute(
                QUERIES["reserve_answer"], *name, request_hash, resource_id, self._runtime.now(), None
            )
            if taken != "INSERT 0 1":  # it committed between the look and the lock
                raise _in_progress()
            answer = await work(connection, resource_id)
            await self._keep(connection, name, {"status": 201, "body": answer})
            self._runtime.crash_point("gateway.once.before_commit")
        self._runtime.crash_point("gateway.once.after_commit")
        return answer, False

    async def first_answer(
        self,
        principal: Principal,
        action: str,
        key: str,
        request_hash: bytes,
        work: Callable[[], Awaitable[dict[str, Any]]],
        *,
        status: int = 200,
    ) -> Response:
        """Return the work's answer, or what was answered under the key before.

        `work` must bear being done again: after a crash between it and its answer the lease ends, and a retry does it.
        Raises: IdempotencyKeyReused; RequestInProgress; whatever the work raises.
        """
        name = _scope(principal, action), key
        now = self._runtime.now()
        taken = await self._pool.fetchval(
            QUERIES["lease_answer"], *name, request_hash, self._runtime.ids.mint(), now, now + LEASE
        )
        if taken is None:
            kept = await self._kept(self._pool, name, request_hash)
            if kept is None:
                raise _in_progress()
            return _response(kept, replayed=True)
        self._runtime.crash_point("gateway.first_answer.before_work")
        try:
            kept = {"status": status, "body": await work()}
        except _KEPT_REFUSALS as refusal:
            kept = {
                "status": problems.status_of(refusal),
                "refusal": {"code": refusal.stable_code, "detail": refusal.detail, "param": refusal.param},
            }
            if refusal.retryable:
                await self._pool.execute(QUERIES["release_answer"], *name, now + LEASE)
                raise
        except PaymentError as refusal:
            end = "release_answer" if refusal.retryable else "drop_answer"
            await self._pool.execute(QUERIES[end], *name, now + LEASE)
            raise
        self._runtime.crash_point("gateway.first_answer.before_keep")
        await self._keep(self._pool, name, kept)
        return _response(kept, replayed=False)

    async def sweep(self) -> float:
        """Forget answers that were kept for long enough, some at a time; return the seconds until the next time."""
        gone = await self._pool.execute(QUERIES["sweep_answers"], self._runtime.now() - KEPT, SWEEP_SIZE)
        return 0.0 if gone == f"DELETE {SWEEP_SIZE}" else SWEEP_EVERY_SECONDS

    async def _kept(
        self, connection: "Connection | Pool", name: tuple[str, str], request_hash: bytes
    ) -> dict[str, Any] | None:
        row = await connection.fetchrow(QUERIES["find_answer"], *name)
        if row is None:
            return None
        if not hmac.compare_digest(row["request_hash"], request_hash):
            raise IdempotencyKeyReused("this Idempotency-Key was used for another request; use a new key")
        if row["answer"] is None:
            return None
        kept: dict[str, Any] = orjson.loads(self._vault.open(row["answer"], "/".join(name).encode()))
        # Before answers had a status they were kept bare.
        return kept if "status" in kept and ("body" in kept or "refusal" in kept) else {"status": 201, "body": kept}

    async def _keep(self, connection: "Connection | Pool", name: tuple[str, str], kept: dict[str, Any]) -> None:
        ciphertext = self._vault.close(orjson.dumps(kept), "/".join(name).encode())
        await connection.execute(QUERIES["store_answer"], *name, ciphertext)


def _scope(principal: Principal, action: str) -> str:
    return f"{principal.merchant_id or 'operator'}/{principal.mode or 'any'}/{action}"


def _in_progress() -> RequestInProgress:
    return RequestInProgress(
        "the first request under this Idempotency-Key is still under way; send it again in a second",
        param="Idempotency-Key",
    )


def _response(kept: dict[str, Any], *, replayed: bool) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    if "refusal" in kept:
        answer = problems.problem(kept["status"], **kept["refusal"])
        answer.headers.update(headers)
        return answer
    return json_answer(kept["body"], kept["status"], headers)
