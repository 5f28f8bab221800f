"""Batches read at once come to what the models make of them, or are left to the models."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rialto_common import ids
from rialto_common.service_tokens import Caller
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.entrypoints.batch_reader import NotPlain, read_plain
from rialto_ledger.entrypoints.bodies import MAX_ENTRIES, NewBatch
from rialto_ledger.entrypoints.entries_http import EntryDesk

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPERATOR = Caller("test", None, "test")
ENTRY_ID = ids.uuid7(1_760_000_000_000, 7)
DESK = EntryDesk(None, None, SimulatedRuntime(1, start=NOW))  # type: ignore[arg-type]

PLAIN_IDS = st.sampled_from(["acc_01kjmma2g0f2nt3akp5hcm2yes", "wal_01kjmma2g0f2nt3akp5hcm2yes"])
NUMBERS = (None, True, 0, -1, 1, 1.5, 10**38, "", "1", "0", "-1", "١٢", " 1", "1" * 38, "1" * 39, "0" * 38)
WORDS = ("USD", "us d", "debit", "credit", "Debit", "top_up", "transfer", "x" * 41, "a\x00", "2026-03-01T00:00:00Z")
IDS = (
    "wal_01kjmma2g0f2nt3akp5hcm2yes",
    "je_01kjmma2g0f2nt3akp5hcm2yes",
    "je_zzkjmma2g0f2nt3akp5hcm2yes",
    str(ENTRY_ID),
)
TOO_MUCH = ({"k" * 41: "v"}, {"k": "v" * 501}, {str(number): "v" for number in range(21)})
ODD: st.SearchStrategy[Any] = st.sampled_from([*NUMBERS, *WORDS, *IDS, *TOO_MUCH, [], {}, {"a": 1}, {"a": "b"}])


def line(side: str, amount: object = "10") -> dict[str, Any]:
    return {
        "account_id": "wal_01kjmma2g0f2nt3akp5hcm2yes",
        "side": side,
        "amount_minor": amount,
        "currency": "USD",
    }


def entry() -> dict[str, Any]:
    return {
        "id": ids.to_text("je", ENTRY_ID),
        "kind": "transfer",
        "postings": [line("debit"), line("credit")],
        "metadata": {"a": "b"},
    }


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    """Batches in which up to two things are other than they should be: changed, added or left out."""
    batch = {"linked": draw(st.booleans()), "entries": [entry() for _ in range(draw(st.integers(1, 2)))]}
    for _ in range(draw(st.integers(0, 2))):
        entries = batch.get("entries")
        first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
        lines = first.get("postings")
        places = [
            batch,
            first,
            *([each for each in lines if isinstance(each, dict)] if isinstance(lines, list) else []),
        ]
        place = draw(st.sampled_from(places))
        field = draw(st.sampled_from([*sorted(place), "unknown", "effective_at"]))
        if draw(st.booleans()) and field in place:
            del place[field]
        else:
            place[field] = draw(ODD)
    return batch


@given(batches())
@example({"entries": []})
@example({"entries": [entry()] * (MAX_ENTRIES + 1)})
@example({"entries": [{**entry(), "postings": [line("debit")] * 1_001}]})
def test_what_is_read_at_once_is_what_the_models_read(batch: dict[str, Any]) -> None:
    body = json.dumps(batch).encode()
    try:
        commands, linked = read_plain(body, "test", NOW)
    except NotPlain:
        return
    read = NewBatch.model_validate_json(body)
    assert linked == read.linked
    assert commands == [DESK._command(each, OPERATOR) for each in read.entries]


@given(PLAIN_IDS, st.integers(1, 10**38 - 1), st.booleans())
def test_a_plain_batch_is_read_at_once(account_id: str, amount: int, linked: bool) -> None:
    postings = [{**line("debit", str(amount)), "account_id": account_id}, line("credit", str(amount))]
    body = json.dumps({"linked": linked, "entries": [{**entry(), "postings": postings}]}).encode()
    commands, _ = read_plain(body, "test", NOW)
    assert commands[0].postings[0].amount_minor == amount


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"entries": {}}', b'{"entries": "abc"}', b"\xff"])
def test_what_is_no_batch_is_left_to_the_models(body: bytes) -> None:
    with pytest.raises(NotPlain):
        read_plain(body, "test", NOW)
    with pytest.raises(ValidationError):
        NewBatch.model_validate_json(body)
