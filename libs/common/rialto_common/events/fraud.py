"""The fraud service's verdicts, on `rialto.fraud.v1`, keyed by payment id."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rialto_common.events.common import FRAUD, MerchantId, Mode, PaymentId
from rialto_common.events.envelope import EventData


class Reason(BaseModel):
    """Why the score is what it is: a stable code, the feature behind it, its value and what it added to the score."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    code: str
    feature: str
    value: float
    contribution: float


class FraudAssessed(EventData):
    """A payment was scored: `score` is the probability of fraud, `outcome` what the policy makes of it."""

    type: ClassVar[str] = "rialto.fraud.assessed.v1"
    topic: ClassVar[str] = FRAUD

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    score: float = Field(ge=0, le=1)
    outcome: Literal["allow", "review", "block"]
    reasons: list[Reason]
    model_version: str
    policy_version: str


MODELS: tuple[type[EventData], ...] = (FraudAssessed,)
