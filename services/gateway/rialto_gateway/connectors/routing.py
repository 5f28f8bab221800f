"""Which acquirers may be asked for a payment, and in which order. Pure: rules, health and the time go in, names out.

The first rule that matches a payment decides. Acquirers that have been failing go to the end of its list and are not
dropped from it, because a payment tried at a doubtful acquirer is better than one refused without asking.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never

from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Declined,
    NotFound,
    NotSent,
    Pending,
    Succeeded,
    Unknown,
)

Condition = Literal["closed", "half_open", "open"]

HARD_DECLINES = frozenset(
    {
        *("card_expired", "card_invalid", "card_lost_or_stolen", "fraud_suspected", "authentication_failed"),
        *("cancelled", "amount_too_large"),
    }
)
"""What no other acquirer changes, or may be asked to: schemes forbid trying such a card again."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When an acquirer is set aside: after so many failures among its last outcomes within a time; and for how long."""

    failures_to_open: int = 5
    outcomes: int = 20
    remembered: timedelta = timedelta(minutes=5)
    cool_off: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a policy that could never open or never close."""
        if not 1 <= self.failures_to_open <= self.outcomes:
            raise ValueError("failures_to_open must be at least 1 and at most outcomes")
        if min(self.remembered, self.cool_off) <= timedelta(0):
            raise ValueError("remembered and cool_off must be longer than nothing")


@dataclass(frozen=True, slots=True)
class Health:
    """An acquirer's last outcomes (when, whether it worked), the oldest first; `retry_at` while it is set aside."""

    outcomes: tuple[tuple[datetime, bool], ...] = ()
    retry_at: datetime | None = None

    @property
    def failures(self) -> int:
        """How many of the outcomes are failures."""
        return sum(not worked for _, worked in self.outcomes)

    def condition(self, now: datetime) -> Condition:
        """Return `closed` for a working acquirer, `open` for one set aside, `half_open` where a trial is due."""
        if self.retry_at is None:
            return "closed"
        return "open" if now < self.retry_at else "half_open"

    def tried(self, now: datetime, policy: HealthPolicy) -> "Health":
        """Return the health once a question is on its way: a due trial is taken, the next is a cool-off away."""
        if self.condition(now) != "half_open":
            return self
        return replace(self, retry_at=now + policy.cool_off)

    def heard(self, answer: Answer, now: datetime, policy: HealthPolicy) -> "Health":
        """Return the health after an answer.

        A decline is an answer of a working acquirer. `NotFound` changes nothing: it speaks of a question that was lost.
        """
        match answer:
            case NotFound():
                return self
            case Succeeded() | Pending() | ActionRequired() | Declined():
                # One that works again is taken for well: what it did before says nothing any more.
                return self._after(True, now, policy) if self.retry_at is None else Health(((now, True),))
            case NotSent() | Unknown():
                failing = self._after(False, now, policy)
                if self.retry_at is None and failing.failures < policy.failures_to_open:
                    return failing
                return replace(failing, retry_at=now + policy.cool_off)
            case _:
                assert_never(answer)

    def _after(self, worked: bool, now: datetime, policy: HealthPolicy) -> "Health":
        recent = [each for each in self.outcomes if now - each[0] < policy.remembered]
        return replace(self, outcomes=(*recent, (now, worked))[-policy.outcomes :])


@dataclass(frozen=True, slots=True)
class Rule:
    """Payments of these kinds go to these acquirers, the preferred first.

    `None` matches every currency or method. Amounts are minor units, both ends included; `None` has no end. After a
    decline with one of the codes `retry_declines`, the next is asked although the acquirer said no.
    """

    connectors: tuple[str, ...]
    currencies: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    minimum_minor: int = 0
    maximum_minor: int | None = None
    retry_declines: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a rule that names no acquirer, one twice, an empty range or a hard decline."""
        if not self.connectors or len(set(self.connectors)) != len(self.connectors):
            raise ValueError("a rule must name at least one acquirer, and each once")
        if self.maximum_minor is not None and self.maximum_minor < self.minimum_minor:
            raise ValueError("maximum_minor must not be below minimum_minor")
        if hard := sorted(self.retry_declines & HARD_DECLINES):
            raise ValueError(f"no other acquirer may be asked after {', '.join(hard)}")

    def matches(self, currency: str, amount_minor: int, method: str) -> bool:
        """Tell whether the rule speaks of such a payment."""
        return (
            (self.currencies is None or currency in self.currencies)
            and (self.methods is None or method in self.methods)
            and amount_minor >= self.minimum_minor
            and (self.maximum_minor is None or amount_minor <= self.maximum_minor)
        )


def rule_for(rules: Sequence[Rule], currency: str, amount_minor: int, method: str) -> Rule | None:
    """Return the first rule that speaks of such a payment."""
    return next((rule for rule in rules if rule.matches(currency, amount_minor, method)), None)


def next_of(
    rule: Rule,
    usable: Collection[str],
    tried: Collection[str],
    decline: str | None,
    health: Mapping[str, Health],
    now: datetime,
) -> str | None:
    """Return the acquirer to ask next; None where there is none.

    Args: usable: those that take payments of its mode. tried: those it was put to. decline: the code of a decline that
    ended the last attempt, None where it ended otherwise.
    """
    if decline is not None and decline not in rule.retry_declines:
        return None
    left = [name for name in rule.connectors if name in usable and name not in tried]
    # The sort is stable: among those that are well, the rule's order stands.
    return min(left, key=lambda name: health.get(name, Health()).condition(now) == "open", default=None)
