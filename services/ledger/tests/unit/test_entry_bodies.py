"""An entry's JSON is read and written in two ways, the framework's and a short one, that may not differ."""

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.journal import JournalEntry, credit, debit
from rialto_ledger.entrypoints.bodies import EntryBody, NewEntry, NewTopUp, entry_json
from rialto_ledger.entrypoints.entries_http import AnyEntry
from rialto_ledger.testing import number_id

ids = st.uuids()
times = st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)) | st.just(datetime(2026, 1, 1, tzinfo=UTC))  # noqa: DTZ001
texts = st.text(max_size=20)


@st.composite
def entries(draw: st.DrawFn) -> JournalEntry:
    pairs = draw(st.lists(st.tuples(ids, ids, st.integers(1, MAX_MINOR), texts), min_size=1, max_size=3))
    lines = [(debit(one, amount, text), credit(other, amount, text)) for one, other, amount, text in pairs]
    return JournalEntry(
        id=draw(ids),
        kind=draw(texts),
        mode=draw(st.sampled_from(["test", "live"])),
        shard=0,
        merchant_id=draw(st.none() | ids),
        payment_id=draw(st.none() | ids),
        effective_at=draw(times),
        recorded_at=draw(times),
        postings=tuple(line for pair in lines for line in pair),
        metadata=draw(st.dictionaries(texts, texts, max_size=3)),
        reverses=draw(st.none() | ids),
    )


@given(entries(), texts)
def test_both_ways_write_the_same_bytes(entry: JournalEntry, code: str) -> None:
    codes = {posting.account_id: f"{code}{number}" for number, posting in enumerate(entry.postings)}
    assert entry_json(entry, codes) == TypeAdapter(EntryBody).dump_json(EntryBody.of(entry, codes))


ENTRY_ID, ACCOUNT = str(number_id("entry", 1)), str(number_id("account", 1))
GOOD = (
    {
        "id": ENTRY_ID,
        "kind": "transfer",
        "postings": [
            {"account_id": ACCOUNT, "side": side, "amount_minor": "10", "currency": "USD"}
            for side in ("debit", "credit")
        ],
        "effective_at": "2026-01-01T00:00:00Z",
        "metadata": {"note": "text"},
    },
    {"id": ENTRY_ID, "kind": "top_up", "wallet_id": ACCOUNT, "amount_minor": "10", "currency": "USD", "metadata": {}},
)
telling = st.sampled_from(
    [
        "",
        "1",
        " 10",
        "10 ",
        "1_0",
        "\u0661",
        "1e2",
        "debit",
        "DEBIT",
        "2026-01-01",
        "2026-01-01T00:00+01:00",
        ENTRY_ID,
        "\u0000",
    ]
)
numbers = st.integers() | st.floats() | st.sampled_from([0, 1, 10**37, 10**38, 1_700_000_000, 1.0, 1e300])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | telling,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | telling, inner, max_size=3),
    max_leaves=6,
)
any_entry = TypeAdapter[NewEntry | NewTopUp](AnyEntry)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Return a good body with one value of it replaced, left out or added."""
    body = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    place = body
    if "postings" in body and draw(st.booleans()):
        place = draw(st.sampled_from(body["postings"]))
    name = draw(st.sampled_from([*place, "more"]))
    if draw(st.integers(0, 9)):
        place[name] = draw(values)
    else:
        place.pop(name, None)
    return json.dumps(body, ensure_ascii=draw(st.booleans())).encode()


@settings(max_examples=500)
@given(bodies())
def test_what_the_short_way_reads_the_framework_reads_as_the_same(body: bytes) -> None:
    try:
        short = (NewEntry if b'"postings"' in body else NewTopUp).model_validate_json(body)
    except ValidationError:
        return  # left to the framework
    assert any_entry.validate_python(json.loads(body)) == short
