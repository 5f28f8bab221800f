"""The service against a real PostgreSQL: bus, keyring, tables and HTTP together."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import asyncpg.connection
import httpx
import orjson
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresBus, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.events import Event, compose
from rialto_common.events.common import COMPLIANCE, PAYMENTS, Sealed
from rialto_common.events.compliance import ComplianceScreened
from rialto_common.events.payments import PaymentCreated
from rialto_common.keyring import Keyring
from rialto_common.runtime import SystemRuntime
from rialto_common.service import Service
from rialto_common.service_tokens import Caller
from rialto_compliance.adapters.people import KeyringPeople
from rialto_compliance.main import build
from rialto_compliance.settings import ComplianceSettings

MASTER_KEY = bytes(range(32))
SECRET = "a secret of thirty-two characters"
LISTED = "Zorvanth Quexelbraum"
PLANTED = "Xavierolin Plantedname"


class Gateway:
    """Seals and announces payments, as the gateway would."""

    def __init__(self, pool: asyncpg.Pool, runtime: SystemRuntime) -> None:
        self.pool = pool
        self.runtime = runtime
        self.keyring = Keyring(MASTER_KEY, runtime)
        self.unit_of_work = PostgresUnitOfWork(pool, schema="gateway", runtime=runtime)

    async def pay(self, people: Sequence[dict[str, str]], *, amount_minor: int = 1250) -> list[PaymentCreated]:
        payments = []
        merchant_id = self.runtime.ids.mint()
        async with self.unit_of_work.begin() as transaction:
            parties = [(self.keyring.party_id(merchant_id, person), orjson.dumps(person)) for person in people]
            for payer in await self.keyring.seal(transaction.connection, parties):
                payment = self.payment(merchant_id, payer, amount_minor)
                transaction.publish(self.event(payment))
                payments.append(payment)
        return payments

    def payment(self, merchant_id: UUID, payer: Sealed, amount_minor: int) -> PaymentCreated:
        return PaymentCreated(
            payment_id=self.runtime.ids.mint(),
            merchant_id=merchant_id,
            mode="test",
            amount_minor=amount_minor,
            currency="USD",
            payment_method={"type": "wallet", "wallet_id": self.runtime.ids.mint()},
            capture_method="automatic",
            payer=payer,
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
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


class World:
    def __init__(self, service: Service[ComplianceSettings], gateway: Gateway, database: Database) -> None:
        self.service = service
        self.gateway = gateway
        self.database = database

    async def work(self) -> None:
        """Let the consumer handle what is there."""
        await self.service._loops["consumer-compliance"]()

    async def announced(self) -> dict[UUID, ComplianceScreened]:
        rows = await self.gateway.pool.fetch("SELECT data FROM bus.log WHERE topic = $1", COMPLIANCE)
        verdicts = [ComplianceScreened.model_validate_json(row["data"]) for row in rows]
        assert len(verdicts) == len({verdict.payment_id for verdict in verdicts})
        return {verdict.payment_id: verdict for verdict in verdicts}

    @asynccontextmanager
    async def client(self, caller: Caller | None) -> AsyncIterator[httpx.AsyncClient]:
        headers = {}
        if caller is not None:
            headers["Authorization"] = f"Bearer {self.service.tokens.issue(caller, audience='compliance')}"
        transport = httpx.ASGITransport(app=self.service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://compliance", headers=headers) as client:
            yield client


OPERATOR = Caller("operator", None, "test")


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[World]:
    runtime = SystemRuntime()
    settings = ComplianceSettings(
        database_url=database.dsn("compliance"),
        service_token_secret=SECRET,
        keyring_master_key=b64encode(MASTER_KEY).decode(),
    )
    service = Service("compliance", settings, runtime)
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
    names = ["Maria Garcia", LISTED, "Zorvanth Quexelbraun-Lopez"] + [f"Person Number{n}" for n in range(50)]
    payments = await world.gateway.pay([{"name": name} for name in names])
    await world.work()
    verdicts = await world.announced()
    outcomes = [verdicts[payment.payment_id].outcome for payment in payments]
    assert outcomes == ["clear", "block", "review"] + ["clear"] * 50
    assert await world.gateway.pool.fetchval("SELECT count(*) FROM bus.log WHERE topic = $1", COMPLIANCE) == 53


async def test_a_batch_delivered_again_changes_nothing(world: World) -> None:
    await world.gateway.pay([{"name": LISTED}, {"name": "Maria Garcia"}])
    await world.work()
    before = await world.announced()
    bus = PostgresBus(world.database.dsn("compliance"), world.gateway.runtime)
    await bus.rewind("compliance", [PAYMENTS])
    async with running(world.database) as again:
        await world.service._closers[-1]()
        await again.work()
        labels = {"group": "compliance", "type": PaymentCreated.type}
        assert again.service.registry.get_sample_value("rialto_events_handled_total", labels) == 2
        assert await again.announced() == before


async def test_all_keys_of_a_batch_come_from_one_query(world: World) -> None:
    names = [f"Person Number{n}" for n in range(40)]
    payments = await world.gateway.pay([{"name": name} for name in names])
    queries: list[str] = []

    def note(record: asyncpg.connection.LoggedQuery) -> None:
        queries.append(record.query)

    async with world.service.pool.acquire() as connection:
        people = KeyringPeople(Keyring(MASTER_KEY, world.gateway.runtime), connection)
        with connection.query_logger(note):
            assert await people.names([payment.payer for payment in payments]) == names
    assert sum("keyring.keys" in query for query in queries) == 1


async def test_an_erased_payer_goes_to_a_person(world: World) -> None:
    (payment,) = await world.gateway.pay([{"name": LISTED}])
    async with world.gateway.pool.acquire() as connection:
        assert await world.gateway.keyring.destroy(connection, payment.payer.party_id)
    await world.work()
    verdict = (await world.announced())[payment.payment_id]
    assert (verdict.outcome, verdict.hits) == ("review", [])
    assert [rule.id for rule in verdict.rules] == ["amount_over_limit", "payer_unreadable"]


async def test_a_payer_without_a_name_goes_to_a_person(world: World) -> None:
    (payment,) = await world.gateway.pay([{"country": "US"}])
    await world.work()
    assert (await world.announced())[payment.payment_id].outcome == "review"


async def test_an_altered_ciphertext_is_parked_and_the_others_flow(world: World) -> None:
    good, bad = await world.gateway.pay([{"name": "Maria Garcia"}, {"name": LISTED}])
    moved = world.gateway.payment(
        bad.merchant_id, bad.payer.model_copy(update={"ciphertext": good.payer.ciphertext}), 100
    )
    async with world.gateway.unit_of_work.begin() as transaction:
        transaction.publish(world.gateway.event(moved))
    (after,) = await world.gateway.pay([{"name": "Jo Smith"}])
    await world.work()
    assert set(await world.announced()) == {good.payment_id, bad.payment_id, after.payment_id}
    async with world.client(OPERATOR) as client:
        (parked,) = (await client.get("/internal/dead_letters")).json()["data"]
    assert parked["key"] == ids.to_text("pay", moved.payment_id)
    assert "seal_broken" in parked["error"]


async def test_no_name_rests_in_any_table_or_event(world: World) -> None:
    """Plants names, listed and not, and looks for them in every column of every table the auditor sees."""
    await world.gateway.pay([{"name": PLANTED}, {"name": f"{LISTED} {PLANTED}"}, {"name": LISTED}])
    await world.work()
    assert len(await world.announced()) == 3
    connection = await asyncpg.connect(world.database.superuser_dsn())
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('compliance', 'bus', 'keyring')"
        )
        assert {"screenings", "log_default"} <= {row["tablename"] for row in tables}
        for table in tables:
            rows = await connection.fetch(
                f'SELECT t::text AS row FROM {table["schemaname"]}."{table["tablename"]}" AS t'
            )
            text = "\n".join(row["row"] for row in rows).lower()
            for word in (*PLANTED.split(), *LISTED.split()):
                assert word.lower() not in text, table
    finally:
        await connection.close()


async def test_a_verdict_can_be_neither_changed_nor_deleted(world: World) -> None:
    await world.gateway.pay([{"name": "Maria Garcia"}])
    await world.work()
    async with world.service.pool.acquire() as connection:
        for statement in ("UPDATE compliance.screenings SET outcome = 'clear'", "DELETE FROM compliance.screenings"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_the_api_shows_a_screening_to_its_merchant_and_the_operator_only(world: World) -> None:
    (payment,) = await world.gateway.pay([{"name": LISTED}])
    await world.work()
    path = f"/v1/screenings/{ids.to_text('pay', payment.payment_id)}"
    own = Caller("gateway", payment.merchant_id, "test")
    for caller in (OPERATOR, own):
        async with world.client(caller) as client:
            answer = await client.get(path)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["outcome"], body["hits"][0]["entity_id"]) == ("block", "fx-001")
        assert body["payment_id"] == ids.to_text("pay", payment.payment_id)
        assert LISTED.split()[0].lower() not in answer.text.lower()
    strangers = [replace(own, mode="live"), replace(own, merchant_id=world.gateway.runtime.ids.mint())]
    for caller in strangers:
        async with world.client(caller) as client:
            answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "screening_not_found")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/screenings/nonsense", 400, "id_invalid"),
        ("/v1/screenings/pay_00000000000000000000000000", 404, "screening_not_found"),
    ],
)
async def test_a_bad_or_unknown_payment_id_is_a_problem(world: World, path: str, status: int, code: str) -> None:
    async with world.client(OPERATOR) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/lists", "/v1/screenings/pay_00000000000000000000000000"])
async def test_nothing_is_shown_without_a_service_token(world: World, path: str) -> None:
    async with world.client(None) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_the_api_lists_what_is_in_force(world: World) -> None:
    async with world.client(OPERATOR) as client:
        (fixture,) = (await client.get("/v1/lists")).json()["data"]
        metrics = (await client.get("/metrics")).text
    assert (fixture["list_id"], fixture["entities"], len(fixture["version"])) == ("fixture", 40, 64)
    assert 'rialto_compliance_list_entities{list_id="fixture"} 40.0' in metrics
