"""Rules and policy."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import UnknownCurrency
from rialto_common.money import Money
from rialto_compliance.domain.matching import Features, Hit
from rialto_compliance.domain.policy import POLICY, worst
from rialto_compliance.domain.rules import amount_over_limit, unreadable

FEATURES = Features(2, 2, 2, 0, 0, (1.0, 1.0), same_order=True, specificity=2.0, alias=False)
EXACT = Hit("test", "v", "e1", 1.0, FEATURES)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "outcome"),
    [
        (999_999, "USD", "clear"),
        (1_000_000, "USD", "review"),
        (9_999, "JPY", "clear"),
        (10_000, "JPY", "review"),
        (9_999_999_999, "USDC", "clear"),
        (10_000_000_000, "USDC", "review"),
        (10**38 - 1, "ETH", "review"),
    ],
)
def test_the_amount_limit_is_ten_thousand_major_units(amount_minor: int, currency: str, outcome: str) -> None:
    verdict = amount_over_limit(Money(amount_minor, currency))
    assert (verdict.id, verdict.version, verdict.outcome) == ("amount_over_limit", "1", outcome)


def test_an_unknown_currency_is_an_error_not_a_pass() -> None:
    with pytest.raises(UnknownCurrency):
        amount_over_limit(Money(1, "XQQ"))


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, "block"),
        ({"score": POLICY.block_score}, "block"),
        ({"score": POLICY.block_score - 0.001}, "review"),
        ({"score": POLICY.review_score}, "review"),
        ({"score": POLICY.review_score - 0.001}, "clear"),
        ({"features": dataclasses.replace(FEATURES, specificity=0.9)}, "review"),
        ({"features": dataclasses.replace(FEATURES, matched_tokens=1)}, "review"),
    ],
)
def test_a_block_needs_score_and_specificity_and_two_words(change: dict[str, object], outcome: str) -> None:
    assert POLICY.judge([dataclasses.replace(EXACT, **change)]) == outcome  # type: ignore[arg-type]


def test_nothing_found_and_nothing_ruled_is_clear() -> None:
    assert POLICY.decide([], []) == "clear"
    assert POLICY.decide([], [amount_over_limit(Money(1, "USD"))]) == "clear"


def test_an_unreadable_party_is_never_waved_through() -> None:
    assert POLICY.decide([], [unreadable("payer")]) == "review"


def test_a_rule_never_softens_a_block() -> None:
    assert POLICY.decide([("payee", EXACT)], [unreadable("payer")]) == "block"


@given(st.lists(st.sampled_from(["clear", "review", "block"])))
def test_the_worst_outcome_does_not_depend_on_order(outcomes: list[str]) -> None:
    expected = next((word for word in ("block", "review") if word in outcomes), "clear")
    assert worst(outcomes) == worst(reversed(outcomes)) == expected  # type: ignore[arg-type]
