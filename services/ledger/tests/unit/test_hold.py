"""The hold's state machine: pending -> captured | voided | expired."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_ledger.domain.errors import (
    CaptureAboveHold,
    HoldAlreadyCaptured,
    HoldAlreadyVoided,
    HoldError,
    HoldHasExpired,
    HoldRefused,
)
from rialto_ledger.domain.hold import Hold, HoldStatus
from rialto_ledger.testing import NOW, Payment

LATER = NOW + timedelta(days=7)


def hold_of(amount_minor: int = 1000) -> Hold:
    payment = Payment()
    return Hold(
        id=payment.hold_id,
        payment_id=payment.id,
        account_id=payment.wallet_id,
        merchant_id=payment.merchant_id,
        mode="test",
        shard=0,
        currency="USD",
        amount_minor=amount_minor,
        status=HoldStatus.PENDING,
        placed_at=NOW,
        expires_at=LATER,
    )


def test_a_partial_capture_leaves_the_rest_held() -> None:
    hold = hold_of().capture(300, final=False, now=NOW)
    assert (hold.status, hold.captured_minor, hold.remaining_minor) == (HoldStatus.PENDING, 300, 700)


def test_a_final_capture_releases_the_rest() -> None:
    hold = hold_of().capture(300, final=True, now=NOW)
    assert (hold.status, hold.released_minor, hold.remaining_minor) == (HoldStatus.CAPTURED, 700, 0)


def test_capturing_all_that_remains_closes_the_hold_without_final() -> None:
    hold = hold_of().capture(400, final=False, now=NOW).capture(600, final=False, now=NOW)
    assert (hold.status, hold.captured_minor) == (HoldStatus.CAPTURED, 1000)


def test_capture_above_hold_is_rejected() -> None:
    with pytest.raises(CaptureAboveHold) as refused:
        hold_of().capture(400, final=False, now=NOW).capture(601, final=False, now=NOW)
    assert (refused.value.remaining_minor, refused.value.requested_minor) == (600, 601)


@pytest.mark.parametrize(
    ("hold", "error"),
    [
        (hold_of().void(NOW), HoldAlreadyVoided),
        (hold_of().capture(1000, final=True, now=NOW), HoldAlreadyCaptured),
        (hold_of().expire(LATER), HoldHasExpired),
        (replace(hold_of(), status=HoldStatus.REFUSED, refusal_code="insufficient_funds"), HoldRefused),
    ],
)
def test_a_closed_hold_says_why_it_cannot_be_captured(hold: Hold, error: type[HoldError]) -> None:
    with pytest.raises(error):
        hold.capture(1, final=False, now=NOW)


def test_a_hold_cannot_be_captured_from_its_deadline_on_even_before_the_sweeper_came() -> None:
    with pytest.raises(HoldHasExpired):
        hold_of().capture(1, final=False, now=LATER)
    assert hold_of().capture(1, final=False, now=LATER - timedelta(microseconds=1)).captured_minor == 1


def test_a_hold_does_not_expire_before_its_deadline() -> None:
    hold = hold_of()
    assert hold.expire(LATER - timedelta(microseconds=1)) is hold
    assert hold.expire(LATER).status is HoldStatus.EXPIRED


def test_a_hold_is_raised_to_an_amount_once_and_what_is_captured_stays_captured() -> None:
    raised = hold_of().capture(300, final=False, now=NOW).increase(1500, NOW)
    assert (raised.amount_minor, raised.placed_minor, raised.captured_minor, raised.remaining_minor) == (
        1500,
        1000,
        300,
        1200,
    )
    assert raised.increase(1500, NOW) is raised
    assert raised.increase(1200, NOW) is raised
    closed = raised.void(NOW)
    assert closed.increase(1500, NOW) is closed


@pytest.mark.parametrize(
    ("hold", "error"),
    [
        (hold_of().void(NOW), HoldAlreadyVoided),
        (hold_of().capture(1000, final=True, now=NOW), HoldAlreadyCaptured),
        (hold_of().expire(LATER), HoldHasExpired),
        (replace(hold_of(), status=HoldStatus.REFUSED, refusal_code="insufficient_funds"), HoldRefused),
    ],
)
def test_a_closed_hold_is_not_raised(hold: Hold, error: type[HoldError]) -> None:
    with pytest.raises(error):
        hold.increase(1001, NOW)


def test_a_hold_past_its_deadline_is_not_raised() -> None:
    with pytest.raises(HoldHasExpired):
        hold_of().increase(1001, LATER)


def test_voiding_a_closed_hold_changes_nothing() -> None:
    captured = hold_of().capture(1000, final=True, now=NOW)
    assert captured.void(NOW) is captured


@given(
    st.integers(min_value=1, max_value=10**37),
    st.lists(
        st.tuples(
            st.sampled_from(["capture", "increase", "void", "expire"]), st.integers(min_value=1, max_value=10**37)
        )
    ),
)
def test_captured_released_and_remaining_always_add_up(amount: int, steps: list[tuple[str, int]]) -> None:
    hold = hold_of(amount)
    for step, part in steps:
        try:
            if step == "capture":
                hold = hold.capture(part, final=part % 2 == 0, now=NOW)
            elif step == "increase":
                hold = hold.increase(part, NOW)
            else:
                hold = hold.void(NOW) if step == "void" else hold.expire(LATER)
        except HoldError:
            continue
        assert hold.captured_minor + hold.released_minor + hold.remaining_minor == hold.amount_minor
        assert (hold.placed_minor, hold.amount_minor >= amount) == (amount, True)
        assert min(hold.captured_minor, hold.released_minor, hold.remaining_minor) >= 0
