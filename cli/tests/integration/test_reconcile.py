"""`rialto reconcile` against a real ledger service; the other services are stand-ins."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from rialto_cli.embedded.status import find_running
from rialto_common import ids
from rialto_common.runtime import SystemRuntime

from .embedded_run import Rialto, said_in_three_lines
from .fake_services import NAMES, install

RUNTIME = SystemRuntime()
MERCHANT = RUNTIME.ids.mint()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rialto]:
    folder = tmp_path_factory.mktemp("reconcile")
    fakes = install(folder / "packages", [name for name in NAMES if name != "ledger"])
    platform = Rialto(folder / "data", fakes)
    platform.up()
    yield platform
    platform.end()


@pytest.fixture
def rialto(started: Rialto) -> Rialto:
    """A running platform without a difference."""
    installation, _ = find_running(started.data_dir)
    with psycopg.connect(installation.access.dsn("owner")) as connection:
        connection.execute("DELETE FROM ledger.differences")
    return started


def plant(rialto: Rialto, state: str, *, mode: str = "test", age: timedelta) -> str:
    """Make a difference that is so old; return its id."""
    installation, _ = find_running(rialto.data_dir)
    difference, now = RUNTIME.ids.mint(), datetime.now(UTC)
    note = ("the gateway's row was edited", "cli") if state == "explained" else (None, None)
    with psycopg.connect(installation.access.dsn("owner")) as connection:
        connection.execute(
            """INSERT INTO ledger.differences VALUES (
                %s, %s, %s, 'USD', '2026-03-01', 'captured', 'gateway', 1000, 2, 900, 1, 'missing_there', %s, %s, %s,
                %s, %s
            )""",
            [difference, MERCHANT, mode, state, now - age, now, *note],
        )
    return ids.to_text("dif", difference)


def test_books_that_agree_are_said_so(rialto: Rialto) -> None:
    result = rialto.run("reconcile")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("no differences")
    assert json.loads(rialto.run("reconcile", "--json").stdout) == {"open": 0, "has_more": False, "differences": []}


def test_open_differences_of_both_modes_are_shown_with_reason_and_age(rialto: Rialto) -> None:
    younger = plant(rialto, "open", mode="live", age=timedelta(minutes=90))
    older = plant(rialto, "open", age=timedelta(days=2))
    plant(rialto, "resolved", age=timedelta(days=3))
    result = rialto.run("reconcile")
    assert result.returncode == 1
    _, first, second = result.stdout.strip().splitlines()
    assert first.split() == [
        *(older, "2026-03-01", ids.to_text("mer", MERCHANT), "test", "captured", "USD", "1000", "in", "2", "900", "in"),
        *("1", "gateway", "missing_there", "2", "d", "open"),
    ]
    assert second.split()[0] == younger
    assert "live" in second
    assert "1 h" in second


def test_what_is_explained_or_resolved_is_shown_when_asked_for_and_is_no_failure(rialto: Rialto) -> None:
    explained = plant(rialto, "explained", age=timedelta(hours=5))
    resolved = plant(rialto, "resolved", age=timedelta(hours=4))
    assert rialto.run("reconcile").returncode == 0
    result = rialto.run("reconcile", "--all", "--json")
    assert result.returncode == 0
    document = json.loads(result.stdout)
    assert [(each["id"], each["state"]) for each in document["differences"]] == [
        (explained, "explained"),
        (resolved, "resolved"),
    ]
    assert "explained: the gateway's row was edited" in rialto.run("reconcile", "--all").stdout


def test_a_platform_that_does_not_run_is_told_in_three_lines(started: Rialto) -> None:
    elsewhere = Rialto(started.data_dir.parent / "nothing", started.data_dir.parent / "packages")
    assert "Rialto is not running" in said_in_three_lines(elsewhere.run("reconcile"))
