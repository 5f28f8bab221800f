"""The bus of an instant: compares what Kafka holds with what the snapshot's log holds, topic by topic.

The order of reading is what keeps a platform in motion from raising false alarms:

1. the groups' acknowledgements. What a group acknowledged, its inbox had before;
2. the ends of all partitions. What is on Kafka, the log had before;
3. the database's snapshot. It has all of the above, and says how far the relays have come;
4. the ends again. What a relay has recorded as copied, Kafka had before: it lies below them;
5. the records, up to where all below those ends is committed or aborted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rialto_cli.audit import consumers
from rialto_cli.audit.book import Book
from rialto_cli.audit.copies import Topic
from rialto_cli.audit.kafka_reader import Kafka, Place, Standing
from rialto_cli.audit.log_columns import read_log, read_unread
from rialto_cli.audit.records import Ints
from rialto_cli.audit.snapshot import MAX_EXAMPLES, Snapshot

CHECKS: Mapping[str, str] = {
    "kafka_lacks_event": "an event that was copied to Kafka is not there, nor is it so old that it may have gone",
    "kafka_has_unknown_event": "a committed record on Kafka is no event of the log, or another than the one of its id",
    "kafka_out_of_order": "a record comes after a later one of its key, which is not told again after it",
    "kafka_wrong_partition": "a record lies in another partition than that of its shard: nothing orders its key",
    "event_skipped": "a group has read past an event that it handles without taking it in",
    "offset_past_the_end": "a group claims to have read what was never on Kafka",
}

Say = Callable[[str], None]


class OnAnotherBus(Exception):
    """The events travel on another bus than the one that was named."""


@dataclass(frozen=True, slots=True)
class OnKafka:
    """Kafka, and how things stood there before the snapshot."""

    kafka: Kafka
    standing: Standing

    @classmethod
    def before_the_snapshot(cls, kafka: Kafka) -> "OnKafka":
        """Take note of what the snapshot will have to explain. Raises: KafkaUnreadable."""
        return cls(kafka, kafka.standing(consumers.HANDLED, consumers.TOPICS))


def compare(bus: OnKafka | None, snapshot: Snapshot, book: Book, say: Say) -> dict[str, Any]:
    """Check I8 on the bus, and return which bus that is and how much was read of it.

    Raises: OnAnotherBus. KafkaUnreadable. psycopg.Error.
    """
    relayed = {row["topic"]: row for row in snapshot.facts("relayed")}
    if bus is None:
        if copied := [topic for topic, row in relayed.items() if row["published"]]:
            raise OnAnotherBus(
                f"the relays copy events to Kafka ({copied[0]} and {len(copied) - 1} more topics), which must be looked"
                " at too: name it with --bus-url kafka://HOST:PORT"
            )
        return {"kind": "postgres"}
    kafka, before = bus.kafka, bus.standing
    ends = kafka.decided_ends(kafka.ends(list(relayed)))
    [start] = snapshot.facts("log_start")
    groups = list(consumers.HANDLED)
    unread = read_unread(snapshot, groups, list(relayed))
    records = {}
    for name, row in relayed.items():
        say(f"Kafka: {name}")
        read = kafka.read(name, ends, say)
        topic = Topic(
            log=read_log(snapshot, name),
            records=read,
            published=row["published"],
            spreads=tuple(zip(row["afters"], row["counts"], strict=True)),
            ends=_of_topic(before.ends, name),
            # Asked after reading, so that what retention took meanwhile counts as taken.
            starts=_of_topic(kafka.starts(place for place in ends if place[0] == name), name),
            forgetful=start["has_forgotten"],
            unread={group: unread[group, name] for group in groups},
            acknowledged={group: _of_topic(before.acknowledged[group], name) for group in groups},
        )
        _Findings(name, topic, snapshot, book).note()
        records[name] = len(read)
    book.checked += sum(records.values())
    servers = ", ".join(kafka.cluster.servers)
    return {"kind": "kafka", "servers": servers, "prefix": kafka.cluster.prefix, "records": records}


def _of_topic(values: Mapping[Place, int], topic: str) -> dict[int, int]:
    return {partition: value for (name, partition), value in values.items() if name == topic}


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is wrong in one topic, put into the book by name."""

    name: str
    topic: Topic
    snapshot: Snapshot
    book: Book

    def note(self) -> None:
        """Ask every question."""
        topic = self.topic
        self._records("kafka_has_unknown_event", topic.unknown(), "an event of the log", self._what_is_unknown)
        lacking = topic.lacking()
        self._add(
            "kafka_lacks_event",
            len(lacking),
            (
                (self._event(row), f"a record, as up to {topic.published} all is copied", "none")
                for row in lacking[:MAX_EXAMPLES]
            ),
        )
        self._records(
            "kafka_out_of_order",
            topic.out_of_order(),
            "before every later event of its key, or followed by them again",
            lambda row: f"at offset {topic.records.offset[row]}, after later ones",
        )
        self._records("kafka_wrong_partition", topic.misplaced(), "the partition of its shard", self._where)
        for group, acknowledged in topic.acknowledged.items():
            self._records(
                "event_skipped",
                topic.skipped(group),
                "in its inbox",
                lambda row, acknowledged=acknowledged: (  # type: ignore[misc]
                    "neither handled nor parked; the group has read up to offset"
                    f" {acknowledged[int(topic.records.partition[row])]}"
                ),
                group=group,
            )
            passed = topic.past_the_end(group)
            self._add(
                "offset_past_the_end",
                len(passed),
                (
                    (
                        {"group": group, "topic": self.name, "partition": partition},
                        f"at most {topic.ends.get(partition, 0)}",
                        str(offset),
                    )
                    for partition, offset in passed.items()
                ),
            )

    def _records(self, check: str, rows: Ints, expected: str, found: Callable[[int], str], **more: str) -> None:
        examples = (({**more, **self._record(row)}, expected, found(row)) for row in map(int, rows[:MAX_EXAMPLES]))
        self._add(check, len(rows), examples)

    def _add(self, check: str, total: int, examples: Iterable[tuple[dict[str, Any], str, str]]) -> None:
        shown = list(examples)
        for nth, (ids, expected, found) in enumerate(shown):
            # The first stands for those beyond the examples too.
            count = total - len(shown) + 1 if nth == 0 else 1
            self.book.add(check, CHECKS[check], ids, expected, found, count=count)

    def _record(self, row: int) -> dict[str, Any]:
        records = self.topic.records
        place = {
            "topic": self.name,
            "partition": int(records.partition[row]),
            "offset": int(records.offset[row]),
            "event_id": str(records.id.uuid(row)),
        }
        return {**place, **self._details(int(self.topic.found[row]))} if self.topic.is_known[row] else place

    def _event(self, row: Any) -> dict[str, Any]:
        return {"topic": self.name, "event_id": str(self.topic.log.id.uuid(row)), **self._details(int(row))}

    def _details(self, row: int) -> dict[str, Any]:
        position = int(self.topic.log.position[row])
        rows = self.snapshot.ask("events_at", {"topic": self.name, "positions": [position]})
        return {"position": position, "type": rows[0]["type"], "key": rows[0]["key"]} if rows else {}

    def _what_is_unknown(self, row: int) -> str:
        if self.topic.is_known[row]:
            return "another source, type or key than the log has under this id"
        ids = self.topic.records.id
        return "no such event" if np.any([ids.high[row], ids.low[row]]) else "a record without an event's id"

    def _where(self, row: int) -> str:
        event = self.topic.found[row]
        shard, partitions = self.topic.log.shard[event], self.topic.partitions_in_force[event]
        return f"partition {self.topic.records.partition[row]} for shard {shard} over {partitions} partitions"
