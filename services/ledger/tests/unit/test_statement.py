"""Statements: periods that are over, pages that add up, cursors that come back as they were given."""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import CursorInvalid
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.statement import (
    BEGINNING,
    SETTLING,
    Cursor,
    Line,
    Period,
    PeriodInvalid,
    Position,
    Statement,
    StatementChanged,
    page,
    without_owner,
)
from rialto_ledger.testing import NOW, Payment, wallet

HORIZON = NOW - SETTLING
PERIOD = Period(NOW - timedelta(days=1), HORIZON)

times = st.integers(0, 10**16).map(lambda microseconds: BEGINNING + timedelta(microseconds=microseconds))
amounts = st.integers(-(10**38), 10**38)
cursors = st.builds(
    Cursor,
    statement=st.builds(
        Statement,
        account_id=st.uuids(),
        period=st.builds(Period, times, times),
        opening_minor=amounts,
        closing_minor=amounts,
    ),
    after=st.builds(Position, times, st.uuids(), st.integers(-1, 999)),
    balance_minor=amounts,
)


def lines(*signed: int) -> list[Line]:
    return [
        Line(
            Position(PERIOD.start + timedelta(seconds=number), Payment(number).id, 0),
            Side.CREDIT if amount > 0 else Side.DEBIT,
            abs(amount),
            "transfer",
            None,
            NOW,
        )
        for number, amount in enumerate(signed)
    ]


def test_a_period_ends_where_everything_has_settled() -> None:
    assert Period.over(None, None, NOW) == Period(BEGINNING, HORIZON)
    assert Period.over(PERIOD.start, NOW + timedelta(days=9), NOW) == PERIOD
    earlier = HORIZON - timedelta(hours=1)
    assert Period.over(PERIOD.start, earlier, NOW) == Period(PERIOD.start, earlier)


@pytest.mark.parametrize(("start", "end"), [(HORIZON, None), (NOW, NOW + timedelta(1)), (HORIZON, PERIOD.start)])
def test_a_period_that_is_not_over_or_empty_is_refused(start: datetime, end: datetime | None) -> None:
    with pytest.raises(PeriodInvalid):
        Period.over(start, end, NOW)


@given(cursors)
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor) -> None:
    text = cursor.to_text()
    assert len(text) < 1000
    assert text.replace("-", "").replace("_", "").isalnum()
    assert Cursor.from_text(text, cursor.statement.account_id) == cursor


@given(cursors, st.data())
def test_a_cursor_that_was_changed_is_refused_or_is_another_cursor(cursor: Cursor, data: st.DataObject) -> None:
    text = cursor.to_text()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.sampled_from("Aaz09_-=.é")) + text[at + 1 :]
    try:
        read = Cursor.from_text(changed, cursor.statement.account_id)
    except CursorInvalid:
        return
    assert (read == cursor) == (changed == text)


def encoded(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "bnVsbA",
        encoded([]),
        encoded({"a": 1}),
        encoded([[]] * 9),
        encoded([wallet().id.hex, 0, 10**300, "0", "0", 0, wallet().id.hex, 0, "0"]),
        encoded([wallet().id.hex, 0, 1, "0", "0", 0, wallet().id.hex, 40_000, "0"]),
        encoded([wallet().id.hex, float("inf"), 1, "0", "0", 0, wallet().id.hex, 0, "0"]),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.from_text(text, wallet().id)


def test_another_accounts_cursor_is_refused() -> None:
    text = Cursor.first(Statement(wallet(0).id, PERIOD, 0, 0)).to_text()
    with pytest.raises(CursorInvalid, match="account that gave it"):
        Cursor.from_text(text, wallet(1).id)


def test_a_running_balance_grows_on_the_normal_side() -> None:
    found = lines(500, -200)
    owed = Cursor.first(Statement(wallet().id, PERIOD, 10, 310))
    assert [balance for _, balance in page(owed, found, 5, Side.CREDIT).lines] == [510, 310]
    owned = Cursor.first(Statement(wallet().id, PERIOD, 10, -290))
    assert [balance for _, balance in page(owned, found, 5, Side.DEBIT).lines] == [-490, -290]


def test_the_last_page_says_so_also_when_it_is_full() -> None:
    first = Cursor.first(Statement(wallet().id, PERIOD, 0, 3))
    shown = page(first, lines(1, 1, 1)[:3], 2, Side.CREDIT)
    assert (len(shown.lines), shown.next is None) == (2, False)
    assert shown.next is not None
    last = page(shown.next, lines(1, 1, 1)[2:], 2, Side.CREDIT)
    assert (len(last.lines), last.next) == (1, None)
    assert page(replace(first, balance_minor=1), lines(1, 1), 2, Side.CREDIT).next is None


def test_pages_that_do_not_come_to_the_closing_balance_are_refused() -> None:
    first = Cursor.first(Statement(wallet().id, PERIOD, 0, 3))
    with pytest.raises(StatementChanged):
        page(first, lines(1, 1, 1, 1), 5, Side.CREDIT)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (wallet().code, "customer:*:wallet"),
        (Payment().payable.code, "merchant:*:payable"),
        ("fees:income", "fees:income"),
        ("in_transit:7", "in_transit:7"),
        ("merchant", "merchant"),
        ("merchants:north:float", "merchants:north:float"),
    ],
)
def test_codes_are_told_without_their_owner(code: str, named: str) -> None:
    assert without_owner(code) == named
