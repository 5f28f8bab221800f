"""The figures a model card quotes. AUC and AP are scikit-learn's; the rest is counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from rialto_fraud.domain.policy import Policy


def ranking(scores: npt.NDArray[Any], fraud: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return AUC and average precision, and the share of fraud; rounded to four places."""
    return {
        "payments": len(scores),
        "fraud_share": round(float(fraud.mean()), 5),
        "auc": round(float(roc_auc_score(fraud, scores)), 4),
        "average_precision": round(float(average_precision_score(fraud, scores)), 4),
    }


def confusion(
    scores: npt.NDArray[Any], features: npt.NDArray[Any], fraud: npt.NDArray[np.bool_], policy: Policy
) -> dict[str, Any]:
    """Return how many honest and fraudulent payments the policy allows, reviews and blocks."""
    outcomes = np.array(
        [policy.decide(float(score), row).value for score, row in zip(scores, features.tolist(), strict=True)]
    )
    table: dict[str, Any] = {}
    for outcome in ("allow", "review", "block"):
        chosen = outcomes == outcome
        table[outcome] = {
            "share": round(float(chosen.mean()), 5),
            "honest": int((chosen & ~fraud).sum()),
            "fraud": int((chosen & fraud).sum()),
        }
    return table
