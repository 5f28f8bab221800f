"""Shows what lies on the bus and what comes: the backlog in time order, then each event as it arrives."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rialto_cli.console import Progress
from rialto_cli.errors import OperatorError
from rialto_cli.events.ordering import in_time_order, last, merged
from rialto_cli.events.port import Entry, EventLog, LogUnreadable, Page, Place, Positions, Span, Want

FOLLOW_SECONDS = 1.0
"""How long one look waits; how late a closed pipe is noticed."""
QUIET_SECONDS = 2.0
"""After how long of nothing to say so."""
SURVEY_SECONDS = 10.0
"""How often to look for partitions that are new; also shows whether the bus still answers."""
GIVE_UP_SECONDS = 60.0
RETRY_SECONDS = 1.0
FLUSH_EVERY = 200


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: the last so many events, those of the last span of time, or (neither) the beginning."""

    last: int | None = None
    since: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to show."""

    topics: Sequence[str]
    want: Want
    start: Start
    follow: bool


@dataclass(frozen=True, slots=True)
class Output:
    """Where it goes: `write` takes a line's entry, `flush` sends what was written, `closed` says nobody reads."""

    write: Callable[[Entry], None]
    flush: Callable[[], None]
    closed: Callable[[], bool]


class Tail:
    """One run of the command."""

    def __init__(self, log: EventLog, request: Request, output: Output, progress: Progress) -> None:
        self._log = log
        self._request = request
        self._output = output
        self._progress = progress
        self._shown = 0
        self._heard_at = time.monotonic()
        self._told_quiet = False

    async def run(self) -> None:
        """Show what is there, then, if asked to, what comes, until nobody reads.

        Raises: OperatorError: the bus cannot be read. BrokenPipeError: nobody reads.
        """
        try:
            spans = await self._log.spans(self._request.topics)
            if not spans:
                raise LogUnreadable("it has none of these topics")
            await self._backlog(spans)
        except LogUnreadable as error:
            raise _unreadable(error) from error
        self._output.flush()
        if self._request.follow:
            await self._follow({place: span.end for place, span in spans.items()})
        elif not self._shown:
            self._progress.note("nothing on the bus fits")

    async def _backlog(self, spans: Mapping[Place, Span]) -> None:
        start = self._request.start
        if start.since is not None:
            begin = await self._log.since(spans, datetime.now(UTC) - start.since)
            spans = {place: Span(max(span.first, begin[place]), span.end) for place, span in spans.items()}
        said = _Looking(self._progress, sum(span.end - span.first for span in spans.values()))
        if start.last is not None:
            for entry in await last(self._log, spans, self._request.want, start.last, said.say):
                self._show(entry)
        else:
            async for entry in merged(self._log, spans, self._request.want, said.say):
                self._show(entry)
                said.rest()
        self._progress.idle()

    async def _follow(self, positions: Positions) -> None:
        self._heard_at = answered_at = surveyed_at = time.monotonic()
        failing = False
        while not self._output.closed():
            try:
                if failing or time.monotonic() - surveyed_at > SURVEY_SECONDS:
                    spans = await self._log.spans(self._request.topics)
                    # Partitions that are new are read whole.
                    positions = {**{place: span.first for place, span in spans.items()}, **positions}
                    surveyed_at = time.monotonic()
                page = await self._log.follow(positions, self._request.want, wait_seconds=FOLLOW_SECONDS)
            except LogUnreadable as error:
                if time.monotonic() - answered_at > GIVE_UP_SECONDS:
                    raise _unreadable(error) from error
                if not failing:
                    self._progress.idle()
                    self._progress.warn(f"{error}; trying again")
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if failing:
                self._progress.note("the bus answers again")
            failing, answered_at = False, time.monotonic()
            positions = page.reached
            self._show_page(page)

    def _show_page(self, page: Page) -> None:
        if not page.entries:
            if time.monotonic() - self._heard_at > QUIET_SECONDS:
                self._say_quiet()
            return
        self._progress.idle()
        for entry in in_time_order(page.entries):
            self._show(entry)
        self._output.flush()
        self._heard_at = time.monotonic()

    def _say_quiet(self) -> None:
        self._progress.waiting("waiting for events; Ctrl-C ends")
        if not self._told_quiet and not self._progress.console.is_terminal:
            self._progress.note("waiting for events")
        self._told_quiet = True

    def _show(self, entry: Entry) -> None:
        self._output.write(entry)
        self._shown += 1
        if self._shown % FLUSH_EVERY == 0:
            self._output.flush()


class _Looking:
    """Tells how far the search is, once it takes long enough for somebody to wonder."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._looked = 0
        self._said_at = time.monotonic()

    def say(self, count: int) -> None:
        """So many more positions were looked at."""
        self._looked += count
        if time.monotonic() - self._said_at < QUIET_SECONDS:
            return
        self._said_at = time.monotonic()
        text = f"looked at {self._looked:,} of {self._total:,} places on the bus"
        if self._progress.console.is_terminal:
            self._progress.waiting(text)
        else:
            self._progress.note(text)

    def rest(self) -> None:
        """Something was found: that is progress enough."""
        self._progress.idle()
        self._said_at = time.monotonic()


def _unreadable(error: LogUnreadable) -> OperatorError:
    return OperatorError(
        "The bus cannot be read",
        str(error).rstrip("."),
        "see `rialto status`; for a cluster of your own check --bus-url and the RIALTO_BUS_* variables",
    )
