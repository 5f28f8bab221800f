"""One payment's screening: its parties' hits and the rules, put together into a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rialto_common.money import Money
from rialto_compliance.domain.matching import Hit
from rialto_compliance.domain.policy import Policy
from rialto_compliance.domain.rules import Outcome, Party, RuleOutcome, amount_over_limit, unreadable


@dataclass(frozen=True, slots=True)
class ScreenedParty:
    """A party with the hits of its name; `hits` is None when the name cannot be read (any more)."""

    party: Party
    hits: tuple[Hit, ...] | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What screening says about one payment, with everything that says why."""

    outcome: Outcome
    hits: tuple[tuple[Party, Hit], ...]
    rules: tuple[RuleOutcome, ...]
    policy_version: str


def decide(parties: Sequence[ScreenedParty], amount: Money, policy: Policy) -> Verdict:
    """Return the verdict on a payment of this amount between these parties.

    Raises: UnknownCurrency: the amount rule cannot be applied, so nothing can be said.
    """
    hits = tuple((screened.party, hit) for screened in parties for hit in screened.hits or ())
    rules = (
        amount_over_limit(amount),
        *(unreadable(screened.party) for screened in parties if screened.hits is None),
    )
    return Verdict(policy.decide(hits, rules), hits, rules, policy.version)
