"""One suite for what keeps verdicts and lists, run against memory and PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import MemoryStore, MemoryTransaction
from rialto_common.simulation import SimulatedRuntime
from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.adapters.memory import ComplianceStore, MemoryLists, MemoryScreenings
from rialto_compliance.adapters.postgres import PostgresLists, PostgresScreenings
from rialto_compliance.application.ports import Lists, Screening, Screenings
from rialto_compliance.domain.matching import Features, Hit
from rialto_compliance.domain.rules import RuleOutcome
from rialto_compliance.domain.sanctions import ListedEntity, SanctionsList
from rialto_compliance.domain.screening import Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FEATURES = Features(2, 3, 2, 1, 0, (1.0, 0.97), same_order=False, specificity=1.5, alias=True)
HIT = Hit("fixture", "v1", "fx-001", 0.9, FEATURES)
RUNTIME = SimulatedRuntime(3)


class Stores(Protocol):
    """Opens transactions that commit when the block ends."""

    def open(self) -> Any: ...


class InMemory:
    def __init__(self) -> None:
        self.store = ComplianceStore()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Screenings, Lists]]:
        transaction = MemoryTransaction(MemoryStore())
        yield MemoryScreenings(self.store, transaction), MemoryLists(self.store)
        transaction.apply()


class InPostgres:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Screenings, Lists]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            async with connection.transaction():
                yield PostgresScreenings(connection), PostgresLists(connection)
        finally:
            await connection.close()


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        return InMemory()
    database: Database = request.getfixturevalue("database")
    return InPostgres(database.dsn("compliance"))


def screening(outcome: str = "review") -> Screening:
    rules = (RuleOutcome("amount_over_limit", "1", "clear"),)
    verdict = Verdict(outcome, (("payer", HIT),), rules, "1")  # type: ignore[arg-type]
    return Screening(RUNTIME.ids.mint(), RUNTIME.ids.mint(), "test", 5, verdict, {"fixture": "v1"}, NOW)


async def test_a_saved_verdict_is_read_back_whole(stores: Stores) -> None:
    saved = screening()
    async with stores.open() as (screenings, _):
        assert await screenings.save([saved]) == {saved.payment_id}
    async with stores.open() as (screenings, _):
        found = await screenings.find(saved.payment_id)
    assert (found.payment_id, found.merchant_id, found.mode) == (saved.payment_id, saved.merchant_id, "test")
    assert (found.outcome, found.policy_version, found.screened_at) == ("review", "1", NOW)
    assert found.list_versions == {"fixture": "v1"}
    assert list(found.rules) == [{"id": "amount_over_limit", "version": "1", "outcome": "clear"}]
    (hit,) = found.hits
    assert (hit["party"], hit["list_id"], hit["entity_id"], hit["score"]) == ("payer", "fixture", "fx-001", 0.9)
    assert hit["features"] == FEATURES.as_figures()


async def test_a_payment_keeps_its_first_verdict(stores: Stores) -> None:
    first = screening("block")
    async with stores.open() as (screenings, _):
        await screenings.save([first])
    second = replace(first, verdict=replace(first.verdict, outcome="clear"))
    new = screening()
    async with stores.open() as (screenings, _):
        assert await screenings.save([second, new]) == {new.payment_id}
    async with stores.open() as (screenings, _):
        assert (await screenings.find(first.payment_id)).outcome == "block"


async def test_one_payment_twice_in_a_batch_is_kept_once(stores: Stores) -> None:
    first = screening("block")
    second = replace(first, verdict=replace(first.verdict, outcome="clear"))
    async with stores.open() as (screenings, _):
        assert await screenings.save([first, second]) == {first.payment_id}
    async with stores.open() as (screenings, _):
        assert (await screenings.find(first.payment_id)).outcome == "block"


async def test_an_empty_batch_saves_nothing(stores: Stores) -> None:
    async with stores.open() as (screenings, _):
        assert await screenings.save([]) == set()


async def test_an_unknown_payment_has_no_verdict(stores: Stores) -> None:
    async with stores.open() as (screenings, _):
        assert await screenings.find(RUNTIME.ids.mint()) is None


async def test_the_lists_loaded_last_are_in_force(stores: Stores) -> None:
    old = SanctionsList.of("house", [ListedEntity("1", "Person", ("Zor Quexel", "Zor Q"))])
    (fixture,) = read_lists([FIXTURE])
    async with stores.open() as (_, lists):
        assert await lists.in_force() == []
        await lists.record([old, fixture], NOW)
        assert [(loaded.list_id, loaded.entities) for loaded in await lists.in_force()] == [
            ("fixture", 40),
            ("house", 1),
        ]
    async with stores.open() as (_, lists):
        await lists.record([fixture], NOW + timedelta(hours=1))
        (loaded,) = await lists.in_force()
    assert (loaded.version, loaded.names) == (fixture.version, fixture.name_count)
    assert loaded.loaded_at == NOW + timedelta(hours=1)
