"""What a command says when it cannot go on.

OperatorError            what happened, why, and what to do next; printed without a traceback, exit status 1
"""


class OperatorError(Exception):
    """A command cannot go on, and the person at the terminal can do something about it."""

    exit_status = 1

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.next_step = next_step
