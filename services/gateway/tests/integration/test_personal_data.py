"""I9: no name, key or secret in clear in tables, events, logs or metrics."""

from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from rialto_common.telemetry import configure_logs

from .platform_in_process import ADMIN_KEY, Merchant, Platform

PLANTED = ["Xavierolin", "Plantedname", "xp@planted.example", "+15550000", "1987-06-05", "Plantstreet", "Plantville"]
PAYER = {
    "name": "Xavierolin Plantedname",
    "country": "GB",
    "email": "xp@planted.example",
    "phone": "+15550000",
    "date_of_birth": "1987-06-05",
    "address_line": "1 Plantstreet",
    "city": "Plantville",
    "postal_code": "PL4 NTD",
}


async def everything_stored(connection: "asyncpg.Connection[Any]") -> str:
    """Return all rows of all our tables as text."""
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    texts = []
    for table in tables:
        rows = await connection.fetch(f"SELECT t::TEXT AS row FROM {table['name']} AS t")
        texts += [row["row"] for row in rows]
    return "\n".join(texts)


async def test_planted_people_keys_and_secrets_are_found_nowhere(
    platform: Platform,
    merchant: Merchant,
    superuser: "asyncpg.Connection[Any]",
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.reset_defaults()
    configure_logs("gateway", "DEBUG")
    endpoint = await platform.call(
        "POST", "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/"}, key=merchant.test_key, Idempotency_Key="we"
    )
    answers: list[httpx.Response] = []
    for key, fields in (("a", {"payee": PAYER}), ("a", {"payee": PAYER}), ("a", {}), ("b", {"amount_minor": "x"})):
        answers.append(await platform.send_payment(merchant, key, payer=PAYER, **fields))
    answers.append(await platform.send_payment(merchant, "c", payer=PAYER | {"Plantedname": "1"}))
    payment = answers[0].json()
    assert [answer.status_code for answer in answers] == [202, 202, 422, 400, 400]
    answers = answers[:4]  # the last names the unknown field, which the caller chose
    await platform.hear(platform.assessed(payment, "review"), platform.screened(payment))
    await platform.send_webhooks()
    answers.append(await platform.call("GET", f"/v1/payments/{payment['id']}", key=merchant.test_key))
    answers.append(await platform.http.get("/metrics"))
    assert answers[-1].status_code == 200
    secret = endpoint.json()["secret"]
    credentials = [merchant.test_key, merchant.live_key, ADMIN_KEY, secret, secret.removeprefix("whsec_")]
    captured = capsys.readouterr()
    places = {
        "tables": await everything_stored(superuser),
        "logs": captured.out + captured.err,
        "answers": "\n".join(answer.text + str(answer.headers) for answer in answers),
    }
    assert payment["id"] in places["tables"], "the search finds nothing at all"
    for place, text in places.items():
        for planted in PLANTED + credentials:
            assert planted not in text, f"{planted} in {place}"
            assert planted.encode().hex() not in text, f"{planted} in {place}, as bytes"
    structlog.reset_defaults()
