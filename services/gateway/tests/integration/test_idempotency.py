"""One key, one payment: under concurrency, with other content, in batches, and across failures of the database."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from rialto_cli.testing import PostgresServer
from rialto_common import ids
from rialto_common.keyring import Keyring

from .platform_in_process import ADMIN_KEY, Merchant, Platform, row_counts, started


async def payments_in(superuser: Any) -> int:
    """Return the number of payments, which is also that of their events."""
    payments: int = await superuser.fetchval("SELECT count(*) FROM gateway.payments")
    created = await superuser.fetchval("SELECT count(*) FROM bus.log WHERE type = 'rialto.payment.created.v1'")
    assert created == payments
    return payments


async def test_two_hundred_retries_at_once_make_one_payment(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    answers = await asyncio.gather(*(platform.send_payment(merchant, "one") for _ in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count(None) == 1
    assert replayed.count("true") == 199
    assert await payments_in(superuser) == 1


async def test_two_gateways_with_the_same_retries_in_other_orders_make_one_payment_each(
    platform: Platform, merchant: Merchant, superuser: Any, database: Any
) -> None:
    async with started(database.dsn) as second:
        keys = [f"key-of-both-{n}" for n in range(50)]
        answers = await asyncio.gather(
            *(platform.send_payment(merchant, key) for key in keys),
            *(second.send_payment(merchant, key) for key in reversed(keys)),
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 50
        assert await payments_in(superuser) == 50


async def test_a_retry_is_answered_byte_for_byte_whatever_has_become_of_the_payment(
    platform: Platform, merchant: Merchant
) -> None:
    fields: dict[str, Any] = {
        "occurred_at": "2026-01-01T12:00:00.123456+05:30",
        "metadata": {"b": "1", "a": "ü"},
        "description": "Order 1001",
        "terminal_id": "t-1",
        "payee": {"name": "Grace Example"},
    }
    first = await platform.send_payment(merchant, "replay", **fields)
    assert first.json()["occurred_at"] == "2026-01-01T06:30:00.123456Z"
    await platform.decide(first.json())
    again = await platform.send_payment(merchant, "replay", **fields)
    assert (again.status_code, again.content) == (202, first.content)
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    waited = await platform.send_payment(merchant, "replay", **fields, headers={"Prefer": "wait=5"})
    assert (waited.status_code, waited.json()["status"]) == (200, "authorised")
    assert waited.headers["idempotency-replayed"] == "true"


async def test_waiting_ends_with_the_decision_or_with_the_time(platform: Platform, merchant: Merchant) -> None:
    undecided = await platform.send_payment(merchant, "waits", headers={"Prefer": "wait=1"})
    assert (undecided.status_code, undecided.json()["status"]) == (202, "created")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(platform.send_payment(merchant, "waits", headers={"Prefer": "wait=20"}))
        await platform.hear(platform.screened(undecided.json(), "block"))
    assert (waiting.result().status_code, waiting.result().json()["status"]) == (200, "declined")


async def test_a_key_with_another_body_is_refused_and_leaves_nothing(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    assert (await platform.send_payment(merchant, "mine")).status_code == 202
    before = await row_counts(superuser)
    for fields in ({"amount_minor": "1251"}, {"payer": {"name": "Somebody Else"}}, {"metadata": {"a": "b"}}):
        answer = await platform.send_payment(merchant, "mine", **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await row_counts(superuser) == before


async def test_of_two_bodies_under_one_key_at_the_same_moment_one_is_accepted(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    answers = await asyncio.gather(
        *(platform.send_payment(merchant, f"race-{n % 5}", amount_minor=str(100 + n)) for n in range(40))
    )
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [422] * 35
    assert await payments_in(superuser) == 5
    people = await superuser.fetchval("SELECT count(*) FROM keyring.keys")
    assert people == 1


async def test_a_key_is_its_merchants_and_modes_own(platform: Platform, merchant: Merchant, superuser: Any) -> None:
    other = await platform.merchant("Other")
    live_wallet = await platform.wallet(merchant.live_key)
    method = {"type": "wallet", "wallet_id": live_wallet}
    answers = [
        await platform.send_payment(merchant, "shared"),
        await platform.send_payment(other, "shared"),
        await platform.send_payment(merchant, "shared", key=merchant.live_key, payment_method=method),
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert await payments_in(superuser) == 3


async def test_the_other_posts_are_idempotent_too(platform: Platform, merchant: Merchant, superuser: Any) -> None:
    top_ups = f"/v1/wallets/{merchant.wallet_id}/top_ups"
    requests: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = [
        ("/v1/wallets", {"currency": "USD"}, {"currency": "EUR"}, {"key": merchant.test_key}),
        (
            "/v1/webhook_endpoints",
            {"url": "https://a.example/"},
            {"url": "https://b.example/"},
            {"key": merchant.test_key},
        ),
        (top_ups, {"amount_minor": "5"}, {"amount_minor": "6"}, {"key": merchant.test_key}),
        ("/v1/merchants", {"name": "A"}, {"name": "B"}, {}),
    ]
    for path, body, other, credentials in requests:
        first = await platform.call("POST", path, body, Idempotency_Key="same", **credentials)
        before = await row_counts(superuser)
        again = await asyncio.gather(
            *(platform.call("POST", path, body, Idempotency_Key="same", **credentials) for _ in range(10))
        )
        assert {answer.status_code for answer in (first, *again)} == {201}, path
        assert {answer.content for answer in again} == {first.content}, path
        refused = await platform.call("POST", path, other, Idempotency_Key="same", **credentials)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused"), path
        after = await row_counts(superuser)
        # The ledger tells a retried entry again, as the same event.
        assert {name: rows for name, rows in after.items() if not name.startswith("bus.")} == {
            name: rows for name, rows in before.items() if not name.startswith("bus.")
        }, path


async def test_one_capture_under_one_key(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)
    path = f"/v1/payments/{payment['id']}/capture"

    async def capture(body: Any, key: str = "capture") -> httpx.Response:
        return await platform.call("POST", path, body, key=merchant.test_key, Idempotency_Key=key)

    answers = await asyncio.gather(*(capture({"amount_minor": "300"}) for _ in range(20)))
    first = [answer for answer in answers if answer.status_code == 200 and "idempotency-replayed" not in answer.headers]
    assert len(first) == 1
    for answer in answers:
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
            assert answer.headers["retry-after"] == "1"
    await platform.ask_ledger()
    again = await capture({"amount_minor": "300"})
    assert (again.status_code, again.content) == (200, first[0].content)
    assert again.headers["idempotency-replayed"] == "true"
    for other in ({}, {"amount_minor": "301"}, {"amount_minor": "300", "final": True}):
        refused = await capture(other)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused"), other
    above = await capture({"amount_minor": "951"}, "more")
    assert (above.status_code, above.json()["code"]) == (400, "capture_above_authorised")
    assert (await platform.get(merchant, payment["id"]))["amount_capturable_minor"] == "950"


async def test_a_void_and_a_review_are_answered_as_the_first_time(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.hear(platform.assessed(payment, "review"), platform.screened(payment))
    path = f"/v1/payments/{payment['id']}"

    async def review(decision: str) -> httpx.Response:
        return await platform.call("POST", f"{path}/review", {"decision": decision}, Idempotency_Key="r")

    first, again = await review("approve"), await review("approve")
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert (await review("decline")).json()["code"] == "idempotency_key_reused"
    await platform.ask_ledger()
    voids = [await platform.call("POST", f"{path}/void", {}, key=merchant.test_key, Idempotency_Key="v")]
    await platform.ask_ledger()
    voids.append(await platform.call("POST", f"{path}/void", {}, key=merchant.test_key, Idempotency_Key="v"))
    assert [answer.status_code for answer in voids] == [200, 200]
    assert voids[0].content == voids[1].content
    assert voids[1].headers["idempotency-replayed"] == "true"
    for command in ("capture", "void", "review"):
        headers = {"Authorization": f"Bearer {ADMIN_KEY if command == 'review' else merchant.test_key}"}
        body = {"decision": "approve"} if command == "review" else {}
        missing = await platform.http.post(f"{path}/{command}", json=body, headers=headers)
        assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")


async def test_a_refused_capture_stays_refused_under_its_key(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    path = f"/v1/payments/{payment['id']}/capture"
    early = await platform.call("POST", path, {}, key=merchant.test_key, Idempotency_Key="early")
    await platform.decide(payment)
    again = await platform.call("POST", path, {}, key=merchant.test_key, Idempotency_Key="early")
    assert (early.status_code, again.status_code) == (409, 409)
    assert early.json()["code"] == again.json()["code"] == "payment_not_capturable"
    assert again.headers["idempotency-replayed"] == "true"
    other = await platform.call("POST", path, {}, key=merchant.test_key, Idempotency_Key="now")
    assert other.status_code == 200


async def test_a_request_under_way_keeps_its_key_and_nobody_waits_for_it(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    async with superuser.transaction():
        scope = f"{ids.from_text('mer', merchant.id)}/test/wallets/held"
        await superuser.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 20261101))", scope)
        async with asyncio.timeout(5):
            answer = await platform.call(
                "POST", "/v1/wallets", {"currency": "USD"}, key=merchant.test_key, Idempotency_Key="held"
            )
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        409,
        "request_in_progress",
        "1",
    )


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=8)], ids=["in time", "by a clock that was ahead"])
async def test_a_lease_that_a_crash_left_behind_ends_and_the_retry_does_the_work(
    platform: Platform, merchant: Merchant, superuser: Any, ahead: timedelta
) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)

    async def capture() -> httpx.Response:
        path = f"/v1/payments/{payment['id']}/capture"
        return await platform.call("POST", path, {"amount_minor": "300"}, key=merchant.test_key, Idempotency_Key="c")

    await capture()
    leased_until = platform.runtime.now() + timedelta(seconds=10) + ahead
    await superuser.execute(
        "UPDATE gateway.idempotent_answers SET answer = NULL, leased_until = $1 WHERE scope LIKE '%/capture/%'",
        leased_until,
    )
    if not ahead:
        assert (await capture()).json()["code"] == "request_in_progress"
        platform.runtime.ahead += timedelta(seconds=11)
    assert (await capture()).status_code == 200
    assert await superuser.fetchval("SELECT count(*) FROM gateway.captures") == 1


async def test_answers_are_kept_a_day_and_then_swept(platform: Platform, merchant: Merchant, superuser: Any) -> None:
    kept = await superuser.fetchval("SELECT count(*) FROM gateway.idempotent_answers")
    platform.runtime.ahead += timedelta(hours=23, minutes=59)
    await platform.gateway.steps["idempotency-sweep"]()
    assert await superuser.fetchval("SELECT count(*) FROM gateway.idempotent_answers") == kept > 0
    platform.runtime.ahead += timedelta(minutes=2)
    await platform.gateway.steps["idempotency-sweep"]()
    assert await superuser.fetchval("SELECT count(*) FROM gateway.idempotent_answers") == 0


async def test_an_erased_person_fails_alone_and_their_earlier_payment_is_still_answered(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    erased = {"name": "Erased Example"}
    first = await platform.send_payment(merchant, "before", payer=erased)
    keyring = Keyring(bytes(range(32)), platform.runtime)
    party_id = await superuser.fetchval("SELECT party_id FROM keyring.keys")
    await keyring.destroy(superuser, party_id)
    platform.runtime.ahead += timedelta(minutes=2)  # the gateway forgets the key it held
    answers = await asyncio.gather(
        platform.send_payment(merchant, "ok-1"),
        platform.send_payment(merchant, "gone", payer=erased),
        platform.send_payment(merchant, "before", payer=erased),
        platform.send_payment(merchant, "ok-2", payer={"name": "Another Example"}),
    )
    assert [answer.status_code for answer in answers] == [202, 409, 202, 202]
    assert answers[1].json()["code"] == "person_erased"
    assert answers[2].content == first.content
    assert await payments_in(superuser) == 3


async def test_connections_cut_while_payments_are_accepted_lose_and_double_nothing(
    platform: Platform, merchant: Merchant, superuser: Any
) -> None:
    keys = [f"cut-{n}" for n in range(120)]
    missing, cuts, refusals = list(keys), 0, []

    async def cut() -> None:
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rialto-gateway'"
            " AND datname = current_database()"
        )

    for _ in range(50):
        sent = [asyncio.ensure_future(platform.send_payment(merchant, key)) for key in missing]
        if cuts < 8:
            await asyncio.sleep(0.004 * cuts)
            await cut()
            cuts += 1
        answers = await asyncio.gather(*sent)
        refusals += [answer for answer in answers if answer.status_code != 202]
        missing = [key for key, answer in zip(missing, answers, strict=True) if answer.status_code != 202]
        if not missing and cuts == 8:
            break
        missing = missing or keys[:20]
    assert refusals, "no cut met a request: the test shows nothing"
    assert {answer.status_code for answer in refusals} == {503}
    assert {answer.json()["code"] for answer in refusals} <= {"service_unavailable", "commit_unknown"}
    assert all(answer.headers["retry-after"] == "1" and answer.json()["retryable"] for answer in refusals)
    assert await payments_in(superuser) == len(keys)


async def test_without_postgresql_it_says_so_and_works_again_without_a_restart(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory(durable=True)
    async with started(server.create_database().dsn) as platform:
        merchant = await platform.merchant()
        first = await platform.send_payment(merchant, "before")
        server.kill()
        requests = [
            ("POST", "/v1/payments", first.request.content),
            ("GET", f"/v1/payments/{first.json()['id']}", None),
            ("GET", "/v1/payments", None),
            ("POST", "/v1/wallets", {"currency": "USD"}),
            ("POST", "/v1/webhook_endpoints", {"url": "https://shop.example/"}),
        ]
        for method, path, body in requests:
            answer = await platform.call(method, path, body, key=merchant.test_key, Idempotency_Key="during")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await platform.http.get("/readyz")).status_code == 503
        assert (await platform.http.get("/healthz")).status_code == 200
        server.start()
        answers = [
            await platform.send_payment(merchant, "during") for _ in range(10)
        ]  # old connections may break first
        assert answers[-1].status_code == 202
        assert (await platform.send_payment(merchant, "before")).content == first.content
        listed = await platform.call("GET", "/v1/payments", key=merchant.test_key)
        assert len(listed.json()["data"]) == 2


async def test_without_the_ledger_money_and_wallets_wait_for_the_retry(platform: Platform, merchant: Merchant) -> None:
    async def send(path: str, body: Any) -> httpx.Response:
        return await platform.call("POST", path, body, key=merchant.test_key, Idempotency_Key="retried")

    path = f"/v1/wallets/{merchant.wallet_id}/top_ups"
    for wanted, body in (("/v1/wallets", {"currency": "USD"}), (path, {"amount_minor": "5"})):
        platform.line_to_ledger.cuts = ["request", "answer"]
        answers = [await send(wanted, body) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 201, 201]
        assert answers[0].json()["code"] == "service_unavailable"
        assert answers[2].content == answers[3].content
    wallet = await platform.call("GET", f"/v1/wallets/{merchant.wallet_id}", key=merchant.test_key)
    assert wallet.json()["ledger_balance_minor"] == "1000005"
