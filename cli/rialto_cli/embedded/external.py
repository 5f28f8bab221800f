"""What a PostgreSQL of one's own needs before the services: roles, a database, the schemas; and fresh secrets."""

import os
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import conninfo

from rialto_cli.embedded import migrations, postgres, secrets
from rialto_cli.embedded.migrations import Migration
from rialto_cli.errors import OperatorError


def password_variable(role: str) -> str:
    """The variable with the password of a role, named shortly (`gateway`, `owner`)."""
    return f"RIALTO_{role.upper()}_DATABASE_PASSWORD"


def migrate(dsn: str, *, with_roles: bool, environment: Mapping[str, str] = os.environ) -> list[Migration]:
    """Apply the pending migrations to a database, and return them.

    Args: dsn: the database as its owner; or, with_roles, as a superuser who makes owner, roles and database first.
    Raises: OperatorError: it cannot be reached, a password is missing, or see the migrations' own.
    """
    try:
        parts = conninfo.conninfo_to_dict(dsn)
        if with_roles:
            dsn = _prepare(parts, environment)
        return migrations.migrate(dsn, migrations.available())
    except psycopg.ProgrammingError as error:
        raise OperatorError(
            "The database cannot be migrated", str(error).strip(), "give a DSN such as postgresql://USER@HOST/DATABASE"
        ) from error
    except psycopg.OperationalError as error:
        raise OperatorError(
            "The database cannot be reached", str(error).strip(), "check the DSN's host, port, user and password"
        ) from error


def _prepare(parts: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Make roles and database, and return the owner's DSN."""
    variables = {role: password_variable(role) for role in postgres.ROLES}
    missing = [variable for variable in variables.values() if not environment.get(variable)]
    if missing:
        raise OperatorError(
            "The roles cannot be created", f"{', '.join(missing)} is not set", "`rialto secrets` prints fresh ones"
        )
    passwords = {role: environment[variable] for role, variable in variables.items()}
    name = str(parts.get("dbname") or postgres.DATABASE)
    # The database may not exist yet.
    superuser_dsn = conninfo.make_conninfo(**{**parts, "dbname": postgres.SUPERUSER})
    postgres.ensure_roles(superuser_dsn, passwords, renew_passwords=True)
    postgres.ensure_database(superuser_dsn, name)
    owner = {"user": f"rialto_{postgres.OWNER}", "password": passwords[postgres.OWNER], "dbname": name}
    return conninfo.make_conninfo(**{**parts, **owner})


def fresh_secrets() -> dict[str, str]:
    """Every secret that docker-compose.yml asks for, by its variable."""
    made = secrets.create()
    return {
        "POSTGRES_PASSWORD": made.superuser_password,
        **{password_variable(role): password for role, password in made.role_passwords.items()},
        "RIALTO_SERVICE_TOKEN_SECRET": made.service_token_secret,
        "RIALTO_KEYRING_MASTER_KEY": made.keyring_master_key,
        "RIALTO_GATEWAY_ADMIN_KEY": made.gateway_admin_key,
        "RIALTO_GATEWAY_API_KEY_PEPPER": made.gateway_api_key_pepper,
        "RIALTO_CHAIN_MNEMONIC": made.chain_mnemonic,
        "RIALTO_CHAIN_BRIDGE_OPERATOR_KEY": made.chain_operator_key,
    }
