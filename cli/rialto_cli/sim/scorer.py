"""A fraud model for simulation: the score of a payment follows from its amount alone.

The real one is a tree ensemble in onnxruntime, whose last bits depend on the processor and the build: a history would
not have the same hash on every machine. Everything around the model (features, policy, reasons, histories) is real.
"""

import numpy as np

from rialto_fraud.application.ports import Scores
from rialto_fraud.domain.features import FEATURE_NAMES, FloatArray

REVIEW_FROM = 700.0
BLOCK_FROM = 900.0
"""Amounts, in reference units, from which a payment is likely and almost sure to be fraud."""

_AMOUNT = FEATURE_NAMES.index("amount")


class AmountScorer:
    """Scores rows of features."""

    version = "amount-1"

    async def score_batch(self, features: FloatArray) -> Scores:
        """Return the scores of some rows: only comparisons and constants, so the same bits everywhere."""
        amounts = features[:, _AMOUNT]
        review, block = amounts >= REVIEW_FROM, amounts >= BLOCK_FROM
        probability = np.where(block, 0.95, np.where(review, 0.5, 0.0625)).astype(np.float32)
        log_odds = np.where(block, 3.0, np.where(review, 0.0, -2.75)).astype(np.float32)
        return Scores(probability, log_odds)
