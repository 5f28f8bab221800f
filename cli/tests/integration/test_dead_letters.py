"""`rialto dlq` against a real ledger service; the other services are stand-ins."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from rialto_cli.embedded.status import find_running
from rialto_common import ids
from rialto_common.runtime import SystemRuntime

from .embedded_run import Rialto, said_in_three_lines, wait_for
from .fake_services import NAMES, install

RUNTIME = SystemRuntime()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rialto]:
    folder = tmp_path_factory.mktemp("dead-letters")
    fakes = install(folder / "packages", [name for name in NAMES if name != "ledger"])
    platform = Rialto(folder / "data", fakes)
    platform.up()
    yield platform
    platform.end()


@pytest.fixture
def rialto(started: Rialto) -> Rialto:
    """A running platform on which nothing is parked."""
    with psycopg.connect(owner_dsn(started)) as connection:
        connection.execute("DELETE FROM ledger.dead_letters")
        connection.execute("DELETE FROM ledger.parked_keys")
    return started


def owner_dsn(rialto: Rialto) -> str:
    installation, _ = find_running(rialto.data_dir)
    return installation.access.dsn("owner")


def void_of(payment: UUID) -> dict[str, str]:
    """A request that the ledger can answer though it knows nothing of the payment."""
    return {
        "payment_id": ids.to_text("pay", payment),
        "merchant_id": ids.to_text("mer", RUNTIME.ids.mint()),
        "mode": "test",
        "reason": "requested_by_merchant",
    }


def park(dsn: str, key: str, payloads: list[Any]) -> None:
    """Set void requests aside under a key, as the consumer does with those it cannot handle."""
    now = datetime.now(UTC)
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO ledger.parked_keys VALUES ('ledger', %s, %s)", [key, now])
        for number, payload in enumerate(payloads):
            connection.execute(
                """INSERT INTO ledger.dead_letters (
                    consumer_group, key, parked_at, error, event_id, source, type, topic, shard, time, event_sequence,
                    correlation_id, data
                ) VALUES (
                    'ledger', %(key)s, %(now)s, %(error)s, %(id)s, 'rialto.gateway', 'rialto.void.requested.v1',
                    'rialto.payments.v1', 0, %(now)s, %(number)s, %(key)s, %(data)s
                )""",
                {
                    "key": key,
                    "now": now,
                    "number": number + 1,
                    "id": RUNTIME.ids.mint(),
                    "error": "MalformedEvent: planted" if number == 0 else None,
                    "data": json.dumps(payload),
                },
            )


def parked(rialto: Rialto) -> list[dict[str, Any]]:
    result = rialto.run("dlq", "list", "--json")
    assert result.returncode == 0, result.stderr
    return list(json.loads(result.stdout))


def test_nothing_parked_is_said_so(rialto: Rialto) -> None:
    result = rialto.run("dlq", "list")
    assert (result.returncode, result.stdout.strip()) == (0, "nothing is parked")
    assert "Nothing is parked under pay_x" in said_in_three_lines(rialto.run("dlq", "replay", "pay_x"))
    assert "There is no service nowhere" in said_in_three_lines(rialto.run("dlq", "list", "--service", "nowhere"))
    assert "name one key, or say --all" in said_in_three_lines(rialto.run("dlq", "replay"))


def test_a_parked_key_is_listed_shown_and_healed_by_a_replay(rialto: Rialto) -> None:
    payment = RUNTIME.ids.mint()
    key = ids.to_text("pay", payment)
    park(owner_dsn(rialto), key, [void_of(payment), void_of(payment)])

    (row,) = parked(rialto)
    assert (row["service"], row["key"], row["events"]) == ("ledger", key, 2)
    assert "planted" in row["error"]

    shown = rialto.run("dlq", "show", key, "--json")
    (document,) = json.loads(shown.stdout)
    assert [event["error"] for event in document["events"]] == ["MalformedEvent: planted", None]
    assert "it waits behind the one before" in rialto.run("dlq", "show", key).stdout

    replayed = rialto.run("dlq", "replay", key)
    assert replayed.stdout.strip() == "ledger: 1 key will be handled again"
    wait_for(lambda: not parked(rialto), "the key is free again")
    with psycopg.connect(owner_dsn(rialto)) as connection:
        told = connection.execute("SELECT type FROM bus.log WHERE key = %s ORDER BY position", [key]).fetchall()
    # The first closes the payment for good, the second is told so: handled once each, and in order.
    assert told == [("rialto.hold.voided.v1",), ("rialto.posting.refused.v1",)]


def test_a_replay_of_what_is_still_broken_keeps_it_parked_with_the_new_error(rialto: Rialto) -> None:
    key = ids.to_text("pay", RUNTIME.ids.mint())
    park(owner_dsn(rialto), key, [{"payment_id": "not an id"}])
    assert rialto.run("dlq", "replay", "--all", "--json").stdout.strip() == '{"ledger": 1}'

    def tried_again() -> bool:
        (row,) = parked(rialto)
        return not row["replay_requested"] and "planted" not in row["error"]

    wait_for(tried_again, "the ledger has tried again")
