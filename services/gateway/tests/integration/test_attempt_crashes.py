"""A process that dies anywhere around a call: the outcome is found out, and money moves once.

The platform that the crash matrix kills has no acquirer, so the points around attempts are died at here, each of them
in each step.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import rialto_gateway.attempts
from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.attempts.runner import LEASE

from .platform_in_process import started
from .scripted_acquirer import ScriptedAcquirer
from .test_cards import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCES = Path(rialto_gateway.attempts.__file__ or "").parent.glob("*.py")
POINTS = sorted({point for path in SOURCES for point in re.findall(r'crash_point\("([\w.]+)"\)', path.read_text())})
CALLED = {"gateway.attempt.after_call", "gateway.attempt.before_recorded", "gateway.attempt.after_recorded"}
"""Where the call has been made."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(module_database: Database) -> AsyncIterator[Shop]:
    harbour, quay = ScriptedAcquirer("harbour"), ScriptedAcquirer("quay")
    superuser = await asyncpg.connect(module_database.superuser_dsn())
    async with started(module_database.dsn, connectors=InOrder([harbour, quay])) as platform:
        dsn = module_database.superuser_dsn()
        yield Shop(platform, await platform.merchant(), harbour, quay, superuser, dsn)
    await superuser.close()


async def test_there_are_points_before_and_after_the_call_and_both_commits() -> None:
    assert len(POINTS) == 7
    assert set(POINTS) > CALLED


async def die(shop: Shop, point: str) -> None:
    """Let the process die at the point, come back, and find what it left behind."""
    shop.platform.runtime.dies_at = point
    lost = point == "gateway.attempt.after_lookup"
    if lost:
        shop.harbour.fail("lost_after")
    await shop.platform.ask_acquirers()
    if lost:
        await shop.later(3)
    assert shop.platform.runtime.dies_at is None, "it never came there"
    await shop.later(LEASE.total_seconds() + 1)
    for _ in range(3):
        await shop.later(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("point", POINTS)
async def test_a_death_at_any_point_of_any_step_moves_money_once(shop: Shop, point: str) -> None:
    before = await shop.books()
    payment = await shop.pay(capture_method="manual")
    await die(shop, point)
    authorised = await shop.get(payment)
    if authorised["status"] == "authorised" and authorised["attempts"][-1]["connector"] == "quay":
        assert point not in CALLED, "what was given is found"
        shop.quay.held.clear()
        return
    assert authorised["status"] == "authorised", authorised
    await shop.post(payment, "increments", {"amount_minor": "1500"})
    await die(shop, point)
    raised = await shop.get(payment)
    if raised["increments"][-1]["status"] == "failed":
        assert point not in CALLED
        await shop.post(payment, "increments", {"amount_minor": "1500"})
        await shop.all_goes_on()
    assert (await shop.get(payment))["amount_minor"] == "1500"
    await shop.post(payment, "capture")
    await die(shop, point)
    found = await captured_again(shop, payment)
    assert found["status"] == "captured"
    await shop.refund(payment, amount_minor="250")
    await shop.platform.ask_ledger()
    await die(shop, point)
    refunds = await shop.refunds(payment)
    if refunds[-1]["status"] == "failed":
        assert point not in CALLED
        await shop.refund(payment, amount_minor="250")
        await shop.all_goes_on()
    assert (await shop.get(payment))["amount_refunded_minor"] == "250"
    authorisation = f"harbour_{found['attempts'][0]['id']}"
    assert shop.harbour.captured[authorisation] == 1500
    assert shop.harbour.refunded[authorisation] == 250
    after = await shop.books()
    assert [now - then for now, then in zip(after, before, strict=True)] == [1250, 0, 1250]
    # The other tests' payments wait for a clock that nobody looks at here.
    assert shop.audited().keys() <= {"I3 overdue"}


async def captured_again(shop: Shop, payment: dict[str, Any]) -> dict[str, Any]:
    """Return the payment captured: asked for anew where the first request had certainly not arrived."""
    found = await shop.get(payment)
    if found["status"] == "authorised":
        assert found["captures"][-1]["failure_code"] == "acquirer_has_nothing"
        await shop.post(payment, "capture")
        await shop.all_goes_on()
        found = await shop.get(payment)
    return found
