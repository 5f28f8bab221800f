"""One suite for histories, verdicts and the handler over them, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.memory import Faults, MemoryBus, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.errors import MalformedEvent
from rialto_common.events import Event, compose
from rialto_common.events.fraud import FraudAssessed
from rialto_common.events.payments import PaymentCreated, PaymentCreatedV2
from rialto_common.simulation import SimulatedRuntime
from rialto_fraud.adapters.memory import FraudStore, MemoryUnit
from rialto_fraud.adapters.onnx_scorer import OnnxScorer, load
from rialto_fraud.adapters.postgres import PostgresUnit
from rialto_fraud.application.handlers import LONGEST_TERMINAL, AssessPayments, observe
from rialto_fraud.application.ports import Unit
from rialto_fraud.domain.assessment import Assessment, Versions
from rialto_fraud.domain.features import FEATURE_NAMES, extract_in_order
from rialto_fraud.domain.history import History
from rialto_fraud.domain.policy import CURRENT, Outcome
from rialto_fraud.domain.reasons import Reason
from rialto_fraud.metrics import FraudMetrics

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUNTIME = SimulatedRuntime(3)
SEALED = {"party_id": RUNTIME.ids.mint(), "key_id": RUNTIME.ids.mint(), "ciphertext": "c2VhbGVk"}


class Stores(Protocol):
    """Opens transactions that commit when the block ends, and knows what was published."""

    published: list[Event]

    def open(self) -> AbstractAsyncContextManager[Unit]: ...


class InMemory:
    def __init__(self) -> None:
        self.published: list[Event] = []
        self.store = FraudStore()
        self.unit_of_work = MemoryUnitOfWork(MemoryBus(RUNTIME, faults=Faults.none()), RUNTIME)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Unit]:
        async with self.unit_of_work.begin() as transaction:
            yield MemoryUnit(self.store, transaction)
        self.published.extend(transaction.outgoing)


class InPostgres:
    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self.published: list[Event] = []
        self.unit_of_work = unit_of_work

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Unit]:
        async with self.unit_of_work.begin() as transaction:
            yield PostgresUnit(transaction)
        self.published.extend(transaction.outgoing)


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "memory":
        yield InMemory()
        return
    database: Database = request.getfixturevalue("database")
    pool = await open_pool(database.dsn("fraud"), application="test", max_size=3)
    yield InPostgres(PostgresUnitOfWork(pool, schema="fraud", runtime=RUNTIME))
    await pool.close()


@pytest.fixture(scope="module")
def scorer() -> OnnxScorer:
    return load()


@pytest.fixture
def assess(scorer: OnnxScorer) -> AssessPayments:
    return AssessPayments(scorer, CURRENT, RUNTIME, FraudMetrics(CollectorRegistry()))


MERCHANT = RUNTIME.ids.mint()
WALLETS = [RUNTIME.ids.mint() for _ in range(4)]


def payment(
    wallet: UUID = WALLETS[0], *, amount_minor: int = 1_250, terminal: str | None = "T1", at: datetime = NOW
) -> PaymentCreated:
    return PaymentCreated.model_validate(
        {
            "payment_id": RUNTIME.ids.mint(),
            "merchant_id": MERCHANT,
            "mode": "test",
            "amount_minor": amount_minor,
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": wallet},
            "capture_method": "automatic",
            "terminal_id": terminal,
            "payer": SEALED,
            "occurred_at": at,
        }
    )


def event_of(created: PaymentCreated, *, time: datetime = NOW + timedelta(days=365)) -> Event:
    return compose(
        created,
        source="rialto.gateway",
        root=created.payment_id,
        key=ids.to_text("pay", created.payment_id),
        shard=ids.shard_of(created.merchant_id),
        time=time,
        sequence=1,
    )


def some_assessment() -> Assessment:
    return Assessment(
        payment_id=RUNTIME.ids.mint(),
        merchant_id=MERCHANT,
        mode="live",
        shard=7,
        score=0.25,
        outcome=Outcome.REVIEW,
        reasons=(
            Reason("amount_above_usual", "amount", 12.5, 3.5),
            Reason("new_terminal", "is_new_terminal", 1.0, 0.5),
        ),
        features=tuple(float(index) / 4 for index in range(len(FEATURE_NAMES))),
        versions=Versions("f-1", "m-1", "p-1"),
        occurred_at=NOW,
        assessed_at=NOW + timedelta(seconds=1),
    )


async def test_histories_nobody_has_seen_are_empty(stores: Stores) -> None:
    async with stores.open() as unit:
        assert await unit.histories.lock(["test/wal_1", "live/wal_1"]) == {
            "test/wal_1": History(),
            "live/wal_1": History(),
        }


async def test_saved_histories_are_read_back_and_modes_kept_apart(stores: Stores) -> None:
    history = History()
    history.observe(1_700_000_000, 1_250, 77)
    async with stores.open() as unit:
        await unit.histories.lock(["test/wal_1", "live/wal_1", "test/mer_1/a/b"])
        await unit.histories.save({"test/wal_1": history, "test/mer_1/a/b": history})
    async with stores.open() as unit:
        found = await unit.histories.lock(["live/wal_1", "test/mer_1/a/b", "test/wal_1"])
    assert found == {"test/wal_1": history, "live/wal_1": History(), "test/mer_1/a/b": history}


async def test_a_transaction_that_fails_leaves_no_history_and_no_verdict(stores: Stores) -> None:
    history, verdict = History(), some_assessment()
    history.observe(1_700_000_000, 1_250)

    async def fail() -> None:
        async with stores.open() as unit:
            await unit.histories.lock(["test/wal_1"])
            await unit.histories.save({"test/wal_1": history})
            await unit.assessments.save([verdict])
            raise RuntimeError("the handler failed")

    with pytest.raises(RuntimeError):
        await fail()
    async with stores.open() as unit:
        assert await unit.histories.lock(["test/wal_1"]) == {"test/wal_1": History()}
        assert await unit.assessments.find(verdict.payment_id) is None


async def test_a_verdict_is_read_back_whole(stores: Stores) -> None:
    first, second = some_assessment(), replace(some_assessment(), outcome=Outcome.ALLOW, features=(1.5,) * 14)
    async with stores.open() as unit:
        await unit.assessments.save([first, second])
    async with stores.open() as unit:
        assert await unit.assessments.find(first.payment_id) == first
        assert await unit.assessments.find(second.payment_id) == second
        unknown = RUNTIME.ids.mint()
        assert await unit.assessments.find(unknown) is None
        assert await unit.assessments.known({first.payment_id, unknown}) == {first.payment_id}


async def handle(stores: Stores, assess: AssessPayments, created: Sequence[PaymentCreated]) -> None:
    async with stores.open() as unit:
        await assess(unit, [event_of(each) for each in created])


def stream() -> list[PaymentCreated]:
    """Payments of a few wallets and terminals, some out of order, one far above its wallet's habit."""
    generator = np.random.default_rng(9)
    payments = [
        payment(
            WALLETS[int(generator.integers(4))],
            amount_minor=int(generator.integers(500, 6_000)),
            terminal=[None, "T1", "T2", "T3"][int(generator.integers(4))],
            at=NOW + timedelta(hours=float(hours)),
        )
        for hours in generator.uniform(0, 24 * 40, 150)
    ]
    return [*payments, payment(amount_minor=9_000_000, at=NOW + timedelta(days=40))]


