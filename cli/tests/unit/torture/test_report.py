"""A run as it is told: drawn, listed, and as a document."""

from io import StringIO

from rich.console import Console

from rialto_cli.torture.book import Asked, Book
from rialto_cli.torture.diary import Diary, Entry, per_second
from rialto_cli.torture.render import drawn, render
from rialto_cli.torture.schedule import Fault

COMMAND = "rialto torture --minutes 1 --seed 3 --bus postgres"


def book() -> Book:
    """Four payments a second, none from the 20th second to the 30th."""
    told = Book()
    for nth in range(240):
        at = nth / 4
        if not 20 <= at < 30:
            asked = told.payments[str(nth)] = Asked(str(nth), "shop", "wal", 100, manual=False)
            told.answered(asked, f"pay_{nth}", at)
    return told


def diary() -> Diary:
    """A minute with three faults."""
    run = Diary(3, 1, "postgres", COMMAND, seconds=60.0, states={"settled": 200})
    run.entries = [
        Entry(Fault(20, "kill", "gateway"), 20.0, 20.0, "process 7 killed", 10.2),
        Entry(Fault(40, "pause", "fraud", 6.0), 40.0, 46.0, "1 processes stopped", 0.4),
        Entry(Fault(40.2, "clock", "ledger", 5.0, -60), 40.2, 45.2, "clock off by -60 s"),
    ]
    return run


def printed(run: Diary) -> str:
    """What a person reads."""
    output = StringIO()
    render(run, book(), Console(file=output, width=120, highlight=False))
    return output.getvalue()


def test_the_drawing_shows_the_gap_and_the_faults_where_they_began() -> None:
    _, bars, faults, _ = drawn(diary(), book(), width=70)
    assert len(bars) == len(faults) == 61
    assert set(bars[:20]) == {"█"}
    assert set(bars[20:30]) == {" "}
    assert faults.strip() == "K" + 19 * " " + "*"
    assert faults[20] == "K"


def test_a_long_run_is_drawn_within_the_width() -> None:
    run = diary()
    run.seconds = 600.0
    _, bars, faults, _ = drawn(run, book(), width=60)
    assert len(bars) == len(faults) <= 60


def test_a_run_that_broke_nothing_says_its_seed() -> None:
    text = printed(diary())
    assert "Every promise held" in text
    assert "Seed 3" in text
    assert "process 7 killed" in text
    assert "10.2 s" in text


def test_a_broken_promise_comes_with_the_command_that_repeats_it() -> None:
    run = diary()
    run.wrong = ["pay_1 was paid twice"]
    text = printed(run)
    assert "pay_1 was paid twice" in text
    assert f"The same again: {COMMAND}" in text
    assert run.to_dict(book())["ok"] is False


def test_the_document_has_every_fault_and_the_figures() -> None:
    document = diary().to_dict(book())
    assert [(entry["kind"], entry["recovered_seconds"]) for entry in document["timeline"]] == [
        ("kill", 10.2),
        ("pause", 0.4),
        ("clock", None),
    ]
    assert document["recovery_seconds"] == {"median": 10.2, "p90": 10.2, "longest": 10.2}
    assert document["payments"]["accepted"] == 200
    assert sum(document["accepted_each_second"]) == 200


def test_moments_are_counted_by_second() -> None:
    assert per_second([0.1, 0.9, 2.0, 7.0], 3.0) == [2, 0, 1, 0]
