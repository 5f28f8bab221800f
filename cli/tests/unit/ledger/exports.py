"""Journals as the ledger chains and seals them, and the records an export of them holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, Block, ShardRange, seal
from rialto_ledger.domain.chain import Link, extend
from rialto_ledger.domain.journal import JournalEntry, credit, debit
from rialto_ledger.testing import NOW, number_id

HEADER = {"type": "export", "version": 1}
Raw = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """Entries in the order they were posted, their links, and the blocks that seal them."""

    entries: list[JournalEntry]
    links: list[Link]
    blocks: list[Block]

    def records(self) -> list[Raw]:
        """Return its records in an export's order."""
        pairs = sorted(zip(self.entries, self.links, strict=True), key=lambda pair: pair[1][1:3])
        return [raw_block(block) for block in self.blocks] + [raw_entry(entry, link) for entry, link in pairs]


def journal(entries: Iterable[JournalEntry], *seals: int) -> Journal:
    """Chain entries, and seal a block after as many of them as each number says."""
    posted = list(entries)
    links, _ = extend({}, posted)
    blocks: list[Block] = []
    for first, end in zip((0, *seals), seals, strict=False):
        fresh = links[first:end]
        ranges = [ShardRange.of([link for link in fresh if link.shard == shard]) for shard in {x.shard for x in fresh}]
        previous = blocks[-1].super_root if blocks else BEFORE_THE_FIRST
        blocks.append(seal(len(blocks) + 1, NOW + timedelta(minutes=end), previous, ranges))
    return Journal(posted, links, blocks)


def entry(number: int, shard: int, *, metadata: dict[str, str] | None = None) -> JournalEntry:
    """Return the nth entry."""
    return JournalEntry(
        id=number_id("entry", number),
        kind="capture",
        mode="live" if number % 2 else "test",
        shard=shard,
        merchant_id=number_id("merchant", shard),
        payment_id=number_id("payment", number) if number % 3 else None,
        effective_at=NOW + timedelta(microseconds=number),
        recorded_at=NOW + timedelta(seconds=number),
        postings=(
            debit(number_id("account", 1), 10**number, "USD"),
            credit(number_id("account", 2), 10**number, "USD"),
        ),
        metadata={"note": "é\x1f", "n": str(number)} if metadata is None else metadata,
        reverses=number_id("entry", number - 1) if number % 4 == 0 else None,
    )


SHARDS = (3, 5, 3, 3, 5, 3, 9, 3, 5)


def sample() -> Journal:
    """Nine entries on three shards, two blocks over the first seven; shard 3 has five, shard 5 three, shard 9 one."""
    return journal((entry(number, shard) for number, shard in enumerate(SHARDS, start=1)), 4, 7)


def raw_entry(posted: JournalEntry, link: Link) -> Raw:
    """Return an entry's record."""
    return {
        "type": "entry",
        "shard": link.shard,
        "chain_position": link.position,
        "hash": link.hash.hex(),
        "id": str(posted.id),
        "kind": posted.kind,
        "mode": posted.mode,
        "merchant_id": _text(posted.merchant_id),
        "payment_id": _text(posted.payment_id),
        "reverses": _text(posted.reverses),
        "effective_at": _time(posted.effective_at),
        "recorded_at": _time(posted.recorded_at),
        "postings": [
            {
                "account_id": str(posting.account_id),
                "side": posting.side.value,
                "amount_minor": str(posting.amount_minor),
                "currency": posting.currency,
            }
            for posting in posted.postings
        ],
        "metadata": dict(posted.metadata),
    }


def raw_block(block: Block) -> Raw:
    """Return a block's record."""
    return {
        "type": "block",
        "number": block.number,
        "sealed_at": _time(block.sealed_at),
        "previous": block.previous.hex(),
        "super_root": block.super_root.hex(),
        "shards": [
            {
                "shard": span.shard,
                "first_position": span.first_position,
                "last_position": span.last_position,
                "last_hash": span.last_hash.hex(),
                "root": span.root.hex(),
            }
            for span in block.shards
        ],
    }


def text(records: Sequence[Raw]) -> bytes:
    """Return an export file's bytes."""
    return b"".join(orjson.dumps(record) + b"\n" for record in (HEADER, *records))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