async def test_online_assessments_are_the_offline_features_scored(
    stores: Stores, assess: AssessPayments, scorer: OnnxScorer
) -> None:
    created = stream()
    for first in range(0, len(created), 37):
        await handle(stores, assess, created[first : first + 37])
    offline = extract_in_order([observe(event_of(each), each) for each in created], {}, {})
    scores = scorer.score(offline).probability.tolist()
    async with stores.open() as unit:
        for each, row, score in zip(created, offline.tolist(), scores, strict=True):
            found = await unit.assessments.find(each.payment_id)
            assert found is not None
            assert found.features == tuple(row)
            assert found.score == pytest.approx(score, abs=1e-6)
            assert found.outcome is CURRENT.decide(found.score, row)
    assert len(stores.published) == len(created)


async def test_a_kept_verdict_can_be_computed_again_from_what_was_kept(
    stores: Stores, assess: AssessPayments, scorer: OnnxScorer
) -> None:
    suspicious = payment(amount_minor=9_000_000)
    await handle(stores, assess, [suspicious])
    async with stores.open() as unit:
        kept = await unit.assessments.find(suspicious.payment_id)
    assert kept is not None
    assert kept.outcome is Outcome.REVIEW
    again = scorer.score(np.array([kept.features], dtype=np.float32)).probability.tolist()[0]
    assert again == pytest.approx(kept.score, abs=1e-7)
    assert kept.reasons[0].code == "amount_above_usual"


