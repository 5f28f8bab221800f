"""When two totals differ, why, and when they agree again."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.control.totals import NOTHING, Report, Total, TotalKey
from rialto_ledger.domain.control import (
    REPORTED_WITHIN,
    SETTLES_WITHIN,
    Difference,
    DifferenceState,
    Reason,
    Reported,
    compare,
    reason_of,
)
from rialto_ledger.testing import merchant_id

DAY = date(2026, 3, 1)
KEY = TotalKey(merchant_id(), "test", "USD", DAY)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
TOLD = MIDNIGHT + timedelta(minutes=15)
LATER = TOLD + SETTLES_WITHIN
SOME = Total(1000, 2)

totals = st.builds(Total, st.integers(0, 3), st.integers(0, 3))


def look(
    ours: Total | None,
    theirs: Total | None,
    known: Difference | None = None,
    *,
    now: datetime = LATER,
    received_at: datetime = TOLD,
) -> list[Difference]:
    """Compare captures, as the ledger and the gateway have them."""
    mine = {} if ours is None else {KEY: Report(KEY, 1, 1, {"captured": ours}, TOLD)}
    reported = {} if theirs is None else {"gateway": {KEY: Reported({"captured": theirs}, received_at)}}
    return compare(mine, reported, {} if known is None else {known.id: known}, now)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        (SOME, SOME, None),
        (None, NOTHING, None),
        (NOTHING, None, None),
        (SOME, Total(400, 1), Reason.MISSING_THERE),
        (SOME, NOTHING, Reason.MISSING_THERE),
        (SOME, Total(1200, 3), Reason.MISSING_HERE),
        (None, SOME, Reason.MISSING_HERE),
        (SOME, Total(1001, 2), Reason.AMOUNT_DIFFERS),
    ],
)
def test_totals_that_differ_say_why(ours: Total | None, theirs: Total | None, reason: Reason | None) -> None:
    found = look(ours, theirs)
    assert [difference.reason for difference in found] == ([] if reason is None else [reason])
    assert all((each.ours, each.theirs) == (ours or NOTHING, theirs) for each in found)


@given(totals, totals)
def test_only_equal_totals_have_no_reason_and_either_side_sees_the_others_lack(one: Total, other: Total) -> None:
    mirrored = {Reason.MISSING_HERE: Reason.MISSING_THERE, Reason.MISSING_THERE: Reason.MISSING_HERE}
    reason = reason_of(one, other)
    assert (reason is None) == (one == other)
    assert reason_of(other, one) == (mirrored.get(reason, reason) if reason is not None else None)


def test_what_was_never_reported_is_a_difference_only_after_its_time() -> None:
    due = MIDNIGHT + REPORTED_WITHIN
    assert look(SOME, None, now=due - timedelta(microseconds=1)) == []
    (silent,) = look(SOME, None, now=due)
    assert (silent.reason, silent.theirs, silent.source) == (Reason.NOT_REPORTED, None, "gateway")


def test_the_other_side_has_a_while_to_come_to_a_day_that_one_told_anew() -> None:
    news = LATER + timedelta(hours=5)
    assert look(SOME, Total(1, 1), received_at=news, now=news + SETTLES_WITHIN - timedelta(microseconds=1)) == []
    assert len(look(SOME, Total(1, 1), received_at=news, now=news + SETTLES_WITHIN)) == 1


def test_a_difference_is_one_row_for_as_long_as_it_stands() -> None:
    (first,) = look(SOME, Total(400, 1))
    (again,) = look(SOME, Total(999, 2), first, now=LATER + timedelta(hours=1))
    assert (again.id, again.first_seen_at, again.state) == (first.id, LATER, DifferenceState.OPEN)
    assert (again.reason, again.theirs) == (Reason.AMOUNT_DIFFERS, Total(999, 2))
    (resolved,) = look(SOME, SOME, again, now=LATER + timedelta(hours=2))
    assert resolved == replace(again, state=DifferenceState.RESOLVED, last_seen_at=LATER + timedelta(hours=2))
    assert look(SOME, SOME, resolved) == []


def test_a_difference_that_comes_back_begins_anew() -> None:
    (first,) = look(SOME, Total(400, 1))
    (resolved,) = look(SOME, SOME, first)
    (back,) = look(SOME, Total(400, 1), resolved, now=LATER + timedelta(days=1))
    assert (back.id, back.state, back.first_seen_at) == (first.id, DifferenceState.OPEN, LATER + timedelta(days=1))


def test_an_explanation_holds_for_the_totals_it_was_given_for() -> None:
    (first,) = look(SOME, Total(400, 1))
    explained = replace(first, state=DifferenceState.EXPLAINED, note="a merchant's test", explained_by="cli")
    (same,) = look(SOME, Total(400, 1), explained)
    assert (same.state, same.note) == (DifferenceState.EXPLAINED, "a merchant's test")
    (other,) = look(SOME, Total(300, 1), explained)
    assert (other.state, other.note) == (DifferenceState.OPEN, "a merchant's test")


def test_each_kind_is_held_against_the_service_that_moves_it() -> None:
    ours = {KEY: Report(KEY, 1, 1, {"captured": SOME, "settled": Total(300, 1)}, TOLD)}
    theirs = {
        "gateway": {KEY: Reported({"captured": SOME, "settled": NOTHING, "unheard_of": SOME}, TOLD)},
        "chain_bridge": {KEY: Reported({"captured": NOTHING, "settled": Total(200, 1)}, TOLD)},
    }
    (difference,) = compare(ours, theirs, {}, LATER)
    assert (difference.kind, difference.source) == ("settled", "chain_bridge")
