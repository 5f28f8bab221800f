"""The gateway's composition root: the only place that builds its parts and reads its settings."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.reporter import TotalsReporter
from rialto_common.events.common import PAYMENTS
from rialto_common.events.payments import PaymentTotalsReported
from rialto_common.keyring import Keyring
from rialto_common.service import Service, run
from rialto_gateway.attempts.api import attempt_router
from rialto_gateway.attempts.cards import Cards
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.attempts.metrics import AttemptMetrics
from rialto_gateway.attempts.ports import Connectors
from rialto_gateway.attempts.resolver import AttemptResolver
from rialto_gateway.attempts.runner import AttemptRunner
from rialto_gateway.attempts.store import PostgresAttemptReader
from rialto_gateway.balance.api import balance_router
from rialto_gateway.balance.reader import Balances
from rialto_gateway.connectors import simulated
from rialto_gateway.connectors.api import connector_router
from rialto_gateway.connectors.disputes import DisputeConnector
from rialto_gateway.connectors.routes import Acquirer, Routed, RouteMetrics, read_rules
from rialto_gateway.connectors.webhooks import ConnectorWebhooks, ReadWebhook
from rialto_gateway.cursors import Cursors
from rialto_gateway.customers.api import customer_router
from rialto_gateway.customers.store import Customers
from rialto_gateway.disputes.api import dispute_router
from rialto_gateway.disputes.loop import DisputeDesk
from rialto_gateway.disputes.service import DisputeService
from rialto_gateway.disputes.store import DisputeReader, DisputeUnits
from rialto_gateway.documentation import document
from rialto_gateway.events.api import event_router
from rialto_gateway.expansions.payments import PaymentExpansions
from rialto_gateway.funds.api import funds_router
from rialto_gateway.funds.ledger import LedgerFunds
from rialto_gateway.idempotency import IdempotentRequests, Vault
from rialto_gateway.increments.service import IncrementService
from rialto_gateway.ledger_calls import LedgerCalls
from rialto_gateway.limits import policy_of
from rialto_gateway.merchants.api import merchant_router
from rialto_gateway.merchants.key_api import key_router
from rialto_gateway.merchants.key_news import KeyNews
from rialto_gateway.merchants.keys import ApiKeys
from rialto_gateway.payment_links.api import payment_link_router
from rialto_gateway.payment_links.checkout import checkout_router
from rialto_gateway.payment_links.store import PaymentLinks
from rialto_gateway.payments import handlers
from rialto_gateway.payments.accept import Acceptor
from rialto_gateway.payments.api import payment_router
from rialto_gateway.payments.deadlines import DeadlineSweep
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.overload import Admission, oldest_unhandled
from rialto_gateway.payments.service import PaymentService
from rialto_gateway.payments.store import QUERIES, PostgresPaymentReader, PostgresUnit, PostgresUnits
from rialto_gateway.payouts.api import payout_router
from rialto_gateway.payouts.loop import PayoutClock
from rialto_gateway.payouts.service import PayoutService
from rialto_gateway.payouts.settings_api import payout_settings_router
from rialto_gateway.payouts.store import PostgresPayoutReader
from rialto_gateway.pricing.api import pricing_router
from rialto_gateway.pricing.fees_api import fee_router
from rialto_gateway.pricing.store import PostgresFees
from rialto_gateway.rate_limiter import RateLimiter
from rialto_gateway.refunds.api import refund_router
from rialto_gateway.refunds.service import RefundService
from rialto_gateway.refunds.store import PostgresRefundReader
from rialto_gateway.saved_methods.api import saved_method_router
from rialto_gateway.saved_methods.store import SavedMethods
from rialto_gateway.settings import GatewaySettings
from rialto_gateway.settlement_files.api import PATH as SETTLEMENT_FILES
from rialto_gateway.settlement_files.api import settlement_router
from rialto_gateway.settlement_files.file import MAX_BYTES
from rialto_gateway.settlement_files.importer import SettlementImporter, SettlementWatch
from rialto_gateway.settlement_files.metrics import SettlementMetrics
from rialto_gateway.settlement_files.store import SettlementDifferences
from rialto_gateway.wallets.api import wallet_router
from rialto_gateway.wallets.directory import PostgresWallets, WalletDirectory
from rialto_gateway.wallets.ledger_client import LedgerClient
from rialto_gateway.webhooks.api import webhook_router
from rialto_gateway.webhooks.deliver import WebhookDelivery
from rialto_gateway.webhooks.deliveries_api import delivery_router
from rialto_gateway.webhooks.outgoing import OutgoingCalls
from rialto_gateway.webhooks.queue import PostgresQueue
from rialto_gateway.webhooks.retention import Retention

LEDGER_TIMEOUT_SECONDS = 10.0
ACQUIRER_TIMEOUT_SECONDS = 10.0


async def build(
    service: Service[GatewaySettings],
    connectors: Connectors | None = None,
    disputed: Mapping[str, DisputeConnector] | None = None,
) -> None:
    """Put the gateway together; without `connectors` it takes no cards. `disputed` are those that tell of disputes."""
    settings, runtime, pool = service.settings, service.runtime, service.pool
    deadlines = settings.deadlines()
    keyring = Keyring(settings.master_key(), runtime)
    vault = Vault(settings.master_key(), runtime)
    keys = ApiKeys(
        pool,
        runtime,
        pepper=settings.api_key_pepper.get_secret_value(),
        admin_key=settings.admin_key.get_secret_value(),
    )
    news = KeyNews(settings.database_url.get_secret_value(), pool, runtime, keys.forget)
    service.on_close(news.close)
    service.on_close(keys.write_uses)
    keys.limit_by(RateLimiter(pool, runtime, policy_of(settings.rate_limit_per_second)).check)
    keys.when_used(news.listen)
    once = IdempotentRequests(service.unit_of_work, vault, runtime, pool)
    directory = WalletDirectory(PostgresWallets(pool))
    ledger_http = runtime.http_client(
        base_url=settings.ledger_url, timeout=LEDGER_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
    )
    service.on_close(ledger_http.aclose)
    ledger_calls = LedgerCalls(ledger_http, service.tokens, runtime)
    ledger = LedgerClient(ledger_calls)
    acquirers, readers = simulated_acquirers(service)
    answering: dict[str, DisputeConnector] = {
        each.connector.name: each.connector
        for each in acquirers
        if isinstance(each.connector, simulated.SimulatedAcquirer)
    } | dict(disputed or {})
    dispute_reader = DisputeReader(pool, keyring)
    add_stripe(service, acquirers, readers)
    connectors = connectors or routes(service, acquirers)
    cards, attempts = Cards(vault, settings.master_key()), PostgresAttemptReader(pool)
    units, reader = PostgresUnits(service.unit_of_work, keyring), PostgresPaymentReader(pool)
    customers = Customers(pool, keyring)
    saved = SavedMethods(pool, cards, customers, runtime)
    expansions = PaymentExpansions(pool, reader, customers, saved, runtime)
    payments = PaymentService(
        units=units,
        reader=reader,
        acceptor=Acceptor(units, cards, runtime, deadlines),
        attempts=attempts,
        connectors=connectors,
        wallets=directory,
        saved=saved,
        fees=PostgresFees(pool),
        runtime=runtime,
        deadlines=deadlines,
        currencies=settings.settled_currencies(),
    )
    increments = IncrementService(
        units=units,
        reader=reader,
        runtime=runtime,
        deadlines=deadlines,
        share_bps=settings.increment_limit_bps,
        review_major=settings.increment_review_major,
    )
    undecided = deadlines.by_state["created"].after
    admission = Admission(
        oldest_unhandled(pool, undecided), runtime, limit=timedelta(seconds=settings.overload_age_seconds)
    )
    allow_private = settings.webhook_allow_private
    if service.role != "worker":
        # First, and not included: FastAPI tries an included router's routes twice, a fifth of the accept path.
        first = payment_router(payments, increments, keys, once, admission, expansions).routes
        service.app.router.routes[:0] = first
    service.add_router(wallet_router(directory=directory, ledger=ledger, once=once, keys=keys, runtime=runtime))
    funds = LedgerFunds(ledger_calls)
    service.add_router(funds_router(funds=funds, wallets=directory, once=once, keys=keys))
    service.add_router(balance_router(Balances(pool, funds, runtime), keys))
    links = PaymentLinks(pool)
    service.add_router(
        payment_link_router(
            links=links,
            once=once,
            keys=keys,
            runtime=runtime,
            public_url=settings.address_for_payers(),
            currencies=settings.settled_currencies(),
        )
    )
    service.add_router(
        checkout_router(links=links, payments=payments, keys=keys, runtime=runtime, takes_cards=connectors.takes_cards)
    )
    service.add_router(customer_router(customers=customers, once=once, keys=keys, runtime=runtime))
    service.add_router(saved_method_router(saved=saved, once=once, keys=keys, runtime=runtime))
    refunds = RefundService(
        units=units, payments=reader, reader=PostgresRefundReader(pool), runtime=runtime, deadlines=deadlines
    )
    service.add_router(refund_router(refunds, keys, expansions))
    service.add_router(attempt_router(attempts, keys))
    service.add_router(merchant_router(pool=pool, once=once, keys=keys, runtime=runtime))
    service.add_router(key_router(pool=pool, once=once, keys=keys, runtime=runtime, tell=news.tell))
    service.add_router(
        webhook_router(pool=pool, once=once, vault=vault, keys=keys, runtime=runtime, allow_private=allow_private)
    )
    cursors = Cursors(settings.master_key())
    payout_reader = PostgresPayoutReader(pool)
    payouts = PayoutService(units=units, reader=payout_reader, funds=funds, runtime=runtime, deadlines=deadlines)
    service.add_router(payout_router(payouts=payouts, reader=payout_reader, keys=keys, cursors=cursors))
    service.add_router(
        payout_settings_router(
            payouts=payouts, unit_of_work=service.unit_of_work, pool=pool, keys=keys, runtime=runtime
        )
    )
    service.add_loop("payouts", PayoutClock(units, payout_reader, payouts, runtime).step)
    service.add_router(pricing_router(unit_of_work=service.unit_of_work, pool=pool, keys=keys, runtime=runtime))
    service.add_router(fee_router(reader=PostgresFees(pool), keys=keys, cursors=cursors))
    service.add_router(delivery_router(pool=pool, once=once, vault=vault, keys=keys, runtime=runtime, cursors=cursors))
    service.add_router(event_router(pool=pool, keys=keys, payments=reader, cursors=cursors))

    def unit_of(transaction: PostgresTransaction) -> PostgresUnit:
        return PostgresUnit(transaction, keyring)

    facts = handlers.FactHandler(unit_of, runtime, deadlines)
    await service.consume("gateway", handlers.TOPICS, handlers.TYPES, facts.handle)
    service.add_loop("deadlines", DeadlineSweep(units, reader, runtime, deadlines).step)
    resolver = add_attempts(service, units, attempts, connectors, cards, deadlines)
    disputes = DisputeService(
        units=DisputeUnits(service.unit_of_work, keyring),
        reader=dispute_reader,
        attempts=attempts,
        runtime=runtime,
        deadlines=deadlines,
        fee_minor=settings.dispute_fee_minor,
    )
    service.add_router(
        dispute_router(
            disputes=disputes, reader=dispute_reader, once=once, keys=keys, cursors=cursors, expansions=expansions
        )
    )
    service.add_loop("disputes", DisputeDesk(dispute_reader, disputes, answering, runtime).step)
    webhooks = ConnectorWebhooks(
        readers,
        resolver.hear,
        disputes.hear,
        pool,
        vault,
        runtime,
        service.registry,
        keep=timedelta(days=settings.event_retention_days),
    )
    service.add_router(connector_router(webhooks, keys, cursors))
    service.add_loop("connector-webhook-retention", webhooks.sweep)
    add_settlement_files(service, connectors.names(), resolver, keys=keys, once=once, cursors=cursors)
    document(service.app)
    calls = OutgoingCalls(runtime, allow_private=allow_private)
    service.on_close(calls.close)
    queue = PostgresQueue(pool, vault, runtime)
    delivery = WebhookDelivery(queue, runtime, vault, calls, service.registry)
    service.on_close(delivery.close)
    service.add_loop("webhooks", delivery.step)
    retention = Retention(pool, runtime, service.registry, keep=timedelta(days=settings.event_retention_days))
    service.add_loop("webhook-retention", retention.step)
    service.add_loop("idempotency-sweep", once.sweep)
    totals = TotalsReporter(
        service.unit_of_work,
        schema=service.name,
        model=PaymentTotalsReported,
        derive=QUERIES["totals_by_day"],
        runtime=runtime,
        metrics=ControlMetrics(service.registry),
    )
    service.add_loop("control-totals", totals.step)


def simulated_acquirers(service: Service[GatewaySettings]) -> tuple[list[Acquirer], dict[str, ReadWebhook]]:
    """Return the simulated acquirers, and what reads their webhooks, by their names."""
    found: list[Acquirer] = []
    readers: dict[str, ReadWebhook] = {}
    for name, acquirer in service.settings.simulated_acquirers().items():
        http = service.runtime.http_client(
            base_url=acquirer.url,
            headers={"Authorization": f"Bearer {acquirer.key.get_secret_value()}"},
            timeout=ACQUIRER_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )
        service.on_close(http.aclose)
        readers[name] = partial(simulated.read_webhook, acquirer.webhook_secret.get_secret_value())
        found.append(Acquirer(simulated.SimulatedAcquirer(http, name), modes=["test"]))
    return found, readers


def add_stripe(service: Service[GatewaySettings], acquirers: list[Acquirer], readers: dict[str, ReadWebhook]) -> None:
    """Add Stripe to the acquirers, and to what reads their webhooks, where it is configured."""
    secrets = service.settings.stripe()
    if secrets is None:
        return
    # Here and not above: its SDK takes half a second to import, which those who do not use it need not wait for.
    from rialto_gateway.connectors.stripe_acquirer import NAME, StripeAcquirer, modes_of
    from rialto_gateway.connectors.stripe_answers import read_webhook

    api_key, webhook_secret = secrets
    http = service.runtime.http_client(timeout=ACQUIRER_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)
    service.on_close(http.aclose)
    readers[NAME] = partial(read_webhook, webhook_secret)
    connector = StripeAcquirer(http, api_key, service.runtime, service.settings.stripe_api_base)
    acquirers.append(Acquirer(connector, modes_of(api_key)))


def routes(service: Service[GatewaySettings], acquirers: Sequence[Acquirer]) -> Connectors:
    """Return the acquirers with the rules that choose among them; without acquirers, no card is taken."""
    if not acquirers:
        return InOrder()
    file = service.settings.routing_file
    rules = read_rules(Path(file).read_text()) if file else []
    return Routed(acquirers, rules, service.runtime, RouteMetrics(service.registry))


def add_attempts(
    service: Service[GatewaySettings],
    units: PostgresUnits,
    reader: PostgresAttemptReader,
    connectors: Connectors,
    cards: Cards,
    deadlines: Deadlines,
) -> AttemptResolver:
    """Give the frame the loop that asks acquirers; return what their webhooks tell."""
    runtime, metrics = service.runtime, AttemptMetrics(service.registry)
    resolver = AttemptResolver(units, reader, connectors, runtime, deadlines, metrics)
    runner = AttemptRunner(units, reader, resolver, connectors, cards, runtime, metrics)
    service.add_loop("attempts", runner.step)
    service.on_close(runner.settle)
    return resolver


def add_settlement_files(
    service: Service[GatewaySettings],
    connectors: Sequence[str],
    resolver: AttemptResolver,
    *,
    keys: ApiKeys,
    once: IdempotentRequests,
    cursors: Cursors,
) -> None:
    """Give the frame what takes acquirers' settlement files, and the loop that misses what is in none."""
    runtime, pool = service.runtime, service.pool
    metrics, differences = SettlementMetrics(service.registry, connectors), SettlementDifferences(pool)
    importer = SettlementImporter(service.unit_of_work, pool, resolver.hear, runtime, metrics)
    service.add_router(
        settlement_router(
            importer=importer,
            differences=differences,
            connectors=connectors,
            keys=keys,
            once=once,
            cursors=cursors,
            runtime=runtime,
        )
    )
    for name in connectors:
        service.take_bodies(SETTLEMENT_FILES.format(name=name), MAX_BYTES)
    overdue_after = timedelta(days=service.settings.settlement_overdue_days)
    watch = SettlementWatch(importer, differences, connectors, runtime, metrics, overdue_after=overdue_after)
    service.add_loop("settlement-differences", watch.step)


def main() -> None:
    """Run the gateway as this process."""
    run("gateway", GatewaySettings, build, publishes=[PAYMENTS])
