"""Why a score is what it is: groups of features set back to an ordinary payment's, one group at a time.

A single feature says little, since "twice the usual amount" moves three of them together. So features are grouped by
the sentence a person would say, the group is replaced by its values in an ordinary payment, and the model is asked
again. The contribution is what the log-odds lose: a difference between two answers of the very model that decided, not
an approximation of it. Groups overlap in what they explain, so contributions need not add up to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rialto_fraud.domain.features import FEATURE_NAMES, FloatArray, Row
from rialto_fraud.domain.policy import Policy

REASONS_GIVEN: Final = 3

REFERENCE: Final[dict[str, float]] = {
    "amount": 40.0,
    "is_night": 0.0,
    "is_weekend": 0.0,
    "customer_count_1h": 0.0,
    "customer_count_1d": 1.0,
    "customer_count_7d": 8.0,
    "customer_count_30d": 30.0,
    "customer_amount_ratio_30d": 1.0,
    "customer_amount_z_30d": 0.0,
    "hours_since_last_payment": 12.0,
    "is_new_terminal": 0.0,
    "terminal_count_1d": 3.0,
    "terminal_count_7d": 15.0,
    "terminal_amount_ratio_30d": 1.0,
}
"""An ordinary payment: what each feature is set back to."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of an assessment. ``contribution`` is in log-odds; above 0 it raised the score."""

    code: str
    feature: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Group:
    """A reason code and the features that are set back together; the first one is shown to people."""

    code: str
    features: tuple[str, ...]


GROUPS: Final = (
    Group("amount_above_usual", ("customer_amount_ratio_30d", "customer_amount_z_30d", "amount")),
    Group("amount_unusual_for_terminal", ("terminal_amount_ratio_30d",)),
    Group("burst_of_payments", ("customer_count_1h", "customer_count_1d", "hours_since_last_payment")),
    Group("new_terminal", ("is_new_terminal",)),
    Group("unusual_terminal_activity", ("terminal_count_1d", "terminal_count_7d")),
    Group("unusual_hour", ("is_night", "is_weekend")),
    Group("little_history", ("customer_count_30d", "customer_count_7d")),
)

_COLUMN = {name: index for index, name in enumerate(FEATURE_NAMES)}
_COUNT_1H = _COLUMN["customer_count_1h"]
_COUNT_30D = _COLUMN["customer_count_30d"]
_RATIO = _COLUMN["customer_amount_ratio_30d"]
_COLUMNS = tuple(tuple(_COLUMN[name] for name in group.features) for group in GROUPS)


def reference_row() -> Row:
    """Return the features of an ordinary payment."""
    return tuple(REFERENCE[name] for name in FEATURE_NAMES)


def variants(rows: Sequence[Row]) -> FloatArray:
    """Return the questions to ask the model about some payments: each as it is, then with each group set back.

    Returns: float32, shape (len(rows) * (1 + len(GROUPS)), len(FEATURE_NAMES)).
    """
    each = 1 + len(GROUPS)
    questions = np.repeat(np.array(rows, dtype=np.float32), each, axis=0)
    for index, columns in enumerate(_COLUMNS, start=1):
        for column in columns:
            questions[index::each, column] = REFERENCE[FEATURE_NAMES[column]]
    return questions


def explain(row: Row, log_odds: Sequence[float], policy: Policy) -> tuple[Reason, ...]:
    """Return the reasons for a review or a block, strongest first, at least one and at most REASONS_GIVEN.

    Args: the features; the log-odds that the model gave to ``variants([row])``, in order.
    """
    found = []
    if policy.is_runaway(row):
        found.append(Reason("too_many_payments", "customer_count_1h", row[_COUNT_1H], 0.0))
    contributions = [log_odds[0] - without for without in log_odds[1:]]
    for index in sorted(range(len(GROUPS)), key=lambda index: -contributions[index]):
        if contributions[index] > 0:
            feature = _shown(GROUPS[index], row)
            found.append(Reason(GROUPS[index].code, feature, row[_COLUMN[feature]], contributions[index]))
    return tuple(found[:REASONS_GIVEN]) or (Reason("unusual_combination", "amount", row[_COLUMN["amount"]], 0.0),)


def usual(row: Row) -> Reason:
    """Return the reason of a payment that is let through: how its amount compares with what the wallet usually pays."""
    return Reason("within_usual_pattern", "customer_amount_ratio_30d", row[_RATIO], 0.0)


def _shown(group: Group, row: Row) -> str:
    """Return the group's feature to show; a wallet without a history has no usual amount, so show the amount itself."""
    if group.code == "amount_above_usual" and row[_COUNT_30D] == 0:
        return "amount"
    return group.features[0]
