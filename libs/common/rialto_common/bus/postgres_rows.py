"""An event as a row: the log's columns, and the dead letters'."""

from typing import Any

from rialto_common.events.envelope import Event


def event_of(row: Any) -> Event:
    """Return the event in a row; `row` maps the log's column names to values."""
    return Event(
        id=row["event_id"],
        source=row["source"],
        type=row["type"],
        topic=row["topic"],
        key=row["key"],
        shard=row["shard"],
        time=row["time"],
        sequence=row["sequence"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
        data=row["data"].encode(),
    )
