"""Wrongs to plant in the database of a world on Kafka, so that what is on Kafka no longer agrees with it."""

from .plants import NEW, SETTLED_KEY, copy, event, plant

NEXT = "(SELECT next_position FROM bus.topics AS b WHERE b.topic = t.topic)"
ON_KAFKA = (
    plant(
        "I8",
        "kafka_lacks_event",
        "an event in the log that was never copied",
        copy("bus.log", {"position": NEXT, "event_id": f"'{NEW}'"}, f"t.{event('hold.captured')}"),
        "UPDATE bus.topics SET next_position = next_position + 1 WHERE topic = 'rialto.ledger.v1'",
        "UPDATE bus.relayed SET published = published + 1 WHERE topic = 'rialto.ledger.v1'",
    ),
    plant(
        "I8",
        "kafka_lacks_event",
        "an event under another id than on Kafka",
        f"UPDATE bus.log SET event_id = '{NEW}' WHERE {event('payment.approved')}",
    ),
    plant(
        "I8",
        "kafka_has_unknown_event",
        "an event deleted from the log",
        f"DELETE FROM bus.log WHERE {event('fraud.assessed')}",
    ),
    plant(
        "I8",
        "kafka_has_unknown_event",
        "an event of another key than on Kafka",
        f"UPDATE bus.log SET key = 'pay_x' WHERE {event('fraud.assessed')}",
    ),
    plant(
        "I8",
        "kafka_out_of_order",
        "two events of a key exchanged",
        "UPDATE bus.log AS l SET position = o.position FROM bus.log AS o"
        f" WHERE l.key = {SETTLED_KEY} AND o.key = l.key AND o.topic = l.topic AND (l.type, o.type) IN"
        " (('rialto.hold.placed.v1', 'rialto.hold.captured.v1'), ('rialto.hold.captured.v1', 'rialto.hold.placed.v1'))",
    ),
    plant(
        "I8",
        "kafka_wrong_partition",
        "an event of another shard",
        f"UPDATE bus.log SET shard = (shard + 1) % 64 WHERE {event('hold.captured')}",
    ),
    plant(
        "I8",
        "kafka_wrong_partition",
        "a topic spread over fewer partitions than its records lie in",
        "UPDATE bus.relayed_spreads SET partitions = 1",
    ),
    plant(
        "I8",
        "published_past_the_log",
        "more copied than was written",
        "UPDATE bus.relayed SET published = 1000000 WHERE topic = 'rialto.payments.v1'",
    ),
    plant(
        "I8",
        "event_skipped",
        "an inbox row deleted",
        "DELETE FROM fraud.inbox WHERE event_id = (SELECT event_id FROM fraud.inbox LIMIT 1)",
    ),
    plant(
        "I8",
        "overtaken",
        "an inbox row deleted before that of a later event",
        f"DELETE FROM gateway.inbox WHERE event_id = (SELECT event_id FROM bus.log WHERE {event('hold.placed')})",
    ),
)
