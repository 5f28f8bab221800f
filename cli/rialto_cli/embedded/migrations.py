"""Plain-SQL migrations: each file whole, in one transaction, once, in order.

Not yoyo, whose splitter does cope with functions: it names a migration by its file alone (two services' 0001_x.sql
clash), compares no contents, and its lock is a row that a killed run leaves behind. Here the lock is PostgreSQL's own
and dies with its session, and an edited migration is refused instead of silently skipped.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import psycopg

from rialto_cli.embedded.crashing import crash_point
from rialto_cli.errors import OperatorError

# In this order: the services' migrations call functions that the common ones define.
PACKAGES = (
    "rialto_common",
    "rialto_gateway",
    "rialto_ledger",
    "rialto_fraud",
    "rialto_compliance",
    "rialto_chain_bridge",
)
# Any fixed number: one migrating session at a time on a database.
LOCK_KEY = 0x7269616C746F
SCHEMA = """
CREATE SCHEMA IF NOT EXISTS migrations;
CREATE TABLE IF NOT EXISTS migrations.applied (
    component TEXT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT applied_pk PRIMARY KEY (component, name)
);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `component` is the service it belongs to, `checksum` the SHA-256 of its contents."""

    component: str
    name: str
    text: str
    checksum: str

    def __str__(self) -> str:
        return f"{self.component}/{self.name}"


def folder_of(package: str) -> Path | None:
    """Where a package keeps its migrations: beside it in the checkout, or inside it; None when it has none."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    return next((f for f in (home.parent / "migrations", home / "migrations") if f.is_dir()), None)


def available() -> list[Migration]:
    """Every migration of every installed package, in the order in which they are applied."""
    found = []
    for package in PACKAGES:
        folder = folder_of(package)
        for path in sorted(folder.glob("[0-9]*.sql")) if folder is not None else ():
            contents = path.read_bytes()
            component = package.removeprefix("rialto_").replace("_", "-")
            found.append(Migration(component, path.name, contents.decode(), hashlib.sha256(contents).hexdigest()))
    return found


def migrate(
    owner_dsn: str,
    migrations: Sequence[Migration],
    report: Callable[[Migration], None] = lambda migration: None,
) -> list[Migration]:
    """Apply what the database does not have yet, and return it. Safe to run twice, and twice at once.

    Raises: OperatorError: an applied migration was edited or is gone, or PostgreSQL refused one.
    """
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        connection.execute(SCHEMA, prepare=False)
        rows = connection.execute("SELECT component, name, checksum FROM migrations.applied").fetchall()
        _compare({(component, name): checksum for component, name, checksum in rows}, migrations)
        done = {(component, name) for component, name, _ in rows}
        pending = [m for m in migrations if (m.component, m.name) not in done]
        for migration in pending:
            report(migration)
            _apply(connection, migration)
        return pending


def _compare(applied: dict[tuple[str, str], str], migrations: Sequence[Migration]) -> None:
    by_key = {(m.component, m.name): m for m in migrations}
    for (component, name), checksum in applied.items():
        migration = by_key.get((component, name))
        if migration is None:
            raise OperatorError(
                "The database is newer than this checkout",
                f"it has had the migration {component}/{name}, which does not exist here",
                "use the newer checkout, or another data directory (--data-dir)",
            )
        if migration.checksum != checksum:
            raise OperatorError(
                "A migration was edited after it was applied",
                f"{migration} differs from what this database got",
                "put the file back and add a new migration, or start with another data directory (--data-dir)",
            )


def _apply(connection: "psycopg.Connection[tuple[object, ...]]", migration: Migration) -> None:
    try:
        with connection.transaction():
            # Without parameters PostgreSQL gets the file as it is: many statements, one round trip.
            connection.execute(migration.text.encode(), prepare=False)
            connection.execute(
                "INSERT INTO migrations.applied (component, name, checksum, applied_at) VALUES (%s, %s, %s, %s)",
                [migration.component, migration.name, migration.checksum, datetime.now(UTC)],
            )
            crash_point("supervisor.before_migration_commit")
        crash_point("supervisor.after_migration_commit")
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = "" if position is None else f" (line {migration.text.count(chr(10), 0, int(position)) + 1})"
        raise OperatorError(
            f"The migration {migration} failed{line}",
            (error.diag.message_primary or str(error)).strip(),
            "nothing of it was kept; correct the file, then run `rialto migrate` again",
        ) from error
