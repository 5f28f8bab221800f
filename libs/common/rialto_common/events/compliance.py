"""The compliance service's verdicts, on `rialto.compliance.v1`, keyed by payment id."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rialto_common.events.common import COMPLIANCE, MerchantId, Mode, PaymentId
from rialto_common.events.envelope import EventData


class Hit(BaseModel):
    """A list entity that a party resembles, with the features that matched; never the party's own name."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    party: Literal["payer", "payee"]
    list_id: str
    list_version: str
    entity_id: str
    score: float = Field(ge=0, le=1)
    features: dict[str, float]


class RuleOutcome(BaseModel):
    """What one rule said, with the version of it that ran."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: str
    version: str
    outcome: Literal["clear", "review", "block"]


class ComplianceScreened(EventData):
    """A payment's parties were screened and the rules ran."""

    type: ClassVar[str] = "rialto.compliance.screened.v1"
    topic: ClassVar[str] = COMPLIANCE

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    outcome: Literal["clear", "review", "block"]
    hits: list[Hit]
    rules: list[RuleOutcome]


MODELS: tuple[type[EventData], ...] = (ComplianceScreened,)
