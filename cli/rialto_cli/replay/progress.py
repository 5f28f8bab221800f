"""Live progress on stderr: a moving line on a terminal, a plain line now and then anywhere else."""

import asyncio
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rialto_cli.replay.tally import Tally

_REFRESH_SECONDS = 0.25
_PLAIN_SECONDS = 2.0


class Progress(Protocol):
    """Told how a replay gets on."""

    def note(self, what: str, done: int, total: int) -> None:
        """Something is being prepared."""

    def show(self, tally: Tally) -> None:
        """Payments are being sent and followed."""

    def say(self, line: str) -> None:
        """Something worth a line of its own."""


class Silent:
    """Shows nothing; for tests and callers with a display of their own."""

    def note(self, what: str, done: int, total: int) -> None: ...

    def show(self, tally: Tally) -> None: ...

    def say(self, line: str) -> None: ...


class Lines:
    """Shows progress on a console. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._shown_at = 0.0
        self._plain = ""
        self._last = (time.monotonic(), 0)
        self._rate = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def note(self, what: str, done: int, total: int) -> None:
        self._put(f"preparing {what}: {done:,} of {total:,}", always=done == total)

    def show(self, tally: Tally) -> None:
        self._put(line_of(tally, self._sent_per_second(tally.sent)), always=False)

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _sent_per_second(self, sent: int) -> float:
        now, (then, before) = time.monotonic(), self._last
        if now - then >= 1.0:
            self._rate, self._last = (sent - before) / (now - then), (now, sent)
        return self._rate

    def _put(self, line: str, *, always: bool) -> None:
        now = time.monotonic()
        if self._live:
            if always or now - self._shown_at >= _REFRESH_SECONDS:
                self._live.update(Text(line))
                self._shown_at = now
        elif line != self._plain and (always or now - self._shown_at >= _PLAIN_SECONDS):
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
            self._plain, self._shown_at = line, now


def line_of(tally: Tally, sent_per_second: float) -> str:
    """Return one line about a replay under way."""
    counts = tally.counts
    parts = [f"sent {tally.sent:,} of {len(tally):,} ({sent_per_second:,.0f}/s)", f"accepted {tally.accepted:,}"]
    parts += [f"{milestone} {tally.reached(milestone):,}" for milestone in ("authorised", "settled")]
    parts += [f"in review {counts.get('review', 0):,}", f"declined {counts.get('declined', 0):,}"]
    if rejected := sum(tally.rejections.values()):
        parts.append(f"rejected {rejected:,}")
    return " · ".join(parts)


async def keep_showing(progress: Progress, tally: Tally) -> None:
    """Show the tally until cancelled."""
    while True:
        progress.show(tally)
        await asyncio.sleep(_REFRESH_SECONDS)
