"""Each wrong is named by the invariant that it violates, and by what is wrong."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from rialto_cli.audit import books, snapshot
from rialto_cli.audit.chain import Node
from rialto_cli.testing import Database

from .conftest import Scene
from .kafka_plants import ON_KAFKA
from .plants import ALL, Plant


class Spoilt(snapshot.Snapshot):
    """A look at the world with a wrong in it that is never committed, so that no copy of the world is needed."""

    def __init__(self, database: Database, planted: Plant) -> None:
        super().__init__(database.superuser_dsn())
        self._planted = planted

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        connection = psycopg.connect(self._dsn, row_factory=dict_row, options="-c timezone=UTC")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor foreign keys
        touched = [connection.execute(statement.encode()).rowcount for statement in self._planted.statements]
        assert max(touched) > 0, "the plant changed nothing"
        connection.execute("SET LOCAL ROLE rialto_auditor")
        return connection


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: f"{planted.invariant} {planted.check}: {planted.name}")
def test_a_planted_wrong_is_named(planted: Plant, scene: Scene) -> None:
    node = Node(scene.anvil.url)
    with Spoilt(scene.database, planted) as snapshot:
        book = books.compare(snapshot, node, node.newest_block())[planted.invariant]
    assert not book.holds
    assert planted.check in book.by_check, book.by_check
    named = [example for example in book.examples if example["check"] == planted.check]
    assert named
    assert named[0]["what"]
    assert named[0]["ids"]
    assert named[0]["expected"] != named[0]["found"]


def test_every_check_has_a_wrong_planted_for_it() -> None:
    asked = {(each.invariant, each.name) for each in snapshot.questions() if each.kind == "check"}
    planted = {(each.invariant, each.check) for each in (*ALL, *ON_KAFKA)}
    assert asked <= planted
