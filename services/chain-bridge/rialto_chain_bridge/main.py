"""Puts the chain-bridge together: the only module that builds adapters or reads its variables."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from rialto_chain_bridge.adapters.contracts import Contracts, checksummed
from rialto_chain_bridge.adapters.evm_rpc import JsonRpcChain
from rialto_chain_bridge.adapters.evm_signer import LocalSigner
from rialto_chain_bridge.adapters.postgres import SETTLED_BY_DAY, PostgresStore, PostgresUnit, PostgresUnits
from rialto_chain_bridge.application.bridge import Bridge, BridgeLoop, Pace
from rialto_chain_bridge.application.deployment import ContractPlan, Deployer
from rialto_chain_bridge.application.facts import Facts
from rialto_chain_bridge.application.ports import Chain
from rialto_chain_bridge.application.requests import TakeRequests, Terms
from rialto_chain_bridge.application.watch import Watcher
from rialto_chain_bridge.domain.batch import BatchPolicy
from rialto_chain_bridge.domain.errors import NotDeployed
from rialto_chain_bridge.entrypoints.http import router
from rialto_chain_bridge.metrics import BridgeMetrics
from rialto_chain_bridge.settings import ChainBridgeSettings
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.reporter import TotalsReporter
from rialto_common.events import Event
from rialto_common.events.common import PAYMENTS, SETTLEMENTS
from rialto_common.events.payments import SettlementRequested
from rialto_common.events.settlements import SettlementTotalsReported
from rialto_common.money import currency_exponent
from rialto_common.service import Service, run

NAME = "chain_bridge"
METRICS_SECONDS = 5.0


async def build(service: Service[ChainBridgeSettings]) -> None:
    """Give the frame its routes, its consumer and its loop."""
    settings, runtime = service.settings, service.runtime
    contracts = Contracts()
    signer = LocalSigner(
        settings.operator_key.get_secret_value(),
        chain_id=settings.chain_id,
        max_fee_gwei=settings.max_fee_gwei,
        priority_fee_gwei=settings.priority_fee_gwei,
    )
    chain = JsonRpcChain(
        settings.rpc_url, runtime, timeout_seconds=settings.rpc_timeout_seconds, error_name=contracts.error_name
    )
    service.on_close(chain.close)
    units = PostgresUnits(service.unit_of_work, settings.chain_id, signer.address)
    facts = Facts(settings.chain_id, settings.token)
    metrics = BridgeMetrics(service.registry)
    bridge = _bridge(service, units, chain, signer, contracts, facts, metrics)
    requests = TakeRequests(_terms(settings), facts, runtime)

    async def take(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        await requests.handle(PostgresUnit(transaction, settings.chain_id, signer.address), events)

    @asynccontextmanager
    async def open_store() -> AsyncIterator[PostgresStore]:
        async with service.pool.acquire() as connection:
            yield PostgresStore(connection, settings.chain_id, signer.address)

    async def measure() -> float:
        async with open_store() as store:
            metrics.stock(await store.overview(runtime.now()))
        return METRICS_SECONDS

    async def deployed() -> None:
        async with open_store() as store:
            if await store.deployment() is None:
                raise NotDeployed("the contracts are not deployed yet")

    async def answers() -> None:
        await chain.chain_id()

    service.add_ready_check("chain", answers)
    service.add_ready_check("contracts", deployed)
    service.add_router(router(open_store, service.tokens))
    await service.consume("chain_bridge", [PAYMENTS], frozenset({SettlementRequested.type}), take)
    service.add_loop("bridge", BridgeLoop(bridge).step)
    service.add_loop("metrics", measure)
    totals = TotalsReporter(
        service.unit_of_work,
        schema=service.name,
        model=SettlementTotalsReported,
        derive=SETTLED_BY_DAY,
        runtime=runtime,
        metrics=ControlMetrics(service.registry),
    )
    service.add_loop("control-totals", totals.step)


def _terms(settings: ChainBridgeSettings) -> Terms:
    return Terms(
        mode=settings.mode,
        token_decimals=currency_exponent(settings.token),
        deadline=timedelta(seconds=settings.settlement_deadline_seconds),
        checksummed=checksummed,
    )


def _plan(settings: ChainBridgeSettings) -> ContractPlan:
    return ContractPlan(
        chain_id=settings.chain_id,
        mode=settings.mode,
        token=settings.token,
        token_decimals=currency_exponent(settings.token),
        token_address=None if settings.deploy else settings.token_address,
        settlement_address=None if settings.deploy else settings.settlement_address,
        treasury_amount=settings.treasury_amount if settings.deploy else None,
    )


def _bridge(
    service: Service[ChainBridgeSettings],
    units: PostgresUnits,
    chain: Chain,
    signer: LocalSigner,
    contracts: Contracts,
    facts: Facts,
    metrics: BridgeMetrics,
) -> Bridge:
    settings, runtime = service.settings, service.runtime
    watcher = Watcher(
        units=units,
        chain=chain,
        signer=signer,
        calls=contracts,
        facts=facts,
        metrics=metrics,
        runtime=runtime,
        confirmations=settings.confirmations,
    )
    pace = Pace(
        batches=BatchPolicy(settings.batch_size, timedelta(seconds=settings.batch_age_seconds)),
        max_in_flight=settings.max_in_flight,
        poll_seconds=settings.poll_seconds,
        resend=timedelta(seconds=settings.resend_seconds),
        deadline=timedelta(seconds=settings.settlement_deadline_seconds),
    )
    return Bridge(
        chain_id=settings.chain_id,
        units=units,
        chain=chain,
        signer=signer,
        calls=contracts,
        deployer=Deployer(_plan(settings), signer, contracts, chain, runtime),
        watcher=watcher,
        facts=facts,
        pace=pace,
        metrics=metrics,
        runtime=runtime,
    )


def main() -> None:
    """Run the service as this process."""
    run(NAME, ChainBridgeSettings, build, publishes=[SETTLEMENTS])
