"""A history in a few bytes, for one column of one row.

Layout, little-endian, version 1: a header (version u8; how many hours, days and counterparties, u8 each; newest_at
i64), then per hour (age u8, payments u32), per day (age u8, payments u32, sum u64, sum of squares u64), per
counterparty (hash u32, last payment u32 in epoch seconds). Ages count back from the newest payment's
hour and day. No bytes at all is an empty history.
"""

from __future__ import annotations

import struct
from typing import Final

from rialto_common.errors import InvariantViolated
from rialto_fraud.domain.history import SECONDS_PER_DAY, SECONDS_PER_HOUR, History

VERSION: Final = 1
_HEADER = struct.Struct("<BBBBq")
_HOUR = struct.Struct("<BI")
_DAY = struct.Struct("<BIQQ")
_COUNTERPARTY = struct.Struct("<II")
_LARGEST_U32 = 2**32 - 1
_LARGEST_U64 = 2**64 - 1


def pack(history: History) -> bytes:
    """Return the bytes. Counts and sums that outgrow their field stay at its largest value."""
    newest_hour, newest_day = history.newest_at // SECONDS_PER_HOUR, history.newest_at // SECONDS_PER_DAY
    parts = [
        _HEADER.pack(VERSION, len(history.hours), len(history.days), len(history.counterparties), history.newest_at)
    ]
    for hour, count in history.hours.items():
        parts.append(_HOUR.pack(newest_hour - hour, min(count, _LARGEST_U32)))
    for day, (count, total, squares) in history.days.items():
        parts.append(
            _DAY.pack(newest_day - day, min(count, _LARGEST_U32), min(total, _LARGEST_U64), min(squares, _LARGEST_U64))
        )
    for counterparty, at in history.counterparties.items():
        parts.append(_COUNTERPARTY.pack(counterparty, min(at, _LARGEST_U32)))
    return b"".join(parts)


def unpack(data: bytes) -> History:
    """Return the history.

    Raises: InvariantViolated: the bytes are of another version or length.
    """
    if not data:
        return History()
    version, hours, days, counterparties, newest_at = _HEADER.unpack_from(data)
    hours_from = _HEADER.size
    days_from = hours_from + hours * _HOUR.size
    counterparties_from = days_from + days * _DAY.size
    end = counterparties_from + counterparties * _COUNTERPARTY.size
    if version != VERSION or end != len(data):
        raise InvariantViolated(f"a packed history has version {version} and {len(data)} bytes, not {end}")
    newest_hour, newest_day = newest_at // SECONDS_PER_HOUR, newest_at // SECONDS_PER_DAY
    return History(
        newest_at=newest_at,
        hours={newest_hour - age: count for age, count in _HOUR.iter_unpack(data[hours_from:days_from])},
        days={
            newest_day - age: (count, total, squares)
            for age, count, total, squares in _DAY.iter_unpack(data[days_from:counterparties_from])
        },
        counterparties=dict(_COUNTERPARTY.iter_unpack(data[counterparties_from:])),
    )
