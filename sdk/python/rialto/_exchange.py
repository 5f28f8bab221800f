"""One logical call from beginning to end, without sending or sleeping itself: a generator says what to do next.

It yields a Request to be sent (and is sent back what came of it: an httpx.Response or the httpx.TransportError), or a
Pause, and returns what the call returns. The idempotency key is minted once and stays the same over all tries, so that
however often the request arrives it is done once.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import random
from time import monotonic
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from rialto._call import Call
from rialto.errors import ApiError, ConnectionFailed, UnexpectedAnswer, kind_of
from rialto.models import ApiObject, Response

T = TypeVar("T")

API_VERSION = "2026-11-01"
"""The dated version of the API that this package speaks, whatever the key's own is."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
RETRY_AFTER_SPREAD = 0.1
"""Retry-After is kept to, and passed by up to this part, so that callers do not all come back in one moment."""
PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request may succeed; others say so themselves by `retryable`."""
MOST_BYTES = 64 * 1024 * 1024
"""More than a page of a thousand of the largest objects."""
NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Effects:
    """Clock, chance and new keys; tests bring their own."""

    monotonic: Callable[[], float] = monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    random: Callable[[], float] = random
    new_key: Callable[[], str] = field(default=lambda: f"sdk-{uuid4()}")


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout_seconds` is for one try; `retry_seconds` bounds all tries of a call together, 0 for one try only."""

    api_key: str = field(repr=False)
    base_url: str
    timeout_seconds: float
    retry_seconds: float
    api_version: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and for how long an answer may take."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout_seconds: float

    def arguments(self) -> dict[str, Any]:
        """Return it as httpx takes it; its timeouts are for one wait each, of which a slow answer has many."""
        return {
            "method": self.method,
            "url": self.url,
            "headers": dict(self.headers),
            "content": self.content,
            "timeout": httpx.Timeout(self.timeout_seconds),
        }


@dataclass(frozen=True, slots=True)
class Pause:
    """How long to wait before going on."""

    seconds: float


class Body:
    """The parts of an answer, as they come.

    Raises: httpx.ReadTimeout: it takes longer than it may, or is larger than any of the API's.
    """

    def __init__(self, request: Request, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + request.timeout_seconds
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        """Take the next part."""
        self._parts.append(part)
        self._size += len(part)
        if self._clock() > self._until:
            raise httpx.ReadTimeout("the answer comes too slowly")
        if self._size > MOST_BYTES:
            raise httpx.ReadTimeout(f"the answer has more than {MOST_BYTES} bytes")

    def of(self, response: httpx.Response) -> httpx.Response:
        """Return the whole answer.

        Raises: httpx.RemoteProtocolError: it is not compressed as it says.
        """
        try:
            return httpx.Response(response.status_code, headers=response.headers, content=b"".join(self._parts))
        except httpx.DecodingError as error:
            raise httpx.RemoteProtocolError(str(error)) from error


Outcome = httpx.Response | httpx.TransportError
Steps = Generator[Request | Pause, Outcome | None, T]


def exchange(call: Call[T], options: Options, effects: Effects) -> "Steps[T]":
    """Return the steps of a call.

    Raises (from within): RialtoError, see `errors.py`.
    """
    key = call.idempotency_key or (effects.new_key() if call.method == "POST" else None)
    began = effects.monotonic()
    deadline = began + options.retry_seconds + (call.wait_seconds or 0)
    may_have_arrived = False
    tries = 0
    while True:
        remaining = max(deadline - effects.monotonic(), 0.0)
        outcome = yield _request(call, options, key, remaining if tries else None)
        tries += 1
        if outcome is None:
            raise RuntimeError("a request was not sent")
        pause = _pause_after(outcome, tries, effects)
        if pause is not None and effects.monotonic() + pause < deadline:
            may_have_arrived = may_have_arrived or _may_have_arrived(outcome)
            yield Pause(pause)
            continue
        if isinstance(outcome, httpx.TransportError):
            raise ConnectionFailed(
                f"{type(outcome).__name__} {outcome}".strip(),
                tries=tries,
                seconds=effects.monotonic() - began,
                may_have_arrived=may_have_arrived or _may_have_arrived(outcome),
                idempotency_key=key,
            ) from outcome
        if call.gone_is_done and may_have_arrived and outcome.status_code == 404:
            return call.read(None)
        return _read(call, outcome, options, key, tries)


def backoff(tries: int, chance: float) -> float:
    """Return the pause after so many tries: twice as long each time, half of it by chance (0 to 1)."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 20))
    return longest * (0.5 + chance / 2)


def retry_after(header: str | None, now: datetime) -> float:
    """Return the seconds that a Retry-After asks for, as seconds or as a date; 0 where it says nothing readable."""
    if header is None:
        return 0.0
    if header.isascii() and header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def _pause_after(outcome: Outcome, tries: int, effects: Effects) -> float | None:
    """Return how long to wait before the same again; None where that cannot help."""
    pause = backoff(tries, effects.random())
    if isinstance(outcome, httpx.TransportError):
        return None if isinstance(outcome, HOPELESS) else pause
    if outcome.is_success or not (outcome.status_code in PASSING or _problem(outcome).get("retryable") is True):
        return None
    asked = retry_after(outcome.headers.get("retry-after"), effects.now())
    return max(pause, asked * (1 + RETRY_AFTER_SPREAD * effects.random()))


def _may_have_arrived(outcome: Outcome) -> bool:
    """Say whether it may have been done although this is what came back."""
    if isinstance(outcome, httpx.TransportError):
        return not isinstance(outcome, (*NEVER_ARRIVED, *HOPELESS))
    return outcome.status_code >= 500


def _request(call: Call[Any], options: Options, key: str | None, remaining: float | None) -> Request:
    headers = {
        "Authorization": f"Bearer {options.api_key}",
        "Accept": "application/json",
        "Rialto-Version": options.api_version,
        "User-Agent": options.user_agent,
    }
    content = None
    if call.method in ("POST", "PATCH"):
        headers["Content-Type"] = "application/json"
        content = json.dumps(call.body or {}, separators=(",", ":")).encode()
    if key is not None:
        headers["Idempotency-Key"] = key
    seconds = options.timeout_seconds
    if call.wait_seconds:
        headers["Prefer"] = f"wait={int(call.wait_seconds)}"
        seconds += call.wait_seconds
    if remaining is not None:
        seconds = min(seconds, max(remaining, 1.0))
    url = httpx.URL(options.base_url.rstrip("/") + call.path)
    if call.query:
        url = url.copy_with(params=httpx.QueryParams(call.query))
    return Request(call.method, str(url), headers, content, seconds)


def _read(call: Call[T], response: httpx.Response, options: Options, key: str | None, tries: int) -> T:
    request_id = response.headers.get("request-id")
    if not response.is_success:
        problem = _problem(response)
        if response.status_code < 400 or "code" not in problem:
            what = "not one of the API's answers"
            raise UnexpectedAnswer(response.status_code, what, request_id=request_id, idempotency_key=key)
        kind: type[ApiError] = kind_of(response.status_code, problem["code"])
        raise kind(response.status_code, problem, base_url=options.base_url, request_id=request_id, idempotency_key=key)
    try:
        body = response.json() if response.content else None
        found = call.read(body)
    except ValueError as error:  # pydantic's errors are such, too
        what = "an answer that cannot be read"
        raise UnexpectedAnswer(response.status_code, what, request_id=request_id, idempotency_key=key) from error
    if isinstance(found, ApiObject):
        found._response = Response(response.status_code, dict(response.headers), tries, key, body)
    return found


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
