"""Runs a guide as its reader does: every fenced block in its order, in one directory, in one environment.

    ```sh                  run by bash; what it exports is there for the blocks after it
    ```sh background       started, and left running until the guide ends
    ```python              run; the blocks of a guide share their names
    ```python shop.py      written to that file, for a later block to run
    ```text                what the block before it prints; … stands for anything
    ```json, ```http       to be read only

A guide's ports 3000 and 8080 become those that are free, and the platform's.
"""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rialto_cli.embedded.processes import free_ports

from .running import Rialto, eventually

FENCE = re.compile(r"^```(\w+)?(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TO_READ = ("json", "http")
BLOCK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is where it begins, `expected` what it prints, where the guide shows that."""

    language: str
    word: str | None
    text: str
    line: int
    expected: str | None = None


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's blocks that are run or written, each with the output that follows it.

    Raises: ValueError: a block that is none of those this runs.
    """
    waiting: Block | None = None
    for found in FENCE.finditer(page):
        language, word, text = found[1] or "", found[2], found[3]
        line = page[: found.start()].count("\n") + 1
        if language == "text" and waiting is not None and waiting.expected is None:
            yield Block(waiting.language, waiting.word, waiting.text, waiting.line, text)
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = None
        if language in ("sh", "python"):
            waiting = Block(language, word, text, line)
        elif language not in TO_READ:
            raise ValueError(f"line {line}: a block of '{language}' is neither run nor output of the one before")
    if waiting is not None:
        yield waiting


def fits(expected: str, printed: str) -> bool:
    """Say whether what was printed is what the guide shows."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


class Reader:
    """Follows a guide. Use as a context manager: what it left running is ended.

    Args: done: blocks that the platform's start has done already.
    """

    def __init__(self, rialto: Rialto, directory: Path, done: Sequence[str]) -> None:
        self._directory = directory
        self._done = done
        self._ports = {"8080": str(rialto.port), "3000": str(free_ports(1)[0])}
        self._names: dict[str, Any] = {"__name__": "guide"}
        self._running: list[subprocess.Popen[bytes]] = []
        programs = directory / "bin"
        programs.mkdir()
        for name, command in (("rialto", "-m rialto_cli"), ("python", ""), ("uvicorn", "-m uvicorn")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
            program.chmod(0o755)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RIALTO_")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "RIALTO_DATA_DIR": str(rialto.data_dir),
        }

    def __enter__(self) -> Self:
        self._outside = Path.cwd(), dict(os.environ)
        os.chdir(self._directory)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.chdir(self._outside[0])
        os.environ.clear()
        os.environ.update(self._outside[1])
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)

    def follow(self, page: str) -> int:
        """Run a guide's blocks; return how many.

        Raises: AssertionError: one fails, or prints something else; the text says which, and what it printed.
        """
        count = 0
        for block in blocks(page):
            if block.text.strip() not in self._done:
                expected = None if block.expected is None else self._here(block.expected)
                self._run(replace(block, text=self._here(block.text), expected=expected))
            count += 1
        return count

    def _here(self, text: str) -> str:
        """Return a text with this place's ports."""
        return re.sub(r"(127\.0\.0\.1:|--port )(8080|3000)\b", lambda found: found[1] + self._ports[found[2]], text)

    def _run(self, block: Block) -> None:
        if block.language == "sh":
            self._shell(block)
        elif block.word is not None:
            (self._directory / block.word).write_text(block.text)
        else:
            self._python(block)

    def _python(self, block: Block) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        printed = io.StringIO()
        # Padded, so that a traceback names the guide's own lines.
        code = compile("\n" * block.line + block.text, f"line {block.line} of the guide", "exec")
        with redirect_stdout(printed):
            exec(code, self._names)
        if block.expected is not None:
            assert fits(block.expected, printed.getvalue()), f"line {block.line} printed:\n{printed.getvalue()}"

    def _shell(self, block: Block) -> None:
        output = self._directory / f"output-of-line-{block.line}"
        kept = self._directory / "environment"
        script = f"set -eo pipefail\ntrap 'env -0 > {kept}' EXIT\n{block.text}"
        with output.open("wb") as written:
            process = subprocess.Popen(
                ["bash", "-c", script],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        if block.word != "background":
            status = process.wait(BLOCK_SECONDS)
            assert status == 0, f"line {block.line} ended with status {status}:\n{output.read_text()}"
            pairs = (each.partition("=") for each in kept.read_text().split("\0") if each)
            self._environment = {name: value for name, _, value in pairs}
        expected = block.expected

        def shown() -> bool:
            assert block.word != "background" or process.poll() is None, output.read_text()
            return expected is None or fits(expected, output.read_text())

        if block.word == "background":
            eventually(shown, f"line {block.line} prints what the guide shows, in {output}")
        else:
            assert shown(), f"line {block.line} printed:\n{output.read_text()}"
