"""Which settlements go into which batch."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rialto_chain_bridge.domain.batch import BatchPolicy, Waiting, cut_batches

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = BatchPolicy(max_payments=10, max_age=timedelta(seconds=1))


def waiting(number: int, *, age: float = 0.0, submissions: int = 0, payee: int = 1) -> Waiting:
    return Waiting(UUID(int=number), f"0x{payee:040x}", 100, submissions, NOW - timedelta(seconds=age))


def test_a_full_batch_closes_at_once() -> None:
    [batch] = cut_batches([waiting(number) for number in range(13)], NOW, POLICY, 8)
    assert len(batch) == 10


def test_a_batch_that_is_not_full_waits_for_its_age() -> None:
    young = [waiting(number, age=0.9) for number in range(3)]
    assert cut_batches(young, NOW, POLICY, 8) == []
    [batch] = cut_batches(young, NOW + timedelta(seconds=0.2), POLICY, 8)
    assert len(batch) == 3


def test_what_a_clock_that_was_ahead_has_put_off_waits_for_no_company() -> None:
    ahead = waiting(1, age=-600)
    assert cut_batches([ahead], NOW, POLICY, 8) == [[ahead]]


def test_neighbours_in_a_batch_share_their_payee() -> None:
    mixed = [waiting(number, payee=number % 3) for number in range(10)]
    [batch] = cut_batches(mixed, NOW, POLICY, 8)
    payees = [settlement.payee_address for settlement in batch]
    assert payees == sorted(payees)


def test_refused_settlements_are_kept_from_fresh_ones_and_get_smaller_batches() -> None:
    due = [waiting(number, age=2) for number in range(10)]
    refused = [waiting(100 + number, age=2, submissions=2) for number in range(4)]
    sizes = [len(batch) for batch in cut_batches(due + refused, NOW, POLICY, 8)]
    assert sizes == [10, 2, 2]


def test_what_was_refused_often_stands_alone() -> None:
    refused = [waiting(number, age=2, submissions=9) for number in range(3)]
    assert [len(batch) for batch in cut_batches(refused, NOW, POLICY, 8)] == [1, 1, 1]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.integers(1, 4)), max_size=60),
    st.integers(0, 8),
)
def test_no_settlement_is_cut_twice_or_invented(content: list[tuple[float, int, int]], room: int) -> None:
    due = [
        waiting(number, age=age, submissions=submissions, payee=payee)
        for number, (age, submissions, payee) in enumerate(content)
    ]
    batches = cut_batches(due, NOW, POLICY, room)
    cut = [settlement for batch in batches for settlement in batch]
    assert len(batches) <= room
    assert len(set(cut)) == len(cut)
    assert set(cut) <= set(due)
    assert all(0 < len(batch) <= POLICY.max_payments for batch in batches)
    if room == 8 and len(batches) < 8:
        left = set(due) - set(cut)
        assert all(NOW - settlement.due_at < POLICY.max_age or settlement.submissions for settlement in left)
