"""A running platform raises no false alarm; and what is on its way excuses nothing but itself."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.testing import AnvilNode, Database

from .world import World


@pytest.fixture
async def world(database: Database, own_anvil: AnvilNode) -> AsyncIterator[World]:
    """A world of the test's own, which stands still until told."""
    made = World(database, own_anvil)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def own_anvil(anvil_factory: Callable[[], AnvilNode]) -> AnvilNode:
    """A chain of the test's own."""
    return anvil_factory()


async def audit(database: Database, anvil: AnvilNode) -> Books:
    """Return the books as they are now, without a second look."""
    return await asyncio.to_thread(books.run, database.dsn("auditor"), anvil.url, settle_seconds=0)


def wrong(found: Books) -> dict[str, dict[str, int]]:
    """Return what is violated."""
    return {name: book.by_check for name, book in found if book.violations}


def spoil(database: Database, statement: str) -> None:
    """Do wrong, as superuser."""
    with psycopg.connect(database.superuser_dsn(), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(statement.encode()).rowcount == 1


async def paid(world: World, count: int) -> list[str]:
    """Make a merchant, a wallet and payments."""
    merchant, wallet = await world.merchant("Books"), await world.wallet("rich", 100_000)
    return [await world.pay(merchant, wallet, f"payment {n}", 1_000 + n) for n in range(count)]


async def count(database: Database, query: str, wanted: int) -> None:
    """Wait until a count is reached."""
    async with (
        asyncio.timeout(30),
        await psycopg.AsyncConnection.connect(database.dsn("auditor"), autocommit=True) as connection,
    ):
        while True:
            row = await (await connection.execute(query.encode())).fetchone()
            if row is not None and row[0] >= wanted:
                return
            await asyncio.sleep(0.05)


async def test_a_running_platform_raises_no_false_alarm(world: World, database: Database, own_anvil: AnvilNode) -> None:
    looks = 0
    async with world.running():
        payments = await paid(world, 40)
        settled = asyncio.ensure_future(world.until((payment, "settled") for payment in payments))
        while not settled.done():
            assert wrong(await audit(database, own_anvil)) == {}
            looks += 1
        await settled
    assert looks
    assert wrong(await audit(database, own_anvil)) == {}


async def test_a_capture_that_the_gateway_has_not_heard_of_is_no_difference_and_excuses_none(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running():
        await paid(world, 0)
        await count(database, "SELECT count(*) FROM ledger.journal_entries WHERE kind = 'deposit'", 1)
    async with world.running("gateway", "fraud", "compliance"):
        merchant, wallet = await world.merchant("More books"), await world.wallet("richer", 100_000)
        first = await world.pay(merchant, wallet, "first", 1_000)
        await world.until([(first, "approved")])
    async with world.running("ledger"):
        await count(database, "SELECT count(*) FROM ledger.holds", 1)
    async with world.running("gateway"):
        await world.until([(first, "authorised")])
    async with world.running("ledger"):
        await count(database, "SELECT count(*) FROM ledger.journal_entries WHERE kind = 'capture'", 1)
    found = await audit(database, own_anvil)
    assert wrong(found) == {}
    assert found["I7"].details["on_the_way_to_gateway"] == {"events": 1, "amount_minor": "1000"}
    # The gateway counts it now, and the event is on its way still: one of them is wrong.
    spoil(database, "UPDATE gateway.payments SET amount_captured_minor = 1000, capture_pending_minor = 0")
    assert "payment_total_differs" in wrong(await audit(database, own_anvil))["I7"]
    spoil(database, "UPDATE gateway.payments SET amount_captured_minor = 0, capture_pending_minor = 1000")
    assert wrong(await audit(database, own_anvil)) == {}
    # The gateway has taken the event in, and nothing came of it.
    spoil(
        database,
        "INSERT INTO gateway.inbox SELECT event_id, source, time FROM bus.log WHERE type = 'rialto.hold.captured.v1'",
    )
    named = wrong(await audit(database, own_anvil))
    assert {"payment_total_differs", "capture_differs", "merchant_total_differs"} <= named["I7"].keys()
    assert "gateway_missed_a_fact" in named["I8"]


async def test_a_payment_on_chain_that_the_ledger_has_not_booked_needs_a_reason(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running():
        [first] = await paid(world, 1)
        await world.until([(first, "captured")])
        await count(database, "SELECT count(*) FROM ledger.journal_entries WHERE kind = 'deposit'", 1)
    async with world.running("chain_bridge"):
        await count(
            database,
            "SELECT count(*) FROM chain_bridge.transactions WHERE kind = 'settle' AND state IN ('mined', 'confirmed')",
            1,
        )
    await world.ask_chain("anvil_mine", "0x5")
    mined = await audit(database, own_anvil)
    assert wrong(mined) == {}
    assert int(mined["I6"].details["in_flight"]["paid_not_booked"]) == 10_000_000
    async with world.running("chain_bridge"):
        await count(database, "SELECT count(*) FROM chain_bridge.settlements WHERE state = 'confirmed'", 1)
    confirmed = await audit(database, own_anvil)
    assert wrong(confirmed) == {}
    assert int(confirmed["I6"].details["in_flight"]["paid_not_booked"]) == 10_000_000
    # The ledger has taken the confirmation in, and nothing came of it: now nothing excuses the difference.
    spoil(
        database,
        "INSERT INTO ledger.inbox SELECT event_id, source, time FROM bus.log"
        " WHERE type = 'rialto.settlement.confirmed.v1'",
    )
    named = wrong(await audit(database, own_anvil))
    assert named["I6"] == {"paid_not_booked": 1, "balance_differs": 1}
    assert "request_without_effect" in named["I8"]


async def test_what_the_log_has_forgotten_by_age_is_not_missed(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running():
        payments = await paid(world, 2)
        await world.until((payment, "settled") for payment in payments)
    with psycopg.connect(database.superuser_dsn(), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in AGED:
            connection.execute(statement.encode())
    assert wrong(await audit(database, own_anvil)) == {}
    spoil(database, "UPDATE gateway.merchants SET created_at = created_at + INTERVAL '20 days'")
    spoil_all(database, "UPDATE ledger.accounts SET opened_at = opened_at + INTERVAL '20 days'")
    assert "log_has_gap" in wrong(await audit(database, own_anvil))["I8"], "so young a log can have forgotten nothing"


AGED = (
    "UPDATE gateway.merchants SET created_at = created_at - INTERVAL '20 days'",
    "UPDATE ledger.accounts SET opened_at = opened_at - INTERVAL '20 days'",
    "UPDATE gateway.payments SET created_at = created_at - INTERVAL '20 days'",
    "UPDATE ledger.journal_entries SET recorded_at = recorded_at - INTERVAL '20 days'",
    "UPDATE ledger.holds SET placed_at = placed_at - INTERVAL '20 days', closed_at = closed_at - INTERVAL '20 days'",
    "UPDATE fraud.assessments SET assessed_at = assessed_at - INTERVAL '20 days'",
    "UPDATE compliance.screenings SET screened_at = screened_at - INTERVAL '20 days'",
    "UPDATE chain_bridge.intents SET requested_at = requested_at - INTERVAL '20 days'",
    "UPDATE chain_bridge.transactions SET confirmed_at = confirmed_at - INTERVAL '20 days'",
    "UPDATE gateway.inbox SET handled_at = handled_at - INTERVAL '20 days'",
    "UPDATE ledger.inbox SET handled_at = handled_at - INTERVAL '20 days'",
    "UPDATE fraud.inbox SET handled_at = handled_at - INTERVAL '20 days'",
    "UPDATE compliance.inbox SET handled_at = handled_at - INTERVAL '20 days'",
    "UPDATE chain_bridge.inbox SET handled_at = handled_at - INTERVAL '20 days'",
    "DELETE FROM bus.log",
)


def spoil_all(database: Database, statement: str) -> None:
    """Do wrong in many rows, as superuser."""
    with psycopg.connect(database.superuser_dsn(), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(statement.encode()).rowcount > 0


async def test_a_parked_event_is_on_its_way_and_its_replay_heals(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running("gateway"):
        [payment] = await paid(world, 1)
    with psycopg.connect(database.superuser_dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE keyring.saved AS SELECT * FROM keyring.keys")
        connection.execute("UPDATE keyring.keys SET wrapped_key = '\\x00'")
        async with world.running():
            await count(database, "SELECT count(*) FROM compliance.parked_keys", 1)
            await count(database, "SELECT count(*) FROM ledger.journal_entries WHERE kind = 'deposit'", 1)
            await world.ask_chain("anvil_mine", "0x5")
        parked = await audit(database, own_anvil)
        assert wrong(parked) == {}
        assert parked["I8"].details["groups"]["compliance"] == {"parked": 1}
        connection.execute("UPDATE keyring.keys AS k SET wrapped_key = s.wrapped_key FROM keyring.saved AS s")
        connection.execute("UPDATE compliance.parked_keys SET replay_requested = TRUE")
    async with world.running():
        await world.until([(payment, "settled")])
    healed = await audit(database, own_anvil)
    assert wrong(healed) == {}
    assert healed["I8"].details["groups"]["compliance"] == {"handled": 1}


async def test_an_unreadable_event_is_named_and_does_not_stop_the_audit(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running():
        [payment] = await paid(world, 1)
        await world.until([(payment, "settled")])
    spoil(
        database,
        "SELECT bus.append(now(), ARRAY['rialto.ledger.v1', 'rialto.ledger.v1'],"
        " ARRAY[gen_random_uuid(), gen_random_uuid()],"
        " ARRAY['rialto.ledger', 'rialto.ledger'], ARRAY['rialto.hold.captured.v1', 'rialto.journal_entry.posted.v1'],"
        f" ARRAY['{payment}', '{payment}'], ARRAY[0, 0]::SMALLINT[], ARRAY[now(), now()], ARRAY[2000000, 2000001],"
        " ARRAY['x', 'x'], ARRAY[NULL, NULL], ARRAY[NULL, NULL],"
        """ ARRAY['{"amount_minor": {"x": 1}, "entry_id": []}', '"nothing"'])""",
    )
    async with world.running("gateway"):
        await count(database, "SELECT count(*) FROM gateway.dead_letters", 1)
    named = wrong(await audit(database, own_anvil))["I8"]
    assert {"capture_not_told_once", "entry_not_told_once"} <= named.keys()


async def test_an_audit_that_is_ended_to_break_a_deadlock_looks_again(database: Database, own_anvil: AnvilNode) -> None:
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'rialto-audit' AND wait_event_type = 'Lock'"
    with psycopg.connect(database.superuser_dsn()) as other, psycopg.connect(database.superuser_dsn()) as watcher:
        watcher.autocommit = True
        # Ours must not be the one that is ended: it looks for a deadlock only long after the audit has.
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("LOCK TABLE gateway.inbox IN ACCESS EXCLUSIVE MODE")
        auditing = asyncio.ensure_future(audit(database, own_anvil))
        async with asyncio.timeout(30):
            while watcher.execute(waits).fetchone() is None:  # noqa: ASYNC110 - it happens in the database
                await asyncio.sleep(0.01)
        # The audit has read the journal and waits for the inbox; we have the inbox and wait for the journal.
        await asyncio.to_thread(other.execute, "LOCK TABLE ledger.journal_entries IN ACCESS EXCLUSIVE MODE")
        other.rollback()
        assert wrong(await auditing) == {}


async def test_the_void_of_a_hold_that_has_just_expired_is_no_disorder(
    world: World, database: Database, own_anvil: AnvilNode
) -> None:
    async with world.running():
        merchant, wallet = await world.merchant("Books"), await world.wallet("rich", 100_000)
        payment = await world.pay(merchant, wallet, "forgotten", 1_000, capture_method="manual")
        await world.until([(payment, "authorised")])
    spoil(database, "UPDATE ledger.holds SET expires_at = placed_at")
    async with world.running("ledger"):
        await count(database, "SELECT count(*) FROM bus.log WHERE type = 'rialto.hold.expired.v1'", 1)
    # The gateway has not heard of it yet, and asks for what cannot be any more.
    await world.post(f"/v1/payments/{payment}/void", {}, key=merchant, name="void")
    async with world.running():
        await count(database, "SELECT count(*) FROM bus.log WHERE type = 'rialto.hold.voided.v1'", 1)
        await world.until([(payment, "expired")])
        await count(database, "SELECT count(*) FROM ledger.journal_entries WHERE kind = 'deposit'", 1)
    assert wrong(await audit(database, own_anvil)) == {}
