"""Ids: their layout, their text, their order, and that deriving one again makes the same."""

from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common import ids
from rialto_common.errors import InvalidId

MS = st.integers(0, 2**48 - 1)
ROOTS = st.builds(ids.uuid7, MS, st.integers(0, 2**80 - 1))
STEPS = st.text(st.characters(codec="ascii", categories=["Ll"], include_characters="._"), min_size=1, max_size=30)
PREFIXES = st.sampled_from(["pay", "mer", "wal", "cap", "hold", "je", "set", "bat", "dep", "pty", "key"])


@given(MS, st.integers(0, 2**80 - 1))
def test_a_uuid7_has_the_layout_of_rfc_9562(unix_ms: int, random_bits: int) -> None:
    value = ids.uuid7(unix_ms, random_bits)
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert value.int >> 80 == unix_ms == ids.unix_ms_of(value)


def test_the_example_of_rfc_9562_comes_out_bit_by_bit() -> None:
    # Appendix A.6: unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    value = ids.uuid7(0x017F22E279B0, (0xCC3 << 64) | 0x18C4DC0C0C07398F)
    assert value == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(ROOTS, STEPS, st.integers(0, 1000))
def test_a_derived_id_is_the_same_every_time_and_keeps_the_roots_time(root: UUID, step: str, ordinal: int) -> None:
    derived = ids.derive(root, step, ordinal)
    assert derived == ids.derive(UUID(str(root)), step, ordinal)
    assert ids.unix_ms_of(derived) == ids.unix_ms_of(root)
    assert derived.version == 7
    assert derived.variant == "specified in RFC 4122"


@given(ROOTS, st.lists(st.tuples(STEPS, st.integers(0, 50)), unique=True, min_size=2, max_size=20))
def test_derived_ids_of_other_steps_or_ordinals_differ(root: UUID, steps: list[tuple[str, int]]) -> None:
    derived = {ids.derive(root, step, ordinal) for step, ordinal in steps}
    assert len(derived | {root}) == len(steps) + 1


def test_derived_ids_are_pinned() -> None:
    # A change here would make every retry of an old payment a new movement of money.
    root = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    assert str(ids.derive(root, "hold")) == "017f22e2-79b0-7843-983c-8e13d63e6d09"
    assert str(ids.derive(root, "capture", 2)) == "017f22e2-79b0-7ac5-9ec2-895959f48540"
    assert ids.to_text("pay", root) == "pay_01fwhe4ydgfk1shh6w1g60eecf"


def test_two_payments_of_one_millisecond_derive_different_ids() -> None:
    one, other = ids.uuid7(1, 1), ids.uuid7(1, 2)
    assert ids.derive(one, "hold") != ids.derive(other, "hold")


@given(PREFIXES, ROOTS)
def test_an_id_survives_its_text_form_which_fits_iso_20022(prefix: str, value: UUID) -> None:
    text = ids.to_text(prefix, value)
    assert ids.from_text(prefix, text) == value
    assert len(text) <= 35
    assert text == text.lower()


@given(ROOTS, ROOTS)
def test_the_text_form_keeps_the_order(one: UUID, other: UUID) -> None:
    assert (one < other) == (ids.to_text("pay", one) < ids.to_text("pay", other))


GOOD = ids.to_text("pay", ids.uuid7(1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay_",
        "pay",
        GOOD[4:],
        GOOD[:-1],
        GOOD + "0",
        "mer" + GOOD[3:],
        "PAY" + GOOD[3:],
        "pay_" + GOOD[4:].upper().replace("0", "O"),
        GOOD[:-1] + "u",
        GOOD[:-1] + "i",
        GOOD[:-1] + "l",
        GOOD[:-1] + "o",
        GOOD[:-1] + " ",
        " " + GOOD,
        GOOD + "\n",
        "pay_" + "z" * 26,
        "pay_8" + "0" * 25,
        GOOD[:-1] + "٣",
        "pay_" + "é" * 26,
        str(UUID(int=1)),
    ],
)
def test_a_text_that_is_no_id_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidId) as caught:
        ids.from_text("pay", text)
    assert len(caught.value.detail) < 150


@given(ROOTS, st.integers(0, 25), st.characters())
def test_one_other_character_makes_another_id_or_none(value: UUID, place: int, character: str) -> None:
    # What Python's int() would take as well: underscores, signs, blanks, digits of other scripts, capitals.
    text = ids.to_text("pay", value)
    for other in {character, *"_+- \t\n\0AZiloU٣\uff11"}:
        changed = text[: 4 + place] + other + text[5 + place :]
        try:
            assert ids.to_text("pay", ids.from_text("pay", changed)) == changed
        except InvalidId:
            continue


@given(st.text(max_size=40))
def test_whatever_text_is_read_is_written_back_the_same(text: str) -> None:
    try:
        value = ids.from_text("pay", text)
    except InvalidId:
        return
    assert ids.to_text("pay", value) == text


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=200), st.integers(0, 2**32))
def test_minted_ids_grow_strictly_whatever_the_clock_does(jumps: list[int], seed: int) -> None:
    clock = [1_767_225_600_000]
    minting = ids.Ids(lambda: clock[0], Random(seed).getrandbits)
    minted = []
    for jump in jumps:
        clock[0] += jump
        minted.append(minting.mint())
    assert all(earlier < later for earlier, later in pairwise(minted))
    assert all(value.version == 7 and value.variant == "specified in RFC 4122" for value in minted)
    highest, clock_time = 0, 1_767_225_600_000
    for jump, value in zip(jumps, minted, strict=True):
        clock_time += jump
        highest = max(highest, clock_time)
        assert ids.unix_ms_of(value) == highest


def test_ids_of_a_busy_millisecond_do_not_run_ahead_of_the_clock() -> None:
    minting = ids.Ids(lambda: 1_767_225_600_000, Random(1).getrandbits)
    minted = [minting.mint() for _ in range(50_000)]
    assert {ids.unix_ms_of(value) for value in minted} == {1_767_225_600_000}
    assert len(set(minted)) == 50_000


def test_a_full_millisecond_moves_on_to_the_next() -> None:
    minting = ids.Ids(lambda: 5, lambda bits: (1 << bits) - 1)
    first, second, third = minting.mint(), minting.mint(), minting.mint()
    assert [ids.unix_ms_of(value) for value in (first, second, third)] == [5, 6, 7]
    assert first < second < third


def test_two_minters_do_not_meet() -> None:
    one, other = (ids.Ids(lambda: 5, Random(seed).getrandbits) for seed in (1, 2))
    assert not {one.mint() for _ in range(1000)} & {other.mint() for _ in range(1000)}


def test_shards_are_pinned() -> None:
    # A change here would send a tenant's events to another partition and its rows to another database.
    assert [ids.shard_of(UUID(int=number)) for number in range(8)] == [21, 59, 40, 38, 24, 58, 60, 10]
    assert ids.shard_of(UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")) == 33


@given(st.uuids())
def test_a_shard_is_one_of_64(owner: UUID) -> None:
    assert 0 <= ids.shard_of(owner) < ids.SHARDS == 64


def test_owners_spread_over_all_shards() -> None:
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    counts = [0] * 64
    for number in range(6400):
        counts[ids.shard_of(ids.uuid7(start, number))] += 1
    assert min(counts) > 50
    assert max(counts) < 160
