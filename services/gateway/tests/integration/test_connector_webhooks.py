"""Acquirers' own messages: each kept once with what came of it, in any order, twice, or while it is asked about."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

import rialto_gateway.connectors
from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.connectors.port import Answer, Declined, Pending, Succeeded

from ..acquirer_process import KEY, WEBHOOK_SECRET
from .platform_in_process import Died, started
from .scripted_acquirer import ScriptedAcquirer
from .test_cards import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCES = Path(rialto_gateway.connectors.__file__ or "").parent.glob("*.py")
POINTS = sorted({point for path in SOURCES for point in re.findall(r'crash_point\("([\w.]+)"\)', path.read_text())})
PATH = "/v1/connectors/sim/webhooks"
SAYS = {Succeeded: "authorised", Pending: "pending", Declined: "declined"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(module_database: Database) -> AsyncIterator[Shop]:
    """A shop whose first acquirer is `sim`, and signs its messages."""
    sim, quay = ScriptedAcquirer("sim"), ScriptedAcquirer("quay")
    superuser = await asyncpg.connect(module_database.superuser_dsn())
    settings: dict[str, Any] = {
        "acquirer_url": "http://127.0.0.1:9",
        "acquirer_key": KEY,
        "acquirer_webhook_secret": WEBHOOK_SECRET,
    }
    async with started(module_database.dsn, connectors=InOrder([sim, quay]), **settings) as platform:
        yield Shop(platform, await platform.merchant(), sim, quay, superuser, module_database.superuser_dsn())
    await superuser.close()


def message(reference: str, answer: Answer) -> bytes:
    """Return what the acquirer says of a reference."""
    view = {"reference": reference, "id": f"sim_{reference}", "amount_minor": "1250", "code": "do_not_honour"}
    return json.dumps(view | {"status": SAYS[type(answer)]}).encode()


async def send(shop: Shop, message_id: str, body: bytes, **changes: str) -> Any:
    """Send a signed message."""
    now = datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(WEBHOOK_SECRET).sign(message_id, now, body.decode()),
    }
    return await shop.platform.http.post(PATH, content=body, headers=headers | changes)


async def unknown(shop: Shop) -> tuple[dict[str, Any], str]:
    """Return a payment whose authorisation was given without an answer, and its reference."""
    payment = await shop.pay("lost_after", capture_method="manual")
    await shop.platform.ask_acquirers()
    found = await shop.get(payment)
    assert found["status"] == "unknown"
    return found, found["attempts"][0]["id"]


async def kept(shop: Shop, reference: str) -> list[dict[str, Any]]:
    """Return what is kept of a reference, the oldest first."""
    answer = await shop.platform.call("GET", f"{PATH}?reference={reference}")
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data[::-1]


async def test_a_message_is_kept_with_what_it_came_to(shop: Shop) -> None:
    payment, reference = await unknown(shop)
    body = message(reference, shop.harbour.known[reference])
    assert (await send(shop, "msg_a", body)).status_code == 204
    assert (await shop.get(payment))["status"] == "authorised"
    [found] = await kept(shop, reference)
    assert (found["message_id"], found["says"], found["outcome"], found["times"]) == (
        "msg_a",
        "Succeeded",
        "applied",
        1,
    )
    assert found["body"] == body.decode()
    raw = await shop.superuser.fetchval("SELECT body FROM gateway.connector_webhooks WHERE message_id = 'msg_a'")
    assert reference.encode() not in raw, "the body rests encrypted"


async def test_a_message_that_comes_again_is_counted_and_changes_nothing(shop: Shop) -> None:
    payment, reference = await unknown(shop)
    body = message(reference, shop.harbour.known[reference])
    answers = await asyncio.gather(*(send(shop, "msg_twice", body) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {204}
    [found] = await kept(shop, reference)
    assert (found["outcome"] in ("applied", "known"), found["times"]) == (True, 6)
    after = await shop.get(payment)
    assert [line["event"] for line in after["timeline"]].count("attempt.succeeded") == 1
    assert shop.audited() == {}


async def test_messages_may_come_in_any_order(shop: Shop) -> None:
    payment, reference = await unknown(shop)
    assert (await send(shop, "msg_new", message(reference, Succeeded("x", 1)))).status_code == 204
    assert (await send(shop, "msg_old", message(reference, Pending("x")))).status_code == 204
    assert [(each["says"], each["outcome"]) for each in await kept(shop, reference)] == [
        ("Succeeded", "applied"),
        ("Pending", "known"),
    ]
    assert (await shop.get(payment))["status"] == "authorised"


async def test_one_that_denies_what_was_certain_is_on_record(shop: Shop) -> None:
    payment, reference = await unknown(shop)
    await send(shop, "msg_yes", message(reference, Succeeded("x", 1)))
    await send(shop, "msg_no", message(reference, Declined("no", "no")))
    assert [each["outcome"] for each in await kept(shop, reference)] == ["applied", "contradicts"]
    assert (await shop.get(payment))["status"] == "authorised"


@pytest.mark.parametrize("nth", range(6))
async def test_a_message_and_a_look_up_that_race_count_once(shop: Shop, nth: int) -> None:
    payment, reference = await unknown(shop)
    shop.platform.runtime.ahead += timedelta(seconds=3)
    body = message(reference, shop.harbour.known[reference])
    both = [send(shop, f"msg_race_{nth}", body), shop.platform.ask_acquirers()]
    await asyncio.gather(*(both if nth % 2 else both[::-1]))
    after = await shop.get(payment)
    assert after["status"] == "authorised"
    events = [line["event"] for line in after["timeline"]]
    assert (events.count("attempt.succeeded"), events.count("attempt.unknown")) == (1, 1)
    [found] = await kept(shop, reference)
    assert found["outcome"] in ("applied", "known")
    assert sum(shop.harbour.held[f"sim_{each['id']}"] for each in after["attempts"]) == 1_250
    assert shop.audited() == {}


async def test_what_is_about_nothing_of_ours_is_taken_and_on_record(shop: Shop) -> None:
    assert (await send(shop, "msg_nobody", message("att_nobody", Succeeded("x", 1)))).status_code == 204
    assert [each["outcome"] for each in await kept(shop, "att_nobody")] == ["unknown_reference"]


async def test_what_is_not_signed_by_the_acquirer_leaves_nothing(shop: Shop) -> None:
    body = message("att_forged", Succeeded("x", 1))
    for changes in ({"webhook-signature": "v1,AAAA"}, {"webhook-id": "other"}, {"webhook-timestamp": "1"}):
        answer = await send(shop, "msg_forged", body, **changes)
        assert (answer.status_code, answer.json()["code"]) == (400, "connector_webhook_invalid")
    assert await kept(shop, "att_forged") == []
    assert (await send(shop, "msg_bad", message("att_\x00", Succeeded("x", 1)))).status_code == 400
    value = shop.platform.gateway.registry.get_sample_value
    assert value("rialto_connector_webhooks_total", {"connector": "sim", "outcome": "refused"}) == 4
    for path in (PATH.replace("sim", "quay"), PATH.replace("sim", "nobody")):
        assert (await shop.platform.http.post(path, content=body)).status_code == 404
    assert (await shop.platform.call("GET", PATH, key=shop.merchant.test_key)).status_code == 403


async def test_the_list_goes_by_pages(shop: Shop) -> None:
    for nth in range(3):
        await send(shop, f"msg_page_{nth}", message("att_pages", Succeeded("x", 1)))
    first = (await shop.platform.call("GET", f"{PATH}?reference=att_pages&limit=2")).json()
    path = f"{PATH}?reference=att_pages&limit=2&cursor={first['next_cursor']}"
    second = (await shop.platform.call("GET", path)).json()
    assert [each["message_id"] for each in first["data"] + second["data"]] == ["msg_page_2", "msg_page_1", "msg_page_0"]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_there_are_points_before_and_after_it_is_heard() -> None:
    assert len(POINTS) == 2


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_dies_over_a_message_hears_it_when_it_comes_again(shop: Shop, point: str) -> None:
    payment, reference = await unknown(shop)
    body = message(reference, shop.harbour.known[reference])
    shop.platform.runtime.dies_at = point
    with pytest.raises(Died):
        await send(shop, point, body)
    assert [each["outcome"] for each in await kept(shop, reference)] == ["received"]
    assert (await send(shop, point, body)).status_code == 204
    assert (await shop.get(payment))["status"] == "authorised"
    [found] = await kept(shop, reference)
    assert (found["outcome"], found["times"]) == ("applied" if point.endswith("after_kept") else "known", 2)
    assert shop.audited() == {}


async def test_messages_are_forgotten_after_thirty_days(shop: Shop) -> None:
    await send(shop, "msg_kept", message("att_kept", Succeeded("x", 1)))
    sweep = shop.platform.gateway.steps["connector-webhook-retention"]
    for days, left in ((29, 1), (2, 0)):
        shop.platform.runtime.ahead += timedelta(days=days)
        await sweep()
        assert len(await kept(shop, "att_kept")) == left
