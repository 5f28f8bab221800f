"""The report: its shape, and that it passes only when everything was checked and held."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rialto_cli.audit.book import INVARIANTS
from rialto_cli.replay import report
from rialto_cli.replay.render import render
from rialto_cli.replay.report import Report
from rialto_cli.replay.source import Choice, Selection, read
from rialto_cli.replay.tally import Tally
from rialto_cli.replay.unknowns import unknowns

CLEAN = {name: {"checked": 5, "violations": 0} for name in INVARIANTS}


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    path = tmp_path / "rows.csv"
    rows = [f"{second},c{second % 3},t1,2.00,{int(second == 1)}" for second in range(6)]
    path.write_text("\n".join(["TX_TIME_SECONDS,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD", *rows]), encoding="utf-8")
    return read(path, Choice(), 2)


def payment(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "pay_1", "status": status, "created_at": "2026-01-01T00:00:00.000Z", **more}


def settled(milliseconds: int, tx_hash: str = "0xaa") -> dict[str, Any]:
    at = f"2026-01-01T00:00:00.{milliseconds:03d}Z"
    return payment("settled", authorised_at=at, settlement={"tx_hash": tx_hash})


def tallied(selection: Selection) -> Tally:
    tally = Tally(selection)
    for place in range(5):
        tally.sent += 1
        tally.accept(place, payment("created"))
    tally.sent += 1
    tally.reject(5, "amount_invalid")
    tally.update(0, settled(100))
    tally.update(1, payment("declined", decline_code="fraud_suspected"))
    tally.update(2, settled(200))
    tally.update(3, settled(300, "0xbb"))
    tally.update(4, payment("review"))
    return tally


def built(selection: Selection, books: Any = CLEAN, stopped: str | None = None) -> Report:
    return report.build(selection, tallied(selection), books, duration_seconds=1.5, repeats=2, stopped=stopped)


def test_the_document_has_the_promised_shape(selection: Selection) -> None:
    document = built(selection).to_dict()
    assert document["submitted"] == 6
    assert document["accepted"] == 5
    assert document["rejected"] == {"amount_invalid": 1}
    assert document["states"] == {"review": 1, "settled": 3, "declined": 1}
    assert document["decline_reasons"] == {"fraud_suspected": 1}
    assert document["tx_hashes"] == ["0xaa", "0xbb"]
    assert document["latency_ms"] == {"p50": 200.0, "p99": 300.0}
    assert document["books"] == CLEAN
    assert document["ok"] is True


def test_the_confusion_table_counts_every_row_under_its_label(selection: Selection) -> None:
    table = built(selection).confusion
    assert table["fraud"] == {"declined: fraud_suspected": 1}
    assert table["genuine"] == {"settled": 3, "review": 1, "rejected": 1}


@pytest.mark.parametrize("name", INVARIANTS)
def test_a_book_that_checked_nothing_is_violated_or_missing_fails(selection: Selection, name: str) -> None:
    for wrong in ({"checked": 0, "violations": 0}, {"checked": 5, "violations": 1}):
        assert any(name in failure for failure in built(selection, {**CLEAN, name: wrong}).failures)
    missing = {each: book for each, book in CLEAN.items() if each != name}
    assert built(selection, missing).failures == [f"{name} was not checked"]


def test_a_violation_is_named(selection: Selection) -> None:
    violated = {"checked": 5, "violations": 3, "by_check": {"captured_differs": 3}, "examples": []}
    assert built(selection, {**CLEAN, "I7": violated}).failures == ["I7 is violated 3 times: captured_differs 3"]


def test_clean_books_and_rested_payments_pass(selection: Selection) -> None:
    assert built(selection).failures == []


def test_stopping_early_and_payments_under_way_fail(selection: Selection) -> None:
    assert built(selection, stopped="silence").failures == ["silence"]
    assert not replace(built(selection), unfinished=2).complete


def test_nothing_settled_fails(selection: Selection) -> None:
    assert replace(built(selection), tx_hashes=[]).failures == ["nothing was settled on chain"]


def test_a_stored_answer_never_sets_a_state_back(selection: Selection) -> None:
    tally = tallied(selection)
    tally.accept(0, payment("created"))
    assert tally.state_of(0) == "settled"
    assert tally.accepted == 5


def test_an_unheard_of_state_counts_as_under_way(selection: Selection) -> None:
    tally = tallied(selection)
    tally.update(4, payment("teleported"))
    assert tally.pending == 1


def test_the_tables_name_what_people_look_for(selection: Selection) -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))
    render(built(selection), console)
    text = console.export_text()
    for word in ("accepted", "fraud_suspected", "0xaa", "0xbb", "p50 200.0 ms", "amount_invalid", *INVARIANTS):
        assert word in text
    assert "Every check holds" in text


def attempted(step: str, status: str, since: str | None, answered: str | None) -> dict[str, Any]:
    at = "2026-01-01T00:00:{}.000000Z"
    return {
        "step": step,
        "status": status,
        "unknown_since": None if since is None else at.format(since),
        "answered_at": None if answered is None else at.format(answered),
    }


def test_unknown_outcomes_are_told_by_what_came_of_them_and_after_how_long(selection: Selection) -> None:
    attempts = [attempted("authorise", "succeeded", None, "01"), attempted("capture", "succeeded", "02", "05")]
    later = [attempted("capture", "succeeded", "02", "07"), attempted("refund", "succeeded", None, "08")]
    found = [*unknowns("tok_capture_timeout_after", attempts), *unknowns("tok_capture_timeout_after", later)]
    told = report.build(
        selection, tallied(selection), CLEAN, duration_seconds=1, repeats=0, stopped=None, unknowns=found
    )
    assert told.to_dict()["unknown_outcomes"] == [
        {
            "token": "tok_capture_timeout_after",
            "step": "capture",
            "outcome": "succeeded",
            "count": 2,
            "median_seconds": 4.0,
            "longest_seconds": 5.0,
        }
    ]
    assert told.failures == []
    console = Console(width=120, record=True)
    render(told, console)
    assert "capture: it is done and no answer comes" in console.export_text()


def test_a_report_does_not_pass_while_an_outcome_is_unknown(selection: Selection) -> None:
    found = unknowns("tok_timeout_after", [attempted("authorise", "unknown", "02", None)])
    told = report.build(
        selection, tallied(selection), CLEAN, duration_seconds=1, repeats=0, stopped=None, unknowns=found
    )
    assert told.failures == ["the outcome of 1 questions to the acquirer is still unknown"]
