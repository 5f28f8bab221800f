"""When merchants are paid, which payments a payout takes, and how it stands: pure rules."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common import ids
from rialto_gateway.payouts import payout as payouts
from rialto_gateway.payouts.payout import COUNTED_AGAIN_AFTER, ENDED, Counts, Payout, State, Waiting, choose, counted
from rialto_gateway.payouts.schedule import Schedule, Terms, first_look, held_share, next_cut_off, next_look

NOW = datetime(2026, 5, 6, 16, 30, 5, 7, tzinfo=UTC)
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


def a_payout(payments: int = 3, state: State = "pending") -> Payout:
    return Payout(
        id=ids.uuid7(1, 1),
        merchant_id=ids.uuid7(1, 2),
        mode="test",
        currency="USD",
        amount_minor=100 * payments,
        payments=payments,
        asked_by="schedule",
        created_at=NOW,
        deadline_at=None if state in ENDED else NOW,
        state=state,
    )


@given(st.lists(st.integers(1, 10_000), max_size=30), st.integers(-5_000, 50_000), st.integers(1, 10))
def test_a_payout_takes_no_more_than_is_available_and_leaves_nothing_that_would_fit(
    amounts: list[int], available: int, largest: int
) -> None:
    waiting = [Waiting(ids.uuid7(nth, nth), amount) for nth, amount in enumerate(amounts)]
    chosen = choose(waiting, available, largest)
    taken = sum(each.amount_minor for each in chosen)
    assert taken <= max(available, 0)
    assert chosen == [each for each in waiting if each in chosen], "the oldest first, each once"
    if len(chosen) < largest:
        assert all(each.amount_minor > available - taken for each in waiting if each not in chosen)


@given(st.integers(1, 10**38), st.integers(0, 10_000))
def test_a_share_is_held_back_in_whole_units_and_never_more_than_it_is(amount: int, bps: int) -> None:
    held = held_share(amount, bps)
    assert 0 <= held <= amount
    assert held * 10_000 <= amount * bps < (held + 1) * 10_000


def test_what_a_merchant_owes_keeps_its_youngest_payments_back() -> None:
    waiting = [Waiting(ids.uuid7(nth, nth), 1000) for nth in range(3)]
    assert choose(waiting, 3000) == waiting
    assert choose(waiting, 3000 - 1) == waiting[:2]
    assert choose(waiting, 0) == []


@pytest.mark.parametrize("in_transit", range(4))
@pytest.mark.parametrize("paid", range(4))
@pytest.mark.parametrize("failed", range(4))
@pytest.mark.parametrize("before", get_args(State))
def test_a_payout_stands_as_its_payments_do_whatever_it_was(
    before: State, in_transit: int, paid: int, failed: int
) -> None:
    if in_transit + paid + failed > 3:
        return
    after = counted(a_payout(state=before), Counts(in_transit, paid, failed, "token_paused" if failed else None), NOW)
    if paid == 3:
        expected: State = "paid"
    elif paid + failed == 3:
        expected = "failed"
    else:
        expected = "in_transit" if in_transit + paid + failed else "pending"
    assert after.state == expected
    assert (after.failure_code is not None) == (expected == "failed")
    assert after.deadline_at == (None if expected in ENDED else NOW + COUNTED_AGAIN_AFTER)
    assert after.sequence == a_payout().sequence + (expected != before and expected in ENDED), "told once an end"


def test_every_state_is_in_the_table_and_those_that_are_not_ends_have_a_deadline() -> None:
    for state in get_args(State):
        row = next(line for line in (payouts.__doc__ or "").splitlines() if line.startswith(f"| `{state}` "))
        assert row.endswith("| none |") == (state in ENDED)


@pytest.mark.parametrize("hour", [0, 16, 17, 23])
def test_a_cut_off_is_the_next_full_hour_of_its_kind(hour: int) -> None:
    at = next_cut_off(hour, NOW)
    assert NOW < at <= NOW + timedelta(days=1)
    assert (at.hour, at.minute, at.second, at.microsecond) == (hour, 0, 0, 0)
    assert next_cut_off(hour, at) == at + timedelta(days=1)


def test_only_manual_terms_are_looked_at_by_nobody() -> None:
    assert {schedule for schedule in SCHEDULES if first_look(Terms(schedule), NOW) is None} == {"manual"}
    for schedule in SCHEDULES:
        assert next_look(Terms(schedule), NOW, more=True, left=True) == NOW
    daily = next_look(Terms("daily", 17), NOW, more=False, left=True)
    assert daily == next_cut_off(17, NOW)
    assert next_look(Terms(), NOW, more=False, left=False) is None
    again = next_look(Terms(), NOW, more=False, left=True)
    assert again is not None
    assert again > NOW
