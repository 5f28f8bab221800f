"""The journal's hash chains: one a shard, each entry bound to all that came before it there.

`encode` is the canonical form of an entry: two entries have the same bytes only when they say the same. A link is
SHA-256 over the link before it and those bytes. docs/ledger/PROOFS.md specifies every byte; the verifier behind
`rialto ledger verify` is written from that page alone. A new form gets a new tag, and old entries keep theirs.

What is hashed can never be erased, so metadata holds no personal data in clear: references or sealed ciphertext only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from rialto_common.ids import SHARDS
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.journal import JournalEntry

ENTRY_TAG = b"rialto.entry.v1\x00"
LINK_TAG = b"rialto.link.v1\x00"
GENESIS_TAG = b"rialto.genesis.v1\x00"

GENESIS = tuple(sha256(GENESIS_TAG + bytes((shard,))).digest() for shard in range(SHARDS))
"""What the first entry of each shard is linked to."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MODES = {"test": 0, "live": 1}
_ABSENT = b"\x00"
_DEBIT = Side.DEBIT
_head = Struct(">BBqqI").pack
_count = Struct(">I").pack


class Link(NamedTuple):
    """An entry's place in its shard's chain: positions count from 1."""

    entry_id: UUID
    shard: int
    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last link of a shard's chain; position 0 is the genesis, before any entry."""

    shard: int
    position: int
    hash: bytes

    @classmethod
    def genesis(cls, shard: int) -> "ChainHead":
        """Return the head of a chain without entries."""
        return cls(shard, 0, GENESIS[shard])


def encode(entry: JournalEntry) -> bytes:
    """Return the canonical bytes of an entry.

    Raises: UnicodeEncodeError: a text holds half of a surrogate pair, which is no text.
    """
    postings = entry.postings
    merchant_id, payment_id, reverses = entry.merchant_id, entry.payment_id, entry.reverses
    parts = [
        ENTRY_TAG,
        entry.id.bytes,
        _head(
            entry.shard,
            _MODES[entry.mode],
            (entry.effective_at - _EPOCH) // _MICROSECOND,
            (entry.recorded_at - _EPOCH) // _MICROSECOND,
            len(postings),
        ),
    ]
    # Written out rather than looped over pieces: this runs for every entry of a batch, between lock and commit.
    for posting in postings:
        parts += (
            b"D" if posting.side is _DEBIT else b"C",
            posting.account_id.bytes,
            posting.amount_minor.to_bytes(16, "big"),
            _name(posting.currency),
        )
    parts += (
        _name(entry.kind),
        _ABSENT if merchant_id is None else b"\x01" + merchant_id.bytes,
        _ABSENT if payment_id is None else b"\x01" + payment_id.bytes,
        _ABSENT if reverses is None else b"\x01" + reverses.bytes,
        _count(len(entry.metadata)),
    )
    for key, value in sorted(entry.metadata.items()):
        encoded = value.encode()
        parts += (_name(key), _count(len(encoded)), encoded)
    return b"".join(parts)


def time_text(at: datetime) -> str:
    """Return a time as exports and proofs write it: in UTC, with six digits."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def as_json(entry: JournalEntry, link: Link) -> dict[str, Any]:
    """Return the documented form of an entry with its place, from which its bytes can be written again."""
    return {
        "type": "entry",
        "shard": link.shard,
        "chain_position": link.position,
        "hash": link.hash.hex(),
        "id": str(entry.id),
        "kind": entry.kind,
        "mode": entry.mode,
        "merchant_id": _id_text(entry.merchant_id),
        "payment_id": _id_text(entry.payment_id),
        "reverses": _id_text(entry.reverses),
        "effective_at": time_text(entry.effective_at),
        "recorded_at": time_text(entry.recorded_at),
        "postings": [
            {
                "account_id": str(posting.account_id),
                "side": posting.side.value,
                "amount_minor": str(posting.amount_minor),
                "currency": posting.currency,
            }
            for posting in entry.postings
        ],
        "metadata": dict(entry.metadata),
    }


def link(previous: bytes, entry: JournalEntry) -> bytes:
    """Return the entry's chain hash, given that of the entry before it in its shard."""
    return sha256(LINK_TAG + previous + encode(entry)).digest()


def extend(heads: Mapping[int, ChainHead], entries: Iterable[JournalEntry]) -> tuple[list[Link], dict[int, ChainHead]]:
    """Chain entries in their order, each to its shard's head; a shard without one begins at its genesis.

    Returns: one link an entry, in order, and the new heads of the shards that got entries.
    """
    reached: dict[int, tuple[int, bytes]] = {}
    links = []
    for entry in entries:
        shard = entry.shard
        at = reached.get(shard)
        if at is None:
            head = heads.get(shard) or ChainHead.genesis(shard)
            at = head.position, head.hash
        position, hashed = at[0] + 1, link(at[1], entry)
        reached[shard] = position, hashed
        links.append(Link(entry.id, shard, position, hashed))
    return links, {shard: ChainHead(shard, position, hashed) for shard, (position, hashed) in reached.items()}


def _id_text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


@lru_cache(maxsize=4096)  # currencies, kinds and metadata's keys come again in every entry
def _name(text: str) -> bytes:
    """Return a text with its length before it."""
    encoded = text.encode()
    return _count(len(encoded)) + encoded
