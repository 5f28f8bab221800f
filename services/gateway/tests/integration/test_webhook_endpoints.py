"""What a merchant does with endpoints: rotating secrets, choosing events, trying, reading the log, sending again."""

import asyncio
import os
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from rialto_cli.testing import Database
from rialto_gateway.webhooks import outgoing
from rialto_gateway.webhooks.breaker import OPENS_AFTER
from rialto_gateway.webhooks.outgoing import KEPT_ANSWER_BYTES
from rialto_gateway.webhooks.ports import LEASE
from rialto_gateway.webhooks.retries import RETRY_AFTER

from .merchant_server import BROKEN, Shop, attempts, deliver, deliveries, listen
from .platform_in_process import Merchant, Platform


async def declined(platform: Platform, merchant: Merchant) -> dict[str, Any]:
    """Have a payment declined, of which one message tells."""
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "block"))
    return payment


async def post(platform: Platform, merchant: Merchant, path: str, body: Any = None, status: int = 200) -> Any:
    """Send a POST about the merchant's endpoints."""
    answer = await platform.call(
        "POST", f"/v1/webhook_endpoints/{path}", body or {}, key=merchant.test_key, Idempotency_Key=platform.new_key()
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def types(shop: Shop) -> list[str]:
    """Return the types of what the shop got, in the order it came."""
    return [orjson.loads(body)["type"] for _, body in shop.got]


async def test_while_a_rotation_overlaps_both_secrets_verify_and_then_the_new_one_alone(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    rotated = await post(platform, merchant, f"{endpoint['id']}/rotate_secret", {"overlap_seconds": 200})
    assert rotated["secret"] != endpoint["secret"]
    await declined(platform, merchant)
    await deliver(platform)
    headers, body = shop.got[0]
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (endpoint["secret"], rotated["secret"]):
        assert Webhook(secret).verify(body, headers)["type"] == "payment.declined"
    platform.runtime.ahead += timedelta(seconds=201)  # within the receiver's five minutes
    await declined(platform, merchant)
    await deliver(platform)
    headers, body = shop.got[1]
    Webhook(rotated["secret"]).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(body, headers)


async def test_a_rotation_without_overlap_ends_the_secret_before_and_a_second_one_leaves_two(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    path = f"{endpoint['id']}/rotate_secret"
    second = await post(platform, merchant, path)
    third = await post(platform, merchant, path)
    await declined(platform, merchant)
    await deliver(platform)
    headers, body = shop.got[0]
    for secret in (second["secret"], third["secret"]):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(body, headers)
    leaked = await post(platform, merchant, path, {"overlap_seconds": 0})
    assert leaked["previous_secret_valid_until"] is None
    await declined(platform, merchant)
    await deliver(platform)
    headers, body = shop.got[1]
    assert len(headers["webhook-signature"].split(" ")) == 1
    Webhook(leaked["secret"]).verify(body, headers)


async def test_a_rotation_is_made_once_however_often_it_is_sent(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    path = f"/v1/webhook_endpoints/{endpoint['id']}/rotate_secret"
    answers = [await platform.call("POST", path, {}, key=merchant.test_key, Idempotency_Key="rotate") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"


async def test_an_endpoint_can_be_changed_disabled_and_enabled(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, "http://127.0.0.1:9/", "payment.settled")
    path = f"/v1/webhook_endpoints/{endpoint['id']}"

    async def change(body: Any) -> dict[str, Any]:
        answer = await platform.call("PATCH", path, body, key=merchant.test_key)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    changed = await change({"url": shop.url, "events": ["payment.*"]})
    assert (changed["url"], changed["events"], changed["enabled"]) == (shop.url, ["payment.*"], True)
    await declined(platform, merchant)
    assert (await change({"enabled": False}))["enabled"] is False
    await declined(platform, merchant)
    await deliver(platform)
    assert shop.got == [], "nothing is sent to a disabled endpoint"
    assert (await change({"enabled": True}))["events"] == ["payment.*"]
    await deliver(platform)
    assert types(shop) == ["payment.declined"], "what waited went; what happened meanwhile was not put in line"
    for body, code in (
        ({"url": "ftp://shop.example/"}, "webhook_url_refused"),
        ({"events": ["refund.*x"]}, "invalid_request"),
        ({"secret": "whsec_mine"}, "unknown_field"),
    ):
        refused = await platform.call("PATCH", path, body, key=merchant.test_key)
        assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_messages_of_a_payment_come_in_order_also_past_a_failure_and_others_do_not_wait(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    await listen(platform, merchant, shop.url)
    shop.script = [BROKEN]
    payment = await platform.pay(merchant)
    await platform.decide(payment)
    await platform.ask_ledger()
    await deliver(platform)
    await platform.hear(platform.confirmed(payment))
    other = await declined(platform, merchant)
    await deliver(platform)
    assert types(shop) == ["payment.authorised", "payment.declined"], "the first was refused; others go on"
    assert orjson.loads(shop.got[1][1])["data"]["id"] == other["id"]
    platform.runtime.ahead += RETRY_AFTER[0]
    await deliver(platform)
    assert types(shop)[2:] == ["payment.authorised", "payment.captured", "payment.settled"]
    sequences = [orjson.loads(body)["data"]["sequence"] for _, body in shop.got[2:]]
    assert sequences == sorted(set(sequences))


async def test_an_endpoint_that_fails_is_left_alone_seen_on_the_api_and_in_the_metrics_and_loses_nothing(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    path = f"/v1/webhook_endpoints/{endpoint['id']}"
    shop.script = [BROKEN] * OPENS_AFTER
    for _ in range(OPENS_AFTER + 2):
        await declined(platform, merchant)
    await deliver(platform)
    assert len(shop.got) == OPENS_AFTER
    circuit = (await platform.call("GET", path, key=merchant.test_key)).json()["circuit"]
    assert (circuit["state"], circuit["failures"]) == ("open", OPENS_AFTER)
    assert circuit["opened_at"] < circuit["next_probe_at"]
    await platform.gateway.steps["webhook-retention"]()
    metrics = (await platform.http.get("/metrics")).text
    assert "rialto_webhook_endpoints_left_alone 1.0" in metrics
    assert 'rialto_webhook_breaker_transitions_total{state="open"} 1.0' in metrics
    platform.runtime.ahead += timedelta(seconds=31)
    await deliver(platform)
    assert (await platform.call("GET", path, key=merchant.test_key)).json()["circuit"]["state"] == "closed"
    assert {item["status"] for item in await deliveries(platform, merchant, endpoint)} == {"delivered"}
    assert len(shop.got) == 2 * OPENS_AFTER + 2


async def test_an_endpoint_that_hangs_does_not_delay_another(
    platform: Platform, merchant: Merchant, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "TIMEOUT_SECONDS", 2.5)
    healthy = Shop()
    await healthy.start()
    await listen(platform, merchant, shop.url)
    await listen(platform, merchant, healthy.url)
    shop.script = ["stall"]
    for _ in range(4):
        await declined(platform, merchant)
    async with asyncio.timeout(2):
        while len(healthy.got) < 4:
            await platform.gateway.steps["webhooks"]()
    assert len(shop.got) == 1, "one that has taken nothing yet has one call at a time"
    await healthy.stop()
    await deliver(platform)


async def test_the_log_shows_status_duration_and_the_beginning_of_the_answer_without_secrets(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    said = f"oops, with {endpoint['secret']} and {merchant.test_key}; Bearer abc.def ".encode() + b"x" * 10_000
    shop.script = [b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)]
    await declined(platform, merchant)
    await deliver(platform)
    (delivery,) = await deliveries(platform, merchant, endpoint)
    path = f"/v1/webhook_endpoints/{endpoint['id']}/deliveries/{delivery['id']}"
    shown = (await platform.call("GET", path, key=merchant.test_key)).json()
    (attempt,) = shown["attempt_log"]
    assert (attempt["http_status"], attempt["status"], attempt["number"]) == (503, "failed", 1)
    assert 0 <= attempt["duration_ms"] < 5_000
    assert attempt["response_body"].startswith("oops, with whsec_[removed] and sk_test_[removed]; Bearer [removed] xx")
    assert len(attempt["response_body"]) <= KEPT_ANSWER_BYTES
    assert shown["message"]["type"] == "payment.declined"
    assert shown["event_id"] == shown["message"]["id"]
    for text in (endpoint["secret"], merchant.test_key, shop.got[0][0]["webhook-signature"]):
        assert text not in orjson.dumps(shown).decode()
    assert b"oops" not in await superuser.fetchval("SELECT response FROM gateway.webhook_attempts")


async def test_one_delivery_can_be_sent_again_under_its_id_and_has_its_retries_anew(
    platform: Platform, merchant: Merchant, shop: Shop, superuser: Any
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    await declined(platform, merchant)
    await deliver(platform)
    (delivery,) = await deliveries(platform, merchant, endpoint)
    path = f"{endpoint['id']}/deliveries/{delivery['id']}/redeliver"
    assert (await post(platform, merchant, path))["status"] == "pending"
    shop.script = [BROKEN]
    await deliver(platform)
    assert (await post(platform, merchant, path))["status"] == "pending", "one that waits for a retry is sent now"
    await deliver(platform)
    assert len({headers["webhook-id"] for headers, _ in shop.got}) == 1
    assert len({body for _, body in shop.got}) == 1
    assert [state for state, _, _ in await attempts(superuser)] == ["succeeded", "failed", "succeeded"]
    nobody = f"{endpoint['id']}/deliveries/{endpoint['id'].replace('we', 'msg')}/redeliver"
    assert (await post(platform, merchant, nobody, status=404))["code"] == "webhook_delivery_not_found"


async def test_what_waits_for_its_turn_is_not_sent_out_of_it(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    shop.script = [BROKEN]
    payment = await platform.pay(merchant)
    await platform.decide(payment)
    await platform.ask_ledger()
    await deliver(platform)
    waiting = next(item for item in await deliveries(platform, merchant, endpoint) if item["status"] == "waiting")
    path = f"{endpoint['id']}/deliveries/{waiting['id']}/redeliver"
    assert (await post(platform, merchant, path, status=409))["code"] == "webhook_delivery_in_line"


async def test_a_range_is_sent_again_in_order_by_time_and_state(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    since = platform.runtime.now()
    payment = await platform.pay(merchant)
    await platform.decide(payment)
    await platform.ask_ledger()
    await platform.hear(platform.confirmed(payment))
    await deliver(platform)
    until = platform.runtime.now()
    await declined(platform, merchant)
    await deliver(platform)
    told = types(shop)
    shop.got.clear()
    path = f"{endpoint['id']}/redeliver"
    during = {"created_since": since.isoformat(), "created_until": until.isoformat()}
    assert (await post(platform, merchant, path, during))["deliveries"] == 0, "nothing was given up"
    first = await post(platform, merchant, path, during | {"status": "delivered", "limit": 1})
    assert (first["deliveries"], first["has_more"]) == (1, True)
    await deliver(platform)
    shop.got.clear()
    again = await post(platform, merchant, path, during | {"status": "delivered"})
    assert (again["deliveries"], again["has_more"]) == (3, False)
    await deliver(platform)
    assert types(shop) == told[:3]


async def test_a_test_message_is_of_the_chosen_type_and_marked_and_no_event(
    platform: Platform, merchant: Merchant, shop: Shop
) -> None:
    endpoint = await listen(platform, merchant, shop.url, "payment.declined")
    made = await post(platform, merchant, f"{endpoint['id']}/test", {"type": "payment.settled"}, 201)
    await deliver(platform)
    headers, body = shop.got[0]
    message = Webhook(endpoint["secret"]).verify(body, headers)
    assert (message["type"], message["test"], message["data"]["status"]) == ("payment.settled", True, "settled")
    assert headers["webhook-id"] == made["data"][0]["webhook_id"]
    assert (await platform.call("GET", "/v1/events", key=merchant.test_key)).json()["data"] == []
    unknown = await post(platform, merchant, f"{endpoint['id']}/test", {"type": "payment.lost"}, 400)
    assert unknown["code"] == "invalid_request"


async def test_a_test_comes_twice_or_out_of_order_if_asked(platform: Platform, merchant: Merchant, shop: Shop) -> None:
    endpoint = await listen(platform, merchant, shop.url)
    path = f"{endpoint['id']}/test"
    await post(platform, merchant, path, {"type": "payment.captured", "duplicate": True}, 201)
    await deliver(platform)
    assert types(shop) == ["payment.captured"] * 2
    assert len({headers["webhook-id"] for headers, _ in shop.got}) == 1
    assert len({body for _, body in shop.got}) == 1
    shop.got.clear()
    await post(platform, merchant, path, {"type": "payment.captured", "out_of_order": True}, 201)
    await deliver(platform)
    told = [orjson.loads(body) for _, body in shop.got]
    assert [each["type"] for each in told] == ["payment.captured", "payment.authorised"]
    assert [each["data"]["sequence"] for each in told] == [2, 1]
    assert len({each["data"]["id"] for each in told}) == 1
    disabled = await platform.call(
        "PATCH", f"/v1/webhook_endpoints/{endpoint['id']}", {"enabled": False}, key=merchant.test_key
    )
    assert disabled.status_code == 200
    refused = await post(platform, merchant, path, {"type": "payment.captured"}, 409)
    assert refused["code"] == "webhook_endpoint_disabled"


SENDER = """
import asyncio, os, signal, sys
from rialto_gateway.main import build
from tests_platform import Stepped, TestRuntime, gateway_settings

async def main():
    runtime = TestRuntime()
    def die(name):
        if name == "gateway.webhook.after_send":
            os.kill(os.getpid(), signal.SIGKILL)
    runtime.crash_point = die
    gateway = Stepped("gateway", gateway_settings(sys.argv[1]), runtime)
    await gateway.open()
    await build(gateway)
    while True:
        await gateway.steps["webhooks"]()

asyncio.run(main())
"""


async def test_killed_between_sending_and_recording_the_attempt_is_unknown_and_the_same_message_goes_again(
    platform: Platform, merchant: Merchant, shop: Shop, database: Database, superuser: Any, tmp_path: Path
) -> None:
    await listen(platform, merchant, shop.url)
    await declined(platform, merchant)
    shutil.copy(Path(__file__).with_name("platform_in_process.py"), tmp_path / "tests_platform.py")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDER, database.dsn("gateway"), env=environment
    )
    async with asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
    assert len(shop.got) == 1
    assert await attempts(superuser) == [("started", None, None)]
    platform.runtime.ahead += LEASE
    await deliver(platform)
    assert await attempts(superuser) == [("unknown", None, "interrupted"), ("succeeded", 204, None)]
    assert shop.got[0][0]["webhook-id"] == shop.got[1][0]["webhook-id"]
    assert shop.got[0][1] == shop.got[1][1]
