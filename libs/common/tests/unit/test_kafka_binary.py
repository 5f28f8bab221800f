"""Events as Kafka records: nothing is lost on the way, and what is no event is refused with its reason."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import MalformedEvent
from rialto_common.events import MODELS, Event
from rialto_common.events.kafka_binary import from_record, to_record
from rialto_common.ids import SHARDS
from rialto_common.testing import root_of

EVENT = Event(
    id=UUID("0196f1a2-0000-7000-8000-00000000002a"),
    source="rialto.gateway",
    type="rialto.payment.created.v1",
    topic="rialto.payments.v1",
    key="pay_06b7h8",
    shard=7,
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    sequence=3,
    correlation_id="pay_06b7h8",
    causation_id="0196f1a2-0000-7000-8000-000000000001",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    data='{"payee": "Zoë"}'.encode(),
)

OPTIONAL = {"ce_causationid", "ce_traceparent"}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30)), timezone(timedelta(hours=14))])
EVENTS = st.builds(
    Event,
    id=st.uuids(),
    source=NAMES,
    type=NAMES,
    topic=NAMES,
    key=TEXTS,
    shard=st.integers(0, SHARDS - 1),
    time=st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=ZONES),  # noqa: DTZ001
    sequence=st.integers(0, 10**18 - 1),
    correlation_id=TEXTS,
    causation_id=st.none() | TEXTS,
    traceparent=st.none() | TEXTS,
    data=st.binary(max_size=50),
)


def back(event: Event, changes: dict[str, bytes | None] | None = None) -> Event:
    """Return the event as it comes back from its record, with some headers changed (None: a null value)."""
    key, headers, value = to_record(event)
    return from_record(event.topic, key, list({**dict(headers), **(changes or {})}.items()), value)


def test_a_record_is_cloudevents_in_binary_mode() -> None:
    key, headers, value = to_record(EVENT)
    assert key == b"pay_06b7h8"
    assert value == EVENT.data
    assert dict(headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"0196f1a2-0000-7000-8000-00000000002a",
        "ce_source": b"rialto.gateway",
        "ce_type": b"rialto.payment.created.v1",
        "ce_time": b"2026-01-02T03:04:05.678901Z",
        "ce_sequence": b"3",
        "ce_shard": b"7",
        "ce_correlationid": b"pay_06b7h8",
        "ce_causationid": b"0196f1a2-0000-7000-8000-000000000001",
        "ce_traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert len(headers) == len(dict(headers))


def test_what_an_event_lacks_is_no_header() -> None:
    _, headers, _ = to_record(EVENT._replace(causation_id=None, traceparent=None))
    assert not OPTIONAL & dict(headers).keys()


@given(EVENTS)
def test_a_record_gives_back_its_event(event: Event) -> None:
    again = back(event)
    assert again == event
    assert again.time.tzinfo is UTC


@given(EVENTS, st.lists(st.tuples(TEXTS.map(lambda name: "x-" + name), st.none() | st.binary(max_size=9)), max_size=5))
def test_headers_that_are_not_known_are_ignored(event: Event, more: list[tuple[str, bytes | None]]) -> None:
    key, headers, value = to_record(event)
    assert from_record(event.topic, key, [*more, *reversed(headers), *more], value) == event


@pytest.mark.parametrize("value", [b"application/json; charset=utf-8", b"Application/JSON", b"application/json ;x=y"])
def test_json_may_be_named_otherwise(value: bytes) -> None:
    assert back(EVENT, {"content-type": value}) == EVENT


@pytest.mark.parametrize("text", [b"2026-01-02T03:04:05.678901+00:00", b"2026-01-02T05:04:05.678901+02:00"])
def test_a_time_of_another_zone_is_the_same_instant(text: bytes) -> None:
    again = back(EVENT, {"ce_time": text})
    assert again == EVENT
    assert again.time.tzinfo is UTC


@pytest.mark.parametrize("name", sorted({name for name, _ in to_record(EVENT)[1]} - OPTIONAL))
def test_a_missing_header_is_named(name: str) -> None:
    key, headers, value = to_record(EVENT)
    fewer = [header for header in headers if header[0] != name]
    for broken in (fewer, [*fewer, (name, None)]):
        with pytest.raises(MalformedEvent, match=f"a record of rialto.payments.v1 is no event: .*{name} is missing"):
            from_record(EVENT.topic, key, broken, value)


def test_an_event_needs_neither_a_cause_nor_a_trace() -> None:
    lone = EVENT._replace(causation_id=None, traceparent=None)
    assert back(EVENT, dict.fromkeys(OPTIONAL)) == lone
    assert back(lone) == lone


SWORDFISH = b"swordfish"
WRONG: list[tuple[str, bytes]] = [
    ("ce_specversion", b"0.3"),
    ("content-type", b"application/cloudevents+json"),
    ("content-type", b""),
    ("ce_id", SWORDFISH),
    ("ce_id", b""),
    ("ce_source", b""),
    ("ce_source", b"\xff"),
    ("ce_type", b""),
    ("ce_shard", b"64"),
    ("ce_shard", b"-1"),
    ("ce_shard", b""),
    ("ce_shard", SWORDFISH),
    ("ce_time", SWORDFISH),
    ("ce_time", b"2026-01-02T03:04:05"),
    ("ce_time", b"2026-01-02"),
    ("ce_time", b"0001-01-01T00:00:00+14:00"),
    ("ce_sequence", b"1_0"),
    ("ce_sequence", b" 1"),
    ("ce_sequence", b"1.0"),
    ("ce_sequence", b"9" * 5000),
    ("ce_correlationid", b"\xff"),
    ("ce_causationid", b"\xff"),
    ("ce_traceparent", b"\xff"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_header_that_cannot_be_read_is_named_and_not_repeated(name: str, value: bytes) -> None:
    with pytest.raises(MalformedEvent, match=f"the header {name} is not ") as caught:
        back(EVENT, {name: value})
    assert "swordfish" not in caught.value.detail
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda key, value: (None, value), "it has no key"),
        (lambda key, value: (b"\xff", value), "its key is not UTF-8"),
        (lambda key, value: (key, None), "it has no value"),
    ],
)
def test_a_record_without_key_or_value_is_no_event(change: Callable[..., tuple[Any, Any]], reason: str) -> None:
    key, headers, value = to_record(EVENT)
    key_then, value_then = change(key, value)
    with pytest.raises(MalformedEvent, match=reason):
        from_record(EVENT.topic, key_then, headers, value_then)


@given(
    st.none() | st.binary(max_size=9),
    st.lists(
        st.tuples(st.sampled_from([name for name, _ in to_record(EVENT)[1]]), st.none() | st.binary(max_size=40)),
        max_size=14,
    ),
    st.none() | st.binary(max_size=9),
)
def test_whatever_lies_on_a_topic_is_an_event_or_malformed(
    key: bytes | None, headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    _, good, _ = to_record(EVENT)
    for some in (headers, [*good, *headers]):
        try:
            event = from_record("rialto.payments.v1", key, some, value)
        except MalformedEvent:
            continue
        assert back(event) == event


def test_every_type_and_key_fits_a_header() -> None:
    for model in MODELS:
        event = EVENT._replace(type=model.type, topic=model.topic, id=root_of(1))
        assert back(event) == event


def test_the_cloudevents_sdk_reads_and_writes_the_same_record() -> None:
    key, headers, value = to_record(EVENT)
    read = from_binary_event(KafkaMessage(dict(headers), key, value))
    assert read.get_attributes() == {
        "specversion": "1.0",
        "id": str(EVENT.id),
        "source": EVENT.source,
        "type": EVENT.type,
        "time": EVENT.time,
        "datacontenttype": "application/json",
        "sequence": "3",
        "shard": "7",
        "correlationid": EVENT.correlation_id,
        "causationid": EVENT.causation_id,
        "traceparent": EVENT.traceparent,
        "partitionkey": EVENT.key,
    }
    assert read.get_data() == {"payee": "Zoë"}

    written = to_binary_event(read)
    assert isinstance(written.key, str)
    again = from_record(EVENT.topic, written.key.encode(), list(written.headers.items()), written.value)
    assert again._replace(data=EVENT.data) == EVENT
    assert json.loads(again.data) == json.loads(EVENT.data)
