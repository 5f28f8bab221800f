"""The merchant's list of events: pages, filters, what can be expanded, what is refused, what is kept."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from rialto_cli.testing import Database

from .merchant_server import BROKEN, Shop, deliver, deliveries, listen
from .platform_in_process import Merchant, Platform, started

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Shopping:
    """A merchant with a payment that was settled, and one that was declined."""

    def __init__(self, platform: Platform, merchant: Merchant) -> None:
        self.platform = platform
        self.merchant = merchant

    async def fill(self) -> None:
        """Let the two payments happen."""
        self.settled = await self.platform.pay(self.merchant)
        await self.platform.decide(self.settled)
        await self.platform.ask_ledger()
        self.platform.runtime.ahead += timedelta(seconds=10)
        self.between = self.platform.runtime.now()
        await self.platform.hear(self.platform.confirmed(self.settled))
        self.declined = await self.platform.pay(self.merchant)
        await self.platform.hear(self.platform.assessed(self.declined, "block"))

    async def get(self, query: str = "", status: int = 200) -> Any:
        """Ask for events."""
        answer = await self.platform.call("GET", f"/v1/events{query}", key=self.merchant.test_key)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def types(self, query: str = "") -> list[str]:
        """Return the types of the events on a page."""
        return [event["type"] for event in (await self.get(query))["data"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shopping(module_database: Database) -> AsyncIterator[Shopping]:
    """A platform with a merchant that has events."""
    async with started(module_database.dsn) as platform:
        filled = Shopping(platform, await platform.merchant())
        await filled.fill()
        yield filled


ALL = ["payment.declined", "payment.settled", "payment.captured", "payment.authorised"]


async def test_events_are_listed_newest_first_whether_anybody_listened_or_not(shopping: Shopping) -> None:
    page = await shopping.get()
    assert [event["type"] for event in page["data"]] == ALL
    assert (page["has_more"], page["next_cursor"]) == (False, None)
    newest = page["data"][0]
    assert newest["id"].startswith("evt_")
    assert newest["payment"] == newest["data"]["id"] == shopping.declined["id"]
    assert await shopping.get(f"/{newest['id']}") == newest


async def test_pages_follow_each_other_without_a_gap_or_a_repetition(shopping: Shopping) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = await shopping.get(f"?limit=1{cursor}")
        found += [event["type"] for event in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ALL


async def test_filters_by_type_object_and_time(shopping: Shopping) -> None:
    assert await shopping.types("?type=payment.settled") == ["payment.settled"]
    assert await shopping.types("?type=payment.settled&type=payment.declined") == ALL[:2]
    assert await shopping.types("?type=payment.*") == ALL
    assert await shopping.types(f"?object_id={shopping.settled['id']}") == ALL[1:]
    assert await shopping.types(f"?object_id={shopping.settled['id']}&type=payment.captured") == ["payment.captured"]
    assert await shopping.types(f"?object_id={shopping.merchant.wallet_id}") == []
    instant = shopping.between.isoformat().replace("+00:00", "Z")
    assert await shopping.types(f"?created_since={instant}") == ALL[:2]
    assert await shopping.types(f"?created_until={instant}") == ALL[2:]
    assert await shopping.types(f"?created_since={instant}&created_until={instant}") == []


async def test_payments_are_expanded_as_they_are_now(shopping: Shopping) -> None:
    page = await shopping.get("?expand[]=data.payment")
    assert [event["payment"]["status"] for event in page["data"]] == ["declined", "settled", "settled", "settled"]
    assert [event["data"]["status"] for event in page["data"]] == ["declined", "settled", "captured", "authorised"]
    path = f"/{page['data'][1]['id']}?expand[]=payment"
    plain = (await shopping.get(path))["payment"]
    assert "captures" not in plain
    deep = (await shopping.get(f"{path}&expand[]=payment.captures&expand[]=payment.timeline"))["payment"]
    assert [capture["status"] for capture in deep["captures"]] == ["succeeded"]
    assert deep["timeline"][0]["event"] == "payment.created"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?cursor=evt_x", "cursor_invalid"),
        ("?cursor=", "cursor_invalid"),
        ("?cursor=%00", "cursor_invalid"),
        ("?type=payment.lost", "invalid_request"),
        ("?type=*", "invalid_request"),
        ("?object_id=nonsense", "id_invalid"),
        ("?object_id=", "id_invalid"),
        ("?limit=0", "invalid_request"),
        ("?limit=101", "invalid_request"),
        ("?created_since=yesterday", "invalid_request"),
        ("?created_until=9999-12-31T23:59:59-23:59", "invalid_request"),
        ("?expand[]=data.payment.merchant", "expand_invalid"),
        ("?expand[]=payment", "expand_invalid"),
        ("?" + "&".join(["expand[]=data.payment"] * 11), "expand_invalid"),
        ("/evt_x", "id_invalid"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_code(shopping: Shopping, query: str, code: str) -> None:
    assert (await shopping.get(query, 400))["code"] == code


async def test_a_cursor_that_was_altered_or_is_another_merchants_is_refused(shopping: Shopping) -> None:
    cursor = (await shopping.get("?limit=1"))["next_cursor"]
    altered = cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:]
    assert (await shopping.get(f"?cursor={altered}", 400))["code"] == "cursor_invalid"
    other = await shopping.platform.merchant("Other")
    for key in (other.test_key, shopping.merchant.live_key):
        answer = await shopping.platform.call("GET", f"/v1/events?cursor={cursor}", key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def test_after_retention_what_is_at_its_end_is_forgotten_and_what_is_in_line_is_not(shopping: Shopping) -> None:
    platform = shopping.platform
    merchant = await platform.merchant("Kept")
    shop = Shop()
    await shop.start()
    endpoint = await listen(platform, merchant, shop.url)
    for outcome in (b"", BROKEN):
        shop.script = [outcome] if outcome else []
        payment = await platform.pay(merchant)
        await platform.hear(platform.assessed(payment, "block"))
        await deliver(platform)
    assert sorted(item["status"] for item in await deliveries(platform, merchant, endpoint)) == ["delivered", "pending"]
    await platform.gateway.steps["webhook-retention"]()
    assert len(await deliveries(platform, merchant, endpoint)) == 2
    platform.runtime.ahead += timedelta(days=31)
    while await platform.gateway.steps["webhook-retention"]() == 0.0:
        pass
    (left,) = await deliveries(platform, merchant, endpoint)
    assert left["status"] == "pending"
    events = (await platform.call("GET", "/v1/events", key=merchant.test_key)).json()["data"]
    assert [event["id"] for event in events] == [left["event_id"]], "its delivery needs it"
    assert await shopping.types() == [], "nobody listened"
    await deliver(platform)
    assert len({body for _, body in shop.got[1:]}) == 1
    assert orjson.loads(shop.got[-1][1])["id"] == left["event_id"]
    await shop.stop()
