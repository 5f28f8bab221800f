"""Blocks seal the chains' newest links: one hash vouches for all of them, and each can be proved to be there.

    super-root ── block number, time, the super-root before it, and the
        │         root over the shards ── each shard's positions, last link and
        │                                     root over its links ── an entry's link
        └─▶ published, anchored on chain, and given to whoever wants to check

A proof is the way from one entry up to a super-root. docs/ledger/PROOFS.md specifies the bytes and the JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import Any

from rialto_common.errors import InvariantViolated
from rialto_common.ids import SHARDS
from rialto_ledger.domain import merkle
from rialto_ledger.domain.chain import Link, link, time_text
from rialto_ledger.domain.journal import JournalEntry

SHARD_TAG = b"rialto.shard.v1\x00"
BLOCK_TAG = b"rialto.block.v1\x00"
BEFORE_THE_FIRST = bytes(32)
"""Stands for the super-root before block 1."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_shard_numbers = Struct(">BQQ").pack
_block_numbers = Struct(">QqB").pack


@dataclass(frozen=True, slots=True)
class Growth:
    """Positions of one shard that no block seals yet; `since` is when the first of them was written."""

    shard: int
    first_position: int
    last_position: int
    since: datetime

    def __len__(self) -> int:
        return self.last_position - self.first_position + 1


