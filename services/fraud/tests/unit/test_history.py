"""Laws of the running state: any order of arrival ends alike, windows forget, size stays bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import InvariantViolated
from rialto_fraud.adapters.history_codec import pack, unpack
from rialto_fraud.domain.history import (
    AMOUNT_CAP_CENTS,
    COUNTERPARTIES_KEPT,
    DAYS_KEPT,
    HOURS_KEPT,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    History,
)

START = 20_000 * SECONDS_PER_DAY

payments = st.lists(
    st.tuples(
        st.integers(START, START + 70 * SECONDS_PER_DAY),
        st.integers(1, 10**12),
        st.one_of(st.none(), st.integers(0, 30)),
    ),
    max_size=60,
)


def history_of(observed: list[tuple[int, int, int | None]]) -> History:
    history = History()
    for at, cents, counterparty in observed:
        history.observe(at, cents, counterparty)
    return history


@given(observed=payments, data=st.data())
def test_any_order_of_arrival_ends_in_the_same_state(
    observed: list[tuple[int, int, int | None]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(observed))
    assert history_of(shuffled) == history_of(observed)


@given(observed=payments)
def test_what_is_kept_is_exactly_what_lies_in_the_windows(observed: list[tuple[int, int, int | None]]) -> None:
    history = history_of(observed)
    newest = max((at for at, _, _ in observed), default=0)
    newest_hour, newest_day = newest // SECONDS_PER_HOUR, newest // SECONDS_PER_DAY
    of_day = [min(c, AMOUNT_CAP_CENTS) for at, c, _ in observed if at // SECONDS_PER_DAY > newest_day - DAYS_KEPT]
    of_hours = [at for at, _, _ in observed if at // SECONDS_PER_HOUR > newest_hour - HOURS_KEPT]
    assert history.newest_at == newest
    assert sum(history.hours.values()) == len(of_hours)
    assert sum(count for count, _, _ in history.days.values()) == len(of_day)
    assert sum(total for _, total, _ in history.days.values()) == sum(of_day)
    assert sum(squares for _, _, squares in history.days.values()) == sum(cents * cents for cents in of_day)


@given(observed=payments)
def test_the_newest_counterparties_are_kept(observed: list[tuple[int, int, int | None]]) -> None:
    last: dict[int, int] = {}
    for at, _, counterparty in observed:
        if counterparty is not None:
            last[counterparty] = max(at, last.get(counterparty, 0))
    newest = sorted(last, key=lambda key: (last[key], key))[-COUNTERPARTIES_KEPT:]
    assert history_of(observed).counterparties == {key: last[key] for key in newest}


@given(observed=payments)
def test_packing_loses_nothing_and_stays_small(observed: list[tuple[int, int, int | None]]) -> None:
    history = history_of(observed)
    packed = pack(history)
    assert unpack(packed) == history
    assert len(packed) <= 12 + 5 * HOURS_KEPT + 21 * DAYS_KEPT + 8 * COUNTERPARTIES_KEPT


def test_a_busy_history_is_no_larger_than_its_windows() -> None:
    history = History()
    for index in range(50_000):
        history.observe(START + index * 120, 1_000 + index, index % 1_000)
    assert (len(history.hours), len(history.days)) == (HOURS_KEPT, DAYS_KEPT)
    assert len(history.counterparties) == COUNTERPARTIES_KEPT
    assert len(pack(history)) < 1_024


def test_a_payment_older_than_the_windows_changes_no_count() -> None:
    history = history_of([(START + 60 * SECONDS_PER_DAY, 500, None)])
    before = pack(history)
    history.observe(START, 99_999)
    assert pack(history) == before


def test_no_bytes_are_an_empty_history() -> None:
    assert unpack(b"") == History()


@pytest.mark.parametrize("cut", [1, 7])
def test_cut_bytes_are_refused(cut: int) -> None:
    with pytest.raises(InvariantViolated):
        unpack(pack(history_of([(START, 500, 3)]))[:-cut])


def test_another_version_is_refused() -> None:
    with pytest.raises(InvariantViolated, match="version 2"):
        unpack(b"\x02" + pack(history_of([(START, 500, 3)]))[1:])
