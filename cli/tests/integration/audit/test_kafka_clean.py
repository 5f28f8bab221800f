"""On Kafka: a world that the real services made is clean, and the report says where the audit looked."""

import psycopg
import pytest

from rialto_cli.audit import books, bus_url

from .kafka_scene import KafkaScene
from .test_clean import run_command


def test_the_books_of_a_consistent_world_on_kafka_hold(kafka_scene: KafkaScene) -> None:
    audited = books.run(kafka_scene.database.dsn("auditor"), kafka_scene.anvil.url, cluster=kafka_scene.cluster)
    assert audited.hold, audited.to_dict()
    with psycopg.connect(kafka_scene.database.dsn("auditor")) as connection:
        query = "SELECT topic, count(l.topic) FROM bus.topics LEFT JOIN bus.log AS l USING (topic) GROUP BY topic"
        in_the_log: dict[str, int] = dict(connection.execute(query).fetchall())
        inboxes = connection.execute(
            "SELECT (SELECT count(*) FROM gateway.inbox) + (SELECT count(*) FROM ledger.inbox) +"
            " (SELECT count(*) FROM fraud.inbox) + (SELECT count(*) FROM compliance.inbox)"
            " + (SELECT count(*) FROM chain_bridge.inbox)"
        ).fetchone()
    bus = audited["I8"].details["bus"]
    assert bus["records"] == in_the_log
    assert inboxes is not None
    assert audited["I8"].checked == 2 * sum(in_the_log.values()) + inboxes[0]


def test_the_command_looks_at_the_bus_that_it_is_told(kafka_scene: KafkaScene) -> None:
    platform = ("--dsn", kafka_scene.database.dsn("auditor"), "--rpc", kafka_scene.anvil.url)
    clean = run_command(*platform, "--bus-url", f"{kafka_scene.broker.url}/{kafka_scene.prefix}")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "The bus: Kafka at 127.0.0.1" in clean.stdout
    unsaid = run_command(*platform, "--bus-url", "postgres")
    assert unsaid.returncode == 1
    assert "--bus-url kafka://" in unsaid.stderr
    wrong = run_command(*platform, "--bus-url", "http://127.0.0.1")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("http://127.0.0.1 is no bus.")


def test_a_cluster_that_does_not_answer_is_told(kafka_scene: KafkaScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "PATIENCE_SECONDS", 0.0)
    away = bus_url.read("kafka://127.0.0.1:9", {})
    with pytest.raises(books.AuditFailed, match=r"Kafka cannot be read: 127\.0\.0\.1:9 does not answer"):
        books.run(kafka_scene.database.dsn("auditor"), kafka_scene.anvil.url, cluster=away, settle_seconds=0)
