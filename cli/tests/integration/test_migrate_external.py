"""`rialto migrate --dsn`: a PostgreSQL of one's own, with its roles."""

from collections.abc import Callable

import psycopg
import pytest

from rialto_cli.embedded import external, migrations, postgres, processes, secrets
from rialto_cli.embedded.external import password_variable
from rialto_cli.errors import OperatorError
from rialto_cli.testing import PostgresServer

PASSWORDS = {password_variable(role): f"{role}-secret" for role in postgres.ROLES}


def dsn(server: PostgresServer, role: str, password: str) -> str:
    return f"postgresql://{role}:{password}@127.0.0.1:{server.access.port}/shop"


def test_roles_database_and_schemas_are_made_once_and_passwords_follow(
    postgres_factory: Callable[..., PostgresServer],
) -> None:
    server = postgres_factory()
    superuser = dsn(server, "postgres", server.access.superuser_password)
    made = external.migrate(superuser, with_roles=True, environment=PASSWORDS)
    assert len(made) == len(migrations.available())
    assert external.migrate(superuser, with_roles=True, environment=PASSWORDS) == []
    assert external.migrate(dsn(server, "rialto_owner", "owner-secret"), with_roles=False) == []
    with psycopg.connect(dsn(server, "rialto_ledger", "ledger-secret")) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.accounts").fetchone() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM gateway.merchants")

    external.migrate(superuser, with_roles=True, environment=PASSWORDS | {password_variable("ledger"): "another"})
    with psycopg.connect(dsn(server, "rialto_ledger", "another")):
        pass


def test_a_missing_password_is_named_before_anything_is_made() -> None:
    with pytest.raises(OperatorError, match="RIALTO_FRAUD_DATABASE_PASSWORD is not set"):
        external.migrate(
            "postgresql://localhost/shop", with_roles=True, environment=PASSWORDS | {password_variable("fraud"): ""}
        )


def test_a_server_that_does_not_answer_is_explained() -> None:
    (port,) = processes.free_ports(1)
    with pytest.raises(OperatorError, match="cannot be reached"):
        external.migrate(f"postgresql://owner@127.0.0.1:{port}/shop", with_roles=False)


def test_fresh_secrets_are_each_their_own() -> None:
    first, second = external.fresh_secrets(), external.fresh_secrets()
    assert not {*first.values()} & {*second.values()}
    assert len({*first.values()}) == len(first)
    assert all(password_variable(role) in first for role in secrets.passwords())
