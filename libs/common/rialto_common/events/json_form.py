"""An event as one JSON object, for people and files: CloudEvents attributes, its topic and key, and the payload."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rialto_common.events.envelope import Event


def to_json(event: Event) -> dict[str, Any]:
    """Return the object. A payload that is no JSON stays readable: as text, under `data_text`."""
    form: dict[str, Any] = {
        "topic": event.topic,
        "key": event.key,
        "specversion": "1.0",
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": event.sequence,
        "shard": event.shard,
        "correlationid": event.correlation_id,
    }
    if event.causation_id is not None:
        form["causationid"] = event.causation_id
    if event.traceparent is not None:
        form["traceparent"] = event.traceparent
    try:
        form["data"] = json.loads(event.data)
    except ValueError:
        form["data_text"] = event.data.decode(errors="replace")
    return form


def from_json(form: Mapping[str, Any]) -> Event:
    """Return the event of an object that `to_json` made of a payload in JSON; whitespace in the payload may differ.

    Raises: KeyError, ValueError: it is no such object.
    """
    return Event(
        id=UUID(form["id"]),
        source=form["source"],
        type=form["type"],
        topic=form["topic"],
        key=form["key"],
        shard=form["shard"],
        time=datetime.fromisoformat(form["time"]),
        sequence=form["sequence"],
        correlation_id=form["correlationid"],
        causation_id=form.get("causationid"),
        traceparent=form.get("traceparent"),
        data=json.dumps(form["data"], separators=(",", ":"), ensure_ascii=False).encode(),
    )
