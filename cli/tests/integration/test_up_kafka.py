"""`rialto up --bus kafka`, `--bus-url`, `rialto kafka` and `rialto topics apply`, with a real broker."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rialto_cli.embedded import kafka as broker
from rialto_cli.embedded import processes
from rialto_cli.embedded.services import PROGRAMS
from rialto_cli.kafka_testing import KafkaBroker

from .embedded_run import Rialto, said_in_three_lines, wait_for

pytestmark = pytest.mark.usefixtures("kafka")


def bus_of(rialto: Rialto, name: str = "ledger") -> str:
    """The RIALTO_BUS_URL that a service was started with."""
    port = rialto.status()["services"][name]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        return str(json.load(response)["bus_url"])


def test_kafka_is_started_with_its_topics_and_again_when_killed(rialto: Rialto) -> None:
    rialto.up("--bus", "kafka")
    status = rialto.status()
    assert set(status["services"]) == {*PROGRAMS, "kafka"}
    assert status["bus"] == {"kind": "kafka", "url": bus_of(rialto)}
    assert rialto.run("topics", "apply", "--check").returncode == 0

    victim = psutil.Process(status["services"]["kafka"]["pid"])
    victim.kill()

    def recovered() -> Any:
        result = rialto.run("status", "--json")
        return result.returncode == 0 and json.loads(result.stdout)["services"]["kafka"]["pid"] != victim.pid

    wait_for(recovered, "Kafka is ready again")
    assert rialto.run("topics", "apply", "--check").returncode == 0


def test_a_directory_keeps_to_kafka_and_to_its_ports(rialto: Rialto) -> None:
    up = rialto.up("--bus", "kafka")
    before = rialto.status()
    programs = list(rialto.processes().values())
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert not [program for program in programs if program.is_running()]
    assert "uses a Kafka of its own" in said_in_three_lines(rialto.run("up", "--bus", "postgres"))

    rialto.up()
    assert rialto.status()["bus"] == before["bus"]


def test_a_killed_up_leaves_no_kafka_behind(rialto: Rialto) -> None:
    up = rialto.up("--bus", "kafka")
    kafka = rialto.processes()["kafka"]
    up.kill()
    up.wait()
    wait_for(lambda: not kafka.is_running(), "Kafka is gone", 15)


def test_up_uses_a_cluster_of_ones_own(rialto: Rialto, kafka: KafkaBroker, tmp_path: Path) -> None:
    url = f"{kafka.url}/{tmp_path.name}"
    up = rialto.up("--bus-url", url)
    status = rialto.status()
    assert set(status["services"]) == set(PROGRAMS)
    assert status["bus"] == {"kind": "cluster", "url": url}
    assert bus_of(rialto) == url
    assert rialto.run("topics", "apply", "--check").returncode == 0
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0


def test_a_cluster_that_does_not_answer_is_named(rialto: Rialto) -> None:
    result = rialto.run("up", "--port", str(rialto.port), "--bus-url", "kafka://127.0.0.1:1")
    assert result.returncode == 1
    assert "The Kafka cluster 127.0.0.1:1 cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def alone(rialto: Rialto) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = processes.free_ports(1)[0]
    process = subprocess.Popen(
        rialto.command("kafka", "--port", str(port)), stdout=subprocess.PIPE, env=rialto.environment, text=True
    )
    yield process, port
    if process.poll() is None:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_kafka_alone_says_its_url_and_stops_in_order(alone: tuple[subprocess.Popen[str], int], rialto: Rialto) -> None:
    process, port = alone
    assert process.stdout is not None
    assert process.stdout.readline() == f"RIALTO_BUS_URL=kafka://127.0.0.1:{port}\n"
    assert rialto.run("topics", "apply", "--bus-url", f"kafka://127.0.0.1:{port}", "--check").returncode == 0
    assert "already running" in said_in_three_lines(rialto.run("up", "--bus", "kafka", "--port", str(rialto.port)))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not broker.is_ready(port)


def test_topics_apply_shows_the_difference_and_applies_it_once(rialto: Rialto, kafka: KafkaBroker) -> None:
    url = f"{kafka.url}/cli-apply"

    def apply(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return rialto.run("topics", "apply", "--bus-url", url, *arguments)

    checked = apply("--check")
    assert checked.returncode == 1
    assert "cli-apply.rialto.payments.v1" in checked.stdout
    assert "8 partitions, 1 copy" in checked.stdout
    assert "nobody is there to be asked" in said_in_three_lines_of(apply())
    applied = json.loads(apply("--yes", "--json").stdout)
    assert applied["applied"]
    assert len(applied["changes"]) == 10
    assert apply().stdout == "all 10 topics are as they should be\n"
    grown = apply("--partitions", "12", "--yes")
    assert grown.returncode == 0
    assert "partitions" in grown.stdout
    assert "cannot shrink to 4" in said_in_three_lines_of(apply("--partitions", "4", "--yes"))
    assert json.loads(apply("--yes", "--json").stdout) == {"applied": False, "changes": []}


def said_in_three_lines_of(result: "subprocess.CompletedProcess[str]") -> str:
    """As said_in_three_lines; the difference, on stdout, comes before."""
    assert result.stdout
    return said_in_three_lines(result)


def test_the_bus_in_postgres_has_no_topics(rialto: Rialto) -> None:
    assert "has no topics" in said_in_three_lines(rialto.run("topics", "apply", "--bus-url", "postgres"))
