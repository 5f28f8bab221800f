"""Puts the ledger together: the only module that builds adapters or reads RIALTO_LEDGER_* variables."""

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.events.common import LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.service import Service, run
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.sweeper import Sweeper
from rialto_ledger.domain.identifier import Identifiers
from rialto_ledger.entrypoints import accounts_http, entries_http, holds_http
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES, LedgerConsumer
from rialto_ledger.settings import LedgerSettings

NAME = "ledger"
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""8,190 entries of two postings and some metadata."""


async def build(service: Service[LedgerSettings]) -> None:
    """Give the frame its consumer, its timer and its routes."""

    def ledger_of(transaction: PostgresTransaction) -> PostgresLedger:
        return PostgresLedger(transaction.connection)

    begin, runtime = service.unit_of_work.begin, service.runtime
    poster = CoalescingPoster(begin, ledger_of, runtime)
    reader, prefix = PostgresReader(service.pool), service.settings.account_identifier_prefix
    identifiers = None if prefix is None else Identifiers.parse(prefix)
    service.add_router(accounts_http.router(accounts_http.AccountDesk(poster, reader, identifiers), service.tokens))
    service.add_router(entries_http.router(entries_http.EntryDesk(poster, reader, runtime), service.tokens))
    service.take_bodies("/v1/journal_entries/batch", MAX_BATCH_BYTES)
    service.add_router(holds_http.router(holds_http.HoldDesk(poster, reader, runtime), service.tokens))
    service.add_loop("sweeper", Sweeper(begin, ledger_of, runtime).step)
    if service.role != "api":
        consumer = LedgerConsumer(ledger_of, runtime)
        await service.consume(NAME, [PAYMENTS, SETTLEMENTS], HANDLED_TYPES, consumer.handle)


def main() -> None:
    """Run the service as this process."""
    run(NAME, LedgerSettings, build, publishes=[LEDGER])
