"""Fees are rounded half to even, stay within the amount, and refunds give back exactly what was taken."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import InvalidAmount
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.fees import FeeSchedule, returned_fee

amounts = st.integers(0, MAX_MINOR)
schedules = st.builds(FeeSchedule, fixed_minor=st.integers(0, 10**6), bps=st.integers(0, 10_000))


@pytest.mark.parametrize(
    ("amount_minor", "fee_minor"),
    [(49, 0), (50, 0), (51, 1), (149, 1), (150, 2), (151, 2), (249, 2), (250, 2), (251, 3), (350, 4)],
)
def test_one_percent_is_rounded_to_the_nearest_and_halves_to_the_even(amount_minor: int, fee_minor: int) -> None:
    assert FeeSchedule(fixed_minor=0, bps=100).fee(amount_minor) == fee_minor


def test_an_odd_fixed_part_does_not_change_how_the_share_is_rounded() -> None:
    assert FeeSchedule(fixed_minor=1, bps=100).fee(250) == 1 + 2
    assert FeeSchedule(fixed_minor=1, bps=100).fee(350) == 1 + 4


@pytest.mark.parametrize("amount_minor", [0, 1, 29, 30])
def test_a_fee_above_the_amount_is_the_amount(amount_minor: int) -> None:
    assert FeeSchedule(fixed_minor=30, bps=290).fee(amount_minor) == amount_minor


def test_the_whole_amount_and_nothing_are_the_ends_of_the_scale() -> None:
    assert FeeSchedule(fixed_minor=0, bps=10_000).fee(MAX_MINOR) == MAX_MINOR
    assert FeeSchedule(fixed_minor=0, bps=0).fee(MAX_MINOR) == 0


def test_a_share_too_long_for_a_float_is_exact() -> None:
    assert FeeSchedule(fixed_minor=0, bps=1).fee(10**37 + 10_000) == 10**33 + 1


@pytest.mark.parametrize(("fixed_minor", "bps"), [(-1, 0), (0, -1), (0, 10_001)])
def test_a_schedule_with_a_negative_part_or_above_the_whole_is_refused(fixed_minor: int, bps: int) -> None:
    with pytest.raises(InvalidAmount):
        FeeSchedule(fixed_minor, bps)


def test_a_fee_of_a_negative_amount_is_refused() -> None:
    with pytest.raises(InvalidAmount):
        FeeSchedule(fixed_minor=0, bps=100).fee(-1)


@given(schedules, amounts, amounts)
def test_a_fee_never_falls_as_the_amount_grows(schedule: FeeSchedule, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert schedule.fee(less) <= schedule.fee(more)


@given(schedules, amounts)
def test_a_fee_is_what_decimal_arithmetic_says_within_zero_and_the_amount(schedule: FeeSchedule, amount: int) -> None:
    context = Context(prec=100)
    share = context.divide(Decimal(amount * schedule.bps), Decimal(10_000))
    rounded = int(share.quantize(Decimal(1), rounding=ROUND_HALF_EVEN, context=context))
    assert schedule.fee(amount) == min(schedule.fixed_minor + rounded, amount)
    assert 0 <= schedule.fee(amount) <= amount


@given(st.integers(0, MAX_MINOR), st.lists(st.integers(1, 10**30), min_size=1, max_size=8))
def test_refunds_that_make_up_the_amount_give_back_exactly_the_fee(fee_minor: int, refunds: list[int]) -> None:
    amount, refunded, returned = sum(refunds), 0, 0
    for refund in refunds:
        part = returned_fee(fee_minor, amount, refunded, refund)
        refunded, returned = refunded + refund, returned + part
        assert part >= 0
        assert returned * amount <= fee_minor * refunded, "more was given back than the refunds' share"
    assert returned == fee_minor


@pytest.mark.parametrize(
    ("refunded_minor", "refund_minor", "part"),
    [(0, 333, 19), (333, 333, 20), (666, 333, 20), (0, 999, 59), (0, 1, 0), (998, 1, 1)],
)
def test_a_returned_fee_is_rounded_down_over_the_sum_of_refunds(
    refunded_minor: int, refund_minor: int, part: int
) -> None:
    assert returned_fee(59, 999, refunded_minor, refund_minor) == part


@pytest.mark.parametrize(("refunded_minor", "refund_minor"), [(0, 0), (0, 1001), (600, 401), (-1, 10), (10, -1)])
def test_refunds_above_the_amount_or_of_nothing_give_back_no_fee(refunded_minor: int, refund_minor: int) -> None:
    with pytest.raises(InvalidAmount):
        returned_fee(59, 1000, refunded_minor, refund_minor)
