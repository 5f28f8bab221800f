"""The records of an export: what each must look like, to the letter.

Nothing is read generously. A value has one way to be written, so that no byte can change without changing what is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

SHARDS = 64
MAX_NUMBER = 2**63 - 1

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile("[0-9a-f]{64}")
_AMOUNT = re.compile("[1-9][0-9]{0,37}")
_TIME = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])[.]([0-9]{6})Z")
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_ENTRY = {
    "type", "shard", "chain_position", "hash", "id", "kind", "mode", "merchant_id", "payment_id", "reverses",
    "effective_at", "recorded_at", "postings", "metadata",
}  # fmt: skip
_POSTING = {"account_id", "side", "amount_minor", "currency"}
_BLOCK = {"type", "number", "sealed_at", "previous", "super_root", "shards"}
_RANGE = {"shard", "first_position", "last_position", "last_hash", "root"}
_ARCHIVED = {"type", "shard", "position", "hash"}


class Malformed(Exception):
    """A record is not of the documented form; says how."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry; the account's id as its 16 bytes."""

    account_id: bytes
    side: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry with its place in the chain; ids as their 16 bytes, times as microseconds since 1970."""

    shard: int
    position: int
    hash: bytes
    id: str
    id_bytes: bytes
    kind: str
    mode: str
    merchant_id: bytes | None
    payment_id: bytes | None
    reverses: bytes | None
    effective_at: int
    recorded_at: int
    postings: list[Posting]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Range:
    """What a block says of one shard."""

    shard: int
    first_position: int
    last_position: int
    last_hash: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block; `sealed_at` as it is written, and as microseconds since 1970."""

    number: int
    sealed_at: str
    sealed_at_microseconds: int
    previous: bytes
    super_root: bytes
    shards: list[Range]


@dataclass(frozen=True, slots=True)
class Archived:
    """The link of an entry that is no longer here, but in the archive of its month."""

    shard: int
    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be read, with what can be made out of where it stands."""

    reason: str
    entry_id: str | None = None
    shard: int | None = None
    position: int | None = None
    block: int | None = None


Record = Entry | Block | Archived | Unreadable
Numbered = tuple[int | None, Record]
"""A record with its line, where it comes from a file."""

Place = tuple[int, int]
"""A shard and a position in its chain."""


def read(raw: object) -> Record:
    """Return a record from its JSON."""
    if not isinstance(raw, dict):
        return Unreadable("it is no JSON object")
    try:
        match raw.get("type"):
            case "entry":
                return _entry(raw)
            case "block":
                return _block(raw)
            case "archived":
                return _archived(raw)
            case other:
                raise Malformed(f"the type {_shown(other)} is not known")
    except Malformed as error:
        whole = {name: value if type(value) is int else None for name, value in raw.items()}
        named = raw.get("id")
        return Unreadable(
            str(error),
            entry_id=named if isinstance(named, str) else None,
            shard=whole.get("shard"),
            position=whole.get("chain_position") or whole.get("position"),
            block=whole.get("number"),
        )


def _entry(raw: Mapping[str, Any]) -> Entry:
    _exactly(raw, _ENTRY)
    lines, metadata = raw["postings"], raw["metadata"]
    if not isinstance(lines, list):
        raise Malformed("postings is no list")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("metadata is not an object of texts")
    return Entry(
        shard=_shard(raw),
        position=_number(raw, "chain_position"),
        hash=_hash(raw, "hash"),
        id=raw["id"],
        id_bytes=_id(raw, "id"),
        kind=_text(raw, "kind"),
        mode=_one_of(raw, "mode", ("test", "live")),
        merchant_id=None if raw["merchant_id"] is None else _id(raw, "merchant_id"),
        payment_id=None if raw["payment_id"] is None else _id(raw, "payment_id"),
        reverses=None if raw["reverses"] is None else _id(raw, "reverses"),
        effective_at=_time(raw, "effective_at"),
        recorded_at=_time(raw, "recorded_at"),
        postings=[_posting(line) for line in lines],
        metadata=metadata,
    )


def _posting(raw: object) -> Posting:
    if not isinstance(raw, dict):
        raise Malformed("a posting is no object")
    _exactly(raw, _POSTING)
    amount = int(_matching(raw, "amount_minor", _AMOUNT, "a whole amount from 1 to 38 digits"))
    side = _one_of(raw, "side", ("debit", "credit"))
    return Posting(_id(raw, "account_id"), side, amount, _text(raw, "currency"))


def _block(raw: Mapping[str, Any]) -> Block:
    _exactly(raw, _BLOCK)
    shards = raw["shards"]
    if not isinstance(shards, list):
        raise Malformed("shards is no list")
    return Block(
        number=_number(raw, "number"),
        sealed_at=raw["sealed_at"],
        sealed_at_microseconds=_time(raw, "sealed_at"),
        previous=_hash(raw, "previous"),
        super_root=_hash(raw, "super_root"),
        shards=[_range(each) for each in shards],
    )


def _range(raw: object) -> Range:
    if not isinstance(raw, dict):
        raise Malformed("what it says of a shard is no object")
    _exactly(raw, _RANGE)
    first, last = _number(raw, "first_position"), _number(raw, "last_position")
    return Range(_shard(raw), first, last, _hash(raw, "last_hash"), _hash(raw, "root"))


def _archived(raw: Mapping[str, Any]) -> Archived:
    _exactly(raw, _ARCHIVED)
    return Archived(_shard(raw), _number(raw, "position"), _hash(raw, "hash"))


def _exactly(raw: Mapping[str, Any], names: set[str]) -> None:
    if raw.keys() != names:
        missing, unknown = sorted(names - raw.keys()), sorted(raw.keys() - names)
        raise Malformed(
            "; ".join(
                f"{what} {', '.join(_shown(name) for name in fields)}"
                for what, fields in (("without", missing), ("with the unknown", unknown))
                if fields
            )
        )


def _shard(raw: Mapping[str, Any]) -> int:
    shard = raw["shard"]
    if type(shard) is not int or not 0 <= shard < SHARDS:
        raise Malformed(f"shard {_shown(shard)} is not a number from 0 to {SHARDS - 1}")
    return shard


def _number(raw: Mapping[str, Any], name: str) -> int:
    value = raw[name]
    if type(value) is not int or not 1 <= value <= MAX_NUMBER:
        raise Malformed(f"{name} {_shown(value)} is not a number from 1")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise Malformed(f"{name} {_shown(value)} is no text")
    return value


def _one_of(raw: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = raw[name]
    if value not in known:
        raise Malformed(f"{name} {_shown(value)} is none of {', '.join(known)}")
    return str(value)


def _matching(raw: Mapping[str, Any], name: str, pattern: re.Pattern[str], says: str) -> str:
    value = raw[name]
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Malformed(f"{name} {_shown(value)} is not {says}")
    return value


def _id(raw: Mapping[str, Any], name: str) -> bytes:
    return bytes.fromhex(_matching(raw, name, _UUID, "a UUID in lower case").replace("-", ""))


def _hash(raw: Mapping[str, Any], name: str) -> bytes:
    return bytes.fromhex(_matching(raw, name, _HASH, "a SHA-256 in lower-case hexadecimal"))


def _time(raw: Mapping[str, Any], name: str) -> int:
    says = "a time such as 2026-03-01T12:00:00.000000Z"
    year, month, day, hour, minute, second, microsecond = (
        int(digits)
        for digits in _TIME.fullmatch(_matching(raw, name, _TIME, says)).groups()  # type: ignore[union-attr]
    )
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise Malformed(f"{name} {_shown(raw[name])} is not {says}: {error}") from error
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + microsecond


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
