"""Webhooks against a real HTTP server that takes, refuses, stalls, redirects and talks too much."""

import asyncio
import socket
from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from rialto_cli.testing import Database
from rialto_common.runtime import SystemRuntime
from rialto_gateway.webhooks import outgoing
from rialto_gateway.webhooks.addresses import UrlRefused
from rialto_gateway.webhooks.outgoing import MAX_ANSWER_BYTES, Answer, OutgoingCalls
from rialto_gateway.webhooks.retries import RETRY_AFTER

from .merchant_server import BROKEN, Shop, attempts, deliver, deliveries, listen
from .platform_in_process import Merchant, Platform, started


async def test_every_state_is_told_once_signed_and_without_personal_data(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    payment = await platform.pay(merchant, payer={"name": "Xavierolin Plantedname", "email": "x@planted.example"})
    await platform.decide(payment)
    await platform.ask_ledger()
    await platform.hear(platform.confirmed(payment))
    await deliver(platform)
    verifier = Webhook(endpoint["secret"])
    told = [verifier.verify(body, headers) for headers, body in shop.got]
    by_sequence = sorted(told, key=lambda message: message["data"]["sequence"])
    kinds = [message["type"] for message in by_sequence]
    assert kinds == ["payment.authorised", "payment.captured", "payment.settled"]
    assert [message["data"]["status"] for message in by_sequence] == ["authorised", "captured", "settled"]
    assert {message["data"]["id"] for message in told} == {payment["id"]}
    assert len({headers["webhook-id"] for headers, _ in shop.got}) == 3
    assert all(headers["host"] == f"127.0.0.1:{shop.port}" for headers, _ in shop.got)
    assert not any(word in body for word in (b"Plantedname", b"planted.example") for _, body in shop.got)
    with pytest.raises(Exception, match="No matching signature"):
        verifier.verify(shop.got[0][1] + b" ", shop.got[0][0])
    assert {item["status"] for item in await deliveries(platform, merchant, endpoint)} == {"delivered"}
    await deliver(platform)
    assert len(shop.got) == 3


async def test_an_endpoint_hears_only_what_it_asked_for_and_only_of_its_merchant_and_mode(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    other = await platform.merchant("Other")
    await listen(platform, merchant, shop.url, "payment.declined")
    await listen(platform, other, shop.url)
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "review"), platform.screened(payment))
    declined = await platform.pay(merchant)
    await platform.hear(platform.assessed(declined, "block"))
    await deliver(platform)
    assert [body.count(b'"payment.declined"') for _, body in shop.got] == [1]


async def test_what_is_not_taken_comes_again_with_the_same_id_and_body(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url, "payment.declined")
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    redirect = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + shop.url.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    shop.script = [BROKEN, redirect, "close"]
    for _ in range(4):
        await deliver(platform)
        await deliver(platform)  # not due yet
        platform.runtime.ahead += RETRY_AFTER[3]
    assert len(shop.got) == 4, "a redirect was followed, or a retry came too early"
    assert len({headers["webhook-id"] for headers, _ in shop.got}) == 1
    assert len({body for _, body in shop.got}) == 1
    assert [state for state, _, _ in await attempts(superuser)] == ["failed", "failed", "unknown", "succeeded"]
    assert [status for _, status, _ in await attempts(superuser)] == [500, 307, None, 204]
    (delivery,) = await deliveries(platform, merchant, endpoint)
    assert (delivery["status"], delivery["attempts"], delivery["last_http_status"]) == ("delivered", 4, 204)


async def test_after_the_last_retry_it_is_given_up(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url, "payment.declined")
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    await shop.stop()
    for _ in range(len(RETRY_AFTER) + 3):
        await deliver(platform)
        platform.runtime.ahead += RETRY_AFTER[-1]
    (delivery,) = await deliveries(platform, merchant, endpoint)
    assert (delivery["status"], delivery["attempts"]) == ("given_up", len(RETRY_AFTER) + 1)
    assert set(await attempts(superuser)) == {("failed", None, "ConnectError")}


async def test_a_server_that_stalls_or_drips_is_left_in_time_and_the_outcome_is_unknown(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "TIMEOUT_SECONDS", 0.3)
    await listen(platform, merchant, shop.url, "payment.declined")
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    shop.script = ["stall", "drip"]
    for _ in range(3):
        async with asyncio.timeout(5):
            await deliver(platform)
        platform.runtime.ahead += RETRY_AFTER[2]
    assert [state for state, _, _ in await attempts(superuser)] == ["unknown", "unknown", "succeeded"]


