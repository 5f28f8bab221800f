"""Puts the ledger together: the only module that builds adapters or reads RIALTO_LEDGER_* variables."""

from datetime import timedelta
from pathlib import Path

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.reporter import TotalsReporter
from rialto_common.events.common import LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.events.ledger import LedgerTotalsReported
from rialto_common.service import Service, run
from rialto_ledger.adapters import ecb
from rialto_ledger.adapters.control import TOTALS_BY_DAY, PostgresDifferences
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.adapters.postgres_books import PostgresBooks
from rialto_ledger.adapters.postgres_chain import PostgresChainReader, PostgresChains
from rialto_ledger.adapters.postgres_fx import PostgresFxBook, PostgresQuoteUses
from rialto_ledger.adapters.postgres_transfers import PostgresTransferReader, PostgresTransfers
from rialto_ledger.adapters.rate_file import SAMPLE_RATES, RateFile
from rialto_ledger.application.keeper import Keeper
from rialto_ledger.application.ports import Ledger, Reader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.quotes import ClaimingLedger
from rialto_ledger.application.rate_keeper import RateKeeper
from rialto_ledger.application.rates import RateSource
from rialto_ledger.application.reconciliation import SOURCES, Reconciler, beside, reconcile
from rialto_ledger.application.sealer import Sealer
from rialto_ledger.application.shards import KeepingLedger
from rialto_ledger.application.sweeper import Sweeper
from rialto_ledger.application.transfer_watch import TransferWatch
from rialto_ledger.application.transfers import HANDLED_TYPES as TRANSFER_TYPES
from rialto_ledger.application.transfers import SendingLedger, TransferHandler, beside_transfers
from rialto_ledger.chain_metrics import ChainMetrics
from rialto_ledger.domain.fx import SAMPLE, Terms
from rialto_ledger.domain.identifier import Identifiers
from rialto_ledger.entrypoints import (
    accounts_http,
    books_http,
    differences_http,
    entries_direct,
    entries_http,
    holds_http,
    proofs_http,
    transfers_http,
)
from rialto_ledger.entrypoints.access import Posts
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES, LedgerConsumer
from rialto_ledger.entrypoints.fx_http import FxDesk, fx_router
from rialto_ledger.metrics import DifferenceMetrics, RateMetrics
from rialto_ledger.settings import LedgerSettings
from rialto_ledger.transfer_metrics import TransferMetrics

