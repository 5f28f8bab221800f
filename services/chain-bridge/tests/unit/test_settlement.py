"""A settlement's life: what a refusal leads to, and the order of its events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_chain_bridge.domain.settlement import Fact, Fail, SendAgain, after_refusal, event_sequence, is_permanent

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("SettlementConflict", "settlement_conflict"), ("InvalidSettlement", "settlement_invalid")],
)
def test_what_the_contract_refuses_for_ever_fails(reason: str, code: str) -> None:
    outcome = after_refusal(reason, submissions=1, explained=True, now=NOW, deadline_at=LATER)
    assert isinstance(outcome, Fail)
    assert outcome.code == code
    assert is_permanent(reason)


def test_the_innocent_of_a_refused_batch_go_on_at_once() -> None:
    assert after_refusal(None, submissions=1, explained=True, now=NOW, deadline_at=LATER) == SendAgain(NOW)


@pytest.mark.parametrize("reason", [None, "EnforcedPause", "ERC20InsufficientBalance", "out of gas"])
def test_what_may_pass_later_waits_longer_each_time(reason: str | None) -> None:
    delays = []
    for submissions in range(1, 12):
        outcome = after_refusal(reason, submissions=submissions, explained=False, now=NOW, deadline_at=LATER)
        assert isinstance(outcome, SendAgain)
        delays.append((outcome.due_at - NOW).total_seconds())
    assert delays == sorted(delays)
    assert delays[0] == 4
    assert delays[-1] == 60


def test_what_is_refused_until_the_deadline_fails_with_its_reason() -> None:
    outcome = after_refusal("EnforcedPause", submissions=9, explained=False, now=LATER, deadline_at=LATER)
    assert isinstance(outcome, Fail)
    assert "EnforcedPause" in outcome.detail


def test_what_would_pass_or_is_paid_is_never_given_up() -> None:
    outcome = after_refusal(None, submissions=9, explained=False, now=LATER, deadline_at=NOW)
    assert isinstance(outcome, SendAgain)


@given(st.integers(1, 10_000), st.integers(0, 9_000))
def test_sequences_follow_the_life_of_a_settlement(submissions: int, reorgs: int) -> None:
    def of(fact: Fact, submission: int, reorg: int) -> int:
        return event_sequence(fact, submissions=submission, reorgs=reorg)

    story = [
        of(Fact.SUBMITTED, submissions, reorgs),
        of(Fact.CONFIRMED, submissions, reorgs),
        of(Fact.REORGED, submissions, reorgs),
        of(Fact.CONFIRMED, submissions, reorgs + 1),
        of(Fact.SUBMITTED, submissions + 1, 0),
        of(Fact.FAILED, submissions + 1, 0),
    ]
    assert story == sorted(set(story))
