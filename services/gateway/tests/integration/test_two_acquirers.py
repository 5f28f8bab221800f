"""Fail-over between two real acquirers: the second is asked only once the first certainly has not charged."""

import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from rialto_cli.testing import Database

from ..acquirer_process import KEY, WEBHOOK_SECRET, Process
from .platform_in_process import Merchant, Platform, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

AMOUNT = 1_250


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    sim, quay = (Process(tmp_path_factory.mktemp(name), name=name) for name in ("sim", "quay"))
    yield sim, quay
    assert (sim.end(), quay.end()) == (0, 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(
    module_database: Database, processes: tuple[Process, Process], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    sim, quay = processes
    routes = tmp_path_factory.mktemp("routes") / "routes.json"
    rules = [
        {"connectors": ["quay"], "minimum_minor": "100000"},
        {"connectors": ["sim", "quay"], "currencies": ["USD"], "retry_declines": ["do_not_honour"]},
    ]
    routes.write_text(json.dumps({"rules": rules}))
    settings: dict[str, Any] = {
        "acquirer_url": sim.url,
        "acquirer_key": KEY,
        "acquirer_webhook_secret": WEBHOOK_SECRET,
        "acquirers": {"quay": {"url": quay.url, "key": KEY, "webhook_secret": WEBHOOK_SECRET}},
        "routing_file": str(routes),
    }
    async with started(module_database.dsn, **settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def merchant(platform: Platform) -> Merchant:
    return await platform.merchant()


async def charge(platform: Platform, merchant: Merchant, token: str, amount_minor: int = AMOUNT) -> dict[str, Any]:
    """Have a card's payment approved, and its acquirers asked once."""
    method = {"type": "card", "token": token}
    payment = await platform.pay(merchant, amount_minor, payment_method=method)
    await platform.hear(platform.assessed(payment), platform.screened(payment))
    await platform.ask_acquirers()
    return await platform.get(merchant, payment["id"])


async def end(platform: Platform, merchant: Merchant, payment: dict[str, Any]) -> dict[str, Any]:
    """Let time pass until the payment has been captured, or has ended otherwise."""
    for _ in range(6):
        platform.runtime.ahead += timedelta(seconds=10)
        await platform.ask_acquirers()
        await platform.ask_ledger()
    return await platform.get(merchant, payment["id"])


def attempts(payment: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["step"], each["connector"], each["status"]) for each in payment["attempts"]]


def charged(process: Process, payment: dict[str, Any]) -> int:
    """Return what an acquirer's own books say it holds or has taken for a payment."""
    references = [each["id"] for each in payment["attempts"] if each["step"] == "authorise"]
    marks = ",".join("?" * len(references))
    with sqlite3.connect(process.directory / "acquirer.sqlite") as books:
        rows = books.execute(
            f"SELECT amount_minor FROM operations WHERE status = 'authorised' AND reference IN ({marks})",
            references,
        ).fetchall()
    return sum(int(amount) for (amount,) in rows)


async def judge(
    platform: Platform, merchant: Merchant, payment: dict[str, Any], processes: tuple[Process, Process], by: str
) -> dict[str, Any]:
    """Assert that the payment was captured once, by one acquirer alone; return it."""
    captured = await end(platform, merchant, payment)
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", str(AMOUNT))
    assert {each.name: charged(each, captured) for each in processes} == {
        each.name: AMOUNT if each.name == by else 0 for each in processes
    }
    assert attempts(captured)[-1] == ("capture", by, "succeeded")
    return captured


async def test_an_amount_goes_where_its_rule_says(platform: Platform, merchant: Merchant) -> None:
    assert attempts(await charge(platform, merchant, "tok_approve"))[0] == ("authorise", "sim", "succeeded")
    assert attempts(await charge(platform, merchant, "tok_approve", 100_000))[0] == ("authorise", "quay", "succeeded")


@pytest.mark.parametrize("token", ["tok_unavailable", "tok_decline_do_not_honour", "tok_decline_issuer_unavailable"])
async def test_another_is_asked_after_a_known_refusal(
    platform: Platform, merchant: Merchant, processes: tuple[Process, Process], token: str
) -> None:
    payment = await charge(platform, merchant, f"{token}-at-sim")
    captured = await judge(platform, merchant, payment, processes, "quay")
    [failed] = [line for line in captured["timeline"] if line["event"] == "attempt.failed"]
    assert failed["detail"]["connector"] == "sim"
    assert failed["detail"]["next"] == "another_acquirer"


async def test_a_decline_of_the_card_is_not_shopped_around(platform: Platform, merchant: Merchant) -> None:
    payment = await charge(platform, merchant, "tok_decline_insufficient_funds-at-sim")
    assert (payment["status"], attempts(payment)) == ("declined", [("authorise", "sim", "failed")])


async def test_another_is_asked_where_the_first_has_never_seen_it(
    platform: Platform, merchant: Merchant, processes: tuple[Process, Process]
) -> None:
    payment = await charge(platform, merchant, "tok_reset_before-at-sim")
    assert (payment["status"], attempts(payment)) == ("unknown", [("authorise", "sim", "unknown")])
    await judge(platform, merchant, payment, processes, "quay")


async def test_nobody_else_is_asked_where_the_first_has_charged_without_an_answer(
    platform: Platform, merchant: Merchant, processes: tuple[Process, Process]
) -> None:
    payment = await charge(platform, merchant, "tok_error_after-at-sim")
    assert payment["status"] == "unknown"
    captured = await judge(platform, merchant, payment, processes, "sim")
    assert {connector for _, connector, _ in attempts(captured)} == {"sim"}


async def test_nobody_else_is_asked_while_the_first_is_down_after_charging(
    platform: Platform, merchant: Merchant, processes: tuple[Process, Process]
) -> None:
    sim, _ = processes
    payment = await charge(platform, merchant, "tok_reset_after-at-sim")
    sim.end(signal.SIGKILL)
    try:
        waiting = await end(platform, merchant, payment)
        assert (waiting["status"], attempts(waiting)) == ("unknown", [("authorise", "sim", "unknown")])
    finally:
        sim.start()
    await end(platform, merchant, payment)
    await judge(platform, merchant, payment, processes, "sim")


async def test_payments_go_on_at_the_second_while_the_first_is_down_and_come_back(
    platform: Platform, merchant: Merchant, processes: tuple[Process, Process]
) -> None:
    sim, _ = processes
    sim.end(signal.SIGKILL)
    try:
        down = [await charge(platform, merchant, "tok_approve") for _ in range(6)]
        assert [attempts(each)[0] for each in down[:2]] == [("authorise", "sim", "failed")] * 2
        value = platform.gateway.registry.get_sample_value
        assert value("rialto_connector_set_aside", {"connector": "sim"}) == 1
        last = await charge(platform, merchant, "tok_approve")
        assert attempts(last)[0] == ("authorise", "quay", "succeeded"), "it is not asked first any more"
    finally:
        sim.start()
    for payment in (*down, last):
        await judge(platform, merchant, payment, processes, "quay")
    platform.runtime.ahead += timedelta(minutes=1)
    assert attempts(await charge(platform, merchant, "tok_approve"))[0] == ("authorise", "sim", "succeeded")
    assert value("rialto_connector_set_aside", {"connector": "sim"}) == 0
