"""From hits and rules to one outcome, by thresholds that carry a version.

A block refuses a payment without a person looking, so it asks for more than likeness: the name must be the listed
one, or next to it, in two words or more, and those words must be rare enough among the listed to mean somebody
(`specificity`: the sum of the matched words' weights, about 1 for one unheard-of word). An exact but common name goes
to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rialto_compliance.domain.matching import Hit
from rialto_compliance.domain.rules import Outcome, Party, RuleOutcome

_SEVERITY: dict[Outcome, int] = {"clear": 0, "review": 1, "block": 2}


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds in force. Change one and the version changes with it."""

    version: str
    review_score: float
    block_score: float
    block_specificity: float

    def judge(self, hits: Iterable[Hit]) -> Outcome:
        """Return what one party's hits amount to."""
        return worst(self._judge_one(hit) for hit in hits)

    def _judge_one(self, hit: Hit) -> Outcome:
        if hit.score < self.review_score:
            return "clear"
        certain = (
            hit.score >= self.block_score
            and hit.features.specificity >= self.block_specificity
            and hit.features.matched_tokens > 1
        )
        return "block" if certain else "review"

    def decide(self, hits: Sequence[tuple[Party, Hit]], rules: Sequence[RuleOutcome]) -> Outcome:
        """Return the payment's outcome: the worst that any hit or rule says."""
        return worst([self.judge(hit for _, hit in hits), *(rule.outcome for rule in rules)])


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the most severe outcome; clear when there is none."""
    return max(outcomes, key=_SEVERITY.__getitem__, default="clear")


POLICY = Policy(version="1", review_score=0.78, block_score=0.97, block_specificity=1.0)
