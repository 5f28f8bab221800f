"""Checks the books I1-I8 from outside: one snapshot of the database, and the chain by RPC."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psycopg

from rialto_cli.audit import consumers, on_kafka
from rialto_cli.audit.book import INVARIANTS, Books
from rialto_cli.audit.bus_url import Cluster
from rialto_cli.audit.chain import Block, ChainUnreadable, Node
from rialto_cli.audit.kafka_reader import Kafka, KafkaUnreadable
from rialto_cli.audit.on_kafka import OnAnotherBus, OnKafka
from rialto_cli.audit.snapshot import Snapshot, questions
from rialto_cli.audit.treasury import Treasury

GRACE_SECONDS = 5.0
"""How long after its deadline a payment may wait for the sweeper, which looks twice a second."""

LOG_DAYS = 14
"""How many whole days the log is kept."""

SETTLE_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 1.0

Say = Callable[[str], None]


class AuditFailed(Exception):
    """The books could not be read, so nothing can be said about them."""


def run(
    auditor_dsn: str,
    chain_rpc: str,
    *,
    cluster: Cluster | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    say: Say = lambda _: None,
) -> Books:
    """Return the books.

    Args: cluster: the Kafka that is the bus; None where that is the log in PostgreSQL. settle_seconds: how long to look
    again while all that is wrong is of a kind that mends itself (a deadline that passed while the gateway was away, a
    block that the chain took back a moment ago). say: hears what is being checked.
    Raises: AuditFailed: the database, the chain or Kafka does not answer, or Kafka is the bus and was not named.
    """
    began = time.monotonic()
    while True:
        try:
            books = look(auditor_dsn, chain_rpc, say, cluster)
            if not books.may_heal or time.monotonic() - began > settle_seconds:
                return books
        except ChainUnreadable as error:
            if time.monotonic() - began > max(settle_seconds, PATIENCE_SECONDS):
                raise AuditFailed(f"the chain cannot be read: {error}") from error
        except KafkaUnreadable as error:
            if time.monotonic() - began > max(settle_seconds, PATIENCE_SECONDS):
                raise AuditFailed(f"Kafka cannot be read: {error}") from error
        except OnAnotherBus as error:
            raise AuditFailed(str(error)) from error
        except psycopg.Error as error:
            if _was_rolled_back(error) and time.monotonic() - began <= max(settle_seconds, PATIENCE_SECONDS):
                continue
            raise AuditFailed(f"the database cannot be read: {' '.join(str(error).split())}") from error
        say("looking again")
        time.sleep(PAUSE_SECONDS)


def _was_rolled_back(error: psycopg.Error) -> bool:
    """Whether PostgreSQL ended our transaction to break a deadlock: the bus locks table by table to add partitions."""
    return (error.sqlstate or "").startswith("40")


def look(auditor_dsn: str, chain_rpc: str, say: Say = lambda _: None, cluster: Cluster | None = None) -> Books:
    """Return the books as they are at one instant.

    Raises: ChainUnreadable. KafkaUnreadable. OnAnotherBus. psycopg.Error.
    """
    node = Node(chain_rpc)
    with ExitStack() as stack:
        # Both before the snapshot: see treasury.py and on_kafka.py.
        bus = None if cluster is None else OnKafka.before_the_snapshot(stack.enter_context(Kafka(cluster)))
        head = node.newest_block()
        snapshot = stack.enter_context(Snapshot(auditor_dsn))
        return compare(snapshot, node, head, say, bus)


def compare(
    snapshot: Snapshot, node: Node, head: Block, say: Say = lambda _: None, bus: OnKafka | None = None
) -> Books:
    """Return the books that a snapshot, the chain and the bus make; `head` and `bus` are from before the snapshot.

    Raises: ChainUnreadable. KafkaUnreadable. OnAnotherBus. psycopg.Error.
    """
    books = Books()
    set_parameters(snapshot, datetime.now(UTC))
    for name, says in INVARIANTS.items():
        say(f"{name}: {says}")
        check(books, name, snapshot)
    books["I8"].details["bus"] = on_kafka.compare(bus, snapshot, books["I8"], say)
    say("the chain")
    Treasury(node, head, books).compare(snapshot)
    [on_the_way] = snapshot.facts("captures_on_the_way")
    books["I7"].details["on_the_way_to_gateway"] = on_the_way
    books["I8"].details["groups"] = _standings(snapshot)
    return books


def set_parameters(snapshot: Snapshot, now: datetime) -> None:
    """Set what the questions ask with, at an instant."""
    retained_from = datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=LOG_DAYS)
    handled = consumers.rows()
    snapshot.use(
        {
            "now": now,
            "grace_seconds": GRACE_SECONDS,
            "retained_from": retained_from,
            "groups": [group for group, _, _ in handled],
            "topics": [topic for _, topic, _ in handled],
            "types": [event_type for _, _, event_type in handled],
            "currencies": list(consumers.EXPONENTS),
            "exponents": list(consumers.EXPONENTS.values()),
        }
    )
    [start] = snapshot.facts("log_start")
    snapshot.use({"log_from": retained_from.isoformat() if start["has_forgotten"] else "-infinity"})


def check(books: Books, name: str, snapshot: Snapshot) -> None:
    """Ask the questions of one invariant."""
    book = books[name]
    for question in questions():
        if question.invariant != name:
            continue
        if question.kind == "count":
            book.checked += snapshot.count(name)
            continue
        found = snapshot.check(question)
        for nth, row in enumerate(found.rows):
            # The first stands for those beyond the examples too.
            count = found.total - len(found.rows) + 1 if nth == 0 else 1
            book.add(
                question.name,
                question.says,
                row["ids"],
                row["expected"],
                row["found"],
                count=count,
                heals=question.heals is not None,
            )


def _standings(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for row in snapshot.facts("standings"):
        groups.setdefault(row["consumer_group"], {})[row["standing"]] = int(row["events"])
    return groups
