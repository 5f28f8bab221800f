"""The audit reads the bus's URL as the services do, though not by the same code."""

from pathlib import Path

import pytest

from rialto_cli.audit import bus_url
from rialto_common.bus.kafka_cluster import KafkaCluster

URLS = ("kafka://127.0.0.1:9092", "kafka://a:1,b:2/staging", "kafka+tls://broker.example:9093/eu%20west/")
CREDENTIALS = {"RIALTO_BUS_USERNAME": "audit", "RIALTO_BUS_PASSWORD": "secret"}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("environment", [{}, CREDENTIALS], ids=["open", "sasl"])
def test_a_url_means_the_same_cluster(url: str, environment: dict[str, str]) -> None:
    ours = bus_url.read(url, environment)
    theirs = KafkaCluster.from_url(
        url, username=environment.get("RIALTO_BUS_USERNAME"), password=environment.get("RIALTO_BUS_PASSWORD")
    )
    assert ours is not None
    assert ours.servers == theirs.servers
    assert ours.name("rialto.payments.v1") == theirs.name("rialto.payments.v1")
    left_out = ("client_id", "ssl_context")
    mine, other = ours.options(), theirs.client_options("x")
    assert {k: v for k, v in mine.items() if k not in left_out} == {k: v for k, v in other.items() if k not in left_out}
    assert ("ssl_context" in mine) == ("ssl_context" in other)


def test_a_password_is_in_no_message() -> None:
    assert "secret" not in repr(bus_url.read(URLS[0], CREDENTIALS))


def test_the_log_in_postgresql_is_no_cluster() -> None:
    assert bus_url.read("postgres", {}) is None


@pytest.mark.parametrize("url", ["http://x", "kafka://", "kafka://me:secret@host:1", "host:9092"])
def test_what_is_no_bus_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a bus is"):
        bus_url.read(url, {})


def test_an_authority_that_is_not_there_is_refused(tmp_path: Path) -> None:
    cluster = bus_url.read(URLS[2], {"RIALTO_BUS_CA_FILE": str(tmp_path / "none.pem")})
    assert cluster is not None
    with pytest.raises(OSError, match="No such file"):
        cluster.options()
