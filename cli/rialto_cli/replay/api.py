"""The replay's HTTP client: every call is repeated, with the same idempotency key, until it has an answer.

A restart of the platform shows as refused or broken connections, timeouts, 429 and 5xx. All of these leave the outcome
open, so the same request goes out again after a pause; the key makes that safe. The client gives up when nothing at
all was answered for `patience_seconds`: one answer to anybody is progress for everybody.

aiohttp and not httpx because the generator shares its cores with the platform: 0.06 ms of CPU a call against 2.1 ms
(64 at once, measured with `process_time` over 4,000 calls).
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from rialto_cli.errors import OperatorError

_FIRST_PAUSE_SECONDS = 0.05
_PAUSE_GROWTH = 1.5
_LONGEST_PAUSE_SECONDS = 2.0
_CALL_TIMEOUT_SECONDS = 30.0
_CONNECT_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that settles a call: 2xx, or a 4xx that trying again cannot change."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The stable code of a problem+json body, or the status when it has none."""
        return str(self.body.get("code") or f"http_{self.status}")

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or self.body.get("title") or self.code)


class Stalled(OperatorError):
    """Nothing was answered for as long as the caller was willing to wait."""


class Refused(OperatorError):
    """An answer that stops the whole replay, such as a key that the platform does not know."""


class Api:
    """Calls to one gateway. Use as an async context manager."""

    def __init__(self, base_url: str, *, patience_seconds: float, connections: int) -> None:
        self._base_url = base_url.rstrip("/")
        self._patience = patience_seconds
        self._connections = connections
        self._answered_at = time.monotonic()
        self._session: aiohttp.ClientSession | None = None
        self.repeats = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=_CALL_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS),
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        self._answered_at = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: Mapping[str, Any], *, key: str, idempotency_key: str) -> Answer:
        """POST a body until it is answered, always under the same idempotency key."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
        return await self._until_answered("POST", path, headers, orjson.dumps(body))

    async def get(self, path: str, *, key: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET until it is answered."""
        return await self._until_answered("GET", path, {"Authorization": f"Bearer {key}"}, None, query)

    async def _until_answered(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        data: bytes | None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        pause, began = _FIRST_PAUSE_SECONDS, time.monotonic()
        while True:
            answer, wait, why = await self._once(method, path, headers, data, query)
            if answer is not None:
                self._answered_at = time.monotonic()
                return answer
            silent_since = max(began, self._answered_at)
            if time.monotonic() - silent_since > self._patience:
                raise Stalled(
                    f"The platform has not answered for {self._patience:.0f} s",
                    why,
                    "see `rialto status`; then run the same command again: it continues, and pays no row twice",
                )
            self.repeats += 1
            # Spread out, so that a platform that comes back does not meet every caller in the same millisecond.
            await asyncio.sleep(max(wait, pause) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    async def _once(
        self, method: str, path: str, headers: dict[str, str], data: bytes | None, query: Mapping[str, str] | None
    ) -> tuple[Answer | None, float, str]:
        """Return the answer, or None with the seconds the server asked to wait and what was wrong."""
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        try:
            async with self._session.request(
                method, self._base_url + path, headers=headers, data=data, params=query
            ) as response:
                raw = await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, 0.0, f"{type(error).__name__} {error}".strip()
        answer = Answer(status, _object(raw))
        # A problem says itself when a 4xx may pass: 409 while the first request with the same key is still under way.
        undecided = (
            status in (408, 425, 429) or status >= 500 or (status >= 400 and answer.body.get("retryable") is True)
        )
        if undecided:
            seconds = float(retry_after) if retry_after.isdigit() else 0.0
            return None, min(seconds, _LONGEST_PAUSE_SECONDS), f"it answers {status} {answer.code}"
        if status == 401:
            raise Refused(
                "The platform refuses the key",
                answer.detail,
                "check that --data-dir names the directory of the platform that is running",
            )
        return answer, 0.0, ""


def _object(raw: bytes) -> dict[str, Any]:
    try:
        read = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}
