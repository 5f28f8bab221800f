"""An acquirer's settlement file, from the operator's request to the books: whole or not at all, each line once."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import rialto_gateway.settlement_files
from rialto_cli.testing import Database
from rialto_gateway.attempts.in_order import InOrder
from rialto_gateway.settlement_files.file import Line, write

from .platform_in_process import ADMIN_KEY, Died, started
from .scripted_acquirer import ScriptedAcquirer
from .test_cards import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCES = Path(rialto_gateway.settlement_files.__file__ or "").parent.glob("*.py")
POINTS = sorted(
    point
    for path in SOURCES
    for point in re.findall(r'crash_point\("([\w.]+)"\)', path.read_text())
    if "_early_" not in point  # where a line comes before what it names: test_disputes.py
)
PATH = "/v1/connectors/harbour/settlement_files"
DIFFERENCES = "/v1/connectors/harbour/settlement_differences"
RECEIVABLE, COSTS, CASH = "acquirer:harbour:receivable", "acquirer:harbour:costs", "bank:house:cash"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(module_database: Database) -> AsyncIterator[Shop]:
    harbour, quay = ScriptedAcquirer("harbour"), ScriptedAcquirer("quay")
    superuser = await asyncpg.connect(module_database.superuser_dsn())
    async with started(module_database.dsn, connectors=InOrder([harbour, quay])) as platform:
        dsn = module_database.superuser_dsn()
        yield Shop(platform, await platform.merchant(), harbour, quay, superuser, dsn)
    await superuser.close()


names = iter(f"sf_{nth}" for nth in range(1_000))


async def line(shop: Shop, payment: dict[str, Any], step: str = "capture", *, fee_minor: int = 12) -> Line:
    """Return the line that clears a payment's capture or refund, as the acquirer would write it."""
    [attempt] = [each for each in (await shop.get(payment))["attempts"] if each["step"] == step]
    amount = int(attempt["amount_minor"])
    gross, fee = (amount, fee_minor) if step == "capture" else (-amount, 0)
    kind: Any = "captured" if step == "capture" else "refunded"
    today = shop.platform.runtime.now().date()
    return Line(2, kind, "op_1", attempt["id"], "auth_1", "USD", gross, fee, gross - fee, today)


async def send(shop: Shop, lines: Sequence[Line], name: str | None = None) -> Any:
    """Send a file to the gateway, and let the ledger hear of it."""
    answer = await shop.platform.call("POST", PATH, write(name or next(names), lines).encode())
    await shop.platform.ask_ledger()
    return answer


async def balances(shop: Shop) -> tuple[int, int, int]:
    """Return what the acquirer owes, what it cost, and what is at the bank."""
    return await shop.balance(RECEIVABLE), await shop.balance(COSTS), await shop.balance(CASH)


async def open_differences(shop: Shop, of: Line | None = None) -> list[dict[str, Any]]:
    answer = await shop.platform.call("GET", DIFFERENCES)
    assert answer.status_code == 200
    data: list[dict[str, Any]] = answer.json()["data"]
    return [each for each in data if of is None or each["reference"] == of.reference]


async def counted(shop: Shop, reason: str) -> float | None:
    """Return what the metric reads of a reason."""
    await shop.platform.gateway.steps["settlement-differences"]()
    labels = {"connector": "harbour", "reason": reason}
    return shop.platform.gateway.registry.get_sample_value("rialto_settlement_differences_open", labels)


async def test_a_file_clears_what_the_acquirer_owes_line_by_line(shop: Shop) -> None:
    captured, refunded = await shop.captured(1_000), await shop.captured(500)
    await shop.refund(refunded, amount_minor="200")
    await shop.all_goes_on()
    before = await balances(shop)
    lines = [
        await line(shop, captured, fee_minor=12),
        await line(shop, refunded, fee_minor=-1),
        await line(shop, refunded, "refund"),
    ]
    answer = await send(shop, lines)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["lines"], made["cleared"], made["differing"]) == (3, 3, 0)
    assert made["totals"] == [
        {"currency": "USD", "lines": 3, "gross_minor": "1300", "fee_minor": "11", "net_minor": "1289"}
    ]
    after = await balances(shop)
    assert [now - then for now, then in zip(after, before, strict=True)] == [-1_300, 11, 1_289]
    assert await open_differences(shop) == []
    assert await counted(shop, "missing") == 0
    assert shop.audited() == {}


