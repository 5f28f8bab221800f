"""A gateway that answers from a script, and a clock that only sleeping moves."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx

from rialto import AsyncRialto, Rialto
from rialto._exchange import Effects

START = datetime(2026, 3, 1, tzinfo=UTC)
PAYMENT: dict[str, Any] = {
    "id": "pay_01kb6w1m8xf0gbb7n5d8jq2c4r",
    "object": "payment",
    "status": "captured",
    "amount_minor": "1250",
    "currency": "USD",
}


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """Return an answer; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=PAYMENT if body is None else body, headers=named)


def problem(status: int, code: str, *, retryable: bool = False, retry_after: str | None = None) -> httpx.Response:
    """Return a refusal, as the gateway words it."""
    body = {
        "type": f"/docs/errors#{code}",
        "doc_url": f"/docs/errors#{code}",
        "title": code,
        "status": status,
        "detail": f"what happened: {code}",
        "code": code,
        "retryable": retryable,
    }
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(status, json=body, headers=headers | {"Request-Id": "req-of-the-header"})


@dataclass
class Gateway:
    """Answers in the order of the script, and the last for ever; keeps what it got."""

    script: list[httpx.Response | Exception]
    sends_take_seconds: float = 0.0
    got: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.seconds += self.sends_take_seconds
        outcome = self.script[min(len(self.got), len(self.script) - 1)]
        self.got.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        # Each time a new one: a response can be read once.
        return httpx.Response(outcome.status_code, headers=outcome.headers, content=outcome.content)

    def effects(self, chance: float = 0.5) -> Effects:
        """Return the clock, chance that is always the same, and keys that are counted."""
        numbers = count(1)
        return Effects(
            monotonic=lambda: self.seconds,
            now=lambda: START + timedelta(seconds=self.seconds),
            random=lambda: chance,
            new_key=lambda: f"key-{next(numbers)}",
        )

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.seconds += seconds

    async def sleep_awaited(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(0)
        self.sleep(seconds)

    def client(self, **options: Any) -> Rialto:
        """Return a client that knows only this gateway."""
        chance, handler = options.pop("chance", 0.5), options.pop("handler", self.handle)
        return Rialto(
            "sk_test_secret",
            base_url="http://gateway/",
            transport=httpx.MockTransport(handler),
            effects=self.effects(chance),
            sleep=self.sleep,
            **options,
        )

    def async_client(self, **options: Any) -> AsyncRialto:
        """Return the other client."""
        chance, handler = options.pop("chance", 0.5), options.pop("handler", self.handle)
        return AsyncRialto(
            "sk_test_secret",
            base_url="http://gateway/",
            transport=httpx.MockTransport(handler),
            effects=self.effects(chance),
            sleep=self.sleep_awaited,
            **options,
        )
