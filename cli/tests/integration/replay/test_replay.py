"""A whole replay against a gateway that restarts, answers 503 and breaks connections."""

import asyncio
import json
from pathlib import Path
from typing import Any

from rialto_cli.audit.book import INVARIANTS
from rialto_cli.errors import OperatorError
from rialto_cli.replay import source
from rialto_cli.replay.names import Cast, fixture_people
from rialto_cli.replay.progress import Silent
from rialto_cli.replay.report import Report
from rialto_cli.replay.run import Options, Platform, replay
from rialto_cli.replay.sender import Pace
from rialto_cli.replay.source import Choice, Selection

CLEAN = {name: {"checked": 1, "violations": 0} for name in INVARIANTS}
CUSTOMERS = 40


def write_rows(path: Path, count: int) -> Path:
    lines = ["TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"]
    lines += [
        f"2024-03-04 00:{row // 60 % 60:02}:{row % 60:02},{row % CUSTOMERS},{row % 17},{row % 90 + 1}.05,0"
        for row in range(count)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def select(path: Path, **choice: Any) -> Selection:
    return source.read(path, Choice(**choice), 2)


async def run(
    gateway: Any, selection: Selection, data_dir: Path, *, patience: float = 20, name: str = "1", **pace: Any
) -> Report:
    # The fake's payments move on with each poll: no reason to wait a second for it.
    options = Options(Pace(**pace), name, patience, poll_seconds=0.02)
    platform = Platform(gateway.url, "ak_test", data_dir, lambda: CLEAN)
    return await replay(selection, platform, options, Silent())


def expected_states(selection: Selection) -> dict[str, int]:
    """What an honest ledger says: a customer who is short pays in order until the money is gone."""
    cast = Cast(selection.fingerprint, fixture_people())
    left = {customer: need // 2 for customer, need in selection.needs().items() if cast.customer(customer).short}
    declined = 0
    for index in range(len(selection)):
        row = selection.row(index)
        if row.customer in left:
            if left[row.customer] < row.amount_minor:
                declined += 1
            else:
                left[row.customer] -= row.amount_minor
    states = {"settled": len(selection) - declined, "declined": declined}
    return {state: count for state, count in states.items() if count}


async def test_every_row_is_paid_once_and_settles(gateway: Any, tmp_path: Path) -> None:
    selection = select(write_rows(tmp_path / "rows.csv", 1200))
    report = await run(gateway, selection, tmp_path)
    assert (report.submitted, report.accepted, report.rejected) == (1200, 1200, {})
    assert report.states == expected_states(selection)
    assert set(gateway.paid_rows.values()) == {1}
    assert report.failures == []
    assert report.tx_hashes
    assert report.latency_ms["p50"] is not None
    assert json.loads(json.dumps(report.to_dict()))["books"] == CLEAN


async def test_a_gateway_that_breaks_connections_and_answers_503_pays_no_row_twice(
    gateway: Any, tmp_path: Path
) -> None:
    gateway.faults.unavailable = 0.05
    gateway.faults.broken_before = 0.1
    gateway.faults.broken_after = 0.15
    selection = select(write_rows(tmp_path / "rows.csv", 400))
    report = await run(gateway, selection, tmp_path)
    assert report.repeats > 100
    assert (report.submitted, report.accepted, report.unfinished) == (400, 400, 0)
    assert len(gateway.paid_rows) == 400
    assert set(gateway.paid_rows.values()) == {1}
    assert len(gateway.wallets) == CUSTOMERS
    assert report.states == expected_states(selection)


async def test_restarts_in_the_middle_lose_nothing(gateway: Any, tmp_path: Path) -> None:
    selection = select(write_rows(tmp_path / "rows.csv", 600))
    running = asyncio.create_task(run(gateway, selection, tmp_path))
    for share in (100, 300, 500):
        await gateway.until_accepted(share)
        await gateway.stop()
        await asyncio.sleep(0.1)
        await gateway.start()
    report = await running
    assert (report.accepted, report.unfinished) == (600, 0)
    assert set(gateway.paid_rows.values()) == {1}
    assert report.repeats > 0


async def test_a_second_run_counts_rows_already_paid_as_accepted(gateway: Any, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.csv", 300)
    first = await run(gateway, select(path, limit=120), tmp_path)
    wallets, merchants = dict(gateway.wallets), dict(gateway.merchants)
    assert (first.accepted, len(gateway.payments)) == (120, 120)
    again = await run(gateway, select(path), tmp_path)
    assert again.accepted == 300
    assert len(gateway.payments) == 300
    assert set(gateway.paid_rows.values()) == {1}
    assert again.states == expected_states(select(path))
    assert merchants == gateway.merchants
    assert wallets.keys() == gateway.wallets.keys()
    assert gateway.requests["wallets"] == 2 * CUSTOMERS


async def test_another_run_name_pays_the_rows_again_from_other_wallets(gateway: Any, tmp_path: Path) -> None:
    selection = select(write_rows(tmp_path / "rows.csv", 50))
    await run(gateway, selection, tmp_path)
    await run(gateway, selection, tmp_path, name="2")
    assert len(gateway.payments) == 100
    assert len(gateway.wallets) == 2 * CUSTOMERS
    assert len({payment["metadata"]["replay"] for payment in gateway.payments}) == 2


async def test_a_refused_row_is_counted_with_its_code_and_not_sent_again(gateway: Any, tmp_path: Path) -> None:
    gateway.refuse = lambda body: "amount_invalid" if body["metadata"]["row"] in {"3", "4"} else None
    report = await run(gateway, select(write_rows(tmp_path / "rows.csv", 100)), tmp_path)
    assert report.rejected == {"amount_invalid": 2}
    assert (report.submitted, report.accepted) == (100, 98)
    assert gateway.requests["payments"] == 100


async def test_a_customers_rows_are_accepted_in_the_order_of_the_file(gateway: Any, tmp_path: Path) -> None:
    gateway.faults.broken_after = 0.1
    await run(gateway, select(write_rows(tmp_path / "rows.csv", 400)), tmp_path)
    by_wallet: dict[str, list[int]] = {}
    for wallet, row in gateway.order:
        by_wallet.setdefault(wallet, []).append(int(row))
    assert len(by_wallet) == CUSTOMERS
    assert all(rows == sorted(rows) for rows in by_wallet.values())


async def test_the_label_is_never_sent(gateway: Any, tmp_path: Path) -> None:
    await run(gateway, select(write_rows(tmp_path / "rows.csv", 30)), tmp_path)
    assert len(gateway.bodies) == 30
    assert not any("fraud" in json.dumps(body).casefold() for body in gateway.bodies)


async def test_silence_beyond_patience_is_reported_and_can_be_continued(gateway: Any, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.csv", 300)
    running = asyncio.create_task(run(gateway, select(path), tmp_path, patience=0.5))
    await gateway.until_accepted(60)
    await gateway.stop()
    report = await running
    assert not report.complete
    assert "has not answered" in report.failures[0]
    await gateway.start()
    again = await run(gateway, select(path), tmp_path)
    assert (again.accepted, again.complete) == (300, True)
    assert set(gateway.paid_rows.values()) == {1}


async def test_a_payment_that_never_comes_to_rest_fails_the_report(gateway: Any, tmp_path: Path) -> None:
    gateway.stuck = lambda payment: payment["metadata"]["row"] == "7"
    report = await run(gateway, select(write_rows(tmp_path / "rows.csv", 20)), tmp_path, patience=1)
    assert report.unfinished == 1
    assert report.states["created"] == 1
    assert not report.complete


async def test_a_review_is_not_waited_for(gateway: Any, tmp_path: Path) -> None:
    def into_review(payment: dict[str, Any]) -> bool:
        if payment["metadata"]["row"] == "5" and payment["status"] == "created":
            payment["status"], payment["updated_at"] = "review", gateway._tick()
        return False

    gateway.stuck = into_review
    report = await run(gateway, select(write_rows(tmp_path / "rows.csv", 20)), tmp_path)
    assert report.states["review"] == 1
    assert report.complete


async def test_a_payment_missed_by_the_list_is_asked_for_by_id(gateway: Any, tmp_path: Path) -> None:
    def back_dated(payment: dict[str, Any]) -> bool:
        if payment["metadata"]["row"] == "5":
            payment["updated_at"] = "2000-01-01T00:00:00.000000Z"
            payment["status"] = "expired"
        return False

    gateway.stuck = back_dated
    report = await run(gateway, select(write_rows(tmp_path / "rows.csv", 20)), tmp_path)
    assert report.states["expired"] == 1
    assert report.complete


async def test_books_that_cannot_be_read_fail_the_report_and_do_not_lose_it(gateway: Any, tmp_path: Path) -> None:
    def unreadable() -> dict[str, Any]:
        raise OperatorError("The books cannot be read", "no database", "start it")

    platform = Platform(gateway.url, "ak_test", tmp_path, unreadable)
    selection = select(write_rows(tmp_path / "rows.csv", 20))
    report = await replay(selection, platform, Options(Pace(), "1", 20, poll_seconds=0.02), Silent())
    assert report.accepted == 20
    assert "The books cannot be read" in report.failures[0]
    assert "I1 was not checked" in report.failures


async def test_a_rate_is_kept(gateway: Any, tmp_path: Path) -> None:
    report = await run(gateway, select(write_rows(tmp_path / "rows.csv", 40)), tmp_path, rate=100.0)
    assert report.accepted == 40
    assert report.duration_seconds >= 0.39