async def test_the_same_file_again_is_answered_and_moves_nothing(shop: Shop) -> None:
    body = write(next(names), [await line(shop, await shop.captured())]).encode()
    first, again = [await shop.platform.call("POST", PATH, body) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json(), again.headers.get("idempotency-replayed")) == (again.json(), "true")
    await shop.platform.ask_ledger()
    assert shop.audited() == {}


async def test_one_file_sent_many_times_at_once_is_taken_once(shop: Shop) -> None:
    body = write(next(names), [await line(shop, await shop.captured(700))]).encode()
    before = await balances(shop)
    answers = await asyncio.gather(*(shop.platform.call("POST", PATH, body) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    await shop.platform.ask_ledger()
    assert (await balances(shop))[0] - before[0] == -700


async def test_another_file_of_the_same_name_is_refused_whole(shop: Shop) -> None:
    name, first = next(names), await line(shop, await shop.captured())
    assert (await send(shop, [first], name)).status_code == 201
    other = await line(shop, await shop.captured())
    answer = await send(shop, [other], name)
    assert (answer.status_code, answer.json()["code"]) == (409, "settlement_file_changed")
    assert (await send(shop, [other])).json()["cleared"] == 1


async def test_a_file_that_is_wrong_in_one_line_leaves_nothing(shop: Shop) -> None:
    good = await line(shop, await shop.captured())
    rows = write(next(names), [good, replace(good, reference="att_other")]).splitlines()
    rows[2] = rows[2].replace("captured", "paid")
    rows_before = await shop.superuser.fetchval("SELECT count(*) FROM gateway.settlement_lines")
    answer = await shop.platform.call("POST", PATH, "\n".join(rows).encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "settlement_file_invalid")
    assert "line 3: its type" in answer.json()["detail"]
    assert await shop.superuser.fetchval("SELECT count(*) FROM gateway.settlement_lines") == rows_before
    assert (await send(shop, [good])).json()["cleared"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gross_minor": 1_251, "net_minor": 1_239}, "amount_differs"),
        ({"reference": "att_" + "0" * 26}, "unknown_reference"),
        ({"currency": "EUR"}, "currency_differs"),
        ({"kind": "refunded", "gross_minor": -1_250, "net_minor": -1_262}, "kind_differs"),
        ({"kind": "chargeback", "gross_minor": -1_250, "net_minor": -1_262}, "chargeback"),
    ],
)
async def test_a_line_that_differs_moves_nothing_and_waits_for_a_person(
    shop: Shop, changes: dict[str, Any], reason: str
) -> None:
    right = await line(shop, await shop.captured())
    wrong = replace(right, **changes)
    before, counted_before = await balances(shop), await counted(shop, reason) or 0
    made = (await send(shop, [wrong])).json()
    assert (made["cleared"], made["differing"]) == (0, 1)
    assert await balances(shop) == before
    [difference] = await open_differences(shop, wrong)
    assert (difference["reason"], difference["line"], difference["file"]) == (reason, 2, made["name"])
    assert await counted(shop, reason) == counted_before + 1
    # What the acquirer puts right with its next file is resolved by that; a person resolves what is left.
    assert (await send(shop, [right])).json()["cleared"] == 1
    for left in await open_differences(shop, wrong):
        path = f"{DIFFERENCES}/{left['id']}/resolve"
        answer = await shop.platform.call("POST", path, {"note": "the acquirer says that it was a mistake"})
        assert (answer.status_code, answer.json()["status"]) == (200, "resolved")
        again = await shop.platform.call("POST", path, {"note": "once more"})
        assert (again.status_code, again.json()["code"]) == (409, "settlement_difference_resolved")
    assert await counted(shop, reason) == counted_before
    assert shop.audited() == {}


async def test_a_line_that_comes_twice_is_settled_once(shop: Shop) -> None:
    paid = await line(shop, await shop.captured())
    before = await balances(shop)
    made = (await send(shop, [paid, replace(paid, number=3)])).json()
    assert (made["cleared"], made["differing"]) == (1, 1)
    made = (await send(shop, [paid])).json()
    assert (made["cleared"], made["differing"]) == (0, 1)
    assert (await balances(shop))[0] - before[0] == -1_250
    assert [each["reason"] for each in await open_differences(shop, paid)] == ["duplicate"] * 2
    assert shop.audited() == {}


async def test_a_line_tells_that_an_unknown_capture_was_done(shop: Shop) -> None:
    payment = await shop.authorised()
    shop.harbour.deaf = True
    shop.harbour.fail("lost_after")
    await shop.post(payment, "capture")
    await shop.platform.ask_acquirers()
    told = await line(shop, payment)
    assert (await shop.get(payment))["status_reason"] == "capture_unknown"
    before = await balances(shop)
    assert (await send(shop, [told])).json()["cleared"] == 1
    await shop.all_goes_on()
    shop.harbour.deaf = False
    assert (await shop.get(payment))["status"] == "captured"
    assert (await balances(shop))[0] == before[0], "its 1250 came out of suspense, and were paid"
    assert shop.audited() == {}


async def test_what_certainly_failed_is_not_settled(shop: Shop) -> None:
    payment = await shop.authorised("not_sent")
    [failed, *_] = payment["attempts"]
    wrong = Line(2, "captured", "op", failed["id"], "auth", "USD", 1_250, 0, 1_250, shop.platform.runtime.now().date())
    assert (await send(shop, [wrong])).json()["differing"] == 1
    [difference] = await open_differences(shop, wrong)
    assert difference["reason"] == "unknown_reference"
    path = f"{DIFFERENCES}/{difference['id']}/resolve"
    key = shop.platform.new_key()
    first, again = [await shop.platform.call("POST", path, {"note": "a test"}, Idempotency_Key=key) for _ in range(2)]
    assert (first.content, again.headers["idempotency-replayed"]) == (again.content, "true")


async def test_another_acquirers_attempts_are_not_cleared(shop: Shop) -> None:
    payment = await shop.pay("not_sent")
    await shop.all_goes_on()
    at_quay = await line(shop, payment)
    assert [each["connector"] for each in (await shop.get(payment))["attempts"]] == ["harbour", "quay", "quay"]
    assert (await send(shop, [at_quay])).json()["differing"] == 1


async def test_the_list_goes_by_pages_and_only_the_operator_reaches_it(shop: Shop) -> None:
    lines = [
        replace(await line(shop, await shop.captured()), number=2 + nth, reference=f"nobody_{nth}") for nth in range(3)
    ]
    assert (await send(shop, lines)).json()["differing"] == 3
    seen: list[str] = []
    cursor: str | None = None
    while True:
        path = f"{DIFFERENCES}?limit=2" + ("" if cursor is None else f"&cursor={cursor}")
        page = (await shop.platform.call("GET", path)).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) >= 3
    everything = (await shop.platform.call("GET", f"{DIFFERENCES}?limit=100")).json()["data"]
    assert seen == [each["id"] for each in everything]
    for method, path in (("POST", PATH), ("GET", DIFFERENCES)):
        answer = await shop.platform.call(method, path, b"" if method == "POST" else None, key=shop.merchant.test_key)
        assert answer.status_code == 403
        nobody = path.replace("harbour", "nobody")
        assert (await shop.platform.call(method, nobody, b"", key=ADMIN_KEY)).json()["code"] == "connector_not_found"
    answer = await shop.platform.call("POST", f"{DIFFERENCES}/std_{'0' * 26}/resolve", {"note": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "settlement_difference_not_found")


async def test_there_are_points_on_both_sides_of_the_commit() -> None:
    assert len(POINTS) == 2


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_dies_while_it_takes_a_file_takes_it_once(shop: Shop, point: str) -> None:
    paid = await line(shop, await shop.captured(900))
    before, name = await balances(shop), next(names)
    shop.platform.runtime.dies_at = point
    with pytest.raises(Died):
        await send(shop, [paid], name)
    assert (await send(shop, [paid], name)).json()["cleared"] == 1
    assert (await balances(shop))[0] - before[0] == -900
    assert shop.audited() == {}


async def test_a_capture_that_no_file_names_is_missed_and_then_found(shop: Shop) -> None:
    owed = await line(shop, await shop.captured())
    await counted(shop, "missing")
    assert await open_differences(shop, owed) == []
    shop.platform.runtime.ahead += timedelta(days=6)
    assert (await counted(shop, "missing") or 0) >= 1
    [difference] = await open_differences(shop, owed)
    assert (difference["reason"], difference["amount_minor"], difference["file"]) == ("missing", "1250", None)
    assert (await send(shop, [owed])).json()["cleared"] == 1
    assert await open_differences(shop, owed) == []
    found = (await shop.platform.call("GET", f"{DIFFERENCES}?state=resolved&limit=100")).json()["data"]
    assert [each["status"] for each in found if each["reference"] == owed.reference] == ["resolved"]
