"""Where a transaction stands, for every pair of what was recorded and what the node says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_chain_bridge.domain.confirmation import (
    FINAL,
    Block,
    Inclusion,
    Standing,
    TransactionState,
    is_deep,
    is_reorged,
    judge,
)

OLD = Inclusion(Block(10, "0xold"), succeeded=True, gas_used=21_000)
MOVED = Inclusion(Block(11, "0xnew"), succeeded=True, gas_used=21_000)
VOID = Inclusion(Block(10, "0xold"), succeeded=False, gas_used=21_000)
PENDING = Standing(TransactionState.PENDING)
MINED = Standing(TransactionState.MINED, OLD)
CONFIRMED = Standing(TransactionState.CONFIRMED, OLD)
REVERTED = Standing(TransactionState.REVERTED, VOID)


@pytest.mark.parametrize(
    ("recorded", "found", "head", "expected"),
    [
        (PENDING, None, 10, PENDING),
        (PENDING, OLD, 10, MINED),
        (PENDING, OLD, 12, MINED),
        (PENDING, OLD, 13, CONFIRMED),
        (MINED, OLD, 12, MINED),
        (MINED, OLD, 13, CONFIRMED),
        (MINED, MOVED, 13, Standing(TransactionState.MINED, MOVED)),
        (MINED, None, 13, PENDING),
        (Standing(TransactionState.MINED, VOID), VOID, 13, REVERTED),
        (CONFIRMED, OLD, 99, CONFIRMED),
        (CONFIRMED, None, 99, PENDING),
        (CONFIRMED, MOVED, 99, Standing(TransactionState.MINED, MOVED)),
        (REVERTED, VOID, 99, REVERTED),
        (REVERTED, None, 99, PENDING),
        (Standing(TransactionState.REPLACED), None, 99, Standing(TransactionState.REPLACED)),
    ],
)
def test_a_transaction_stands_where_the_node_has_it(
    recorded: Standing, found: Inclusion | None, head: int, expected: Standing
) -> None:
    assert judge(recorded, found, Block(head, "0xhead"), confirmations=3) == expected


def test_a_moved_confirmation_is_taken_back_before_it_is_given_again() -> None:
    again = judge(CONFIRMED, MOVED, Block(99, "0xhead"), confirmations=3)
    assert is_reorged(CONFIRMED, again)
    assert judge(again, MOVED, Block(99, "0xhead"), confirmations=3).state is TransactionState.CONFIRMED


def test_being_mined_in_another_block_before_confirmation_is_no_reorganisation_to_tell() -> None:
    assert not is_reorged(MINED, Standing(TransactionState.MINED, MOVED))


def test_dropping_out_of_a_block_is_told() -> None:
    assert is_reorged(MINED, PENDING)


inclusions = st.builds(
    Inclusion,
    st.builds(Block, st.integers(0, 50), st.sampled_from(["0xa", "0xb"])),
    st.booleans(),
    st.integers(21_000, 9_000_000),
)
standings = st.one_of(
    st.just(PENDING),
    st.builds(
        Standing,
        st.sampled_from([TransactionState.MINED, TransactionState.CONFIRMED, TransactionState.REVERTED]),
        inclusions,
    ),
)


@given(standings, st.none() | inclusions, st.integers(0, 60), st.integers(1, 12))
def test_nothing_becomes_final_without_lying_deep(
    recorded: Standing, found: Inclusion | None, head: int, confirmations: int
) -> None:
    block = Block(head, "0xhead")
    after = judge(recorded, found, block, confirmations)
    if after.state in FINAL and after != recorded:
        assert found is not None
        assert is_deep(found.block, block, confirmations)
        assert (after.state is TransactionState.CONFIRMED) == found.succeeded


@given(standings, st.none() | inclusions, st.integers(0, 60))
def test_judging_twice_settles(recorded: Standing, found: Inclusion | None, head: int) -> None:
    block = Block(head, "0xhead")
    once = judge(recorded, found, block, 3)
    twice = judge(once, found, block, 3)
    assert judge(twice, found, block, 3) == twice
