"""The fixtures that every other integration test stands on."""

from collections.abc import Callable

import psycopg
import pytest

from rialto_cli.embedded import anvil as evm
from rialto_cli.embedded import postgres as embedded
from rialto_cli.testing import AnvilNode, Database, PostgresServer


@pytest.mark.parametrize("role", embedded.ROLES)
def test_every_role_can_connect_to_a_test_database(database: Database, role: str) -> None:
    with psycopg.connect(database.dsn(role)) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
    assert row == (f"rialto_{role}", database.name)


def test_the_auditor_cannot_write(database: Database) -> None:
    with psycopg.connect(database.dsn("auditor")) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE public.mine (id INT)")


def test_two_test_databases_share_nothing(postgres: PostgresServer, database: Database) -> None:
    other = postgres.create_database()
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE migrations.only_here (id INT)")
    with psycopg.connect(other.dsn("owner")) as connection:
        row = connection.execute("SELECT to_regclass('migrations.only_here')").fetchone()
    assert row == (None,)
    postgres.drop_database(other)


def test_a_killed_server_starts_again_with_what_was_committed(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory(durable=True)
    database = server.create_database()
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE migrations.kept (id INT)")
        connection.execute("INSERT INTO migrations.kept VALUES (1)")
        server.kill()
    server.start()
    with psycopg.connect(database.dsn("owner")) as connection:
        assert connection.execute("SELECT id FROM migrations.kept").fetchall() == [(1,)]


def test_anvil_mines_blocks(anvil: AnvilNode) -> None:
    assert evm.block_number(anvil.url) is not None
