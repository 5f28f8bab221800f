"""A Kafka node's configuration, and what is said where none can run."""

import hashlib
from pathlib import Path

import pytest

from rialto_cli.embedded import kafka, kafka_jars
from rialto_cli.embedded.kafka import Node, Secured
from rialto_cli.errors import OperatorError
from rialto_common.bus.topics import MAX_RECORD_BYTES

NODE = Node(Path("/data/kafka"), 20001, 20002)


def test_a_node_listens_on_this_machine_only() -> None:
    settings = kafka.settings(NODE)
    assert settings["listeners"] == "LOCAL://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert settings["advertised.listeners"] == "LOCAL://127.0.0.1:20001"
    assert settings["auto.create.topics.enable"] == "false"


def test_a_secured_port_speaks_tls_and_sasl() -> None:
    secured = Node(NODE.directory, 20001, 20002, Secured(20003, Path("/data/broker.pem"), "rialto", "secret"))
    settings = kafka.settings(secured)
    assert "SECURED:SASL_SSL" in settings["listener.security.protocol.map"]
    assert "SECURED://127.0.0.1:20003" in settings["advertised.listeners"]
    assert "secret" not in repr(secured)


def test_the_broker_takes_the_records_that_the_topics_promise() -> None:
    assert int(kafka.SETTINGS["message.max.bytes"]) >= MAX_RECORD_BYTES


def test_without_java_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(OperatorError) as refused:
        kafka_jars.find_java()
    assert "no Java 17" in refused.value.why
    assert "apt install" in refused.value.next_step
    assert "no Java 17" in (kafka_jars.why_not() or "")


@pytest.mark.parametrize(("version", "number"), [("1.8.0_392", 8), ("11.0.21", 11)])
def test_an_old_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, number: int) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(OperatorError) as refused:
        kafka_jars.find_java()
    assert f"is Java {number}" in refused.value.why


def test_every_difference_of_the_jars_is_named() -> None:
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in "abcd"}
    expected = {"same.jar": digest["a"], "other.jar": digest["b"], "gone.jar": digest["c"]}
    found = {"same.jar": digest["a"], "other.jar": digest["c"], "new.jar": digest["d"]}
    wrong = kafka_jars.differences(expected, found)
    assert [sentence.split()[0] for sentence in wrong] == ["gone.jar", "new.jar", "other.jar"]
    assert kafka_jars.differences(expected, expected) == []


def test_the_committed_checksums_are_those_of_the_committed_versions() -> None:
    names = [line.split()[1] for line in kafka_jars.SUMS.read_text().splitlines()]
    pom = (kafka_jars.FOLDER / "pom.xml").read_text()
    assert any(name.startswith("kafka_2.13-") and name[len("kafka_2.13-") : -len(".jar")] in pom for name in names)
    assert "://" not in pom.replace('"http://maven.apache.org', "")
