"""From a score to an outcome: thresholds, and two rules that do not look at the amount.

A policy is data with a version. An event names the version, so that a decision can be replayed under the policy that
took it, or under another.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rialto_fraud.domain.features import FEATURE_NAMES


class Outcome(enum.StrEnum):
    """What the service advises; the gateway decides."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


_COUNT_1H = FEATURE_NAMES.index("customer_count_1h")
_COUNT_30D = FEATURE_NAMES.index("customer_count_30d")


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds on the score, and the two safeties.

    ``review_from`` and ``block_from`` are scores in [0, 1]. ``review_from_count_1h`` is the number of payments of one
    wallet within its hour and the one before from which a person looks at it, whatever the amounts and the score: a
    runaway integration is cheap for each payment and dear in total. ``block_needs_history`` is the number of payments
    in 30 days that a wallet must have before the model alone may block it; below, the evidence is about wallets in
    general and not about this one, and the outcome is a review.
    """

    version: str
    review_from: float
    block_from: float
    review_from_count_1h: int
    block_needs_history: int

    def decide(self, score: float, features: Sequence[float]) -> Outcome:
        """Return the outcome of one payment. Args: the model's score, the row of features in FEATURE_NAMES order."""
        if score >= self.block_from and features[_COUNT_30D] >= self.block_needs_history:
            return Outcome.BLOCK
        if score >= self.review_from or self.is_runaway(features):
            return Outcome.REVIEW
        return Outcome.ALLOW

    def is_runaway(self, features: Sequence[float]) -> bool:
        """Say whether the wallet pays so often that a person must look, whatever the score."""
        return features[_COUNT_1H] >= self.review_from_count_1h


CURRENT: Final = Policy(
    version="fraud-policy-1",
    review_from=0.35,
    block_from=0.90,
    review_from_count_1h=10_000,
    block_needs_history=3,
)
"""Calibrated on simulated days, checked on real-looking ones: docs/models/fraud-v1.md says how."""
