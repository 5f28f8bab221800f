"""Records from an export file: one JSON object a line, each written in the one way there is."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from rialto_cli.errors import OperatorError
from rialto_cli.ledger.verify.records import Numbered, Unreadable, read

HEADER = {"type": "export", "version": 1}
ARCHIVE = {"type": "archive", "version": 1}
"""And `month`, such as 2026-03: the whole of an archive's header."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""An entry of 100,000 postings takes about 15 MB."""


class InputUnreadable(OperatorError):
    """There is nothing to verify: no such file, or no export."""

    exit_status = 2


class ExportFile:
    """An export file, read once from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from error
        self._size = os.fstat(self._file.fileno()).st_size
        self._read = 0

    def records(self) -> Iterator[Numbered]:
        """Return the records with their lines. Raises: InputUnreadable: it is no export, or reading fails."""
        with self._file:
            lines = self._lines()
            first = next(lines, b"")
            self._check_header(_parse(first))
            for number, line in enumerate(lines, start=2):
                raw = _parse(line)
                yield number, raw if isinstance(raw, Unreadable) else read(raw)

    def progress(self) -> str:
        """Return how far it has been read."""
        return f"{self._read * 100 // max(self._size, 1)} %"

    def _check_header(self, header: object) -> None:
        if header == HEADER:
            return
        known = header if isinstance(header, dict) else {}
        kind = known.get("type")
        if kind == "export":
            raise self._refused(f"it is an export of version {known.get('version')!r}, and only 1 is known")
        if kind == "archive":
            raise self._refused("it is the archive of a month, to be named with --archive beside an export")
        raise self._refused(f"its first line is not {orjson.dumps(HEADER).decode()}")

    def _lines(self) -> Iterator[bytes]:
        while line := self._line():
            self._read += len(line)
            yield line.removesuffix(b"\n")

    def _line(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from error
        if len(line) == MAX_LINE_BYTES:
            raise self._refused(f"a line is longer than {MAX_LINE_BYTES} bytes")
        return line

    def _refused(self, why: str) -> InputUnreadable:
        return InputUnreadable(
            f"{self._path} cannot be verified", why, "make an export with `rialto ledger export FILE`, and name that"
        )


class ArchiveFile(ExportFile):
    """The archive of a month: its entries alone, in the order of their places."""

    @staticmethod
    def header(month: str) -> dict[str, Any]:
        """Return the first line of a month's archive."""
        return {**ARCHIVE, "month": month}

    def _check_header(self, header: object) -> None:
        if not isinstance(header, dict) or {**header, "month": None} != {**ARCHIVE, "month": None}:
            raise self._refused("it is not the archive of a month")


def _parse(line: bytes) -> object:
    """Return a line's JSON. Another writing of the same, such as a field twice, is not what was exported."""
    try:
        raw: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Unreadable(f"it is no JSON: {error}")
    if orjson.dumps(raw) != line:
        return Unreadable("its JSON is not written in the canonical way")
    return raw
