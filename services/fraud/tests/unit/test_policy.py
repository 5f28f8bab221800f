"""Outcomes: thresholds, and the two rules that do not look at the amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_fraud.domain.features import FEATURE_NAMES
from rialto_fraud.domain.policy import CURRENT, Outcome, Policy
from rialto_fraud.domain.reasons import REFERENCE, reference_row

POLICY = Policy("p", review_from=0.4, block_from=0.9, review_from_count_1h=100, block_needs_history=3)


def row(**changes: float) -> tuple[float, ...]:
    return tuple((REFERENCE | changes)[name] for name in FEATURE_NAMES)


@pytest.mark.parametrize(
    ("score", "outcome"),
    [(0.0, "allow"), (0.39, "allow"), (0.4, "review"), (0.89, "review"), (0.9, "block"), (1.0, "block")],
)
def test_thresholds_include_their_own_value(score: float, outcome: str) -> None:
    assert POLICY.decide(score, reference_row()) == outcome


def test_a_wallet_without_a_history_is_reviewed_but_not_blocked() -> None:
    assert POLICY.decide(0.99, row(customer_count_30d=2)) is Outcome.REVIEW
    assert POLICY.decide(0.99, row(customer_count_30d=3)) is Outcome.BLOCK


@given(amount=st.floats(0.01, 1e6), score=st.floats(0, 0.39))
def test_a_runaway_is_reviewed_whatever_its_amounts(amount: float, score: float) -> None:
    assert POLICY.decide(score, row(customer_count_1h=100, amount=amount)) is Outcome.REVIEW
    assert POLICY.decide(score, row(customer_count_1h=99, amount=amount)) is Outcome.ALLOW


@given(scores=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_higher_score_is_never_milder(scores: tuple[float, float]) -> None:
    severity = [Outcome.ALLOW, Outcome.REVIEW, Outcome.BLOCK]
    low, high = sorted(scores)
    decided = [severity.index(CURRENT.decide(score, reference_row())) for score in (low, high)]
    assert decided[0] <= decided[1]


def test_the_current_policy_is_in_order() -> None:
    assert 0 < CURRENT.review_from < CURRENT.block_from < 1
