"""Serves keys' requests from slices of their buckets; see `limits.py`."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from rialto_common.database import Pool
from rialto_common.errors import TooManyRequests
from rialto_common.runtime import Runtime
from rialto_gateway.limits import SLICE_SECONDS, Bucket, Policy, take
from rialto_gateway.merchants.keys import QUERIES

_UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_KEYS = 10_000


@dataclass(slots=True)
class _Slice:
    tokens: int
    until: float


class RateLimiter:
    """Counts requests. While the database is away it lets them through: they will hear of that anyway."""

    def __init__(self, pool: Pool, runtime: Runtime, policy: Policy) -> None:
        self._pool = pool
        self._runtime = runtime
        self._policy = policy
        self._slices: dict[UUID, _Slice] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._policy_header = (b"ratelimit-policy", f'"key";q={int(policy.rate)};w=1'.encode())

    async def check(self, key_id: UUID) -> list[tuple[bytes, bytes]]:
        """Take a token; return the headers that say what is left of the slice.

        Raises: TooManyRequests.
        """
        held = self._usable(key_id)
        if held is None:
            # One asks for a slice; the others wait for it and use it too.
            async with self._locks.setdefault(key_id, asyncio.Lock()):
                held = self._usable(key_id) or await self._next(key_id)
            if held.tokens < 1:
                raise TooManyRequests(
                    f"this key may send {self._policy.rate:g} requests a second; send it again after Retry-After"
                )
        held.tokens -= 1
        return self.headers(held.tokens)

    def headers(self, left: int) -> list[tuple[bytes, bytes]]:
        """Return the fields of the IETF's draft: the policy, and what is left now."""
        return [self._policy_header, (b"ratelimit", b'"key";r=%d;t=1' % left)]

    def _usable(self, key_id: UUID) -> _Slice | None:
        held = self._slices.get(key_id)
        return held if held is not None and held.tokens > 0 and self._runtime.monotonic() < held.until else None

    async def _next(self, key_id: UUID) -> _Slice:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(QUERIES["start_bucket"], key_id, self._policy.burst, self._runtime.now())
                [row] = await connection.fetch(QUERIES["lock_bucket"], key_id)
                now = (self._runtime.now() - _EPOCH).total_seconds()
                bucket, granted = take(
                    Bucket(row["tokens"], (row["filled_at"] - _EPOCH).total_seconds()), self._policy, now
                )
                filled_at = _EPOCH + timedelta(seconds=bucket.at)
                await connection.execute(QUERIES["save_bucket"], key_id, bucket.tokens, filled_at)
        except _UNAVAILABLE:
            granted = self._policy.slice_tokens
        if len(self._slices) >= _MOST_KEYS:
            self._slices.clear()
            self._locks.clear()
        held = _Slice(granted, self._runtime.monotonic() + SLICE_SECONDS)
        self._slices[key_id] = held
        return held
