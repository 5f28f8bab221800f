"""Listening leaves no event out and shows none twice, whatever comes late and whatever fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rialto_cli.payments.feed import OVERLAP, Feed

START = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, seconds: float, sequence: int = 1) -> dict[str, Any]:
    """Return an event as the gateway lists it."""
    at = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {"id": f"evt_{number}", "created_at": at, "data": {"id": "pay_1", "sequence": sequence}}


def seen_by(feed: Feed, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a look finds: newest first, from where the feed looks."""
    since = feed.since
    found = [each for each in events if datetime.fromisoformat(each["created_at"]) >= since]
    return sorted(found, key=lambda each: str(each["created_at"]), reverse=True)


def numbers(events: list[dict[str, Any]]) -> list[int]:
    """Return which events these are."""
    return [int(each["id"][4:]) for each in events]


@given(
    gaps=st.lists(st.floats(0, 60), max_size=30),
    late=st.lists(st.floats(0, OVERLAP.total_seconds() - 1), min_size=30, max_size=30),
    looks=st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=40),
)
def test_every_event_comes_once_however_late_it_shows(
    gaps: list[float], late: list[float], looks: list[tuple[float, bool]]
) -> None:
    happened = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    shows = [at + delay for at, delay in zip(happened, late, strict=False)]
    events = [event(number, at) for number, at in enumerate(happened)]
    feed, now, told = Feed(START), 0.0, []
    for pause, fails in [*looks, (10_000.0, False)]:
        now += pause
        visible = [each for each, at in zip(events, shows, strict=True) if at <= now]
        found = seen_by(feed, visible)
        if not fails:  # a look that failed is not told to the feed at all
            told += numbers(feed.take(found))
    assert sorted(told) == list(range(len(events)))


def test_a_feed_begins_after_the_newest_event_and_keeps_what_came_meanwhile() -> None:
    old = [event(1, 0), event(2, 20)]
    feed = Feed(None)
    assert not feed.knows_where
    feed.begin_after(old[-1])
    assert numbers(feed.take(seen_by(feed, [*old, event(3, 21)]))) == [3]
    # One that happened before the newest and shows only now is new.
    assert numbers(feed.take(seen_by(feed, [*old, event(3, 21), event(4, 19)]))) == [4]


def test_a_feed_that_begins_with_nothing_takes_the_first_event() -> None:
    feed = Feed(None)
    feed.begin_after(None)
    assert feed.take([]) == []
    assert numbers(feed.take([event(1, 0)])) == [1]


def test_the_events_of_one_instant_come_in_the_order_of_their_object() -> None:
    feed = Feed(START)
    assert numbers(feed.take([event(1, 5, sequence=9), event(2, 5, sequence=7), event(3, 4)])) == [3, 2, 1]


def test_what_was_seen_is_forgotten_once_it_is_looked_at_no_more() -> None:
    feed = Feed(START)
    for number in range(200):
        feed.take([event(number, number * 10.0)])
    assert len(feed._seen) <= OVERLAP.total_seconds() / 10 + 1
