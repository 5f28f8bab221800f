"""The bytes that are hashed, from the specification: entries, links, and what blocks say."""

from hashlib import sha256

from rialto_cli.ledger.verify.records import Block, Entry, Range

FIRST_PREVIOUS = bytes(32)
"""What block 1 names as the super-root before it."""


def genesis(shard: int) -> bytes:
    """Return what the first entry of a shard is linked to."""
    return sha256(b"rialto.genesis.v1\0" + _unsigned(shard, 1)).digest()


def link(previous: bytes, entry: Entry) -> bytes:
    """Return the chain hash that an entry must have after `previous`."""
    return sha256(b"rialto.link.v1\0" + previous + entry_bytes(entry)).digest()


def entry_bytes(entry: Entry) -> bytes:
    """Return an entry's canonical encoding."""
    out = bytearray(b"rialto.entry.v1\0")
    out += entry.id_bytes
    out += _unsigned(entry.shard, 1)
    out += _unsigned({"test": 0, "live": 1}[entry.mode], 1)
    out += _signed(entry.effective_at)
    out += _signed(entry.recorded_at)
    out += _unsigned(len(entry.postings), 4)
    for posting in entry.postings:
        out += {"debit": b"D", "credit": b"C"}[posting.side]
        out += posting.account_id
        out += _unsigned(posting.amount_minor, 16)
        out += _text(posting.currency)
    out += _text(entry.kind)
    for reference in (entry.merchant_id, entry.payment_id, entry.reverses):
        out += b"\0" if reference is None else b"\1" + reference
    out += _unsigned(len(entry.metadata), 4)
    for key, value in sorted((key.encode(), value) for key, value in entry.metadata.items()):
        out += _unsigned(len(key), 4) + key
        out += _text(value)
    return bytes(out)


def range_bytes(span: Range) -> bytes:
    """Return what a block's tree says of a shard."""
    return (
        b"rialto.shard.v1\0"
        + _unsigned(span.shard, 1)
        + _unsigned(span.first_position, 8)
        + _unsigned(span.last_position, 8)
        + span.last_hash
        + span.root
    )


def super_root(block: Block, over_shards: bytes) -> bytes:
    """Return the super-root that a block must have, given the root over what it says of its shards."""
    return sha256(
        b"rialto.block.v1\0"
        + _unsigned(block.number, 8)
        + _signed(block.sealed_at_microseconds)
        + _unsigned(len(block.shards), 1)
        + block.previous
        + over_shards
    ).digest()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _unsigned(len(encoded), 4) + encoded


def _unsigned(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
