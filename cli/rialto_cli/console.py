"""What a command shows while it works: on a terminal with a spinner, elsewhere as plain lines. Always on stderr, so
that stdout stays what was asked for.
"""

import sys
from types import TracebackType

from rich.console import Console
from rich.status import Status

from rialto_cli.errors import OperatorError


class _Console(Console):
    """Falls silent when nobody reads any more; rich would end the program, and with it the platform."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Progress:
    """Lines that stay, and one that tells what is awaited now."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        # A terminal in another encoding could not be sent the signs, and the platform must not end for that.
        self._plain = not self.console.encoding.lower().startswith("utf")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.idle()

    def done(self, text: str) -> None:
        """Something is finished."""
        self.console.print(f"[green]{'+' if self._plain else '✓'}[/green] {text}")

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""
        self.console.print(f"[dim]{'-' if self._plain else '·'}[/dim] {text}")

    def warn(self, text: str) -> None:
        """Something went wrong, and is being dealt with."""
        self.console.print(f"[yellow]![/yellow] {text}")

    def waiting(self, text: str) -> None:
        """Say what takes its time now; nothing is printed where there is no terminal."""
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status(text, spinner="line" if self._plain else "dots")
            self._status.start()
        else:
            self._status.update(text)

    def idle(self) -> None:
        """Nothing is awaited any more."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def show_error(error: OperatorError) -> None:
    """What happened, why, and what to do next: three lines, no traceback."""
    sys.stderr.write(f"{error.what}.\n  Why:  {error.why}.\n  Next: {error.next_step}.\n")
