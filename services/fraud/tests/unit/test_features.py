"""Each feature against its definition, computed the slow way from the list of payments."""

import itertools
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_fraud.adapters.history_codec import pack, unpack
from rialto_fraud.domain.features import FEATURE_NAMES, Observation, extract, extract_in_order
from rialto_fraud.domain.history import COUNTERPARTIES_KEPT, SECONDS_PER_DAY, SECONDS_PER_HOUR, History

START = 20_000 * SECONDS_PER_DAY

streams = st.lists(
    st.builds(
        Observation,
        wallet=st.sampled_from(["test/wal_a", "test/wal_b", "test/wal_c"]),
        terminal=st.one_of(st.none(), st.sampled_from(["test/mer_x/1", "test/mer_x/2", "test/mer_y/1"])),
        at=st.integers(START, START + 45 * SECONDS_PER_DAY),
        amount_cents=st.integers(1, 5_000_000),
    ),
    max_size=40,
)


def named(row: object) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, np.asarray(row, dtype=np.float64).tolist(), strict=True))


def by_definition(payment: Observation, before: list[Observation]) -> dict[str, float]:
    hour, day = payment.at // SECONDS_PER_HOUR, payment.at // SECONDS_PER_DAY
    own = [other for other in before if other.wallet == payment.wallet]
    here = [other for other in before if payment.terminal is not None and other.terminal == payment.terminal]

    def hours(of: list[Observation], count: int) -> list[Observation]:
        return [other for other in of if hour - count < other.at // SECONDS_PER_HOUR <= hour]

    def days(of: list[Observation], count: int) -> list[int]:
        return [other.amount_cents for other in of if day - count < other.at // SECONDS_PER_DAY <= day]

    habit = days(own, 30)
    mean = (sum(habit) + 3 * 5_000) / (len(habit) + 3)
    square = (sum(c * c for c in habit) + 3 * (5_000**2 + 6_000**2)) / (len(habit) + 3)
    deviation = max(math.sqrt(max(square - mean * mean, 0)), mean / 10)
    local = days(here, 30)
    places = [other.terminal for other in own if other.terminal is not None]
    at = datetime.fromtimestamp(payment.at, UTC)
    return {
        "amount": payment.amount_cents / 100,
        "is_night": float(at.hour < 6),
        "is_weekend": float(at.weekday() >= 5),
        "customer_count_1h": len(hours(own, 2)),
        "customer_count_1d": len(hours(own, 24)),
        "customer_count_7d": len(days(own, 7)),
        "customer_count_30d": len(habit),
        "customer_amount_ratio_30d": payment.amount_cents / mean,
        "customer_amount_z_30d": (payment.amount_cents - mean) / deviation,
        "hours_since_last_payment": min(720.0, (payment.at - max(o.at for o in own)) / 3_600) if own else 720.0,
        "is_new_terminal": float(payment.terminal is not None and bool(places) and payment.terminal not in places),
        "terminal_count_1d": len(hours(here, 24)),
        "terminal_count_7d": len(days(here, 7)),
        "terminal_amount_ratio_30d": payment.amount_cents / ((sum(local) + 3 * 5_000) / (len(local) + 3))
        if payment.terminal is not None
        else 1.0,
    }


@given(stream=streams)
@settings(max_examples=60)
def test_every_feature_follows_its_definition(stream: list[Observation]) -> None:
    stream = sorted(stream, key=lambda payment: payment.at)
    features = extract_in_order(stream, {}, {})
    for index, payment in enumerate(stream):
        expected = by_definition(payment, stream[:index])
        assert named(features[index]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@given(stream=streams, cuts=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=60)
def test_batches_with_packed_histories_between_them_give_the_offline_features(
    stream: list[Observation], cuts: list[int]
) -> None:
    """Online, histories are read, unpacked, packed and written once a batch; offline they stay in memory."""
    offline = extract_in_order(stream, {}, {})
    kept: dict[str, bytes] = {}
    edges = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    online = []
    for first, last in itertools.pairwise(edges):
        histories = {subject: unpack(packed) for subject, packed in kept.items()}
        online.append(extract_in_order(stream[first:last], histories, histories))
        kept = {subject: pack(history) for subject, history in histories.items()}
    if online:
        assert np.array_equal(np.concatenate(online), offline)
    assert offline.shape == (len(stream), len(FEATURE_NAMES))


@given(stream=streams, late=st.integers(START, START + 45 * SECONDS_PER_DAY))
@settings(max_examples=60)
def test_a_late_payment_does_not_see_the_days_after_it(stream: list[Observation], late: int) -> None:
    """Within what the windows still hold, counting stops at the payment's own hour and day."""
    payment = Observation("test/wal_a", None, late, 1_000)
    histories: dict[str, History] = {}
    extract_in_order(stream, histories, histories)
    seen = named(extract(payment, histories.get("test/wal_a", History()), None))
    not_after = [other for other in stream if other.at // SECONDS_PER_DAY <= late // SECONDS_PER_DAY]
    true = by_definition(payment, not_after)
    for name in ("customer_count_7d", "customer_count_30d", "customer_count_1d", "customer_count_1h"):
        assert seen[name] <= true[name]


def test_features_are_finite_for_the_largest_and_smallest_amounts() -> None:
    stream = [Observation("w", "t", START + index, cents) for index, cents in enumerate([1, 10**11, 1, 10**11])]
    assert np.isfinite(extract_in_order(stream, {}, {})).all()


def test_the_payment_itself_is_not_in_its_own_history() -> None:
    row = named(extract_in_order([Observation("w", "t", START, 5_000)], {}, {})[0])
    assert row["customer_count_1h"] == row["customer_count_30d"] == row["terminal_count_7d"] == 0
    assert (row["customer_amount_ratio_30d"], row["customer_amount_z_30d"]) == (1.0, 0.0)
    assert (row["hours_since_last_payment"], row["is_new_terminal"]) == (720.0, 0.0)


def test_a_terminal_is_new_once_the_wallet_has_paid_elsewhere() -> None:
    stream = [Observation("w", f"t{place}", START + index, 100) for index, place in enumerate([1, 1, 2, 1, 3])]
    assert extract_in_order(stream, {}, {})[:, FEATURE_NAMES.index("is_new_terminal")].tolist() == [0, 0, 1, 0, 1]


def test_a_terminal_is_new_again_after_sixteen_others() -> None:
    places = [*range(COUNTERPARTIES_KEPT + 1), 0]
    stream = [Observation("w", f"t{place}", START + index, 100) for index, place in enumerate(places)]
    assert extract_in_order(stream, {}, {})[-1, FEATURE_NAMES.index("is_new_terminal")] == 1


def test_without_terminals_no_terminal_feature_speaks() -> None:
    stream = [Observation("w", None, START + index, 100_000) for index in range(5)]
    columns = [FEATURE_NAMES.index(name) for name in ("is_new_terminal", "terminal_count_1d", "terminal_count_7d")]
    features = extract_in_order(stream, {}, {})
    assert not features[:, columns].any()
    assert (features[:, FEATURE_NAMES.index("terminal_amount_ratio_30d")] == 1).all()


def test_no_payments_make_an_empty_table() -> None:
    assert extract_in_order([], {}, {}).shape == (0, len(FEATURE_NAMES))
