"""The topics there must be: partitions, retention, what a record may weigh.

Events are facts, each with a key that occurs many times, so no topic is compacted: compaction would keep the last fact
of a payment and drop the ones before it.
"""

from dataclasses import dataclass

from rialto_common.bus.port import DEAD_LETTER_SUFFIX, MAX_EVENT_BYTES
from rialto_common.events.common import TOPICS

DAY_MS = 24 * 60 * 60 * 1000

PARTITIONS = 8
"""Divides 64, the number of shards, so that every partition gets the same share of them."""

MAX_RECORD_BYTES = 2 * MAX_EVENT_BYTES


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be; `config` holds Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def wanted_topics(*, partitions: int = PARTITIONS, replication: int = 3) -> list[TopicSpec]:
    """Return every topic and its dead-letter topic.

    `replication`: copies of each record; a commit waits for all but one of them (`min.insync.replicas`), so that one
    broker may fail without losing or stopping anything. 1 on a single broker.
    """

    def topic(name: str, days: int) -> TopicSpec:
        return TopicSpec(
            name,
            partitions,
            replication,
            {
                "cleanup.policy": "delete",
                "retention.ms": str(days * DAY_MS),
                "max.message.bytes": str(MAX_RECORD_BYTES),
                "min.insync.replicas": str(max(1, replication - 1)),
                # Events carry their own time; retention goes by when the broker took them.
                "message.timestamp.type": "LogAppendTime",
            },
        )

    # A dead letter waits for a person, so it stays longer.
    return [topic(name, 14) for name in TOPICS] + [topic(name + DEAD_LETTER_SUFFIX, 90) for name in TOPICS]
