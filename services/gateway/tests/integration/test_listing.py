"""A page of a merchant with very many payments: read off the index in its order, and no more rows than the page has."""

from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_gateway.payments.store import QUERIES

from .platform_in_process import Merchant, Platform

FILL = """
INSERT INTO gateway.payments (
    payment_id, merchant_id, mode, shard, idempotency_key, request_hash, amount_minor, currency, wallet_id,
    capture_method, metadata, payer, payee_address, occurred_at, created_at, updated_at, state, deadline_at
)
SELECT
    ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, $1, 'test', 0, 'fill-' || n, '', 100, 'USD', $2,
    'automatic', '{}', '{}', '0x', $3, $3, $3, 'settled', NULL
FROM generate_series(1, 30000) AS n
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every node of a plan."""
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def test_a_page_of_many_payments_is_read_off_the_index_without_a_sort(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    merchant_id, wallet_id = ids.from_text("mer", merchant.id), ids.from_text("wal", merchant.wallet_id)
    await superuser.execute(FILL, merchant_id, wallet_id, platform.runtime.now())
    await superuser.execute("ANALYZE gateway.payments")
    before = UUID("01980000-0000-7000-8000-000000003a98")
    text = await superuser.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERIES['list_of_merchant']}", merchant_id, "test", before, None, 21
    )
    plan = nodes(orjson.loads(text)[0]["Plan"])
    assert [node["Node Type"] for node in plan] == ["Limit", "Index Scan"]
    assert plan[1]["Index Name"] in ("payments_by_merchant", "payments_pk")
    assert plan[1]["Scan Direction"] == "Backward"
    assert (plan[1]["Actual Rows"], plan[1].get("Rows Removed by Filter", 0)) == (21, 0)
    assert plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"] < 50
    page = await platform.call("GET", "/v1/payments?limit=20", key=merchant.test_key)
    assert (len(page.json()["data"]), page.json()["has_more"]) == (20, True)
