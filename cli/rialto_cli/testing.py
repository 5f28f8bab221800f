"""Pytest plugin: real PostgreSQL and anvil for integration tests.

postgres           one throw-away server for the whole session, every role created
database           a freshly migrated database of it for one test (a copy of a template: milliseconds)
module_database    the same, shared by the tests of one module
postgres_factory   servers of a test's own, to kill and start again
anvil              one anvil for the whole session, a block each second
anvil_factory      nodes of a test's own: `anvil_factory(state_file=...)`

Each DSN is a libpq URI: `database.dsn("ledger")`, `database.dsn("owner")`, `database.dsn("auditor")`.
"""

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rialto_cli.embedded import anvil as evm
from rialto_cli.embedded import chain_state, migrations, postgres, processes, secrets

TEMPLATE = "rialto_template"
STOP_TIMEOUT_SECONDS = 30.0


def end_process(process: "subprocess.Popen[bytes] | None", number: signal.Signals) -> bool:
    """Send a signal and wait until the process is gone, killed if need be; False where it could not tidy up."""
    if process is None:
        return True
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return number != signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a test server."""

    server: "PostgresServer"
    name: str

    def dsn(self, role: str = postgres.OWNER) -> str:
        """The libpq URI for a role by its short name, such as owner, auditor, ledger or chain_bridge."""
        return self.server.access.dsn(role, self.name)

    def superuser_dsn(self) -> str:
        """The libpq URI of the superuser, for tests that break what no role of ours may touch."""
        return self.server.access.superuser_dsn(self.name)


class PostgresServer:
    """A throw-away server. Not durable (fsync off) unless asked: it survives `kill`, not a power cut."""

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self._directory = directory
        self._cluster = directory / "cluster"
        self._overrides = {} if durable else postgres.NOT_DURABLE
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)
        self.access = postgres.Access(processes.free_ports(1)[0], "superuser", secrets.passwords())
        # The server may run as `nobody` (see launcher.py), which must be able to open its own folder.
        directory.chmod(0o755)
        postgres.initialise(self._cluster, self.access.superuser_password, sync=False)
        postgres.configure(self._cluster, self.access.port, self._overrides)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server (again), on the same port, and wait until it answers."""
        postgres.clear_leftovers(self._cluster, grace_seconds=2)
        with (self._directory / "postgres.log").open("ab") as log:
            process = self._process = postgres.start(self._cluster, log)
        postgres.wait_until_ready(self.access, lambda: process.poll() is None)
        postgres.ensure_roles(self.access.superuser_dsn(), self.access.passwords)

    def stop(self) -> None:
        """Shut the server down; open connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """`kill -9` the postmaster, and wait until it and its backends are gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if not end_process(self._process, number):
            postgres.clear_leftovers(self._cluster, grace_seconds=2)
        self._process = None

    def create_database(self) -> Database:
        """A freshly migrated database."""
        self._ensure_template()
        # The process id keeps names apart when a server is shared by mistake.
        name = f"test_{os.getpid()}_{next(self._names)}"
        postgres.ensure_database(self.access.superuser_dsn(), name, template=TEMPLATE)
        return Database(self, name)

    def drop_database(self, database: Database) -> None:
        """Drop a database, cutting its connections."""
        with psycopg.connect(self.access.superuser_dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def _ensure_template(self) -> None:
        with psycopg.connect(self.access.superuser_dsn(), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
                return
        # Under another name until it is complete: a failed migration must not leave a template that looks finished.
        building = f"{TEMPLATE}_building"
        postgres.ensure_database(self.access.superuser_dsn(), building)
        migrations.migrate(self.access.dsn(postgres.OWNER, building), migrations.available())
        with psycopg.connect(self.access.superuser_dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(TEMPLATE))
            )


class AnvilNode:
    """A running anvil. Its accounts are those of the well-known test mnemonic unless another one is given."""

    def __init__(self, directory: Path, *, state_file: Path | None = None, mnemonic: str | None = None) -> None:
        self._directory = directory
        self._state_file = state_file
        self._mnemonic = mnemonic
        self._process: subprocess.Popen[bytes] | None = None
        self.port = processes.free_ports(1)[0]

    @property
    def url(self) -> str:
        """The JSON-RPC address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the node (again), on the same port, and wait until it answers."""
        arguments = evm.command(
            self.port, directory=self._directory, state_file=self._state_file, mnemonic=self._mnemonic
        )
        if self._state_file is not None:
            chain_state.Keeper(self._state_file).repair()
        with (self._directory / f"anvil-{self.port}.log").open("ab") as log:
            process = self._process = evm.start(arguments, self._directory, log)
        evm.wait_until_ready(self.url, lambda: process.poll() is None)

    def stop(self) -> None:
        """End the node; with a state file it writes its state first."""
        end_process(self._process, signal.SIGTERM)
        self._process = None

    def kill(self) -> None:
        """`kill -9` the node: it forgets what its last dump did not have."""
        end_process(self._process, signal.SIGKILL)
        self._process = None


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A folder for servers' files; not pytest's own, which only its owner may enter."""
    with tempfile.TemporaryDirectory(prefix="rialto-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[PostgresServer]:
    """The session's server, under a name that does not hide the module of the same name."""
    directory = server_directory / "postgres"
    directory.mkdir()
    server = PostgresServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session", name="postgres")
def postgres_fixture(postgres_server: PostgresServer) -> PostgresServer:
    """One throw-away server for the whole session. Do not stop it: take `postgres_factory` for that."""
    return postgres_server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A freshly migrated database for one test."""
    created = postgres_server.create_database()
    yield created
    postgres_server.drop_database(created)


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A freshly migrated database for the tests of one module."""
    created = postgres_server.create_database()
    yield created
    postgres_server.drop_database(created)


@pytest.fixture
def postgres_factory(server_directory: Path) -> Iterator[Callable[..., PostgresServer]]:
    """Start servers of a test's own, to stop, kill and start again: `postgres_factory(durable=True)`."""
    servers: list[PostgresServer] = []

    def create(*, durable: bool = False) -> PostgresServer:
        server = PostgresServer(Path(tempfile.mkdtemp(prefix="own-", dir=server_directory)), durable=durable)
        servers.append(server)
        server.start()
        return server

    yield create
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def anvil(server_directory: Path) -> Iterator[AnvilNode]:
    """One anvil for the whole session, without a state file. Do not stop it: take `anvil_factory` for that."""
    node = AnvilNode(server_directory)
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def anvil_factory(server_directory: Path) -> Iterator[Callable[..., AnvilNode]]:
    """Start nodes of a test's own: `anvil_factory(state_file=path, mnemonic=words)`."""
    nodes: list[AnvilNode] = []

    def create(*, state_file: Path | None = None, mnemonic: str | None = None) -> AnvilNode:
        node = AnvilNode(server_directory, state_file=state_file, mnemonic=mnemonic)
        nodes.append(node)
        node.start()
        return node

    yield create
    for node in nodes:
        node.stop()
