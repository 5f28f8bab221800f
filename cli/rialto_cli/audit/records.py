"""Kafka's records as columns: where each lies, and just enough of it to find its event in the log.

A record and an event are each 40 bytes or so, and numpy compares them; only one topic is in memory at a time.
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

_NO_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class Ids:
    """128-bit values as two columns: event ids, or digests."""

    high: Words
    low: Words

    @classmethod
    def of(cls, raw: bytes | bytearray) -> "Ids":
        """Read 16 bytes each, the most significant first."""
        words = np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)
        return cls(np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1]))

    def __len__(self) -> int:
        return len(self.high)

    def at(self, rows: Any) -> "Ids":
        """Return some of them."""
        return Ids(self.high[rows], self.low[rows])

    def uuid(self, row: int) -> UUID:
        """Return one."""
        return UUID(int=int(self.high[row]) << 64 | int(self.low[row]))

    def hashes(self) -> Words:
        """Return one word for each: ids of one payment share their first half, so both halves count."""
        return (self.high * np.uint64(0x9E3779B97F4A7C15)) ^ self.low

    def equal(self, other: "Ids") -> Flags:
        """Compare row by row."""
        same: Flags = (self.high == other.high) & (self.low == other.low)
        return same


@dataclass(frozen=True, slots=True)
class Records:
    """A topic's committed records, by partition and offset. `what`: a digest of source, type and key."""

    partition: Ints
    offset: Ints
    id: Ids
    what: Ids

    def __len__(self) -> int:
        return len(self.offset)


class Reading:
    """Records as they are read."""

    def __init__(self) -> None:
        self._partitions, self._offsets = array("q"), array("q")
        self._ids, self._whats = bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self._offsets)

    def take(self, partition: int, records: Sequence[Any], end: int) -> None:
        """Note a partition's next records (aiokafka's), those from the offset `end` on excepted."""
        for record in records:
            if record.offset >= end:
                return
            headers = dict(record.headers)
            self._offsets.append(record.offset)
            self._partitions.append(partition)
            self._ids += _id_of(headers.get("ce_id"))
            self._whats += digest(headers.get("ce_source"), headers.get("ce_type"), record.key)

    def records(self) -> Records:
        """Return them in order."""
        partition, offset = np.array(self._partitions, np.int64), np.array(self._offsets, np.int64)
        order = np.lexsort((offset, partition))
        return Records(partition[order], offset[order], Ids.of(self._ids).at(order), Ids.of(self._whats).at(order))


def _id_of(header: bytes | None) -> bytes:
    """Return the id's 16 bytes; what is no UUID is no event's id."""
    try:
        raw = bytes.fromhex((header or b"").decode().replace("-", ""))
    except ValueError:
        return _NO_ID
    return raw if len(raw) == 16 else _NO_ID


def digest(source: bytes | None, event_type: bytes | None, key: bytes | None) -> bytes:
    """Return 16 bytes that stand for what an event is, as queries.sql computes them of the log's."""
    return hashlib.sha256(b"%b\n%b\n%b" % (source or b"", event_type or b"", key or b"")).digest()[:16]
