"""Lines that people read, and lines that programs do."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rialto_cli.events.port import Entry, Place
from rialto_cli.events.render import Lines, json_line
from rialto_cli.events.summary import money, summary
from rialto_common.events import MODELS, Event, EventData
from rialto_common.events.asyncapi import examples
from rialto_common.events.json_form import from_json
from rialto_common.testing import START

CREATED, PLACED = "rialto.payment.created.v1", "rialto.hold.placed.v1"
KEY = examples()[CREATED].key


def entry(event: Event, position: int = 1) -> Entry:
    return Entry(Place(event.topic, 0), position, event.time, event)


def lines(*, colour: bool = False) -> Lines:
    return Lines(Console(file=io.StringIO(), force_terminal=colour, color_system="standard" if colour else None))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)
def test_every_event_is_one_readable_line(model: type[EventData]) -> None:
    event = examples()[model.type]
    line = lines()(entry(event))
    assert line.isprintable()
    assert len(line) < 240
    assert line.startswith(event.time.strftime("%Y-%m-%d %H:%M:%S."))
    assert {event.key, f"#{event.sequence}", "test"} <= set(line.split())
    assert "ciphertext" not in line


SAID = {
    CREATED: "10.00 USD wallet automatic test",
    "rialto.fraud.assessed.v1": "score=6.872e-05 allow within_usual_pattern test",
    "rialto.compliance.screened.v1": "review hits=fx-001:0.79 test",
    "rialto.hold.captured.v1": "10.00 USD remaining=0.00 USD final test",
    "rialto.hold.voided.v1": "released=20.00 USD test",
    "rialto.journal_entry.posted.v1": "capture postings=2 test",
    "rialto.payment.declined.v1": "insufficient_funds test",
    "rialto.attempt.resolved.v1": "authorise acquirer=harbour succeeded test",
    "rialto.settlement.confirmed.v1": "10.00 USD 10.00 RUSD tx=0xe5d9af…",
    "rialto.deposit.confirmed.v1": "1000000000000.00 RUSD tx=0x0a8dca…",
}


@pytest.mark.parametrize(("event_type", "said"), SAID.items(), ids=SAID)
def test_what_matters_in_an_event_is_said(event_type: str, said: str) -> None:
    assert summary(json.loads(examples()[event_type].data)).startswith(said)


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        ("1250", "USD", "12.50 USD"),
        ("5", "USD", "0.05 USD"),
        ("0", "USD", "0.00 USD"),
        ("500", "JPY", "500 JPY"),
        ("1500000", "USDC", "1.50 USDC"),
        ("1", "ETH", "0.000000000000000001 ETH"),
        ("1250", "XXQ", "1250 XXQ"),
        ("1250", None, "1250"),
        ("much", "USD", "much USD"),
    ],
)
def test_amounts_are_said_in_their_currency(minor: str, currency: str | None, said: str) -> None:
    assert money(minor, currency) == said


def test_a_cause_that_was_shown_is_named_and_another_is_told_by_its_end() -> None:
    show = lines()
    cause = examples()[CREATED]
    later = examples()[PLACED]._replace(causation_id=str(cause.id))
    assert show(entry(later)).endswith(f"← {str(cause.id)[-12:]}")
    show(entry(cause))
    assert show(entry(later)).endswith("← payment.created")
    assert "←" not in show(entry(later._replace(causation_id=None)))


def test_time_is_in_utc_and_short_names_are_used() -> None:
    event = examples()[CREATED]._replace(time=START + timedelta(milliseconds=7), topic="rialto.payments.v1.dlq")
    assert lines()(entry(event)).startswith("2026-01-01 00:00:00.007  payments.dlq  payment.created        pay_")


def test_a_terminal_gets_colours_and_a_file_does_not() -> None:
    event = entry(examples()["rialto.payment.declined.v1"])
    assert "\x1b" not in lines()(event)
    assert "\x1b[1;31mpayment.declined" in lines(colour=True)(event)


ESCAPE = "\x1b[2J\nforged\r\x07\u202e"


def test_nothing_on_the_bus_can_move_the_cursor_or_forge_a_line() -> None:
    data = json.dumps({"detail": ESCAPE, ESCAPE: "x", "reasons": [ESCAPE], "more": {"type": ESCAPE}}).encode()
    event = examples()[CREATED]._replace(type=f"rialto.{ESCAPE}", key=ESCAPE, causation_id=ESCAPE, data=data)
    assert lines()(entry(event)).isprintable()
    assert lines()(Entry(Place("rialto.payments.v1", 0), 1, START, None, ESCAPE)).isprintable()
    assert json_line(entry(event)).isprintable()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["amount_minor", "currency", "token_amount", "reasons", "final", "mode", "hits", "tx_hash"])


@given(JSON | st.dictionaries(FIELDS, JSON))
def test_any_payload_is_one_printable_line(data: Any) -> None:
    assert summary(data).isprintable()


@given(st.binary(max_size=30))
def test_a_payload_that_is_no_json_is_shown_all_the_same(data: bytes) -> None:
    event = examples()[CREATED]._replace(data=data)
    assert lines()(entry(event)).isprintable()
    form = json.loads(json_line(entry(event)))
    assert ("data" in form) is not ("data_text" in form)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)
def test_the_json_line_is_the_whole_event_and_its_place(model: type[EventData]) -> None:
    event = examples()[model.type]
    line = json_line(entry(event, 42))
    form = json.loads(line)
    assert "\n" not in line
    assert (form["topic"], form["partition"], form["position"]) == (event.topic, 0, 42)
    assert from_json(form) == event


def test_the_json_line_of_what_is_no_event_says_why() -> None:
    form = json.loads(json_line(Entry(Place("rialto.payments.v1", 3), 9, START, None, "it has no key")))
    assert form == {
        "topic": "rialto.payments.v1",
        "partition": 3,
        "position": 9,
        "time": "2026-01-01T00:00:00Z",
        "error": "it has no key",
    }