async def test_an_endless_answer_is_cut_off(platform: Platform, merchant: Merchant, shop: Shop, superuser: Any) -> None:
    await listen(platform, merchant, shop.url, "payment.declined")
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    shop.script = ["flood"]
    async with asyncio.timeout(5):
        await deliver(platform)
    assert await attempts(superuser) == [("succeeded", 200, None)]
    assert shop.sent_bytes < 200 * MAX_ANSWER_BYTES


async def test_a_deleted_endpoint_gets_nothing_more(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    deleted = await platform.call("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}", key=merchant.test_key)
    assert deleted.status_code == 204
    await deliver(platform)
    assert shop.got == []
    assert await attempts(superuser) == []
    assert await superuser.fetchval("SELECT state FROM gateway.webhook_deliveries") == "given_up"


async def test_an_attempt_whose_process_died_is_unknown_and_made_again(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listen(platform, merchant, shop.url)
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))

    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        if name == "gateway.webhook.before_send":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(platform.runtime, "crash_point", die)
        with pytest.raises(Killed):
            await deliver(platform)
    await deliver(platform)
    assert shop.got == [], "the lease has not ended"
    platform.runtime.ahead += timedelta(seconds=61)
    await deliver(platform)
    assert await attempts(superuser) == [("unknown", None, "interrupted"), ("succeeded", 204, None)]


async def test_private_addresses_are_not_called_unless_allowed(database: Database, shop: Shop) -> None:
    async with started(database.dsn, webhook_allow_private=False) as platform:
        merchant = await platform.merchant()
        for url in (shop.url, "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data"):
            refused = await platform.call("POST", "/v1/webhook_endpoints", {"url": url}, key=merchant.test_key)
            assert (refused.status_code, refused.json()["code"]) == (400, "webhook_url_refused"), url
        await listen(platform, merchant, f"https://localhost:{shop.port}/")  # a name: looked up at each call
        payment = await platform.pay(merchant)
        await platform.hear(platform.assessed(payment, "block"))
        await deliver(platform)
        rows = await platform.pool.fetch("SELECT state, error FROM gateway.webhook_attempts")
        assert [tuple(row) for row in rows] == [("failed", "webhook_url_refused")]
        assert shop.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_called(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers otherwise at the second look-up (DNS rebinding) is looked up once only."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        if host not in ("rebinding.example", "internal.example"):
            return real(host, port, *arguments, **options)
        looked_up.append(host)
        inside = host == "internal.example" or len(looked_up) > 1
        return [(2, 1, 6, "", ("10.0.0.1" if inside else "127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(outgoing, "is_public", lambda address: not address.startswith("10."))
    calls = OutgoingCalls(SystemRuntime(), allow_private=True)
    assert await calls.post(f"http://rebinding.example:{shop.port}/a", b"{}", {}) == Answer(204, b"")
    assert looked_up == ["rebinding.example"]
    assert shop.got[0][0]["host"] == f"rebinding.example:{shop.port}"
    await calls.close()
    strict = OutgoingCalls(SystemRuntime(), allow_private=False)
    with pytest.raises(UrlRefused):
        await strict.post("https://internal.example/", b"{}", {})
    await strict.close()


async def test_a_connection_to_one_host_is_not_used_for_another_at_the_same_address(shop: Shop) -> None:
    calls = OutgoingCalls(SystemRuntime(), allow_private=True)
    for host in ("127.0.0.1", "localhost", "127.0.0.1"):
        assert await calls.post(f"http://{host}:{shop.port}/", b"{}", {}) == Answer(204, b"")
    assert shop.connections == 3
    await calls.close()


async def test_a_secret_is_shown_once_and_rests_encrypted(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    shown = await platform.call("GET", f"/v1/webhook_endpoints/{endpoint['id']}", key=merchant.test_key)
    assert "secret" not in shown.json()
    raw = b64decode(endpoint["secret"].removeprefix("whsec_"))
    assert len(raw) == 32
    stored = await superuser.fetchval("SELECT secret FROM gateway.webhook_endpoints")
    assert raw not in stored
    assert endpoint["secret"].encode() not in stored
