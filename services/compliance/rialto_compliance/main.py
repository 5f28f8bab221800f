"""Puts the compliance service together: the only module that builds adapters or reads its variables."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.events import Event
from rialto_common.events.common import COMPLIANCE, PAYMENTS
from rialto_common.events.payments import PaymentCreated, PaymentCreatedV2
from rialto_common.keyring import Keyring
from rialto_common.service import Service, run
from rialto_compliance.adapters.list_files import read_lists
from rialto_compliance.adapters.postgres import PostgresLists, PostgresScreenings, PostgresUnit
from rialto_compliance.application.handlers import ScreenPayments
from rialto_compliance.application.screener import Screener
from rialto_compliance.domain.errors import ListUnreadable
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.policy import POLICY
from rialto_compliance.entrypoints.http import Store, router
from rialto_compliance.metrics import ScreeningMetrics
from rialto_compliance.settings import ComplianceSettings

NAME = "compliance"

log = structlog.get_logger()


async def build(service: Service[ComplianceSettings]) -> None:
    """Give the frame its routes and, unless it serves the API alone, the lists and the consumer."""

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        async with service.pool.acquire() as connection:
            yield PostgresScreenings(connection), PostgresLists(connection)

    service.add_router(router(open_store, service.tokens))
    if service.role != "api":
        await _consume(service)


async def _consume(service: Service[ComplianceSettings]) -> None:
    settings, runtime = service.settings, service.runtime
    index = load_index(settings.list_paths, salt=runtime.random_bytes(32), remembered_names=settings.remembered_names)
    loaded_at = runtime.now()
    metrics = ScreeningMetrics(service.registry)
    metrics.loaded(index.lists, loaded_at, runtime)
    runtime.crash_point("compliance.before_lists_recorded")
    async with service.pool.acquire() as connection:
        await PostgresLists(connection).record(index.lists, loaded_at)
    runtime.crash_point("compliance.after_lists_recorded")
    for source in index.lists:
        log.info("list.loaded", list_id=source.list_id, version=source.version, entities=len(source.entities))
    keyring = Keyring(settings.master_key(), runtime)
    screen_payments = ScreenPayments(Screener(index, runtime, metrics), POLICY, runtime, metrics)

    async def handle(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        await screen_payments(PostgresUnit(transaction, keyring), events)

    await service.consume(NAME, [PAYMENTS], frozenset({PaymentCreated.type, PaymentCreatedV2.type}), handle)


def load_index(paths: Sequence[Path], *, salt: bytes, remembered_names: int) -> Index:
    """Read the list files and index them.

    Exits the process with a sentence when a list cannot be used: no payment may pass unscreened.
    """
    try:
        lists = read_lists(paths)
    except ListUnreadable as error:
        sys.exit(f"rialto-{NAME}: {error.detail}. Set RIALTO_COMPLIANCE_LIST_PATHS to files that it can read.")
    return Index(lists, cutoff=POLICY.review_score, salt=salt, remembered_names=remembered_names)


def main() -> None:
    """Run the service as this process."""
    run(NAME, ComplianceSettings, build, publishes=[COMPLIANCE])
