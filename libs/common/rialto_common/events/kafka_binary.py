"""An event as a Kafka record: CloudEvents 1.0, Kafka protocol binding, binary content mode.

Key: the event's key in UTF-8. Value: the payload's JSON, unchanged. Headers: `content-type`, and every attribute and
extension as `ce_…` in UTF-8. The partition is not chosen here: the shard does that, and travels as `ce_shard`.

Pure, and called for every event that passes a broker, so the straight way has no loops, no regular expressions and one
dict; only a record that cannot be read is looked at again, to say why.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from rialto_common.errors import MalformedEvent
from rialto_common.events.envelope import Event
from rialto_common.ids import SHARDS

SPEC_VERSION = b"1.0"
CONTENT_TYPE = b"application/json"

_SPEC_HEADER = ("ce_specversion", SPEC_VERSION)
_CONTENT_HEADER = ("content-type", CONTENT_TYPE)


def to_record(event: Event) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Return the key, the headers and the value of the record that carries the event."""
    time = event.time
    headers = [
        _CONTENT_HEADER,
        _SPEC_HEADER,
        ("ce_id", str(event.id).encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", (time if time.tzinfo is UTC else time.astimezone(UTC)).isoformat()[:-6].encode() + b"Z"),
        ("ce_sequence", b"%d" % event.sequence),
        ("ce_shard", b"%d" % event.shard),
        ("ce_correlationid", event.correlation_id.encode()),
    ]
    if event.causation_id is not None:
        headers.append(("ce_causationid", event.causation_id.encode()))
    if event.traceparent is not None:
        headers.append(("ce_traceparent", event.traceparent.encode()))
    return event.key.encode(), headers, event.data


def from_record(
    topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None
) -> Event:
    """Return the event that a record carries; headers that are not known are ignored.

    `topic`: Rialto's name of it, without an installation's prefix.

    Raises: MalformedEvent: an attribute, the key or the payload is missing or is not what it should be. The detail
    names it, and repeats no value.
    """
    attributes = dict(headers)
    try:
        if attributes["ce_specversion"] != SPEC_VERSION:
            raise ValueError("another CloudEvents version")
        if (content := attributes.get("content-type")) != CONTENT_TYPE:
            _read_content_type(content)
        causation = attributes.get("ce_causationid")
        trace = attributes.get("ce_traceparent")
        return Event(
            id=_read_id(attributes["ce_id"]),
            source=_read_name(attributes["ce_source"]),
            type=_read_name(attributes["ce_type"]),
            topic=topic,
            key=_read_text(key),
            shard=_read_shard(attributes["ce_shard"]),
            time=_read_time(attributes["ce_time"]),
            sequence=_read_number(attributes["ce_sequence"]),
            correlation_id=_read_text(attributes["ce_correlationid"]),
            causation_id=None if causation is None else causation.decode(),
            traceparent=None if trace is None else trace.decode(),
            data=_read_payload(value),
        )
    except (KeyError, ValueError) as error:
        raise MalformedEvent(f"a record of {topic} is no event: {_fault(key, attributes, value)}") from error


def _read_id(value: bytes | None) -> UUID:
    return UUID(_read_text(value))


def _read_text(value: bytes | None) -> str:
    if value is None:
        raise ValueError("null")
    return value.decode()


def _read_name(value: bytes | None) -> str:
    if not value:
        raise ValueError("empty")
    return value.decode()


def _read_number(value: bytes | None) -> int:
    # int() alone also takes signs, spaces and underscores. 18 digits fit a BIGINT.
    if value is None or not value.isdigit() or len(value) > 18:
        raise ValueError("not a number")
    return int(value)


def _read_shard(value: bytes | None) -> int:
    shard = _read_number(value)
    if shard >= SHARDS:
        raise ValueError("out of range")
    return shard


def _read_time(value: bytes | None) -> datetime:
    time = datetime.fromisoformat(_read_text(value))
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        raise ValueError("no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def _read_version(value: bytes | None) -> None:
    if value != SPEC_VERSION:
        raise ValueError("another version")


def _read_content_type(value: bytes | None) -> None:
    # A parameter, such as a charset, changes nothing: JSON is UTF-8.
    if value is None or value.partition(b";")[0].strip().lower() != CONTENT_TYPE:
        raise ValueError("not JSON")


def _read_payload(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("null")
    return value


_EXPECTED: Mapping[str, tuple[Callable[[bytes | None], object], str]] = {
    "ce_specversion": (_read_version, "1.0"),
    "content-type": (_read_content_type, "application/json"),
    "ce_id": (_read_id, "a UUID"),
    "ce_source": (_read_name, "a text that is not empty"),
    "ce_type": (_read_name, "a text that is not empty"),
    "ce_shard": (_read_shard, f"a whole number from 0 to {SHARDS - 1}"),
    "ce_time": (_read_time, "an RFC 3339 time with its zone"),
    "ce_sequence": (_read_number, "a whole number of at most 18 digits"),
    "ce_correlationid": (_read_text, "a text"),
    "ce_causationid": (_read_text, "a text"),
    "ce_traceparent": (_read_text, "a text"),
}
_OPTIONAL = frozenset({"ce_causationid", "ce_traceparent"})


def _fault(key: bytes | None, attributes: Mapping[str, bytes | None], value: bytes | None) -> str:
    """Return the first thing that is wrong, without the value: it may be anything."""
    for name, (read, expected) in _EXPECTED.items():
        if attributes.get(name) is None:
            if name in _OPTIONAL:
                continue
            return f"the header {name} is missing"
        try:
            read(attributes[name])
        except ValueError:
            return f"the header {name} is not {expected}"
    if value is None:
        return "it has no value"
    return "it has no key" if key is None else "its key is not UTF-8"
