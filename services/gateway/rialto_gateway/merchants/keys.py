"""API keys: who is calling, for which merchant, in which mode, and how far the key reaches.

A key is `sk_` (secret), `pk_` (publishable) or `rk_` (restricted), the mode, and 32 random bytes. The database holds
only its HMAC-SHA256 under a pepper from the settings, so a stolen table opens nothing; the operator's admin key is
compared in constant time. A key found once is remembered: from FRESH_SECONDS on it is looked up again beside the
requests it lets in, and from STALE_SECONDS on before them, so that a revocation reaches every replica within
STALE_SECONDS even if nobody tells them.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import asyncpg
from starlette.types import Scope

from rialto_common import ids
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.dead_letter_api import bearer
from rialto_common.errors import Forbidden, Unauthenticated
from rialto_common.runtime import Runtime
from rialto_gateway.versions import CURRENT, LATEST, known

Mode = Literal["test", "live"]

QUERIES = load_queries(__package__)
FRESH_SECONDS = 2.0
STALE_SECONDS = 4.0
USED_EVERY_SECONDS = 5.0
_CACHE_ENTRIES = 10_000
_UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Kind = Literal["secret", "publishable", "restricted"]
PREFIXES: dict[Kind, str] = {"secret": "sk", "publishable": "pk", "restricted": "rk"}


class KeyNotAllowed(Forbidden):
    """A publishable or restricted key does not reach this far; use a secret key, or one with the scope."""

    code = "key_not_allowed"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a merchant in one mode, or the platform's operator (`merchant_id` None, any mode)."""

    merchant_id: UUID | None
    mode: Mode | None
    settlement_address: str | None = None
    kind: Kind = "secret"
    scopes: frozenset[str] = frozenset()
    key_id: UUID | None = None
    api_version: str = LATEST
    expires_at: datetime | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the admin key was used."""
        return self.merchant_id is None

    @property
    def actor(self) -> str:
        """The caller as the audit log names it."""
        return "operator" if self.key_id is None else ids.to_text("key", self.key_id)

    def check_reach(self, method: str, path: str) -> None:
        """Raises: KeyNotAllowed: this kind of key, or its scopes, do not reach a path of the API."""
        if self.kind == "secret":
            return
        if self.kind == "publishable":
            raise KeyNotAllowed(
                "a publishable key (pk_…) cannot be used here; call this from a server with a secret key"
            )
        resource = path.split("/", 3)[2] if path.count("/") > 1 else ""
        access = "read" if method in ("GET", "HEAD") else "write"
        if f"{resource}:{access}" in self.scopes or (access == "read" and f"{resource}:write" in self.scopes):
            return
        raise KeyNotAllowed(f"this restricted key lacks the scope {resource}:{access}")

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
        self._refreshing: set[bytes] = set()
        self._used: set[UUID] = set()
        self._flushing = False
        self._first_use: Callable[[], None] | None = None
        self._limit: Callable[[UUID], Awaitable[list[tuple[bytes, bytes]]]] | None = None

    def limit_by(self, check: Callable[[UUID], Awaitable[list[tuple[bytes, bytes]]]]) -> None:
        """Take a token for every request, and answer with these headers."""
        self._limit = check

    def when_used(self, action: Callable[[], None]) -> None:
        """Do this once, when the first key is looked up."""
        self._first_use = action

    async def issue(
        self,
        connection: Connection,
        merchant_id: UUID,
        mode: Mode,
        *,
        kind: Kind = "secret",
        scopes: frozenset[str] = frozenset(),
        api_version: str = LATEST,
    ) -> tuple[UUID, str]:
        """Make a key within the caller's transaction; return its id and itself, which is shown this once."""
        key_id, key = self._runtime.ids.mint(), f"{PREFIXES[kind]}_{mode}_{self._runtime.token(32)}"
        await connection.execute(
            QUERIES["add_key"],
            self._hash(key),
            merchant_id,
            mode,
            self._runtime.now(),
            key_id,
            kind,
            sorted(scopes),
            api_version,
            key[-4:],
        )
        return key_id, key

    async def admit(self, scope: Scope, authorization: str | None, version: str | None) -> Principal:
        """Return who sent a request that may be served, and settle the version it speaks.

        Raises: Unauthenticated, KeyNotAllowed, VersionUnknown, TooManyRequests.
        """
        principal = await self.authenticate(authorization)
        if principal.kind != "secret":
            principal.check_reach(scope["method"], scope["path"])
        spoken = principal.api_version if version is None else known(version)
        CURRENT.set(spoken)
        headers = [(b"rialto-version", spoken.encode())]
        scope.setdefault("state", {})["answer_headers"] = headers
        if principal.key_id is not None and self._limit is not None:
            headers += await self._limit(principal.key_id)
        return principal

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return who sent an Authorization header.

        Raises: Unauthenticated: none, malformed, unknown, expired or revoked.
        """
        key = bearer(authorization)
        hashed = self._hash(key)
        found = self._cache.get(hashed)
        age = STALE_SECONDS if found is None else self._runtime.monotonic() - found[0]
        if found is None or age >= STALE_SECONDS:
            principal = await self._look_up(hashed, key)
        else:
            principal = found[1]
            if age >= FRESH_SECONDS and principal.key_id is not None and hashed not in self._refreshing:
                self._refreshing.add(hashed)
                self._runtime.spawn(self._refresh(hashed, key), name="refresh-api-key")
        if principal.expires_at is not None and principal.expires_at <= self._runtime.now():
            raise Unauthenticated("this API key has expired")
        if principal.key_id is not None and principal.key_id not in self._used:
            self._note_use(principal.key_id)
        return principal

    def forget(self) -> None:
        """Look every key up again; told when one was changed."""
        self._cache.clear()

    async def _look_up(self, hashed: bytes, key: str) -> Principal:
        if self._first_use is not None:
            action, self._first_use = self._first_use, None
            action()
        asked_at = self._runtime.monotonic()
        if hmac.compare_digest(key.encode(), self._admin_key):
            principal = Principal(None, None)
        else:
            row = await self._pool.fetchrow(QUERIES["find_key"], hashed)
            if row is None:
                self._cache.pop(hashed, None)
                raise Unauthenticated("this API key is unknown or revoked")
            principal = _principal(row)
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        self._cache[hashed] = (asked_at, principal)
        return principal

    async def _refresh(self, hashed: bytes, key: str) -> None:
        try:
            await self._look_up(hashed, key)
        except (Unauthenticated, *_UNAVAILABLE):
            pass  # forgotten, or looked up before the next request once it is stale
        finally:
            self._refreshing.discard(hashed)

    def _note_use(self, key_id: UUID) -> None:
        self._used.add(key_id)
        if not self._flushing:
            self._flushing = True
            self._runtime.spawn(self._tell_uses(), name="api-key-uses")

    async def _tell_uses(self) -> None:
        await self._runtime.sleep(USED_EVERY_SECONDS)
        self._flushing = False
        await self.write_uses()

    async def write_uses(self) -> None:
        """Write down which keys were used lately, in one statement; while the database is away that is let be."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._pool.execute(QUERIES["used"], sorted(used), self._runtime.now())
        except _UNAVAILABLE:
            return

    def request_hash(self, body: bytes) -> bytes:
        """Return the keyed hash by which two requests under one idempotency key are compared."""
        return hmac.digest(self._pepper, b"request/" + body, sha256)

    def _hash(self, key: str) -> bytes:
        return hmac.digest(self._pepper, b"key/" + key.encode(), sha256)


def _principal(row: Any) -> Principal:
    return Principal(
        row["merchant_id"],
        row["mode"],
        row["settlement_address"],
        row["kind"],
        frozenset(row["scopes"]),
        row["key_id"],
        row["api_version"],
        row["expires_at"],
    )