@dataclass(frozen=True, slots=True)
class ShardRange:
    """The links of one shard that a block seals, from one position to another: the last of them, and their root."""

    shard: int
    first_position: int
    last_position: int
    last_hash: bytes
    root: bytes

    @classmethod
    def of(cls, links: Sequence[Link]) -> "ShardRange":
        """Return the range of a shard's links. Raises: InvariantViolated: there are none, or they do not follow."""
        if not links:
            raise InvariantViolated("a block seals at least one link of a shard it names")
        first = links[0]
        for at, each in enumerate(links):
            if (each.shard, each.position) != (first.shard, first.position + at):
                raise InvariantViolated(f"shard {first.shard} has no link {first.position + at} between those to seal")
        hashes = [each.hash for each in links]
        return cls(first.shard, first.position, first.position + len(links) - 1, hashes[-1], merkle.root(hashes))

    def __len__(self) -> int:
        return self.last_position - self.first_position + 1

    def as_json(self) -> dict[str, Any]:
        """Return the documented form."""
        return {
            "shard": self.shard,
            "first_position": self.first_position,
            "last_position": self.last_position,
            "last_hash": self.last_hash.hex(),
            "root": self.root.hex(),
        }

    def leaf(self) -> bytes:
        """Return what the tree over the shards says of this one."""
        numbers = _shard_numbers(self.shard, self.first_position, self.last_position)
        return SHARD_TAG + numbers + self.last_hash + self.root


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block: numbers count from 1, `shards` are in order, `previous` is the super-root before this one."""

    number: int
    sealed_at: datetime
    previous: bytes
    shards: tuple[ShardRange, ...]
    super_root: bytes

    def shards_root(self) -> bytes:
        """Return the root over the shards: with the block's header alone, its super-root can be computed from it."""
        return merkle.root(each.leaf() for each in self.shards)

    def header(self) -> dict[str, Any]:
        """Return the documented form of what its super-root is computed from, and that."""
        return {
            "number": self.number,
            "sealed_at": time_text(self.sealed_at),
            "previous": self.previous.hex(),
            "super_root": self.super_root.hex(),
            "shard_count": len(self.shards),
            "shards_root": self.shards_root().hex(),
        }

    def range_of(self, shard: int) -> ShardRange:
        """Return what it seals of a shard. Raises: InvariantViolated: nothing."""
        for each in self.shards:
            if each.shard == shard:
                return each
        raise InvariantViolated(f"block {self.number} seals nothing of shard {shard}")


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The way from an entry to a super-root: what a receiver needs besides the entry and a super-root it trusts.

    `previous_hash` is the link before the entry's, from which the entry's own is computed again. `shard_path` leads
    from the range to the root over the block's `shard_count` shards, among which it stands at `shard_index`.
    """

    position: int
    previous_hash: bytes
    hash: bytes
    path: tuple[bytes, ...]
    range: ShardRange
    shard_index: int
    shard_count: int
    shard_path: tuple[bytes, ...]
    block_number: int
    sealed_at: datetime
    previous_super_root: bytes
    super_root: bytes

    def as_json(self) -> dict[str, Any]:
        """Return the documented form: hashes in hexadecimal, the time in UTC with microseconds."""
        return {
            "version": 1,
            "shard": self.range.shard,
            "position": self.position,
            "previous_hash": self.previous_hash.hex(),
            "hash": self.hash.hex(),
            "path": [each.hex() for each in self.path],
            "range": {
                "first_position": self.range.first_position,
                "last_position": self.range.last_position,
                "last_hash": self.range.last_hash.hex(),
                "root": self.range.root.hex(),
            },
            "shard_index": self.shard_index,
            "shard_count": self.shard_count,
            "shard_path": [each.hex() for each in self.shard_path],
            "block": {
                "number": self.block_number,
                "sealed_at": time_text(self.sealed_at),
                "previous": self.previous_super_root.hex(),
                "super_root": self.super_root.hex(),
            },
        }

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "InclusionProof":
        """Read the documented form. Raises: KeyError, TypeError, ValueError: it is none."""
        if form["version"] != 1:
            raise ValueError(f"a proof of version {form['version']} is not known here")
        span, block = form["range"], form["block"]
        sealed_at = datetime.fromisoformat(block["sealed_at"])
        if sealed_at.tzinfo is None:
            raise ValueError(f"{block['sealed_at']} names no time zone")
        return cls(
            position=_number(form["position"]),
            previous_hash=_digest(form["previous_hash"]),
            hash=_digest(form["hash"]),
            path=tuple(_digest(each) for each in form["path"]),
            range=ShardRange(
                _number(form["shard"], SHARDS - 1),
                _number(span["first_position"]),
                _number(span["last_position"]),
                _digest(span["last_hash"]),
                _digest(span["root"]),
            ),
            shard_index=_number(form["shard_index"], SHARDS - 1),
            shard_count=_number(form["shard_count"], SHARDS),
            shard_path=tuple(_digest(each) for each in form["shard_path"]),
            block_number=_number(block["number"]),
            sealed_at=sealed_at,
            previous_super_root=_digest(block["previous"]),
            super_root=_digest(block["super_root"]),
        )


def cut(growth: Iterable[Growth], limit: int) -> list[Growth]:
    """Return as much of the growth as one block is to seal: at most so many entries, the oldest first."""
    taken = []
    for each in sorted(growth, key=lambda each: (each.since, each.shard)):
        if limit == 0:
            break
        last = min(each.last_position, each.first_position + limit - 1)
        taken.append(replace(each, last_position=last))
        limit -= len(taken[-1])
    return taken


def seal(number: int, sealed_at: datetime, previous: bytes, ranges: Iterable[ShardRange]) -> Block:
    """Return the block over these ranges, one for each shard with new entries, in any order.

    Raises: InvariantViolated: there are none, or two of one shard.
    """
    shards = tuple(sorted(ranges, key=lambda each: each.shard))
    if not shards or len({each.shard for each in shards}) < len(shards):
        raise InvariantViolated(f"block {number} needs one range for each shard with new entries, and at least one")
    over_shards = merkle.root(each.leaf() for each in shards)
    return Block(
        number, sealed_at, previous, shards, _super_root(number, sealed_at, previous, len(shards), over_shards)
    )


def prove(block: Block, links: Sequence[Link], position: int, previous_hash: bytes) -> InclusionProof:
    """Return the proof that a block holds the entry at a position of a shard.

    Args: links: all that the block seals of that shard, in order. previous_hash: the link before the entry's; for a
    shard's first entry, its genesis.
    Raises: InvariantViolated: the links are not those of the block, or hold no such position.
    """
    sealed = ShardRange.of(links)
    if sealed not in block.shards or not sealed.first_position <= position <= sealed.last_position:
        raise InvariantViolated(f"block {block.number} does not hold position {position} of shard {sealed.shard}")
    index, shard_index = position - sealed.first_position, block.shards.index(sealed)
    return InclusionProof(
        position=position,
        previous_hash=previous_hash,
        hash=links[index].hash,
        path=merkle.path((each.hash for each in links), index),
        range=sealed,
        shard_index=shard_index,
        shard_count=len(block.shards),
        shard_path=merkle.path((each.leaf() for each in block.shards), shard_index),
        block_number=block.number,
        sealed_at=block.sealed_at,
        previous_super_root=block.previous,
        super_root=block.super_root,
    )


def check(proof: InclusionProof, entry: JournalEntry, super_root: bytes) -> bool:
    """Whether the entry, as the receiver knows it, is under a super-root that it trusts for reasons of its own."""
    span = proof.range
    if entry.shard != span.shard or link(proof.previous_hash, entry) != proof.hash:
        return False
    index, size = proof.position - span.first_position, span.last_position - span.first_position + 1
    if merkle.root_of_path(proof.hash, index, size, proof.path) != span.root:
        return False
    over_shards = merkle.root_of_path(span.leaf(), proof.shard_index, proof.shard_count, proof.shard_path)
    if over_shards is None:
        return False
    reached = _super_root(
        proof.block_number, proof.sealed_at, proof.previous_super_root, proof.shard_count, over_shards
    )
    return reached == proof.super_root == super_root


def _super_root(number: int, sealed_at: datetime, previous: bytes, shard_count: int, over_shards: bytes) -> bytes:
    numbers = _block_numbers(number, (sealed_at - _EPOCH) // _MICROSECOND, shard_count)
    return sha256(BLOCK_TAG + numbers + previous + over_shards).digest()


def _number(value: int, highest: int = 2**63 - 1) -> int:
    if not 0 <= value <= highest:
        raise ValueError(f"{value} is not a number from 0 to {highest}")
    return value


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != sha256().digest_size:
        raise ValueError(f"{text[:80]} is not a SHA-256 in hexadecimal")
    return digest
