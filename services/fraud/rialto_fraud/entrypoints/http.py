"""The service's own API, for the gateway and the operator; every request carries a service token."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

from rialto_common import ids
from rialto_common.dead_letter_api import bearer
from rialto_common.events.common import MerchantId, Mode, PaymentId
from rialto_common.events.fraud import Reason
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_fraud.application.ports import Assessments
from rialto_fraud.domain.assessment import Assessment
from rialto_fraud.domain.errors import AssessmentNotFound
from rialto_fraud.domain.features import FEATURE_NAMES
from rialto_fraud.domain.policy import Outcome

AUDIENCE = "fraud"


class AssessmentBody(BaseModel):
    """A payment's assessment: enough to explain it and to compute it again."""

    model_config = {"protected_namespaces": ()}

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    score: float
    outcome: Outcome
    reasons: list[Reason]
    features: dict[str, float]
    feature_version: str
    model_version: str
    policy_version: str
    occurred_at: datetime
    assessed_at: datetime


OpenAssessments = Callable[[], AbstractAsyncContextManager[Assessments]]


def router(open_assessments: OpenAssessments, tokens: ServiceTokens) -> APIRouter:
    """Return the routes. `open_assessments` lends a connection for one request."""
    routes = APIRouter(prefix="/v1")

    async def assessments() -> AsyncIterator[Assessments]:
        async with open_assessments() as opened:
            yield opened

    async def caller(authorization: Annotated[str | None, Header()] = None) -> Caller:
        return tokens.check(bearer(authorization), audience=AUDIENCE)

    async def get_assessment(
        payment_id: str,
        caller: Annotated[Caller, Depends(caller)],
        assessments: Annotated[Assessments, Depends(assessments)],
    ) -> AssessmentBody:
        """Return a payment's assessment with its reasons and features; a merchant's token reaches its own only."""
        assessment = await assessments.find(ids.from_text("pay", payment_id))
        if assessment is None or not may_see(caller, assessment):
            raise AssessmentNotFound(f"payment {payment_id} has no assessment here")
        return body_of(assessment)

    routes.add_api_route("/assessments/{payment_id}", get_assessment, methods=["GET"])
    return routes


def may_see(caller: Caller, assessment: Assessment) -> bool:
    """Say whether a caller may know of an assessment: the operator always, a merchant of its own in its mode."""
    return caller.merchant_id is None or (caller.merchant_id, caller.mode) == (assessment.merchant_id, assessment.mode)


def body_of(assessment: Assessment) -> AssessmentBody:
    """Return the JSON form."""
    return AssessmentBody(
        payment_id=assessment.payment_id,
        merchant_id=assessment.merchant_id,
        mode=assessment.mode,
        score=assessment.score,
        outcome=assessment.outcome,
        reasons=[
            Reason(code=reason.code, feature=reason.feature, value=reason.value, contribution=reason.contribution)
            for reason in assessment.reasons
        ],
        features=dict(zip(FEATURE_NAMES, assessment.features, strict=True)),
        feature_version=assessment.versions.features,
        model_version=assessment.versions.model,
        policy_version=assessment.versions.policy,
        occurred_at=assessment.occurred_at,
        assessed_at=assessment.assessed_at,
    )
