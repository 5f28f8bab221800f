"""Customers: kept once, changed in part, seen by nobody else, and forgotten for good."""

import asyncio
from typing import Any

import asyncpg
import httpx

from .platform_in_process import Merchant, Platform

ADA = {"name": "Ada Example", "email": "ada@example.org", "country": "GB", "metadata": {"crm": "4711"}}


async def create(platform: Platform, merchant: Merchant, key: str | None = None, **facts: Any) -> httpx.Response:
    """Keep a customer."""
    return await platform.call(
        "POST", "/v1/customers", ADA | facts, key=merchant.test_key, Idempotency_Key=key or platform.new_key()
    )


async def change(platform: Platform, merchant: Merchant, customer_id: str, **facts: Any) -> httpx.Response:
    """Change what is known of a customer."""
    path = f"/v1/customers/{customer_id}"
    return await platform.call("POST", path, facts, key=merchant.test_key, Idempotency_Key=platform.new_key())


async def test_a_customer_is_kept_once_however_often_it_is_sent(platform: Platform, merchant: Merchant) -> None:
    answers = await asyncio.gather(*(create(platform, merchant, "one") for _ in range(8)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer not in made} <= {"request_in_progress"}
    assert len({answer.json()["id"] for answer in made}) == 1
    assert sum(answer.headers.get("Idempotency-Replayed") is None for answer in made) == 1
    other = await create(platform, merchant, "one", name="Someone Else")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    headers = {"Authorization": f"Bearer {merchant.test_key}"}
    without = await platform.http.post("/v1/customers", json=ADA, headers=headers)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_required")
    listed = await platform.call("GET", "/v1/customers", key=merchant.test_key)
    assert listed.json()["data"] == [made[0].json()]


async def test_what_is_left_out_of_a_change_stays_and_null_takes_away(platform: Platform, merchant: Merchant) -> None:
    made = (await create(platform, merchant, phone="+44 20 7946 0000")).json()
    changed = await change(platform, merchant, made["id"], email="new@example.org", phone=None, metadata={"vip": "1"})
    assert changed.status_code == 200, changed.text
    expected = made | {"email": "new@example.org", "phone": None, "metadata": {"crm": "4711", "vip": "1"}}
    assert changed.json() == expected | {"updated_at": changed.json()["updated_at"]}
    without = await change(platform, merchant, made["id"], metadata={"crm": None})
    assert without.json()["metadata"] == {"vip": "1"}
    found = await platform.call("GET", f"/v1/customers/{made['id']}", key=merchant.test_key)
    assert found.json() == without.json()


async def test_a_customer_is_nobody_elses(platform: Platform, merchant: Merchant) -> None:
    made = (await create(platform, merchant)).json()
    stranger = await platform.merchant("Stranger")
    path = f"/v1/customers/{made['id']}"
    for key in (stranger.test_key, merchant.live_key):
        for method, body in (("GET", None), ("DELETE", None), ("POST", {"name": "Mine Now"})):
            answer = await platform.call(method, path, body, key=key, Idempotency_Key=platform.new_key())
            assert (answer.status_code, answer.json()["code"]) == (404, "customer_not_found")
    assert (await platform.call("GET", "/v1/customers", key=stranger.test_key)).json()["data"] == []
    assert (await platform.call("GET", path, key=merchant.test_key)).json() == made


async def test_pages_follow_each_other_newest_first(platform: Platform, merchant: Merchant) -> None:
    made = [(await create(platform, merchant, name=f"Customer {nth}")).json()["id"] for nth in range(5)]
    await platform.call("DELETE", f"/v1/customers/{made[2]}", key=merchant.test_key)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
        page = (await platform.call("GET", f"/v1/customers{query}", key=merchant.test_key)).json()
        seen += [customer["id"] for customer in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [made[4], made[3], made[1], made[0]]
    bad = await platform.call("GET", "/v1/customers?cursor=nonsense", key=merchant.test_key)
    assert (bad.status_code, bad.json()["code"]) == (400, "cursor_invalid")


async def test_what_is_known_of_a_person_rests_sealed_and_is_forgotten_for_good(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    made = (await create(platform, merchant, "first")).json()
    tables = await superuser.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = 'gateway'")
    for table in tables:
        rows = await superuser.fetch(f"SELECT t::TEXT AS line FROM gateway.{table['table_name']} AS t")
        assert not [row["line"] for row in rows if "Ada" in row["line"] or "ada@" in row["line"]]
    deleted = await platform.call("DELETE", f"/v1/customers/{made['id']}", key=merchant.test_key)
    assert deleted.status_code == 200
    assert deleted.json() == {
        "id": made["id"],
        "object": "customer",
        "deleted": True,
        "created_at": made["created_at"],
        "updated_at": deleted.json()["updated_at"],
    }
    again = await platform.call("DELETE", f"/v1/customers/{made['id']}", key=merchant.test_key)
    assert again.json() == deleted.json()
    retried = await create(platform, merchant, "first")
    assert (retried.status_code, retried.json()) == (201, deleted.json())
    late = await change(platform, merchant, made["id"], name="Ada Again")
    assert (late.status_code, late.json()["code"]) == (404, "customer_not_found")
    wrapped = await superuser.fetchval("SELECT count(*) FROM keyring.keys WHERE wrapped_key IS NOT NULL")
    assert wrapped == 0


async def test_what_is_no_customer_is_refused_and_nothing_is_kept(platform: Platform, merchant: Merchant) -> None:
    for facts, param in (
        ({"name": ""}, "name"),
        ({"country": "Britain"}, "country"),
        ({"date_of_birth": "1815"}, "date_of_birth"),
        ({"iq": "200"}, "iq"),
    ):
        answer = await create(platform, merchant, **facts)
        assert (answer.status_code, answer.json()["param"]) == (400, param), answer.text
    named = (await create(platform, merchant)).json()
    nameless = await change(platform, merchant, named["id"], name=None)
    assert (nameless.status_code, nameless.json()["param"]) == (400, "name")
    assert len((await platform.call("GET", "/v1/customers", key=merchant.test_key)).json()["data"]) == 1
