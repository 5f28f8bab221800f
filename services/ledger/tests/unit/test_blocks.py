"""Merkle trees and blocks: everything that is sealed can be proved, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_common.errors import InvariantViolated
from rialto_ledger.domain import merkle
from rialto_ledger.domain.blocks import BEFORE_THE_FIRST, Block, InclusionProof, ShardRange, check, prove, seal
from rialto_ledger.domain.chain import GENESIS, Link, extend
from rialto_ledger.domain.journal import JournalEntry, credit, debit
from rialto_ledger.testing import NOW, number_id

# RFC 6962's own test data (certificate-transparency, merkletree tests): the roots of the first 1..8 leaves.
RFC_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
RFC_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
leaves = st.lists(st.binary(max_size=3), min_size=1, max_size=40)


def entry(number: int, shard: int = 5) -> JournalEntry:
    return JournalEntry(
        id=number_id("entry", number),
        kind="top_up",
        mode="test",
        shard=shard,
        merchant_id=None,
        payment_id=None,
        effective_at=NOW,
        recorded_at=NOW,
        postings=(debit(number_id("account", 1), number, "USD"), credit(number_id("account", 2), number, "USD")),
    )


ENTRIES = [entry(number, shard) for number, shard in enumerate([5] * 7 + [9] * 3 + [63], start=1)]
LINKS, _ = extend({}, ENTRIES)
OF_5 = [made for made in LINKS if made.shard == 5]


def sealed(links: list[Link] = LINKS, number: int = 1, previous: bytes = BEFORE_THE_FIRST) -> Block:
    """Return the block over these links."""
    shards = {made.shard for made in links}
    ranges = [ShardRange.of([made for made in links if made.shard == shard]) for shard in shards]
    return seal(number, NOW, previous, ranges)


def proof_of(position: int = 3) -> InclusionProof:
    """Return the proof of an entry of shard 5."""
    previous = GENESIS[5] if position == 1 else OF_5[position - 2].hash
    return prove(sealed(), OF_5, position, previous)


@pytest.mark.parametrize("size", RFC_ROOTS)
def test_the_roots_are_those_of_rfc_6962(size: int) -> None:
    assert merkle.root(RFC_LEAVES[:size]).hex() == RFC_ROOTS[size]


@given(leaves, st.data())
def test_any_leaf_of_any_tree_is_provable(tree: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(tree) - 1))
    path = merkle.path(tree, index)
    assert merkle.root_of_path(tree[index], index, len(tree), path) == merkle.root(tree)
    assert len(path) <= (len(tree) - 1).bit_length()


@given(leaves, st.binary(max_size=3), st.data())
def test_no_other_leaf_passes_and_none_in_another_place(tree: list[bytes], other: bytes, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(tree) - 1))
    place = data.draw(st.integers(-1, len(tree)))
    path = merkle.path(tree, index)
    reached = merkle.root_of_path(other, place, len(tree), path)
    assert (reached == merkle.root(tree)) == (
        0 <= place < len(tree) and other == tree[place] and path == merkle.path(tree, place)
    )


@given(leaves, st.data())
def test_a_changed_path_does_not_pass(tree: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(tree) - 1))
    path = merkle.path(tree, index)
    root = merkle.root(tree)
    assert merkle.root_of_path(tree[index], index, len(tree), (*path, bytes(32))) is None
    for at in range(len(path)):
        assert merkle.root_of_path(tree[index], index, len(tree), path[:at] + path[at + 1 :]) != root
        assert merkle.root_of_path(tree[index], index, len(tree), (*path[:at], bytes(32), *path[at + 1 :])) != root


def test_a_node_does_not_pass_for_a_leaf() -> None:
    left, right = (sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b"))
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])


@pytest.mark.parametrize("position", range(1, 8))
def test_every_entry_of_a_block_is_proved_to_whoever_trusts_its_super_root(position: int) -> None:
    assert check(proof_of(position), ENTRIES[position - 1], sealed().super_root)


def test_a_proof_is_for_its_own_entry_and_super_root_alone() -> None:
    proof = proof_of(3)
    assert not check(proof, ENTRIES[3], sealed().super_root)
    assert not check(proof, replace(ENTRIES[2], kind="refund"), sealed().super_root)
    assert not check(proof, ENTRIES[2], sealed(LINKS[:-1]).super_root)


@pytest.mark.parametrize(
    "changed",
    [
        {"position": 4},
        {"previous_hash": bytes(32)},
        {"hash": bytes(32)},
        {"path": ()},
        {"range": replace(proof_of().range, last_position=8)},
        {"range": replace(proof_of().range, last_hash=bytes(32))},
        {"range": replace(proof_of().range, shard=6)},
        {"shard_index": 1},
        {"shard_count": 2},
        {"shard_path": (bytes(32), bytes(32))},
        {"block_number": 2},
        {"sealed_at": datetime(2026, 3, 2, tzinfo=UTC)},
        {"previous_super_root": bytes(31) + b"\x01"},
        {"super_root": bytes(32)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_proof_with_anything_changed_fails(changed: dict[str, Any]) -> None:
    assert not check(replace(proof_of(), **changed), ENTRIES[2], sealed().super_root)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([0, 1, 2, 40, 63]), min_size=1, max_size=30), st.data())
def test_a_proof_survives_its_json(shards: list[int], data: st.DataObject) -> None:
    entries = [entry(number, shard) for number, shard in enumerate(shards, start=1)]
    links, _ = extend({}, entries)
    at = data.draw(st.integers(0, len(links) - 1))
    same = [made for made in links if made.shard == links[at].shard]
    position = links[at].position
    previous = GENESIS[links[at].shard] if position == 1 else same[position - 2].hash
    block = sealed(links)
    proof = InclusionProof.from_json(prove(block, same, position, previous).as_json())
    assert check(proof, entries[at], block.super_root)


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", 2), ("position", -1), ("shard", 64), ("shard_count", 65), ("hash", "00"), ("previous_hash", "x")],
)
def test_what_is_no_proof_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        InclusionProof.from_json(proof_of().as_json() | {field: value})


def test_a_super_root_depends_on_the_one_before_it() -> None:
    assert sealed(previous=BEFORE_THE_FIRST).super_root != sealed(previous=b"\x01" * 32).super_root


def test_the_order_in_which_ranges_come_does_not_matter() -> None:
    ranges = sealed().shards
    assert seal(1, NOW, BEFORE_THE_FIRST, reversed(ranges)) == sealed()


def test_a_block_seals_whole_ranges_one_a_shard() -> None:
    for links in ([], OF_5[:2] + OF_5[3:], LINKS):
        with pytest.raises(InvariantViolated):
            ShardRange.of(links)
    for ranges in ([], [*sealed().shards, sealed().shards[0]]):
        with pytest.raises(InvariantViolated):
            seal(1, NOW, BEFORE_THE_FIRST, ranges)


def test_only_what_a_block_seals_can_be_proved_from_it() -> None:
    with pytest.raises(InvariantViolated):
        prove(sealed(), OF_5, 8, OF_5[-1].hash)
    with pytest.raises(InvariantViolated):
        prove(sealed(), OF_5[:-1], 1, GENESIS[5])
