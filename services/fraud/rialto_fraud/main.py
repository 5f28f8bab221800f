"""Puts the fraud service together: the only module that builds adapters or reads its variables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.errors import ServiceUnavailable
from rialto_common.events import Event
from rialto_common.events.common import FRAUD, PAYMENTS
from rialto_common.events.payments import PaymentCreated, PaymentCreatedV2
from rialto_common.service import Service, run
from rialto_fraud.adapters.onnx_scorer import OnnxScorer, load
from rialto_fraud.adapters.postgres import PostgresAssessments, PostgresUnit
from rialto_fraud.application.handlers import AssessPayments
from rialto_fraud.application.ports import Assessments
from rialto_fraud.domain.errors import ModelUnusable
from rialto_fraud.domain.policy import CURRENT
from rialto_fraud.entrypoints.http import router
from rialto_fraud.metrics import FraudMetrics
from rialto_fraud.settings import FraudSettings

NAME = "fraud"

log = structlog.get_logger()


async def build(service: Service[FraudSettings]) -> None:
    """Give the frame its routes and, unless it serves the API alone, the model and the consumer."""

    @asynccontextmanager
    async def open_assessments() -> AsyncIterator[Assessments]:
        async with service.pool.acquire() as connection:
            yield PostgresAssessments(connection)

    service.add_router(router(open_assessments, service.tokens))
    if service.role != "api":
        await _consume(service)


async def _consume(service: Service[FraudSettings]) -> None:
    """Load the model and start to assess; with a model that cannot be trusted, stay up, not ready, and assess nothing.

    Payments then wait, and the gateway takes them to review at their deadline.
    """
    scorer: OnnxScorer | None = None
    fault = ""
    try:
        scorer = load(service.settings.model_version, service.settings.models_folder)
    except ModelUnusable as error:
        fault = str(error)
        log.error("model.unusable", error=fault)

    async def model_loaded() -> None:
        if scorer is None:
            raise ServiceUnavailable(fault)

    service.add_ready_check("model", model_loaded)
    if scorer is None:
        return
    log.info("model.loaded", model_version=scorer.version, policy_version=CURRENT.version)
    assess_payments = AssessPayments(scorer, CURRENT, service.runtime, FraudMetrics(service.registry))

    async def handle(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        await assess_payments(PostgresUnit(transaction), events)

    await service.consume(NAME, [PAYMENTS], frozenset({PaymentCreated.type, PaymentCreatedV2.type}), handle)


def main() -> None:
    """Run the service as this process."""
    run(NAME, FraudSettings, build, publishes=[FRAUD])
