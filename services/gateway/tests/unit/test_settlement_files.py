"""Settlement files: what was written is read, what is not whole is refused by its line, each line clears once."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common import ids
from rialto_gateway.settlement_files.file import HEADER, Line, SettlementFileInvalid, parse, totals_of, write
from rialto_gateway.settlement_files.matching import Known, match, shows_done

NAMES = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)
AMOUNTS = st.integers(1, 10**30)
ROOT = ids.uuid7(1_700_000_000_000, 0)


@st.composite
def movements(draw: st.DrawFn) -> list[Line]:
    """Return the lines of a file."""
    lines = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["captured", "refunded", "chargeback"]))
        gross = draw(AMOUNTS) * (1 if kind == "captured" else -1)
        fee = draw(st.integers(-1_000, 1_000))
        lines.append(
            Line(
                number + 2,
                kind,  # type: ignore[arg-type]
                draw(NAMES),
                draw(NAMES),
                draw(NAMES),
                draw(st.sampled_from(["USD", "EUR", "JPY"])),
                gross,
                fee,
                gross - fee,
                draw(st.dates()),
            )
        )
    return lines


@given(movements(), NAMES)
def test_what_was_written_is_read_as_it_was(lines: list[Line], name: str) -> None:
    file = parse(write(name, lines).encode())
    assert (file.name, list(file.lines), list(file.totals)) == (name, lines, totals_of(lines))


@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for each in (body, ",".join(HEADER).encode() + b"\n" + body):
        with pytest.raises(SettlementFileInvalid) as refused:
            parse(each)
        assert refused.value.errors


@given(movements(), st.data())
def test_a_file_without_one_of_its_lines_or_with_one_twice_is_refused(lines: list[Line], data: st.DataObject) -> None:
    rows = write("file", lines).splitlines(keepends=True)
    place = data.draw(st.integers(1, len(rows) - 1))
    for spoilt in (rows[:place] + rows[place + 1 :], rows[: place + 1] + rows[place:]):
        with pytest.raises(SettlementFileInvalid):
            parse("".join(spoilt).encode())


LINE = "captured,cap_1,att_1,auth_1,USD,100,2,98,2026-03-01"
TOTAL = "total,sf_1,1,,USD,100,2,98,"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LINE.replace("98", "99"), "net_minor is 99"),
        (LINE.replace("USD", "XYZ"), "currency"),
        (LINE.replace("100,2,98", "-100,2,-102"), "above 0"),
        (LINE.replace("100,2,98", "0,0,0"), "above 0"),
        (LINE.replace("captured", "paid"), "type is none of"),
        (LINE.replace("2026-03-01", "20260301"), "date"),
        (LINE.replace("2026-03-01", "yesterday"), "date"),
        (LINE.replace("100,2", "1e2,2"), "gross_minor is not a whole number"),
        (LINE.replace("100,2", "0100,2"), "gross_minor is not a whole number"),
        (LINE.replace("att_1", ""), "reference"),
        (LINE + ",more", "10 fields"),
        ("", "0 fields"),
    ],
)
def test_each_wrong_is_named_with_its_line(line: str, says: str) -> None:
    body = "\n".join([",".join(HEADER), LINE, line, TOTAL]).encode()
    with pytest.raises(SettlementFileInvalid, match="line 3: ") as refused:
        parse(body)
    assert says in refused.value.errors[0].says


def test_a_file_that_was_cut_off_or_is_of_two_is_refused() -> None:
    whole = [",".join(HEADER), LINE, TOTAL]
    assert parse("\n".join(whole).encode()).totals[0].net_minor == 98
    for spoilt in (
        whole[:2],
        whole[:1],
        [*whole, TOTAL],
        [*whole, TOTAL.replace("sf_1,1,,USD,100,2,98", "sf_2,0,,EUR,0,0,0")],
    ):
        with pytest.raises(SettlementFileInvalid):
            parse("\n".join(spoilt).encode())
    with pytest.raises(SettlementFileInvalid, match="UTF-8"):
        parse("\n".join(whole).encode() + b"\xff")


def known(nth: int, **changes: object) -> Known:
    """Return a capture of 100 USD cents that succeeded."""
    capture = Known(
        ids.derive(ROOT, "attempt", nth), ROOT, ROOT, "test", "capture", ROOT, "USD", 100, "succeeded", False
    )
    return replace(capture, **changes)  # type: ignore[arg-type]


def line(of: Known, **changes: object) -> Line:
    """Return the line that clears it."""
    kind = {"capture": "captured", "chargeback": "chargeback"}.get(of.step, "refunded")
    gross = of.amount_minor if of.step == "capture" else -of.amount_minor
    reference = ids.to_text("att", of.id)
    made = Line(2, kind, "cap_1", reference, "auth_1", of.currency, gross, 2, gross - 2, date(2026, 3, 1))  # type: ignore[arg-type]
    return replace(made, **changes)  # type: ignore[arg-type]


def by_reference(*all_known: Known) -> dict[str, Known]:
    return {ids.to_text("att", each.id): each for each in all_known}


@pytest.mark.parametrize(
    ("of", "changes", "reason"),
    [
        (known(1), {}, None),
        (known(1, step="refund"), {}, None),
        (known(1), {"reference": "att_of_nobody"}, "unknown_reference"),
        (known(1, step="authorise"), {"kind": "captured", "gross_minor": 100}, "unknown_reference"),
        (known(1), {"kind": "refunded", "gross_minor": -100}, "kind_differs"),
        (known(1), {"currency": "EUR"}, "currency_differs"),
        (known(1), {"gross_minor": 101}, "amount_differs"),
        (known(1, is_settled=True), {}, "duplicate"),
        (known(1, state="failed"), {}, "not_done"),
        (known(1, state="unknown"), {}, "not_done"),
        (known(1), {"kind": "chargeback", "gross_minor": -100}, "chargeback"),
        (known(1, step="chargeback"), {}, None),
        (known(1, step="chargeback"), {"gross_minor": -99}, "amount_differs"),
        (known(1, step="chargeback"), {"kind": "refunded"}, "kind_differs"),
        (known(1, step="chargeback", is_settled=True), {}, "duplicate"),
        (known(1, step="chargeback", state="under_review"), {}, "not_done"),
    ],
)
def test_a_line_clears_what_it_names_or_says_how_it_differs(of: Known, changes: dict[str, object], reason: str) -> None:
    found = match([line(of, **changes)], by_reference(of))
    assert [each.reason for each in found.differences] == ([] if reason is None else [reason])
    assert len(found.cleared) == (reason is None)


def test_only_a_line_that_is_right_tells_that_something_unknown_was_done() -> None:
    unknown = known(1, state="unknown")
    assert shows_done(line(unknown), unknown)
    for wrong in (
        {"gross_minor": 99},
        {"currency": "EUR"},
        {"kind": "refunded", "gross_minor": -100},
        {"kind": "chargeback", "gross_minor": -100},
    ):
        assert not shows_done(line(unknown, **wrong), unknown)
    for state in ("succeeded", "failed", "queued"):
        assert not shows_done(line(unknown), replace(unknown, state=state))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(99, 101)), max_size=30))
def test_every_line_is_cleared_or_a_difference_and_nothing_is_cleared_twice(drawn: list[tuple[int, bool, int]]) -> None:
    captures = [known(nth, is_settled=nth == 0) for nth in range(4)]
    lines = [
        line(captures[nth] if nth < 4 else known(99), number=place, gross_minor=amount)
        for place, (nth, _, amount) in enumerate(drawn)
    ]
    found = match(lines, by_reference(*captures))
    numbers = sorted([each.number for each, _ in found.cleared] + [each.line.number for each in found.differences])
    assert numbers == list(range(len(lines)))
    cleared = [of.id for _, of in found.cleared]
    assert len(cleared) == len(set(cleared))
    assert captures[0].id not in cleared
    assert all(each.gross_minor == 100 for each, _ in found.cleared)
