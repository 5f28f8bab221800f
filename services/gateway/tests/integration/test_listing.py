"""A page of a merchant with very many payments: read off the index in its order, and no more rows than the page has."""

from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_gateway.payments.service import LAST_ID, LOOKED_AT
from rialto_gateway.payments.store import QUERIES

from .platform_in_process import ADMIN_KEY, Merchant, Platform

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
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERIES['list_of_merchant']}",
        merchant_id,
        "test",
        before,
        None,
        21,
        None,
    )
    plan = nodes(orjson.loads(text)[0]["Plan"])
    assert [node["Node Type"] for node in plan] == ["Limit", "Index Scan"]
    assert plan[1]["Index Name"] in ("payments_by_merchant", "payments_pk")
    assert plan[1]["Scan Direction"] == "Backward"
    assert (plan[1]["Actual Rows"], plan[1].get("Rows Removed by Filter", 0)) == (21, 0)
    assert plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"] < 50
    page = await platform.call("GET", "/v1/payments?limit=20", key=merchant.test_key)
    assert (len(page.json()["data"]), page.json()["has_more"]) == (20, True)


async def test_a_page_of_a_state_that_few_are_in_looks_at_no_more_than_so_many_and_the_last_is_found(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    merchant_id, wallet_id = ids.from_text("mer", merchant.id), ids.from_text("wal", merchant.wallet_id)
    await superuser.execute(FILL, merchant_id, wallet_id, platform.runtime.now())
    oldest = UUID("01980000-0000-7000-8000-000000000001")
    await superuser.execute("UPDATE gateway.payments SET state = 'voided' WHERE payment_id = $1", oldest)
    await superuser.execute("VACUUM ANALYZE gateway.payments")
    for key in (merchant.test_key, ADMIN_KEY):
        found, query, pages = list[str](), "?status=voided&limit=20", 0
        while query:
            page = (await platform.call("GET", f"/v1/payments{query}", key=key)).json()
            found += [each["id"] for each in page["data"]]
            pages += 1
            query = f"?status=voided&limit=20&cursor={page['next_cursor']}" if page["has_more"] else ""
        assert (found, pages) == ([ids.to_text("pay", oldest)], 30_000 // LOOKED_AT + 1)
    text = await superuser.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {QUERIES['floor_of_merchant']}", merchant_id, "test", LAST_ID, LOOKED_AT - 1
    )
    assert [node["Node Type"] for node in nodes(orjson.loads(text)[0]["Plan"])] == ["Limit", "Index Only Scan"]
