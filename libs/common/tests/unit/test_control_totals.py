"""What must be said of a day, and which days are closed."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rialto_common.control.reporter import totals_json, totals_of
from rialto_common.control.totals import (
    NOTHING,
    Report,
    Total,
    TotalKey,
    Totals,
    closed_days,
    equal,
    revised,
    start_of,
)
from rialto_common.money import MAX_MINOR
from rialto_common.testing import root_of

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 2, 0, 15, tzinfo=UTC)
KEYS = [
    TotalKey(root_of(merchant), mode, currency, DAY)
    for merchant in (1, 2)
    for mode in ("test", "live")
    for currency in ("USD", "EUR")
]
totals = st.dictionaries(
    st.sampled_from(["captured", "settled"]), st.builds(Total, st.integers(0, MAX_MINOR), st.integers(0, 9))
)
days = st.dictionaries(st.sampled_from(KEYS), totals)


def say(derived: Mapping[TotalKey, Totals], told: dict[TotalKey, Report]) -> list[Report]:
    """Say what is new, and remember it."""
    last: dict[UUID, int] = {}
    for report in told.values():
        last[report.key.merchant_id] = max(report.sequence, last.get(report.key.merchant_id, 0))
    new = revised(derived, told, last, NOW)
    told.update({report.key: report for report in new})
    return new


@given(st.lists(days, max_size=5))
def test_what_was_told_last_is_what_the_tables_have_and_nothing_is_told_twice(
    looks: list[dict[TotalKey, Totals]],
) -> None:
    told: dict[TotalKey, Report] = {}
    sequences: dict[UUID, list[int]] = {}
    for derived in looks:
        before = dict(told)
        for report in say(derived, told):
            assert report.revision == (before[report.key].revision + 1 if report.key in before else 1)
            sequences.setdefault(report.key.merchant_id, []).append(report.sequence)
        assert derived.keys() <= told.keys()
        assert all(equal(report.totals, derived.get(key, {})) for key, report in told.items())
        assert say(derived, told) == []
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())


def test_a_key_that_is_gone_is_told_to_have_come_to_nothing() -> None:
    told: dict[TotalKey, Report] = {}
    say({KEYS[0]: {"settled": Total(500, 1)}}, told)
    (gone,) = say({}, told)
    assert (gone.revision, gone.totals) == (2, {"settled": NOTHING})


def test_a_merchant_that_tried_and_got_nothing_is_told_with_nothing() -> None:
    (report,) = say({KEYS[0]: {"captured": NOTHING}}, {})
    assert report.totals == {"captured": NOTHING}


def test_a_day_is_closed_a_quarter_of_an_hour_after_midnight_in_utc() -> None:
    assert closed_days(NOW, 3) == [date(2026, 3, 1), date(2026, 2, 28), date(2026, 2, 27)]
    assert closed_days(NOW - timedelta(microseconds=1), 1) == [date(2026, 2, 28)]


def test_ids_of_a_key_are_its_own_and_carry_its_day() -> None:
    roots = {key.root for key in KEYS} | {TotalKey(root_of(1), "test", "USD", DAY + timedelta(days=1)).root}
    assert len(roots) == len(KEYS) + 1
    assert all(key.root.int >> 80 == int(start_of(DAY).timestamp() * 1000) for key in KEYS)


@given(totals)
def test_totals_are_read_back_as_they_were_written(some: dict[str, Total]) -> None:
    assert totals_of(totals_json(some)) == some
