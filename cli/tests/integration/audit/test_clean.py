"""A world that the real services made is clean, and an empty one is not."""

import json
import subprocess
import sys

import psycopg
import pytest

from rialto_cli.audit import books, consumers
from rialto_cli.testing import AnvilNode, Database
from rialto_common.events import MODELS, flows

from .conftest import Scene


def test_the_books_of_a_consistent_world_hold(scene: Scene) -> None:
    audited = books.run(scene.database.dsn("auditor"), scene.anvil.url)
    assert audited.hold, audited.to_dict()
    assert all(book.checked for _, book in audited)


def test_an_empty_platform_does_not_pass(database: Database, anvil: AnvilNode) -> None:
    audited = books.run(database.dsn("auditor"), anvil.url, settle_seconds=0)
    assert not audited.hold
    assert {name: (book.checked, book.violations) for name, book in audited} == {f"I{n}": (0, 0) for n in range(1, 9)}


def test_the_audit_knows_what_each_group_handles(scene: Scene) -> None:
    assert set(consumers.rows()) == scene.subscriptions


def test_the_published_flows_are_what_services_subscribe_to_and_emit(scene: Scene) -> None:
    assert flows.subscriptions() == scene.subscriptions
    published = {(model.topic, flows.source_of(model), model.type) for model in MODELS}
    with psycopg.connect(scene.database.dsn("auditor")) as connection:
        emitted = set(connection.execute("SELECT DISTINCT topic, source, type FROM bus.log").fetchall())
    assert emitted <= published
    # Of all types, a world without accidents shows these many.
    assert len(emitted) >= 23


def test_the_auditor_may_not_write(scene: Scene) -> None:
    with psycopg.connect(scene.database.dsn("auditor"), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM gateway.timeline")


def test_the_report_has_the_shape_that_a_replay_prints(scene: Scene) -> None:
    printed = json.loads(json.dumps(books.run(scene.database.dsn("auditor"), scene.anvil.url).to_dict()))
    assert list(printed) == [f"I{number}" for number in range(1, 9)]
    assert all(type(book["checked"]) is int and type(book["violations"]) is int for book in printed.values())
    assert printed["I6"]["chain_balance"] == printed["I6"]["ledger_balance"]


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `rialto audit`."""
    command = [sys.executable, "-m", "rialto_cli", "audit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_ends_with_0_only_when_the_books_hold(scene: Scene, database: Database) -> None:
    clean = run_command("--dsn", scene.database.dsn("auditor"), "--rpc", scene.anvil.url, "--json")
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["I1"]["violations"] == 0
    empty = run_command("--dsn", database.dsn("auditor"), "--rpc", scene.anvil.url)
    assert empty.returncode == 1
    assert "nothing checked" in empty.stdout


def test_the_command_says_in_three_lines_why_it_cannot_read(scene: Scene) -> None:
    away = run_command("--dsn", "postgresql://127.0.0.1:9/rialto", "--rpc", scene.anvil.url)
    assert away.returncode == 1
    assert len(away.stderr.splitlines()) == 3
    assert away.stderr.startswith("The books cannot be read.")
