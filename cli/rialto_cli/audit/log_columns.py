"""The log as columns: what is needed to find each event's records, read as PostgreSQL's binary COPY."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rialto_cli.audit.records import Flags, Ids, Ints, Words
from rialto_cli.audit.snapshot import Snapshot

K = TypeVar("K", bound=np.generic)

_HEAD = 19
"""The bytes before the first row: signature, flags, no extension."""
_LENGTH = ">i4"


def _row(*fields: tuple[str, str]) -> np.dtype[np.void]:
    """The layout of a row whose fields all have one width: a count, then each field after its length."""
    parts: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in fields:
        parts += [(f"{name}_length", _LENGTH), (name, kind)]
    return np.dtype(parts)


_EVENT = _row(
    ("position", ">i8"), ("event_id", "V16"), ("what", "V16"), ("key", ">u8"), ("shard", ">i2"), ("kept", "?"),
    ("returns", "?"),
)  # fmt: skip
_UNREAD = _row(("group", ">i2"), ("topic", ">i2"), ("position", ">i8"))


@dataclass(frozen=True, slots=True)
class Log:
    """A topic's events by position.

    `what`, `key`: digests. `kept`: young enough for the log to be complete from there on. `returns`: of a type that may
    be told again under its id.
    """

    position: Ints
    id: Ids
    what: Ids
    key: Words
    shard: Ints
    kept: Flags
    returns: Flags

    def __len__(self) -> int:
        return len(self.position)


def read_log(snapshot: Snapshot, topic: str) -> Log:
    """Read one topic. Raises: psycopg.Error."""
    parts = list(_rows(_EVENT, snapshot.copy("log_columns", {"topic": topic})))
    order = np.argsort(_column(parts, "position", np.int64), kind="stable")
    return Log(
        _column(parts, "position", np.int64)[order],
        Ids.of(b"".join(part["event_id"].tobytes() for part in parts)).at(order),
        Ids.of(b"".join(part["what"].tobytes() for part in parts)).at(order),
        _column(parts, "key", np.uint64)[order],
        _column(parts, "shard", np.int64)[order],
        _column(parts, "kept", np.bool_)[order],
        _column(parts, "returns", np.bool_)[order],
    )


def read_unread(snapshot: Snapshot, groups: list[str], topics: list[str]) -> dict[tuple[str, str], Ints]:
    """Return the positions that a group has neither handled nor parked, in order, by (group, topic)."""
    named = {"group_names": groups, "topic_names": topics}
    parts = list(_rows(_UNREAD, snapshot.copy("unread_columns", named)))
    group, topic = _column(parts, "group", np.int64), _column(parts, "topic", np.int64)
    position = _column(parts, "position", np.int64)
    return {
        (name, of): np.unique(position[(group == nth + 1) & (topic == mth + 1)])
        for nth, name in enumerate(groups)
        for mth, of in enumerate(topics)
    }


def _rows(layout: np.dtype[np.void], chunks: Iterable[bytes]) -> Iterable[NDArray[np.void]]:
    """Turn the chunks of a binary COPY, each of many rows, into arrays of rows."""
    left = b""
    skip = _HEAD
    for chunk in chunks:
        left += chunk[skip:]
        skip = 0
        whole = len(left) // layout.itemsize
        if whole:
            # A copy, so that the chunk can go.
            rows = np.frombuffer(left, layout, whole).copy()
            _expect(rows)
            yield rows
            left = left[whole * layout.itemsize :]


def _expect(rows: NDArray[np.void]) -> None:
    """Raises: ValueError: a field is missing or of another width, so that nothing could be told apart."""
    layout = rows.dtype
    names = [name for name in layout.names or () if f"{name}_length" in (layout.names or ())]
    widths = {name: layout[name].itemsize for name in names}
    if (rows["fields"] != len(names)).any() or any((rows[f"{name}_length"] != widths[name]).any() for name in names):
        raise ValueError("the log has a row that is not as the audit knows it")


def _column(parts: list[NDArray[np.void]], name: str, kind: type[K]) -> NDArray[K]:
    return np.concatenate([part[name].astype(kind) for part in parts]) if parts else np.empty(0, kind)
