"""API keys: how far each kind reaches, exchanging and ending them, and what the audit log says of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from rialto_cli.testing import Database
from rialto_common import ids

from .platform_in_process import Merchant, Platform, started

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(module_database: Database) -> AsyncIterator[tuple[Platform, Platform, Any]]:
    """Two gateways on one database, and a look into it."""
    async with started(module_database.dsn) as one, started(module_database.dsn) as other:
        superuser = await asyncpg.connect(module_database.superuser_dsn())
        yield one, other, superuser
        await superuser.close()


Two = tuple[Platform, Platform, Any]


@pytest_asyncio.fixture(loop_scope="module")
async def merchant(two: Two) -> Merchant:
    """A merchant of its own for every test."""
    return await two[0].merchant()


async def new_key(platform: Platform, merchant: Merchant, **fields: Any) -> dict[str, Any]:
    """Have the operator issue a key."""
    answer = await platform.call("POST", f"/v1/merchants/{merchant.id}/keys", fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status(platform: Platform, key: str, path: str = "/v1/payments") -> int:
    """Return what a GET with a key is answered."""
    return (await platform.call("GET", path, key=key)).status_code


async def test_a_publishable_key_reaches_nothing_and_says_so(two: Two, merchant: Merchant) -> None:
    made = await new_key(two[0], merchant, kind="publishable")
    assert made["secret"].startswith("pk_test_")
    payment = await two[0].send_payment(merchant, "p", key=made["secret"])
    listed = await two[0].call("GET", "/v1/payments", key=made["secret"])
    for answer in (payment, listed):
        assert (answer.status_code, answer.json()["code"]) == (403, "key_not_allowed")


async def test_a_restricted_key_reaches_as_far_as_its_scopes(two: Two, merchant: Merchant) -> None:
    platform = two[0]
    reads = (await new_key(platform, merchant, kind="restricted", scopes=["payments:read"]))["secret"]
    writes = (await new_key(platform, merchant, kind="restricted", scopes=["payments:write", "api_keys:write"]))[
        "secret"
    ]
    assert reads.startswith("rk_test_")
    assert (await status(platform, reads), await status(platform, writes)) == (200, 200)
    assert await status(platform, reads, f"/v1/wallets/{merchant.wallet_id}") == 403
    assert (await platform.send_payment(merchant, "r", key=reads)).json()["code"] == "key_not_allowed"
    assert (await platform.send_payment(merchant, "w", key=writes)).status_code == 202
    listed = (await platform.call("GET", "/v1/api_keys", key=merchant.test_key)).json()["data"]
    rolled = await platform.call("POST", f"/v1/api_keys/{listed[0]['id']}/roll", {}, key=writes)
    assert (rolled.status_code, rolled.json()["code"]) == (403, "key_not_allowed")


@pytest.mark.parametrize(
    "body", [{"kind": "restricted"}, {"scopes": ["payments:read"]}, {"kind": "restricted", "scopes": ["all"]}]
)
async def test_a_key_whose_scopes_make_no_sense_is_refused(two: Two, merchant: Merchant, body: Any) -> None:
    answer = await two[0].call("POST", f"/v1/merchants/{merchant.id}/keys", body)
    assert answer.status_code == 400, answer.text


async def test_a_rolled_key_overlaps_with_its_successor_and_then_ends(two: Two, merchant: Merchant) -> None:
    platform = two[0]
    old = await new_key(platform, merchant)
    path = f"/v1/api_keys/{old['id']}/roll"
    rolled = [
        await platform.call("POST", path, {"expires_in_seconds": 60}, key=merchant.test_key, Idempotency_Key="roll")
        for _ in range(2)
    ]
    assert [answer.status_code for answer in rolled] == [201, 201]
    assert rolled[0].content == rolled[1].content
    new = rolled[0].json()
    assert (new["kind"], new["api_version"], new["id"] != old["id"]) == ("secret", old["api_version"], True)
    assert (await status(platform, old["secret"]), await status(platform, new["secret"])) == (200, 200)
    platform.runtime.ahead += platform.runtime.now().resolution * 61_000_000
    assert (await status(platform, old["secret"]), await status(platform, new["secret"])) == (401, 200)
    listed = await platform.call("GET", "/v1/api_keys", key=new["secret"])
    assert new["secret"] not in listed.text
    assert new["secret"][-4:] in {key["hint"] for key in listed.json()["data"]}


@pytest.mark.parametrize("told", [True, False], ids=["notified", "the notification is lost"])
async def test_a_revoked_key_is_refused_by_every_gateway_within_five_seconds(
    two: Two, merchant: Merchant, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, _ = two
    made = await new_key(one, merchant)
    assert (await status(one, made["secret"]), await status(other, made["secret"])) == (200, 200)
    if not told:
        monkeypatch.setattr("rialto_gateway.merchants.key_news.CHANNEL", "nobody_listens_here")
    gone = await one.call("DELETE", f"/v1/api_keys/{made['id']}", key=merchant.test_key)
    assert gone.status_code == 204
    assert await status(one, made["secret"]) == 401
    if told:
        async with asyncio.timeout(1.5):  # sooner than a cache would be looked into
            while await status(other, made["secret"]) != 401:  # noqa: ASYNC110 - looks at another process's state
                await asyncio.sleep(0.02)
    else:
        assert await status(other, made["secret"]) == 200, "the notification was not lost: the test shows nothing"
        other.runtime.ahead += other.runtime.now().resolution * 5_000_000
        assert await status(other, made["secret"]) == 401


async def test_when_a_key_was_used_last_is_written_down_later(two: Two, merchant: Merchant) -> None:
    platform, _, superuser = two
    made = await new_key(platform, merchant)
    assert await status(platform, made["secret"]) == 200
    used = "SELECT last_used_at FROM gateway.api_keys WHERE key_id = $1"
    key_id = ids.from_text("key", made["id"])
    assert await superuser.fetchval(used, key_id) is None
    async with asyncio.timeout(15):
        while await superuser.fetchval(used, key_id) is None:  # noqa: ASYNC110 - looks at the database
            await asyncio.sleep(0.1)


async def test_the_audit_log_names_who_did_what_and_cannot_be_changed(two: Two, merchant: Merchant) -> None:
    platform = two[0]
    made = await new_key(platform, merchant)
    headers = {"Request-Id": "audited-request-1"}
    answer = await platform.http.delete(
        f"/v1/api_keys/{made['id']}", headers={"Authorization": f"Bearer {merchant.test_key}", **headers}
    )
    assert (answer.status_code, answer.headers["request-id"]) == (204, "audited-request-1")
    own = await platform.call("GET", "/v1/audit_log", key=merchant.test_key)
    newest, before = own.json()["data"][:2]
    assert (newest["act"], newest["target"], newest["request_id"]) == (
        "api_key.revoked",
        made["id"],
        "audited-request-1",
    )
    assert newest["actor"].startswith("key_")
    assert (before["act"], before["actor"]) == ("api_key.created", "operator")
    assert made["secret"] not in own.text
    everything = await platform.call("GET", "/v1/audit_log")
    assert "merchant.created" in {entry["act"] for entry in everything.json()["data"]}
    for statement in ("UPDATE gateway.audit_log SET actor = 'nobody'", "DELETE FROM gateway.audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await platform.pool.execute(statement)


async def test_a_key_speaks_the_version_it_was_made_in_unless_a_header_says_otherwise(
    two: Two, merchant: Merchant
) -> None:
    platform = two[0]
    path = f"/v1/merchants/{merchant.id}/keys"
    new = await platform.call("POST", path, {}, Rialto_Version="2026-11-01")
    old = await platform.call("POST", f"{path}?mode=live", Rialto_Version="2026-06-01")
    assert (new.status_code, old.status_code) == (201, 201)
    assert "secret" in new.json()
    assert "key" not in new.json()
    assert old.json()["key"].startswith("sk_live_")
    assert not {"secret", "kind", "scopes"} & set(old.json())
    assert old.headers["rialto-version"] == "2026-06-01"
    pinned = await platform.call("GET", "/v1/api_keys", key=old.json()["key"])
    assert pinned.headers["rialto-version"] == "2026-06-01"
    assert all("kind" not in key for key in pinned.json()["data"])
    raised = await platform.call("GET", "/v1/api_keys", key=old.json()["key"], Rialto_Version="2026-11-01")
    assert all("kind" in key for key in raised.json()["data"])
    unknown = await platform.call("GET", "/v1/payments", key=merchant.test_key, Rialto_Version="2020-01-01")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "version_unknown")
    assert "2026-06-01, 2026-11-01" in unknown.json()["detail"]