async def test_a_payment_seen_again_changes_nothing_and_says_nothing(stores: Stores, assess: AssessPayments) -> None:
    created = stream()[:20]
    await handle(stores, assess, created)
    subjects = {"test/" + ids.to_text("wal", wallet) for wallet in WALLETS}
    async with stores.open() as unit:
        before = await unit.histories.lock(subjects)
        verdicts = [await unit.assessments.find(each.payment_id) for each in created]
    assert any(history.days for history in before.values())
    new = payment(WALLETS[1], at=NOW + timedelta(days=50))
    await handle(stores, assess, [created[3], new, created[3], new, created[19]])
    async with stores.open() as unit:
        after = await unit.histories.lock(subjects)
        assert [await unit.assessments.find(each.payment_id) for each in created] == verdicts
    unchanged = subjects - {"test/" + ids.to_text("wal", WALLETS[1])}
    assert {subject: after[subject] for subject in unchanged} == {subject: before[subject] for subject in unchanged}
    assert len(stores.published) == len(created) + 1


async def test_the_event_says_what_was_kept(stores: Stores, assess: AssessPayments) -> None:
    usual, fortune = payment(), payment(amount_minor=9_000_000)
    await handle(stores, assess, [usual, fortune])
    allowed, reviewed = (event.read(FraudAssessed) for event in stores.published)
    assert [event.key for event in stores.published] == [
        ids.to_text("pay", each.payment_id) for each in (usual, fortune)
    ]
    assert stores.published[0].id == ids.derive(usual.payment_id, FraudAssessed.type)
    assert stores.published[0].causation_id == str(event_of(usual).id)
    assert (allowed.outcome, [reason.code for reason in allowed.reasons]) == ("allow", ["within_usual_pattern"])
    assert (reviewed.outcome, reviewed.model_version, reviewed.policy_version) == (
        "review",
        "fraud-v1",
        "fraud-policy-1",
    )
    assert 1 <= len(reviewed.reasons) <= 3
    assert reviewed.reasons[0].contribution > 0
    async with stores.open() as unit:
        kept = await unit.assessments.find(fortune.payment_id)
    assert kept is not None
    assert kept.score == pytest.approx(reviewed.score)


async def test_a_clock_that_is_ahead_does_not_push_the_history_out(stores: Stores, assess: AssessPayments) -> None:
    """`occurred_at` may lie years ahead in test mode; it counts as the moment of acceptance at the latest."""
    ahead = payment(at=NOW + timedelta(days=3_650))
    after = payment(at=NOW + timedelta(minutes=1))
    async with stores.open() as unit:
        await assess(unit, [event_of(ahead, time=NOW), event_of(after, time=NOW + timedelta(minutes=1))])
    async with stores.open() as unit:
        kept = await unit.assessments.find(after.payment_id)
    assert kept is not None
    assert kept.features[FEATURE_NAMES.index("customer_count_1h")] == 1


async def test_terminals_of_two_merchants_are_two_terminals(stores: Stores, assess: AssessPayments) -> None:
    own = payment(WALLETS[0])
    other = payment(WALLETS[1]).model_copy(update={"merchant_id": RUNTIME.ids.mint()})
    await handle(stores, assess, [own, other])
    async with stores.open() as unit:
        kept = await unit.assessments.find(other.payment_id)
    assert kept is not None
    assert kept.features[FEATURE_NAMES.index("terminal_count_1d")] == 0


async def test_a_terminal_name_of_any_length_is_kept(stores: Stores, assess: AssessPayments) -> None:
    long = [payment(terminal="x" * (LONGEST_TERMINAL + 5_000)) for _ in range(2)]
    await handle(stores, assess, long)
    async with stores.open() as unit:
        kept = await unit.assessments.find(long[1].payment_id)
    assert kept is not None
    assert kept.features[FEATURE_NAMES.index("terminal_count_1d")] == 1


async def test_a_currency_nobody_knows_is_a_malformed_event(stores: Stores, assess: AssessPayments) -> None:
    odd = payment().model_copy(update={"currency": "QQQ"})
    with pytest.raises(MalformedEvent) as caught:
        await handle(stores, assess, [odd])
    assert caught.value.retryable is False


def test_a_cards_payments_are_one_payers_by_its_fingerprint_and_never_a_wallets() -> None:
    def by_card(fingerprint: str) -> PaymentCreatedV2:
        fields = payment(amount_minor=1000, at=NOW).model_dump()
        return PaymentCreatedV2(**fields | {"payment_method": {"type": "card", "fingerprint": fingerprint}})

    wallet = payment(amount_minor=1000, at=NOW)
    one, same, other = by_card("aa"), by_card("aa"), by_card("bb")
    of = {each: observe(event_of(wallet), each).wallet for each in (wallet, one, same, other)}
    assert of[one] == of[same] != of[other]
    assert of[one].endswith("/card_aa")
    assert len(set(of.values())) == 3
    assert event_of(wallet).read(PaymentCreatedV2).payment_method == wallet.payment_method, "v1 is read as well"
