"""Idempotency keys of requests other than payments: the first answer, again, for every retry.

The key is taken, the work done and the answer kept in one transaction, so a crash leaves either all of it or nothing.
Answers may hold a new API key or secret, so they rest encrypted. (Payments keep their key on their own row: see
`payments/accept.py`.)
"""

import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection
from rialto_common.errors import IdempotencyKeyReused, InvalidRequest
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import QUERIES, Principal

MAX_KEY_LENGTH = 255
_NONCE_BYTES = 12

Work = Callable[[Connection, UUID], Awaitable[dict[str, Any]]]
"""Does the work inside the transaction for a resource id and returns the answer."""


class IdempotencyKeyInvalid(InvalidRequest):
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""

    code = "idempotency_key_invalid"


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

    def __init__(self, unit_of_work: UnitOfWork[PostgresTransaction], vault: Vault, runtime: Runtime) -> None:
        self._unit_of_work = unit_of_work
        self._vault = vault
        self._runtime = runtime

    async def once(
        self, principal: Principal, action: str, key: str | None, request_hash: bytes, work: Work
    ) -> tuple[dict[str, Any], bool]:
        """Return the answer and whether it is a replay.

        Raises: IdempotencyKeyReused: the key came with another request before.
        """
        resource_id = self._runtime.ids.mint()
        scope = f"{principal.merchant_id or 'operator'}/{principal.mode or 'any'}/{action}"
        async with self._unit_of_work.begin() as transaction:
            connection = transaction.connection
            if key is None:
                answer = await work(connection, resource_id), False
            else:
                answer = await self._under_key(connection, resource_id, (scope, key), request_hash, work)
            self._runtime.crash_point("gateway.once.before_commit")
        self._runtime.crash_point("gateway.once.after_commit")
        return answer

    async def _under_key(
        self, connection: Connection, resource_id: UUID, name: tuple[str, str], request_hash: bytes, work: Work
    ) -> tuple[dict[str, Any], bool]:
        scope, key = name
        context = f"{scope}/{key}".encode()
        taken = await connection.execute(
            QUERIES["reserve_answer"], scope, key, request_hash, resource_id, self._runtime.now()
        )
        if taken == "INSERT 0 1":
            answer = await work(connection, resource_id)
            ciphertext = self._vault.close(orjson.dumps(answer), context)
            await connection.execute(QUERIES["store_answer"], scope, key, ciphertext)
            return answer, False
        row = await connection.fetchrow(QUERIES["find_answer"], scope, key)
        if row is None or not hmac.compare_digest(row["request_hash"], request_hash):
            raise IdempotencyKeyReused("this Idempotency-Key was used for another request; use a new key")
        replay: dict[str, Any] = orjson.loads(self._vault.open(row["answer"], context))
        return replay, True
