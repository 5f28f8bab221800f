"""Forwards a merchant's events to a URL of its own, signed as the gateway signs its webhooks."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from rialto import ApiError, Page, Rialto, RialtoError, webhooks
from rialto_cli.console import Progress
from rialto_cli.payments.feed import Event, Feed

LOOK_EVERY_SECONDS = 0.5
FORWARD_TIMEOUT_SECONDS = 10.0
PAGE = 100
LISTENING = "listening; Ctrl-C ends it"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An event, and how it was taken: an HTTP status, or why there was none; neither where nothing was to be called."""

    event: Event
    status: int | None = None
    error: str | None = None
    duration_ms: float | None = None


def new_secret() -> str:
    """Return a signing secret for one run."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def message_of(event: Event) -> str:
    """Return the body of an event's webhook."""
    body = {name: event[name] for name in ("id", "type")} | {"timestamp": event["created_at"], "data": event["data"]}
    return json.dumps(body, separators=(",", ":"))


class Listener:
    """Looks for events and forwards them, one after the other, in their order."""

    def __init__(
        self,
        client: Rialto,
        feed: Feed,
        *,
        types: Iterable[str],
        forward_to: str | None,
        secret: str,
        shown: Callable[[Forwarded], None],
        progress: Progress,
    ) -> None:
        self._client = client
        self._feed = feed
        self._types = list(types)
        self._forward_to = forward_to
        self._secret = secret
        self._shown = shown
        self._progress = progress
        self._lost = False
        self._http = httpx.Client(timeout=FORWARD_TIMEOUT_SECONDS)

    @property
    def since(self) -> datetime:
        """Where another run would go on."""
        return self._feed.since

    def run(self, *, most: int | None, follow: bool) -> None:
        """Forward what comes, until there were so many; without `follow`, what is there.

        Raises: RialtoError: the gateway refuses.
        """
        count = 0
        if follow and self._feed.knows_where:
            self._progress.done(LISTENING)
        with self._http:
            while True:
                found = self._look()
                for event in found or ():
                    self._shown(self._forward(event))
                    count += 1
                    if count == most:
                        return
                if found is not None and not follow:
                    return
                time.sleep(LOOK_EVERY_SECONDS)

    def _look(self) -> list[Event] | None:
        """Return what is new, the oldest first; None while the gateway does not answer."""
        types = self._types or None
        try:
            if not self._feed.knows_where:
                newest = _events(self._client.events.list(type=types, limit=1).first_page())
                self._feed.begin_after(newest[0] if newest else None)
                self._progress.done(LISTENING)
            pages = self._client.events.list(type=types, created_since=self._feed.since, limit=PAGE).pages()
            found = [event for page in pages for event in _events(page)]
        except RialtoError as error:
            if isinstance(error, ApiError) and error.status < 500 and not error.retryable:
                raise
            if not self._lost:
                self._progress.warn(f"the gateway does not answer; nothing is lost, it is asked again ({error})")
            self._lost = True
            return None
        if self._lost:
            self._progress.done("the gateway answers again")
            self._lost = False
        return self._feed.take(found)

    def _forward(self, event: Event) -> Forwarded:
        if self._forward_to is None:
            return Forwarded(event)
        body = message_of(event)
        headers = webhooks.sign(body, self._secret, message_id=f"msg_{event['id'][4:]}", timestamp=int(time.time()))
        began = time.monotonic()
        try:
            answer = self._http.post(
                self._forward_to, content=body, headers=headers | {"Content-Type": "application/json"}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Forwarded(event, error=str(error) or type(error).__name__)
        return Forwarded(event, answer.status_code, duration_ms=(time.monotonic() - began) * 1000)


def _events(page: Page[Any]) -> list[Event]:
    """Return a page's events as the gateway wrote them, amounts as text."""
    return [] if page.response is None else list(page.response.body["data"])
