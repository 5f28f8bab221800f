"""A schedule of faults is a pure function of the seed, and leaves nothing out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_cli.torture.schedule import DURATIONS, LAST_FAULT_SECONDS, ROUND, links, programs, schedule

BUSES = st.sampled_from(["postgres", "kafka"])


@given(st.integers(0, 10**6), st.floats(30, 1200), BUSES)
def test_the_same_seed_gives_the_same_schedule(seed: int, seconds: float, bus: str) -> None:
    assert schedule(seed, seconds, bus) == schedule(seed, seconds, bus)


def test_a_known_seed_keeps_its_schedule() -> None:
    """Else no seed that was ever written down could be repeated."""
    first = schedule(7, 60, "postgres")[:3]
    assert [(fault.at, fault.kind, fault.target) for fault in first] == [
        (4.0, "throttle", "chain-bridge:anvil"),
        (9.3, "refuse", "compliance:postgres"),
        (15.1, "kill", "anvil"),
    ]


@given(st.integers(0, 10**6), BUSES)
def test_a_longer_run_begins_like_a_shorter_one(seed: int, bus: str) -> None:
    short = schedule(seed, 120, bus)
    assert schedule(seed, 600, bus)[: len(short)] == short


@given(st.integers(0, 10**6), st.floats(30, 1200), BUSES)
def test_faults_come_in_order_and_are_over_when_the_run_is(seed: int, seconds: float, bus: str) -> None:
    faults = schedule(seed, seconds, bus)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(fault.at < seconds - LAST_FAULT_SECONDS + 0.1 for fault in faults)
    assert all(fault.ends_at <= seconds for fault in faults)
    for fault in faults:
        shortest, longest = DURATIONS[fault.kind]
        assert shortest <= fault.seconds <= longest


@given(st.integers(0, 10**6), BUSES)
def test_two_minutes_have_every_kind_of_fault(seed: int, bus: str) -> None:
    assert {fault.kind for fault in schedule(seed, 120, bus)} == set(ROUND)


@pytest.mark.parametrize("bus", ["postgres", "kafka"])
def test_ten_minutes_kill_and_pause_every_program(bus: str) -> None:
    for seed in range(20):
        faults = schedule(seed, 600, bus)
        for kind in ("kill", "pause"):
            assert {fault.target for fault in faults if fault.kind == kind} >= set(programs(bus)[:-1])


def test_kafka_is_hurt_only_where_it_is_the_bus() -> None:
    assert not any("kafka" in target for target in (*programs("postgres"), *links("postgres")))
    assert "kafka" in programs("kafka")
    assert "all:kafka" in links("kafka")


@given(st.integers(0, 10**6))
def test_amounts_are_those_of_their_kind(seed: int) -> None:
    for fault in schedule(seed, 600, "postgres"):
        if fault.kind in ("kill", "pause", "cut", "refuse", "blackhole"):
            assert fault.amount == 0
        else:
            assert fault.amount != 0
