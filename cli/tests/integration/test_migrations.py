"""Plain-SQL migrations against a real server."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import psycopg
import pytest

from rialto_cli.embedded import postgres as embedded
from rialto_cli.embedded.migrations import Migration, available, migrate
from rialto_cli.errors import OperatorError
from rialto_cli.testing import Database, PostgresServer


def migration(name: str, text: str) -> Migration:
    return Migration("test", name, text, sha256(text.encode()).hexdigest())


FIRST = migration("0001_first.sql", "CREATE SCHEMA demo;\nCREATE TABLE demo.things (id INT);")
FUNCTION = migration(
    "0002_function.sql",
    """CREATE FUNCTION demo.add() RETURNS VOID LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO demo.things VALUES (1); -- a semicolon; in a comment
    EXECUTE format('INSERT INTO demo.things VALUES (%s)', 100);
END $body$;
DO $$ BEGIN PERFORM demo.add(); END $$;""",
)


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    """The owner's URI of an empty database."""
    embedded.ensure_database(postgres.access.superuser_dsn(), "empty")
    with psycopg.connect(postgres.access.superuser_dsn("empty"), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS migrations, demo CASCADE")
    return postgres.access.dsn("owner", "empty")


def things(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM demo.things ORDER BY id")]


def test_functions_with_dollar_quotes_go_in_whole(dsn: str) -> None:
    assert migrate(dsn, [FIRST, FUNCTION]) == [FIRST, FUNCTION]
    assert things(dsn) == [1, 100]


def test_a_second_run_applies_nothing(dsn: str) -> None:
    migrate(dsn, [FIRST])
    assert migrate(dsn, [FIRST]) == []


def test_only_what_is_new_is_applied(dsn: str) -> None:
    migrate(dsn, [FIRST])
    assert migrate(dsn, [FIRST, FUNCTION]) == [FUNCTION]


def test_two_runs_at_once_apply_each_migration_once(dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(dsn, [FIRST, FUNCTION]), range(4)))
    assert sorted(len(each) for each in applied) == [0, 0, 0, 2]
    assert things(dsn) == [1, 100]


def test_a_failing_migration_leaves_nothing_and_names_its_line(dsn: str) -> None:
    broken = migration(
        "0002_broken.sql", "CREATE TABLE demo.others (id INT);\n\nSELECT no_such_column FROM demo.things;"
    )
    with pytest.raises(OperatorError) as refused:
        migrate(dsn, [FIRST, broken])
    assert "test/0002_broken.sql failed (line 3)" in refused.value.what
    assert "no_such_column" in refused.value.why
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT to_regclass('demo.others')").fetchone() == (None,)
    repaired = migration("0002_broken.sql", "CREATE TABLE demo.others (id INT);")
    assert migrate(dsn, [FIRST, repaired]) == [repaired]


def test_an_edited_migration_is_refused(dsn: str) -> None:
    migrate(dsn, [FIRST])
    edited = replace(FIRST, checksum=sha256(b"other").hexdigest())
    with pytest.raises(OperatorError, match="edited"):
        migrate(dsn, [edited])


def test_a_database_newer_than_the_checkout_is_refused(dsn: str) -> None:
    migrate(dsn, [FIRST, FUNCTION])
    with pytest.raises(OperatorError, match="newer"):
        migrate(dsn, [FIRST])


def test_the_repositorys_own_migrations_are_all_applied(database: Database) -> None:
    with psycopg.connect(database.dsn("owner")) as connection:
        applied = {(row[0], row[1]) for row in connection.execute("SELECT component, name FROM migrations.applied")}
    assert applied == {(m.component, m.name) for m in available()}
    assert ("common", "0001_bus.sql") in applied
