"""`rialto events` as a person runs it: on a platform that runs (its services are stand-ins), and on a cluster."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from rialto_cli.embedded.status import find_running
from rialto_common import ids
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.events import MODELS, Event
from rialto_common.events.asyncapi import document, examples
from rialto_common.testing import root_of

from ..embedded_run import Rialto, said_in_three_lines
from ..fake_services import install
from .publishers import KafkaEventPublisher, PostgresPublisher, made, payment

CREATED, PLACED, ASSESSED = "rialto.payment.created.v1", "rialto.hold.placed.v1", "rialto.fraud.assessed.v1"
TOLD = [
    made(event_type, number, sequence)
    for number in range(1, 6)
    for sequence, event_type in enumerate((CREATED, ASSESSED, PLACED), start=1)
]


class Platform:
    """A running platform, and a way to put events on its bus."""

    def __init__(self, rialto: Rialto) -> None:
        self.rialto = rialto
        installation, _ = find_running(rialto.data_dir)
        self._dsn = installation.access.dsn

    def publish(self, events: Sequence[Event]) -> None:
        async def run() -> None:
            publisher = PostgresPublisher(self._dsn)
            await publisher.publish(events)
            await publisher.close()

        asyncio.run(run())

    def traces(self) -> list[str]:
        return asyncio.run(PostgresPublisher(self._dsn).traces())


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="rialto-events-") as name:
        Path(name).chmod(0o755)
        rialto = Rialto(Path(name) / "data", install(Path(name) / "packages"))
        try:
            rialto.up()
            platform = Platform(rialto)
            platform.publish(TOLD)
            yield platform
        finally:
            rialto.end()


def tail(platform: Platform, *arguments: str) -> list[str]:
    result = platform.rialto.run("events", "tail", "--no-follow", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def forms(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


@contextlib.contextmanager
def following(platform: Platform, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command until the block ends; it has begun to listen when it is handed out."""
    process = subprocess.Popen(
        platform.rialto.command("events", "tail", *arguments),
        env=platform.rialto.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "· waiting for events\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_whole_bus_is_shown_in_time_order(platform: Platform) -> None:
    lines = tail(platform, "--from-beginning")
    assert len(lines) == len(TOLD)
    assert lines == sorted(lines)
    assert lines[0].startswith(
        f"2026-01-01 00:01:01.000  payments     payment.created        {payment(1)}  #1  10.00 USD"
    )
    assert lines[2].endswith("← " + str(TOLD[2].causation_id)[-12:])


def test_json_is_one_whole_event_a_line(platform: Platform) -> None:
    found = forms(tail(platform, "--from-beginning", "--json"))
    assert [form["id"] for form in found[: len(TOLD)]] == [str(event.id) for event in TOLD]
    assert found[0]["data"] == json.loads(TOLD[0].data)


def test_a_payments_story_is_told_from_its_beginning(platform: Platform) -> None:
    found = forms(tail(platform, "--payment", payment(3).removeprefix("pay_"), "--json"))
    assert [(form["key"], form["type"]) for form in found] == [
        (payment(3), CREATED),
        (payment(3), ASSESSED),
        (payment(3), PLACED),
    ]


def test_choices_add_up(platform: Platform) -> None:
    types = ["-t", "fraud.assessed", "-t", "hold.*"]
    assert len(tail(platform, "--from-beginning", *types)) == 10
    assert len(tail(platform, "--from-beginning", *types, "--topic", "ledger")) == 5
    assert len(tail(platform, *types, "--payment", payment(2))) == 2
    merchant = root_of(1234)
    data = TOLD[0].data.replace(json.loads(TOLD[0].data)["merchant_id"].encode(), ids.to_text("mer", merchant).encode())
    mine = made(CREATED, 9)._replace(shard=ids.shard_of(merchant), data=data)
    platform.publish([mine])
    (form,) = forms(tail(platform, "--from-beginning", "--merchant", ids.to_text("mer", merchant), "--json"))
    assert form["id"] == str(mine.id)


def test_the_last_ones_are_shown_unless_more_is_asked_for(platform: Platform) -> None:
    whole = tail(platform, "--from-beginning")
    assert strip_causes(tail(platform)) == strip_causes(whole[-10:])
    assert strip_causes(tail(platform, "-n", "3")) == strip_causes(whole[-3:])
    assert strip_causes(tail(platform, "--since", "1h")) == strip_causes(whole)


def strip_causes(lines: Sequence[str]) -> list[str]:
    """A cause is named only where it was shown before."""
    return [line.partition("  ← ")[0] for line in lines]


def test_nothing_found_is_said(platform: Platform) -> None:
    result = platform.rialto.run("events", "tail", "--no-follow", "--payment", payment(77))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "· nothing on the bus fits\n")


