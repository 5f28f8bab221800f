"""Events that come again, or late: what a bus may do after a crash, done on purpose while everything runs."""

from dataclasses import dataclass
from typing import Protocol

import psycopg

from rialto_cli.audit import consumers

_REWIND = """
UPDATE bus.cursors AS c SET position = greatest(0, c.position - %(events)s), owner = NULL, owned_until = NULL
FROM (SELECT * FROM bus.cursors WHERE consumer_group = %(group)s) AS before
WHERE c.consumer_group = before.consumer_group AND c.topic = before.topic AND c.partition = before.partition
RETURNING (
    SELECT count(*) FROM bus.log AS l
    WHERE l.topic = c.topic AND l.partition = c.partition AND l.position > c.position AND l.position <= before.position
) AS events
"""
_COPY_AGAIN = """
WITH before AS (
    SELECT relay, topic, published, greatest(0, published - %(events)s) AS again
    FROM bus.relayed WHERE topic = ANY(%(topics)s) FOR UPDATE
), shut_out AS (
    UPDATE bus.relays SET owner = NULL, epoch = epoch + 1 WHERE relay IN (SELECT relay FROM before)
)
UPDATE bus.relayed AS r SET published = before.again FROM before WHERE r.topic = before.topic
RETURNING before.published - before.again AS events
"""


class Events(Protocol):
    """A bus whose recorded events can be delivered again."""

    def deliver_again(self, group: str, events: int) -> int:
        """Let up to so many of a group's events of each topic come again; returns how many will.

        Raises: psycopg.Error: the database is away.
        """
        ...


@dataclass(frozen=True, slots=True)
class PostgresLog:
    """The embedded bus, as its operator can reach it."""

    superuser_dsn: str

    def deliver_again(self, group: str, events: int) -> int:
        """Set a group's cursors back by so many positions of each topic; returns how many events will come again.

        Raises: psycopg.Error: the database is away.
        """
        with psycopg.connect(self.superuser_dsn, autocommit=True, connect_timeout=5) as connection:
            rows = connection.execute(_REWIND, {"group": group, "events": events}).fetchall()
        return sum(int(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class KafkaCopies:
    """Kafka, given once more what it has: as by a relay that died before it could note how far it had come."""

    superuser_dsn: str

    def deliver_again(self, group: str, events: int) -> int:
        """Set back, by so many positions, what counts as copied of each topic that a group reads.

        Their relays are shut out with it, and look anew where to begin. Raises: psycopg.Error: the database is away.
        """
        topics = sorted({topic for name, topic, _ in consumers.rows() if name == group})
        with psycopg.connect(self.superuser_dsn, autocommit=True, connect_timeout=5) as connection:
            rows = connection.execute(_COPY_AGAIN, {"topics": topics, "events": events}).fetchall()
        return sum(int(row[0]) for row in rows)
