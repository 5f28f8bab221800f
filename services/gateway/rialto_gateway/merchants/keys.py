"""API keys: who is calling, for which merchant, in which mode.

A key is `sk_test_…` or `sk_live_…` and 32 random bytes. The database holds only its HMAC-SHA256 under a pepper from the
settings, so a stolen table opens nothing. The operator's admin key is compared in constant time.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from uuid import UUID

from rialto_common.database import Connection, Pool, load_queries
from rialto_common.dead_letter_api import bearer
from rialto_common.errors import Forbidden, Unauthenticated
from rialto_common.runtime import Runtime

Mode = Literal["test", "live"]

QUERIES = load_queries(__package__)
_CACHE_SECONDS = 2.0
_CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a merchant in one mode, or the platform's operator (`merchant_id` None, any mode)."""

    merchant_id: UUID | None
    mode: Mode | None
    settlement_address: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the admin key was used."""
        return self.merchant_id is None

    def merchant(self) -> tuple[UUID, Mode, str]:
        """Return merchant, mode and settlement address.

        Raises: Forbidden: the operator acts for no merchant.
        """
        if self.merchant_id is None or self.mode is None or self.settlement_address is None:
            raise Forbidden("this needs a merchant's key (sk_test_… or sk_live_…), not the admin key")
        return self.merchant_id, self.mode, self.settlement_address

    def require_operator(self) -> None:
        """Raises: Forbidden: not the operator."""
        if not self.is_operator:
            raise Forbidden("this needs the admin key")


class ApiKeys:
    """Issues keys and recognises them."""

    def __init__(self, pool: Pool, runtime: Runtime, *, pepper: str, admin_key: str) -> None:
        self._pool = pool
        self._runtime = runtime
        self._pepper = pepper.encode()
        self._admin_key = admin_key.encode()
        self._cache: dict[bytes, tuple[float, Principal]] = {}

    async def issue(self, connection: Connection, merchant_id: UUID, mode: Mode) -> str:
        """Make a key within the caller's transaction; it is shown this once."""
        key = f"sk_{mode}_{self._runtime.token(32)}"
        await connection.execute(QUERIES["add_key"], self._hash(key), merchant_id, mode, self._runtime.now())
        return key

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return who sent an Authorization header.

        Raises: Unauthenticated: none, malformed, unknown or revoked.
        """
        key = bearer(authorization)
        hashed = self._hash(key)
        cached = self._cache.get(hashed)
        if cached is not None and cached[0] > self._runtime.monotonic():
            return cached[1]
        if hmac.compare_digest(key.encode(), self._admin_key):
            principal = Principal(None, None)
        else:
            row = await self._pool.fetchrow(QUERIES["find_key"], hashed)
            if row is None:
                raise Unauthenticated("this API key is unknown or revoked")
            principal = Principal(row["merchant_id"], row["mode"], row["settlement_address"])
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        self._cache[hashed] = (self._runtime.monotonic() + _CACHE_SECONDS, principal)
        return principal

    def request_hash(self, body: bytes) -> bytes:
        """Return the keyed hash by which two requests under one idempotency key are compared."""
        return hmac.digest(self._pepper, b"request/" + body, sha256)

    def _hash(self, key: str) -> bytes:
        return hmac.digest(self._pepper, b"key/" + key.encode(), sha256)
