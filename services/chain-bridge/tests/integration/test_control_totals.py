"""The chain-bridge's totals of a day: what was confirmed on it and stands."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from rialto_chain_bridge.adapters.postgres import SETTLED_BY_DAY, PostgresUnits
from rialto_chain_bridge.application.records import Intent, NewTransaction
from rialto_chain_bridge.domain.confirmation import Block, Inclusion, Standing, TransactionState
from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.control.metrics import ControlMetrics
from rialto_common.control.reporter import TotalsReporter
from rialto_common.database import Pool, open_pool
from rialto_common.events.settlements import SettlementTotalsReported
from rialto_common.runtime import SystemRuntime

DAY = date(2026, 4, 5)
NOON = datetime(2026, 4, 5, 12, tzinfo=UTC)
CLOSED = NOON + timedelta(hours=13)
CHAIN, SENDER = 31337, "0x" + "0e" * 20
MERCHANT = ids.uuid7(1, 1)


class Bridge:
    """The bridge's tables, and its reporter."""

    def __init__(self, pool: Pool) -> None:
        runtime = SystemRuntime()
        work = PostgresUnitOfWork(pool, schema="chain_bridge", runtime=runtime)
        self._pool = pool
        self._units = PostgresUnits(work, CHAIN, SENDER)
        self._reporter = TotalsReporter(
            work,
            schema="chain_bridge",
            model=SettlementTotalsReported,
            derive=SETTLED_BY_DAY,
            runtime=runtime,
            metrics=ControlMetrics(CollectorRegistry()),
        )

    async def send(self, nonce: int, *amounts: int) -> None:
        """Put settlements of these amounts into a transaction."""
        intents = [intent(nonce * 100 + number, amount) for number, amount in enumerate(amounts)]
        sent = NewTransaction(
            id=ids.uuid7(2, nonce),
            nonce=nonce,
            kind="settle",
            tx_hash=f"0x{nonce:064x}",
            raw=b"raw",
            payment_ids=tuple(item.payment_id for item in intents),
            recorded_at=NOON,
            deadline_at=NOON + timedelta(days=1),
        )
        async with self._units.begin() as unit:
            await unit.store.save_intents(intents)
            await unit.store.lock_sender(SENDER, 0)
            await unit.store.save_transactions([sent], nonce + 1)

    async def move(self, nonce: int, state: TransactionState, at: datetime) -> None:
        """Let the chain have a transaction elsewhere than before; the fact's own time is `at`."""
        inclusion = None if state is TransactionState.PENDING else Inclusion(Block(nonce, "0xb"), True, 21_000)
        async with self._units.begin() as unit:
            known = {item.nonce: item for item in [*await unit.store.tracked(), *await unit.store.newest_final(50)]}
            reorgs = known[nonce].reorgs + (state is TransactionState.PENDING)
            assert await unit.store.record_standings([(known[nonce], Standing(state, inclusion), reorgs)], at)

    async def told(self, day: date = DAY, now: datetime = CLOSED) -> list[tuple[date, int, int, int]]:
        """Look at a day; return all that was ever told: day, revision, amount and count."""
        await self._reporter.look(day, now)
        rows = await self._pool.fetch(
            "SELECT data, source, key FROM bus.log WHERE type = $1 ORDER BY position", SettlementTotalsReported.type
        )
        assert {(row["source"], row["key"]) for row in rows} <= {("rialto.chain_bridge", ids.to_text("mer", MERCHANT))}
        read = [SettlementTotalsReported.model_validate_json(row["data"]) for row in rows]
        assert all([total.kind for total in data.totals] == ["settled"] for data in read)
        return [(data.day, data.revision, data.totals[0].amount_minor, data.totals[0].count) for data in read]


def payment(number: int) -> UUID:
    return ids.uuid7(3, number)


def intent(number: int, amount_minor: int) -> Intent:
    return Intent(
        payment_id=payment(number),
        settlement_id=ids.uuid7(4, number),
        merchant_id=MERCHANT,
        mode="test",
        shard=ids.shard_of(MERCHANT),
        amount_minor=amount_minor,
        currency="USD",
        payee_address="0x" + "ab" * 20,
        token_amount=amount_minor * 10_000,
        failure_code=None,
        failure_detail=None,
        cause_id=ids.uuid7(5, number),
        traceparent=None,
        requested_at=NOON,
        deadline_at=NOON + timedelta(days=1),
    )


@pytest.fixture
async def bridge(database: Database) -> AsyncIterator[Bridge]:
    async with await open_pool(database.dsn("chain_bridge"), application="test", max_size=3) as pool:
        yield Bridge(pool)


@pytest.fixture
async def superuser(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database.superuser_dsn())
    yield connection
    await connection.close()


async def test_only_what_is_confirmed_on_the_day_counts(bridge: Bridge) -> None:
    await bridge.send(0, 1000, 250)
    await bridge.send(1, 700)
    await bridge.send(2, 1)
    await bridge.move(0, TransactionState.CONFIRMED, NOON)
    await bridge.move(1, TransactionState.MINED, NOON)
    await bridge.move(2, TransactionState.CONFIRMED, NOON + timedelta(days=1))
    assert await bridge.told() == [(DAY, 1, 1250, 2)]
    assert await bridge.told() == [(DAY, 1, 1250, 2)], "nothing is told twice"


async def test_what_the_chain_takes_back_is_a_new_revision_and_counts_when_it_is_confirmed_anew(
    bridge: Bridge,
) -> None:
    await bridge.send(0, 1000)
    await bridge.move(0, TransactionState.CONFIRMED, NOON)
    assert await bridge.told() == [(DAY, 1, 1000, 1)]
    await bridge.move(0, TransactionState.PENDING, CLOSED)
    assert (await bridge.told())[1:] == [(DAY, 2, 0, 0)]
    await bridge.move(0, TransactionState.CONFIRMED, CLOSED)
    next_day = DAY + timedelta(days=1)
    assert await bridge.told() == [(DAY, 1, 1000, 1), (DAY, 2, 0, 0)]
    assert (await bridge.told(next_day, CLOSED + timedelta(days=1)))[2:] == [(next_day, 1, 1000, 1)]


async def test_an_amount_that_someone_changed_is_a_new_revision(
    bridge: Bridge, superuser: "asyncpg.Connection[Any]"
) -> None:
    await bridge.send(0, 1000)
    await bridge.move(0, TransactionState.CONFIRMED, NOON)
    await bridge.told()
    await superuser.execute("UPDATE chain_bridge.intents SET amount_minor = 999")
    assert (await bridge.told())[1:] == [(DAY, 2, 999, 1)]
