"""An assessment: what the service said of one payment, with everything needed to say it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from rialto_fraud.domain.features import Row
from rialto_fraud.domain.policy import Outcome
from rialto_fraud.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Versions:
    """What decided: the features' definition, the model and the policy."""

    features: str
    model: str
    policy: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """One verdict. ``features`` are float32 values as the model saw them; ``score`` is a float32 probability."""

    payment_id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    shard: int
    score: float
    outcome: Outcome
    reasons: tuple[Reason, ...]
    features: Row
    versions: Versions
    occurred_at: datetime
    assessed_at: datetime