NAME = "ledger"
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""8,190 entries of two postings and some metadata."""


async def build(service: Service[LedgerSettings]) -> None:
    """Give the frame its consumer, its timers and its routes."""

    shards = service.settings.shard_map()

    def ledger_of(transaction: PostgresTransaction) -> Ledger:
        books = PostgresLedger(transaction.connection)
        return books if shards.are_all else KeepingLedger(books, shards)

    def transfers_of(transaction: PostgresTransaction) -> PostgresTransfers:
        return PostgresTransfers(transaction.connection)

    def chains_of(transaction: PostgresTransaction) -> PostgresChains:
        return PostgresChains(transaction.connection)

    begin, runtime = service.unit_of_work.begin, service.runtime

    def posting_ledger_of(transaction: PostgresTransaction) -> Ledger:
        claiming = ClaimingLedger(ledger_of(transaction), PostgresQuoteUses(transaction.connection))
        return SendingLedger(claiming, transfers_of(transaction), transaction.publish, shards)

    poster = CoalescingPoster(begin, posting_ledger_of, runtime)
    reader, prefix = PostgresReader(service.pool), service.settings.account_identifier_prefix
    identifiers = None if prefix is None else Identifiers.parse(prefix)
    service.add_router(accounts_http.router(accounts_http.AccountDesk(poster, reader, identifiers), service.tokens))
    entry_desk = entries_http.EntryDesk(poster, reader, runtime)
    service.add_router(entries_http.router(entry_desk, service.tokens))
    for path, direct in entries_direct.routes(entry_desk, service.tokens).items():
        service.answer_directly(path, direct)
    service.take_bodies("/v1/journal_entries/batch", MAX_BATCH_BYTES)
    service.add_router(holds_http.router(holds_http.HoldDesk(poster, reader, runtime), service.tokens))
    transfers = PostgresTransferReader(service.pool)
    service.add_router(
        transfers_http.router(transfers_http.TransferDesk(poster, reader, transfers, shards, runtime), service.tokens)
    )
    add_fx(service, poster, reader)
    add_reconciliation(service)
    service.add_router(
        proofs_http.router(proofs_http.ProofDesk(reader, PostgresChainReader(service.pool)), service.tokens)
    )
    service.add_router(books_http.router(books_http.BookDesk(PostgresBooks(service.pool), runtime), service.tokens))
    service.add_loop("sweeper", Sweeper(begin, ledger_of, runtime).step)
    service.add_loop("sealer", Sealer(begin, chains_of, runtime, ChainMetrics(service.registry)).step)
    service.add_loop("keeper", Keeper(begin, chains_of, runtime).step)
    if service.role != "api":
        consumer = LedgerConsumer(ledger_of, runtime)
        topics, types = [PAYMENTS, SETTLEMENTS], HANDLED_TYPES | SOURCES.keys()
        handle = beside(consumer.handle, runtime)
        if not shards.are_all:
            # The only ledger has nobody to send to, and need not read its own topic.
            watch = TransferWatch(transfers.under_way, TransferMetrics(service.registry), runtime)
            service.add_loop("transfer-watch", watch.step)
            topics, types = [*topics, LEDGER], types | TRANSFER_TYPES
            handle = beside_transfers(handle, TransferHandler(ledger_of, transfers_of, runtime).handle)
        kept = None if shards.are_all else shards.kept
        await service.consume(service.instance, topics, types, handle, shards=kept)


def add_reconciliation(service: Service[LedgerSettings]) -> None:
    """Give the frame the differences' routes and the loop that reports our totals and compares the others'."""
    runtime = service.runtime
    differences = PostgresDifferences(service.pool)
    service.add_router(differences_http.router(differences_http.DifferenceDesk(differences, runtime), service.tokens))
    reporter = TotalsReporter(
        service.unit_of_work,
        schema=NAME,
        model=LedgerTotalsReported,
        derive=TOTALS_BY_DAY,
        runtime=runtime,
        metrics=ControlMetrics(service.registry),
        then=reconcile,
    )
    reconciler = Reconciler(reporter, differences, DifferenceMetrics(service.registry), runtime)
    service.add_loop("reconciliation", reconciler.step)


def add_fx(service: Service[LedgerSettings], poster: Posts, reader: Reader) -> None:
    """Give the frame the FX routes and the loop that keeps their rates."""
    settings, runtime, book = service.settings, service.runtime, PostgresFxBook(service.pool)
    source, source_name = _rates_of(service)
    terms = Terms(
        source=source_name,
        spread_bps=settings.fx_spread_bps,
        hold=timedelta(seconds=settings.fx_quote_seconds),
        stale_after=timedelta(hours=settings.fx_stale_hours),
    )
    service.add_router(fx_router(FxDesk(poster, reader, book, terms, runtime), service.tokens))
    service.add_loop("fx-rates", RateKeeper(source, book, runtime, RateMetrics(service.registry)).step)


def _rates_of(service: Service[LedgerSettings]) -> tuple[RateSource, str]:
    """Return where rates come from, and what that source is called on record."""
    named = service.settings.fx_rates
    if named == ecb.SOURCE:
        bank = ecb.EcbRates(service.runtime)
        service.on_close(bank.close)
        return bank, ecb.SOURCE
    if named == SAMPLE:
        return RateFile(SAMPLE_RATES, SAMPLE, service.runtime), SAMPLE
    return RateFile(Path(named), "file", service.runtime), "file"


def main() -> None:
    """Run the service as this process."""
    run(NAME, LedgerSettings, build, publishes=[LEDGER])
