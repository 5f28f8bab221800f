"""What a page of events and a look for due deliveries cost: by what they return, not by how much there is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
import pytest_asyncio

from rialto_cli.testing import Database
from rialto_gateway.cursors import NEWEST
from rialto_gateway.events.api import OLDEST
from rialto_gateway.events.api import QUERIES as EVENTS
from rialto_gateway.webhooks.messages import MESSAGES, QUERIES
from rialto_gateway.webhooks.queue import ENDPOINTS_A_LOOK, FIRST

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERCHANT = UUID(int=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)
ROWS = 60_000

FILL = """
INSERT INTO gateway.merchants VALUES ('{merchant}', 'Shop', NULL, '0x', '{start}');
INSERT INTO gateway.merchant_events
SELECT md5('e' || n)::UUID, '{merchant}', 'test', ('{{{types}}}'::TEXT[])[1 + n % {kinds}], md5('p' || n / 3)::UUID,
    md5('p' || n / 3)::UUID, n, '{{}}', '{start}'::TIMESTAMPTZ + n * interval '1 second'
FROM generate_series(1, {rows}) AS n;
INSERT INTO gateway.webhook_endpoints (endpoint_id, merchant_id, mode, url, events, secret, created_at)
SELECT md5('w' || n)::UUID, '{merchant}', 'test', 'https://shop.example', '{{}}', '\\x00', '{start}'
FROM generate_series(1, 600) AS n;
INSERT INTO gateway.webhook_breakers (endpoint_id) SELECT endpoint_id FROM gateway.webhook_endpoints;
-- One endpoint has most of it in line, many lines of it; the others a little each, and much that is delivered.
INSERT INTO gateway.webhook_deliveries (
    delivery_id, endpoint_id, payment_id, event, body, line, place, state, next_attempt_at, created_at
)
SELECT md5('d' || n)::UUID, md5('w' || CASE WHEN n % 2 = 0 THEN 1 ELSE 1 + n % 600 END)::UUID,
    md5('p' || n / 6)::UUID, 'payment.settled', '{{}}', md5('p' || n / 6)::UUID, n,
    CASE WHEN n % 5 = 0 THEN 'delivered' ELSE 'pending' END, CASE WHEN n % 5 <> 0 THEN '{start}'::TIMESTAMPTZ END,
    '{start}'::TIMESTAMPTZ + n * interval '1 second'
FROM generate_series(1, {rows}) AS n;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(module_database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection to a database with many events and deliveries, planned for as the service's are."""
    connection = await asyncpg.connect(
        module_database.superuser_dsn(), server_settings={"plan_cache_mode": "force_custom_plan", "jit": "off"}
    )
    names = list(MESSAGES.values())
    await connection.execute(
        FILL.format(merchant=MERCHANT, start=START, types=",".join(names), kinds=len(names), rows=ROWS)
    )
    await connection.execute("VACUUM ANALYZE gateway.merchant_events, gateway.webhook_deliveries")
    await connection.execute("ANALYZE gateway.webhook_endpoints, gateway.webhook_breakers")
    yield connection
    await connection.close()


class Plan:
    """How a statement was carried out."""

    def __init__(self, text: str) -> None:
        (self._whole,) = orjson.loads(text)
        self.nodes = list(self._walk(self._whole["Plan"]))
        self.pages = self._whole["Plan"]["Shared Hit Blocks"] + self._whole["Plan"]["Shared Read Blocks"]

    def _walk(self, node: dict[str, Any]) -> Any:
        yield node
        for below in node.get("Plans", ()):
            yield from self._walk(below)

    def scanned(self) -> set[str]:
        """The tables that were read from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}


async def plan_of(connection: "asyncpg.Connection[Any]", query: str, *arguments: Any) -> Plan:
    """Carry a statement out, undo it, and return how it was done."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
    finally:
        await transaction.rollback()
    return Plan(text)


@pytest.mark.parametrize("types", [list(MESSAGES.values()), ["payment.settled"]])
async def test_a_page_of_events_costs_the_same_at_any_depth(
    filled: "asyncpg.Connection[Any]", types: list[str]
) -> None:
    pages = []
    for at in (NEWEST.at, START + timedelta(seconds=ROWS // 2), START + timedelta(seconds=500)):
        arguments = (MERCHANT, "test", types, at, NEWEST.id, OLDEST, 21)
        rows = await filled.fetch(EVENTS["page"], *arguments)
        assert len(rows) == 21
        assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)
        plan = await plan_of(filled, EVENTS["page"], *arguments)
        assert not plan.scanned()
        pages.append(plan.pages)
    assert max(pages) <= 21 * 4 + len(types) * 21 * 2, pages
    assert max(pages) <= 2 * min(pages), pages


async def test_the_events_of_one_object_are_found_by_it(filled: "asyncpg.Connection[Any]") -> None:
    object_id = await filled.fetchval("SELECT object_id FROM gateway.merchant_events LIMIT 1")
    arguments = (MERCHANT, "test", list(MESSAGES.values()), NEWEST.at, NEWEST.id, OLDEST, 21, object_id)
    plan = await plan_of(filled, EVENTS["page_of_object"], *arguments)
    assert not plan.scanned()
    assert plan.pages < 20


async def test_a_look_for_due_deliveries_reads_indexes_however_many_wait(filled: "asyncpg.Connection[Any]") -> None:
    plan = await plan_of(filled, QUERIES["hold_due"], LATER, FIRST, ENDPOINTS_A_LOOK)
    assert "webhook_deliveries" not in plan.scanned()
    assert plan.pages < ENDPOINTS_A_LOOK * 30, plan.pages
    held = await filled.fetch(QUERIES["hold_due"], LATER, FIRST, ENDPOINTS_A_LOOK)
    assert len(held) == ENDPOINTS_A_LOOK
    assert [row["endpoint_id"] for row in held] == sorted(row["endpoint_id"] for row in held)
    following = await filled.fetch(QUERIES["hold_due"], LATER, held[-1]["endpoint_id"], ENDPOINTS_A_LOOK)
    assert not {row["endpoint_id"] for row in held} & {row["endpoint_id"] for row in following}


async def test_nothing_is_read_of_endpoints_that_are_left_alone_but_that_they_are(
    filled: "asyncpg.Connection[Any]",
) -> None:
    transaction = filled.transaction()
    await transaction.start()
    await filled.execute(
        "UPDATE gateway.webhook_breakers SET state = 'open', probe_at = $1", LATER + timedelta(seconds=1)
    )
    text = await filled.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERIES['hold_due']}", LATER, FIRST, ENDPOINTS_A_LOOK
    )
    await transaction.rollback()
    assert Plan(text).pages < 600 * 12, "a few pages an endpoint, where 48,000 messages wait"


async def test_a_claim_costs_by_what_is_claimed(filled: "asyncpg.Connection[Any]") -> None:
    crowded = await filled.fetchval("SELECT md5('w1')::UUID")
    others = [
        row["endpoint_id"]
        for row in await filled.fetch("SELECT md5('w' || n)::UUID AS endpoint_id FROM generate_series(2, 40) AS n")
    ]
    arguments = (LATER, LATER + timedelta(minutes=1), [crowded, *others], [8] * 40)
    plan = await plan_of(filled, QUERIES["claim"], *arguments)
    assert "webhook_deliveries" not in plan.scanned()
    assert "merchant_events" not in plan.scanned()
    assert plan.pages < 40 * 32 * 40, plan.pages
    one = await plan_of(filled, QUERIES["claim"], LATER, LATER + timedelta(minutes=1), [crowded], [8])
    assert one.pages < 32 * 40, one.pages
