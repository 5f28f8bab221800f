"""Puts the ledger together: the only module that builds adapters or reads RIALTO_LEDGER_* variables."""

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.events.common import LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.service import Service, run
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.application.sweeper import Sweeper
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES, LedgerConsumer
from rialto_ledger.entrypoints.http import Desk, router
from rialto_ledger.settings import LedgerSettings

NAME = "ledger"


async def build(service: Service[LedgerSettings]) -> None:
    """Give the frame its consumer, its timer and its routes."""

    def ledger_of(transaction: PostgresTransaction) -> PostgresLedger:
        return PostgresLedger(transaction.connection)

    begin, runtime = service.unit_of_work.begin, service.runtime
    poster = CoalescingPoster(begin, ledger_of, runtime)
    service.add_router(router(Desk(poster, PostgresReader(service.pool), runtime), service.tokens))
    service.add_loop("sweeper", Sweeper(begin, ledger_of, runtime).step)
    if service.role != "api":
        consumer = LedgerConsumer(ledger_of, runtime)
        await service.consume(NAME, [PAYMENTS, SETTLEMENTS], HANDLED_TYPES, consumer.handle)


def main() -> None:
    """Run the service as this process."""
    run(NAME, LedgerSettings, build, publishes=[LEDGER])