def test_what_comes_is_shown_at_once_and_ctrl_c_ends_it(platform: Platform) -> None:
    with following(platform, "--last", "0", "--type", "hold.placed", "--json") as process:
        assert process.stdout is not None
        for number in (21, 22):
            platform.publish([made(CREATED, number), made(PLACED, number, 2)])
            form = json.loads(process.stdout.readline())
            assert (form["type"], form["key"]) == (PLACED, payment(number))
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=10)
        assert (process.returncode, rest, complaints) == (0, "", "")


def test_a_reader_that_goes_away_ends_it_without_a_word(platform: Platform) -> None:
    platform.publish([made(CREATED, 30, sequence) for sequence in range(1, 3000)])
    with following(platform, "--last", "0") as process:
        assert process.stdout is not None
        process.stdout.close()
        # Nothing is written any more, so only looking at the pipe can tell.
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    command = " ".join(map(str, platform.rialto.command("events", "tail", "--from-beginning")))
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -2"],
        env=platform.rialto.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 2)


def test_reading_takes_no_part_in_any_group(platform: Platform) -> None:
    tail(platform, "--from-beginning")
    assert platform.traces() == []


WRONG = {
    "a type": (["--type", "payment.creatd"], "There is no event type payment.creatd"),
    "a topic": (["--topic", "payment"], "There is no topic payment"),
    "a merchant's id as a payment's": (["--payment", "mer_" + "0" * 26], "it is the id of a merchant"),
    "two beginnings": (["--from-beginning", "--last", "3"], "It is not clear where to begin"),
    "a span": (["--since", "yesterday"], "'yesterday' is not a span of time"),
    "a URL": (["--bus-url", "http://127.0.0.1:9092"], "is no Kafka cluster"),
    "nobody there": (["--bus-url", "kafka://127.0.0.1:9"], "The bus cannot be read"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_said_in_three_lines(platform: Platform, arguments: list[str], said: str) -> None:
    assert said in said_in_three_lines(platform.rialto.run("events", "tail", *arguments))


def test_nothing_runs_is_said_in_three_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rialto_cli", "events", "tail", "--data-dir", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Rialto is not running" in said_in_three_lines(result)


# What needs no bus.


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "rialto_cli", "events", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return result.stdout


def test_types_are_listed_with_who_tells_and_who_listens() -> None:
    rows = {row["type"]: row for row in json.loads(run("types", "--json"))}
    assert rows.keys() == {model.type for model in MODELS}
    assert rows[CREATED]["from"] == "gateway"
    assert rows[CREATED]["to"] == ["fraud", "compliance"]
    assert len(run("types").splitlines()) == 1 + len(MODELS)


def test_a_schema_is_printed_that_fits_the_event() -> None:
    Draft202012Validator(json.loads(run("schema", "payment.created"))).validate(json.loads(examples()[CREATED].data))


def test_the_asyncapi_document_stands_alone() -> None:
    assert json.loads(run("asyncapi")) == document()


# On Kafka.


def publish(cluster: KafkaCluster, events: Sequence[Event]) -> None:
    async def run() -> None:
        publisher = KafkaEventPublisher(cluster)
        await publisher.publish(events)
        await publisher.close()

    asyncio.run(run())


def test_a_cluster_of_ones_own_is_read_and_followed(kafka_cluster: KafkaCluster) -> None:
    publish(kafka_cluster, TOLD)
    url = f"kafka://{kafka_cluster.servers[0]}/{kafka_cluster.prefix}"
    command = [sys.executable, "-m", "rialto_cli", "events", "tail", "--bus-url", url, "--json"]
    process = subprocess.Popen(
        [*command, "--from-beginning"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in TOLD]
        assert [form["id"] for form in forms(lines)] == [str(event.id) for event in TOLD]
        publish(kafka_cluster, [made(CREATED, 21)])
        assert json.loads(process.stdout.readline())["key"] == payment(21)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()
    last = subprocess.run(
        [*command, "--no-follow", "-n", "1", "-t", "hold.placed"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [form["key"] for form in forms(last.stdout.splitlines())] == [payment(5)]
