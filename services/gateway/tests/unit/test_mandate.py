"""What a mandate allows: periods that tile time from its start, and limits of one payment and of a period."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import PaymentError
from rialto_gateway.saved_methods.mandate import Mandate, Period, Used, start_of_period

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
METHOD, OTHER = UUID(int=1), UUID(int=2)
PERIODS: list[Period] = ["day", "week", "month", "year"]


def mandate(**changes: Any) -> Mandate:
    """Return a mandate of 20.00 a month, of 15.00 at most at once."""
    plain = Mandate(
        id=UUID(int=3),
        method_id=METHOD,
        currency="USD",
        max_amount_minor=1500,
        period="month",
        period_amount_minor=2000,
        period_payments=3,
        accepted_at=START,
        starts_at=START,
        ends_at=START + timedelta(days=365),
        revoked_at=None,
    )
    return replace(plain, **changes)


instants = st.integers(946_684_800, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(anchor=instants, period=st.sampled_from(PERIODS), later=st.timedeltas(timedelta(), timedelta(days=4000)))
def test_every_instant_is_in_one_period_and_none_is_longer_than_its_name(
    anchor: datetime, period: Period, later: timedelta
) -> None:
    now = anchor + later
    start = start_of_period(anchor, period, now)
    longest = {"day": 1, "week": 7, "month": 31, "year": 366}[period]
    assert anchor <= start <= now < start + timedelta(days=longest)
    assert start_of_period(anchor, period, start) == start
    before = start - timedelta(microseconds=1)
    if before >= anchor:
        assert start_of_period(anchor, period, before) < start


def test_a_month_from_the_31st_begins_on_each_months_last_day() -> None:
    found = [start_of_period(START, "month", datetime(2026, month, 28, 13, tzinfo=UTC)) for month in (2, 3, 4, 5)]
    assert [(at.month, at.day) for at in found] == [(2, 28), (2, 28), (3, 31), (4, 30)]
    leap = start_of_period(datetime(2024, 2, 29, tzinfo=UTC), "year", datetime(2025, 6, 1, tzinfo=UTC))
    assert leap == datetime(2025, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "method", "amount", "currency", "at", "code"),
    [
        ({}, METHOD, 1500, "USD", START, None),
        ({}, METHOD, 1501, "USD", START, "mandate_limit_exceeded"),
        ({}, OTHER, 1, "USD", START, "mandate_mismatch"),
        ({}, METHOD, 1, "EUR", START, "mandate_mismatch"),
        ({}, METHOD, 1, "USD", START - timedelta(seconds=1), "mandate_not_active"),
        ({}, METHOD, 1, "USD", START + timedelta(days=365), "mandate_not_active"),
        ({"revoked_at": START}, METHOD, 1, "USD", START, "mandate_not_active"),
    ],
)
def test_one_payment_is_held_to_the_mandate(
    changes: dict[str, Any], method: UUID, amount: int, currency: str, at: datetime, code: str | None
) -> None:
    if code is None:
        mandate(**changes).check(method, amount, currency, at)
        return
    with pytest.raises(PaymentError) as refused:
        mandate(**changes).check(method, amount, currency, at)
    assert refused.value.stable_code == code


@pytest.mark.parametrize(
    ("used", "amount", "fits"),
    [
        (Used(0, 0), 1500, True),
        (Used(1, 1500), 500, True),
        (Used(1, 1500), 501, False),
        (Used(2, 100), 1, True),
        (Used(3, 100), 1, False),
        (Used(1, 5000), 1, False),
    ],
)
def test_a_period_is_held_to_the_mandate(used: Used, amount: int, fits: bool) -> None:
    if fits:
        mandate().check_period(amount, used)
        return
    with pytest.raises(PaymentError, match="month") as refused:
        mandate().check_period(amount, used)
    assert refused.value.stable_code == "mandate_limit_exceeded"


def test_without_a_period_only_each_payment_is_limited() -> None:
    free = mandate(period=None, period_amount_minor=None, period_payments=None)
    assert free.period_start(START) is None
    free.check_period(1500, Used(1000, 10**9))
