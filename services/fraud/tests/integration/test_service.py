"""The service against a real PostgreSQL: bus, tables and HTTP together."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresBus, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events import Event, compose
from rialto_common.events.common import FRAUD, PAYMENTS
from rialto_common.events.fraud import FraudAssessed
from rialto_common.events.payments import PaymentCreated
from rialto_common.runtime import SystemRuntime
from rialto_common.service import Service
from rialto_common.service_tokens import Caller
from rialto_fraud.adapters.history_codec import unpack
from rialto_fraud.adapters.onnx_scorer import MODELS, load
from rialto_fraud.adapters.postgres import PostgresUnit
from rialto_fraud.application.handlers import AssessPayments
from rialto_fraud.domain.features import FEATURE_NAMES
from rialto_fraud.domain.policy import CURRENT
from rialto_fraud.main import build
from rialto_fraud.metrics import FraudMetrics
from rialto_fraud.settings import FraudSettings

SECRET = "a secret of thirty-two characters"
OPERATOR = Caller("operator", None, "test")


class Gateway:
    """Announces payments, as the gateway would."""

    def __init__(self, pool: asyncpg.Pool, runtime: SystemRuntime) -> None:
        self.pool = pool
        self.runtime = runtime
        self.unit_of_work = PostgresUnitOfWork(pool, schema="gateway", runtime=runtime)
        self.merchant_id = runtime.ids.mint()
        self.party = {"party_id": runtime.ids.mint(), "key_id": runtime.ids.mint(), "ciphertext": "c2VhbGVk"}

    def payment(self, wallet_id: UUID, *, amount_minor: int = 1_250, terminal: str | None = None) -> PaymentCreated:
        return PaymentCreated.model_validate(
            {
                "payment_id": self.runtime.ids.mint(),
                "merchant_id": self.merchant_id,
                "mode": "test",
                "amount_minor": amount_minor,
                "currency": "USD",
                "payment_method": {"type": "wallet", "wallet_id": wallet_id},
                "capture_method": "automatic",
                "terminal_id": terminal,
                "payer": self.party,
                "occurred_at": datetime(2026, 1, 2, 13, tzinfo=UTC),
            }
        )

    def event(self, payment: PaymentCreated) -> Event:
        return compose(
            payment,
            source="rialto.gateway",
            root=payment.payment_id,
            key=ids.to_text("pay", payment.payment_id),
            shard=ids.shard_of(payment.merchant_id),
            time=self.runtime.now(),
            sequence=1,
        )

    async def pay(self, payments: Sequence[PaymentCreated]) -> None:
        await self.publish([self.event(payment) for payment in payments])

    async def publish(self, events: Sequence[Event]) -> None:
        async with self.unit_of_work.begin() as transaction:
            transaction.publish(*events)


class World:
    def __init__(self, service: Service[FraudSettings], gateway: Gateway, database: Database) -> None:
        self.service = service
        self.gateway = gateway
        self.database = database

    async def work(self) -> None:
        """Let the consumer handle what is there."""
        await self.service._loops["consumer-fraud"]()

    async def announced(self) -> dict[UUID, FraudAssessed]:
        rows = await self.gateway.pool.fetch("SELECT data FROM bus.log WHERE topic = $1", FRAUD)
        verdicts = [FraudAssessed.model_validate_json(row["data"]) for row in rows]
        assert len(verdicts) == len({verdict.payment_id for verdict in verdicts})
        return {verdict.payment_id: verdict for verdict in verdicts}

    @asynccontextmanager
    async def client(self, caller: Caller | None) -> AsyncIterator[httpx.AsyncClient]:
        headers = {}
        if caller is not None:
            headers["Authorization"] = f"Bearer {self.service.tokens.issue(caller, audience='fraud')}"
        transport = httpx.ASGITransport(app=self.service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://fraud", headers=headers) as client:
            yield client


@asynccontextmanager
async def running(database: Database, **settings: Any) -> AsyncIterator[World]:
    runtime = SystemRuntime()
    service = Service(
        "fraud", FraudSettings(database_url=database.dsn("fraud"), service_token_secret=SECRET, **settings), runtime
    )
    await service.open()
    await build(service)
    pool = await open_pool(database.dsn("gateway"), application="test", max_size=2)
    try:
        yield World(service, Gateway(pool, runtime), database)
    finally:
        await pool.close()
        for closer in reversed(service._closers):
            await closer()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with running(database) as world:
        yield world


async def test_a_batch_of_payments_gets_one_verdict_each(world: World) -> None:
    gateway = world.gateway
    payments = [gateway.payment(gateway.runtime.ids.mint(), terminal=f"T{n % 7}") for n in range(60)]
    fortune = gateway.payment(gateway.runtime.ids.mint(), amount_minor=9_000_000)
    await gateway.pay([*payments, fortune])
    await world.work()
    verdicts = await world.announced()
    assert set(verdicts) == {payment.payment_id for payment in [*payments, fortune]}
    assert {verdicts[payment.payment_id].outcome for payment in payments} == {"allow"}
    assert verdicts[fortune.payment_id].outcome == "review"
    async with world.client(OPERATOR) as client:
        metrics = (await client.get("/metrics")).text
    assert 'rialto_fraud_assessments_total{outcome="allow"} 60.0' in metrics
    assert 'rialto_fraud_assessments_total{outcome="review"} 1.0' in metrics
    assert "rialto_fraud_score_count 61.0" in metrics


async def test_a_batch_takes_a_fixed_number_of_statements(world: World) -> None:
    gateway = world.gateway

    async def statements(size: int) -> int:
        queries: list[str] = []
        assess = AssessPayments(load(), CURRENT, gateway.runtime, FraudMetrics(CollectorRegistry()))
        unit_of_work = PostgresUnitOfWork(world.service.pool, schema="fraud", runtime=gateway.runtime)
        wallet = gateway.runtime.ids.mint()
        async with unit_of_work.begin() as transaction:
            with transaction.connection.query_logger(lambda record: queries.append(record.query)):
                events = [gateway.event(gateway.payment(wallet, terminal=f"T{n}")) for n in range(size)]
                await assess(PostgresUnit(transaction), events)
        return sum("fraud." in query for query in queries)

    assert await statements(2) == await statements(200) == 5


async def test_a_batch_delivered_again_changes_nothing(world: World) -> None:
    gateway = world.gateway
    wallet = gateway.runtime.ids.mint()
    await gateway.pay([gateway.payment(wallet) for _ in range(3)])
    await world.work()
    before = await world.announced()
    histories = await gateway_histories(world)
    bus = PostgresBus(world.database.dsn("fraud"), gateway.runtime)
    await bus.rewind("fraud", [PAYMENTS])
    async with running(world.database) as again:
        await world.service._closers[-1]()
        await again.work()
        labels = {"group": "fraud", "type": PaymentCreated.type}
        assert again.service.registry.get_sample_value("rialto_events_handled_total", labels) == 3
        assert await again.announced() == before
        assert await gateway_histories(again) == histories
    (history,) = histories.values()
    assert [count for count, _, _ in unpack(history).days.values()] == [3]


async def gateway_histories(world: World) -> dict[str, bytes]:
    rows = await world.service.pool.fetch("SELECT subject, history FROM fraud.histories")
    return {row["subject"]: row["history"] for row in rows}


async def test_batches_that_share_wallets_count_each_payment_once(world: World) -> None:
    """Two workers handle batches that name the same wallets and terminals, new and known, in opposite orders."""
    gateway = world.gateway
    wallets = [gateway.runtime.ids.mint() for _ in range(12)]
    scorer = load()
    unit_of_work = PostgresUnitOfWork(world.service.pool, schema="fraud", runtime=gateway.runtime)

    async def worker(order: list[UUID]) -> None:
        assess = AssessPayments(scorer, CURRENT, gateway.runtime, FraudMetrics(CollectorRegistry()))
        for turn in range(10):
            events = [gateway.event(gateway.payment(wallet, terminal=f"T{turn}")) for wallet in order]
            async with unit_of_work.begin() as transaction:
                await assess(PostgresUnit(transaction), events)

    async with asyncio.timeout(60):
        await asyncio.gather(*(worker(order) for order in (wallets, wallets[::-1], wallets[6:] + wallets[:6])))
    histories = {subject: unpack(packed) for subject, packed in (await gateway_histories(world)).items()}
    counted = {subject: sum(count for count, _, _ in h.days.values()) for subject, h in histories.items()}
    assert {counted[ids.to_text("wal", wallet)] for wallet in wallets} == {30}
    places = [subject for subject in counted if subject.startswith("mer_")]
    assert [counted[subject] for subject in places] == [36] * 10
    assert len(await world.announced()) == 360


async def test_a_malformed_payment_is_parked_with_its_key_and_the_others_flow(world: World) -> None:
    gateway = world.gateway
    before, bad, after = (gateway.payment(gateway.runtime.ids.mint()) for _ in range(3))
    poison = gateway.event(bad)._replace(data=b'{"payment_id": "nonsense", "amount_minor": "NaN"}')
    await gateway.publish([gateway.event(before), poison, gateway.event(after)])
    await world.work()
    assert set(await world.announced()) == {before.payment_id, after.payment_id}
    async with world.client(OPERATOR) as client:
        (parked,) = (await client.get("/internal/dead_letters")).json()["data"]
    assert parked["key"] == ids.to_text("pay", bad.payment_id)
    assert "event_malformed" in parked["error"]


async def test_a_verdict_can_be_neither_changed_nor_deleted(world: World) -> None:
    await world.gateway.pay([world.gateway.payment(world.gateway.runtime.ids.mint())])
    await world.work()
    assert len(await world.announced()) == 1
    async with world.service.pool.acquire() as connection:
        for statement in ("UPDATE fraud.assessments SET outcome = 'allow'", "DELETE FROM fraud.assessments"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_the_database_refuses_a_score_that_is_no_probability(world: World) -> None:
    await world.gateway.pay([world.gateway.payment(world.gateway.runtime.ids.mint())])
    await world.work()
    connection = await asyncpg.connect(world.database.superuser_dsn())
    try:
        for score in ("1.5", "-0.1", "'NaN'"):
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                await connection.execute(f"UPDATE fraud.assessments SET score = {score}")
            assert caught.value.constraint_name == "assessments_score_is_probability"
    finally:
        await connection.close()


async def test_the_api_explains_an_assessment_to_its_merchant_and_the_operator_only(world: World) -> None:
    gateway = world.gateway
    payment = gateway.payment(gateway.runtime.ids.mint(), amount_minor=9_000_000)
    await gateway.pay([payment])
    await world.work()
    path = f"/v1/assessments/{ids.to_text('pay', payment.payment_id)}"
    own = Caller("gateway", payment.merchant_id, "test")
    for caller in (OPERATOR, own):
        async with world.client(caller) as client:
            answer = await client.get(path)
        assert answer.status_code == 200
        body = answer.json()
        assert body["payment_id"] == ids.to_text("pay", payment.payment_id)
        assert (body["outcome"], body["reasons"][0]["code"]) == ("review", "amount_above_usual")
        assert list(body["features"]) == list(FEATURE_NAMES)
        assert body["features"]["amount"] == 90_000
        assert (body["model_version"], body["policy_version"]) == ("fraud-v1", CURRENT.version)
    strangers = [replace(own, mode="live"), replace(own, merchant_id=gateway.runtime.ids.mint())]
    for caller in strangers:
        async with world.client(caller) as client:
            answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "assessment_not_found")


@pytest.mark.parametrize(
    ("payment_id", "status", "code"),
    [("nonsense", 400, "id_invalid"), ("pay_00000000000000000000000000", 404, "assessment_not_found")],
)
async def test_a_bad_or_unknown_payment_id_is_a_problem(world: World, payment_id: str, status: int, code: str) -> None:
    async with world.client(OPERATOR) as client:
        answer = await client.get(f"/v1/assessments/{payment_id}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_is_shown_without_a_service_token(world: World) -> None:
    async with world.client(None) as client:
        answer = await client.get("/v1/assessments/pay_00000000000000000000000000")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_service_with_its_model_is_ready(world: World) -> None:
    async with world.client(None) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_a_service_whose_model_was_altered_is_not_ready_and_assesses_nothing(
    database: Database, tmp_path: Path
) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    with (tmp_path / "models" / "fraud-v1.onnx").open("ab") as model:
        model.write(b"\x00")
    async with running(database, models_folder=tmp_path / "models") as world:
        assert "consumer-fraud" not in world.service._loops
        async with world.client(None) as client:
            answer = await client.get("/readyz")
            assert (await client.get("/healthz")).status_code == 200
    assert answer.status_code == 503
    assert "SHA-256" in answer.json()["missing"]["model"]
