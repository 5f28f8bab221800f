"""What tests of several packages share: made-up events and a service's consumer tables."""

from datetime import UTC, datetime
from uuid import UUID

from rialto_common import ids
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event

TYPE = "rialto.fraud.assessed.v1"
START = datetime(2026, 1, 1, tzinfo=UTC)


def root_of(key: int) -> UUID:
    """Return the root id of a made-up key."""
    return ids.uuid7(int(START.timestamp() * 1000) + key, key)


def make_event(
    key: int, sequence: int, *, topic: str = FRAUD, source: str = "rialto.test", event_type: str = TYPE
) -> Event:
    """Return the event number `sequence` of the key number `key`: always the same one for the same arguments."""
    root = root_of(key)
    return Event(
        id=ids.derive(root, event_type, sequence),
        source=source,
        type=event_type,
        topic=topic,
        key=f"key-{key}",
        shard=ids.shard_of(root),
        time=START,
        sequence=sequence,
        correlation_id=f"key-{key}",
        causation_id=None,
        traceparent=None,
        data=b'{"n":%d}' % sequence,
    )
