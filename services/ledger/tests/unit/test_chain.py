"""The hash chains: entries that differ have other bytes, and each link binds all that came before it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_common.ids import SHARDS
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.chain import GENESIS, ChainHead, encode, extend, link
from rialto_ledger.domain.journal import JournalEntry, Posting, credit, debit
from rialto_ledger.testing import NOW, number_id

A, B, C = (number_id("account", number) for number in range(3))

# Few values each, and ones that would run together if lengths were left out, so that two draws come close.
few_ids = st.sampled_from([UUID(int=0), UUID(int=1), A])
few_texts = st.sampled_from(["", "a", "aa", "b", "ab", "é", "\x00", "\x00\x00\x00\x01a"])
few_times = st.sampled_from([NOW, NOW + timedelta(microseconds=1), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)])
few_amounts = st.sampled_from([1, 256, MAX_MINOR])


@st.composite
def postings(draw: st.DrawFn) -> tuple[Posting, ...]:
    pairs = draw(st.lists(st.tuples(few_ids, few_ids, few_amounts, few_texts), min_size=1, max_size=2))
    both = [(debit(one, amount, text), credit(other, amount, text)) for one, other, amount, text in pairs]
    return tuple(draw(st.permutations([posting for pair in both for posting in pair])))


entries = st.builds(
    JournalEntry,
    id=few_ids,
    kind=few_texts,
    mode=st.sampled_from(["test", "live"]),
    shard=st.sampled_from([0, 1, 63]),
    merchant_id=st.none() | few_ids,
    payment_id=st.none() | few_ids,
    effective_at=few_times,
    recorded_at=few_times,
    postings=postings(),
    metadata=st.dictionaries(few_texts, few_texts, max_size=3),
    reverses=st.none() | few_ids,
)

ENTRY = JournalEntry(
    id=number_id("entry", 1),
    kind="capture",
    mode="test",
    shard=7,
    merchant_id=number_id("merchant", 1),
    payment_id=None,
    effective_at=NOW,
    recorded_at=NOW + timedelta(seconds=1),
    postings=(debit(A, 1000, "USD"), credit(B, 1000, "USD")),
    metadata={"capture_id": "cap_1", "final": "true"},
)
CHANGES: dict[str, Any] = {
    "id": number_id("entry", 2),
    "kind": "captured",
    "mode": "live",
    "shard": 8,
    "merchant_id": None,
    "payment_id": number_id("merchant", 1),
    "reverses": number_id("entry", 0),
    "effective_at": NOW + timedelta(microseconds=1),
    "recorded_at": NOW + timedelta(seconds=1, microseconds=1),
    "postings": (credit(B, 1000, "USD"), debit(A, 1000, "USD")),
    "metadata": {"capture_id": "cap_1", "final": "false"},
}


@settings(max_examples=500)
@given(entries, entries)
def test_entries_have_the_same_bytes_exactly_when_they_are_the_same(one: JournalEntry, other: JournalEntry) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@pytest.mark.parametrize("name", [field for field in JournalEntry.__dataclass_fields__])
def test_every_field_of_an_entry_is_in_its_bytes(name: str) -> None:
    assert encode(replace(ENTRY, **{name: CHANGES[name]})) != encode(ENTRY)


@pytest.mark.parametrize(
    "changed",
    [
        (debit(C, 1000, "USD"), credit(B, 1000, "USD")),
        (credit(A, 1000, "USD"), debit(B, 1000, "USD")),
        (debit(A, 1001, "USD"), credit(B, 1001, "USD")),
        (debit(A, 1000, "EUR"), credit(B, 1000, "EUR")),
        (debit(A, 1000, "USD"), credit(B, 999, "USD"), credit(B, 1, "USD")),
    ],
    ids=["account", "side", "amount", "currency", "split"],
)
def test_every_part_of_a_posting_is_in_the_bytes(changed: tuple[Posting, ...]) -> None:
    assert encode(replace(ENTRY, postings=changed)) != encode(ENTRY)


def test_neither_the_order_of_metadata_nor_the_time_zone_is_in_the_bytes() -> None:
    turned = replace(
        ENTRY,
        metadata=dict(sorted(ENTRY.metadata.items(), reverse=True)),
        effective_at=ENTRY.effective_at.astimezone(timezone(timedelta(hours=2))),
    )
    assert encode(turned) == encode(ENTRY)


def test_the_largest_amount_has_its_place() -> None:
    entry = replace(ENTRY, postings=(debit(A, MAX_MINOR, "ETH"), credit(B, MAX_MINOR, "ETH")))
    assert MAX_MINOR.to_bytes(16, "big") in encode(entry)


def test_each_shard_has_a_genesis_of_its_own() -> None:
    assert len({*GENESIS}) == SHARDS


def test_a_link_depends_on_the_one_before_it() -> None:
    assert link(GENESIS[0], ENTRY) != link(GENESIS[1], ENTRY)


@given(st.lists(entries, max_size=12), st.integers(0, 12))
def test_chaining_in_two_batches_is_chaining_in_one(batch: list[JournalEntry], cut: int) -> None:
    whole, heads = extend({}, batch)
    first, between = extend({}, batch[:cut])
    second, after = extend(between, batch[cut:])
    assert first + second == whole
    assert between | after == heads


@given(st.lists(entries, max_size=12))
def test_a_shards_links_are_its_entries_in_order_from_its_genesis_on(batch: list[JournalEntry]) -> None:
    links, heads = extend({}, batch)
    assert [made.entry_id for made in links] == [entry.id for entry in batch]
    reached = {entry.shard: ChainHead.genesis(entry.shard) for entry in batch}
    for entry, made in zip(batch, links, strict=True):
        before = reached[entry.shard]
        assert made[1:] == (entry.shard, before.position + 1, link(before.hash, entry))
        reached[entry.shard] = ChainHead(entry.shard, made.position, made.hash)
    assert heads == reached
