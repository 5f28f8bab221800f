"""Pytest plugin: a real Kafka broker for integration tests.

kafka              one throw-away broker for the whole session; tests keep apart by the prefix of their names
kafka_cluster      a KafkaCluster on it with a prefix, and topics, of one test's own
kafka_factory      brokers of a test's own, to kill, pause and start again: `kafka_factory(secured=True)`

These tests run wherever there is a JDK and Maven. Elsewhere they are skipped, and the end of the run says so.
"""

import asyncio
import itertools
import os
import secrets
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rialto_cli.console import Progress
from rialto_cli.embedded import kafka as broker
from rialto_cli.embedded import kafka_jars, processes
from rialto_cli.testing import end_process
from rialto_common.bus.kafka_cluster import KafkaCluster, SaslMechanism
from rialto_common.bus.topics_admin import ensure_topics
from rialto_common.runtime import SystemRuntime

USERNAME = "rialto"
_SKIPPED: set[str] = set()
_names = itertools.count(1)


class KafkaBroker:
    """A throw-away broker of one node. `secured` opens a second port with TLS and SASL."""

    def __init__(self, directory: Path, *, secured: bool = False) -> None:
        self._log_file = directory / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None
        port, controller_port, secured_port = processes.free_ports(3)
        self._secured = self._make_secured(directory, secured_port) if secured else None
        self.node = broker.Node(directory, port, controller_port, self._secured)
        broker.initialise(self.node)

    @staticmethod
    def _make_secured(directory: Path, port: int) -> broker.Secured:
        certificate, authority = directory / "broker.pem", directory / "ca.pem"
        write_certificate(certificate, authority)
        return broker.Secured(port, certificate, USERNAME, secrets.token_hex(16))

    @property
    def port(self) -> int:
        """The port without TLS and password."""
        return self.node.port

    @property
    def url(self) -> str:
        """What RIALTO_BUS_URL would be."""
        return self.node.url

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._process is None:
            raise RuntimeError("the broker is not running")
        return self._process.pid

    def cluster(self, prefix: str = "") -> KafkaCluster:
        """How to reach it, without TLS."""
        return KafkaCluster((f"127.0.0.1:{self.port}",), prefix=prefix)

    def secured_cluster(self, prefix: str = "", mechanism: SaslMechanism = "SCRAM-SHA-512") -> KafkaCluster:
        """How to reach it with TLS and SASL."""
        if self._secured is None:
            raise RuntimeError("start the broker with secured=True")
        return KafkaCluster(
            (f"127.0.0.1:{self._secured.port}",),
            tls=True,
            prefix=prefix,
            username=self._secured.username,
            password=self._secured.password,
            mechanism=mechanism,
            ca_file=str(self._secured.certificate.with_name("ca.pem")),
        )

    def start(self) -> None:
        """Start the broker (again), on the same ports, and wait until it works: 2 s, or 6 s after `kill`."""
        broker.configure(self.node)
        with self._log_file.open("ab") as log:
            process = self._process = broker.start(self.node, log)
        broker.wait_until_ready(self.port, lambda: process.poll() is None)

    def stop(self) -> None:
        """Shut the broker down in order."""
        if self._process is not None:
            self.resume()
        end_process(self._process, signal.SIGTERM)
        self._process = None

    def kill(self) -> None:
        """`kill -9` the broker."""
        end_process(self._process, signal.SIGKILL)
        self._process = None

    def pause(self) -> None:
        """Stop the process where it is (SIGSTOP): connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)


def write_certificate(certificate: Path, authority: Path) -> None:
    """Make an authority of its own, and a server certificate for 127.0.0.1 by it; both are PEM files."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("test authority", "broker")]

    def sign(subject: int, extension: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=names[0],
            subject_name=names[subject],
            public_key=keys[subject].public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(hours=1),
            not_valid_after=now + timedelta(days=1),
        )
        return builder.add_extension(extension, critical=subject == 0).sign(keys[0], hashes.SHA256())

    pem = serialization.Encoding.PEM
    ca = sign(0, x509.BasicConstraints(ca=True, path_length=0))
    server = sign(1, x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]))
    key = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority.write_bytes(ca.public_bytes(pem))
    certificate.write_bytes(key + server.public_bytes(pem) + ca.public_bytes(pem))
    ssl.create_default_context(cafile=authority)  # raises when a client could not read it


def _require(what: str) -> None:
    """Skip the test where no broker can run, loudly; fetch the broker where one can."""
    reason = kafka_jars.why_not()
    if reason is not None:
        _SKIPPED.add(what)
        pytest.skip(f"no Kafka here: {reason}")
    with Progress() as progress:
        kafka_jars.install(progress)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not run for want of a JDK or Maven."""
    if _SKIPPED:
        terminalreporter.section("Kafka was NOT tested", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(_SKIPPED)} tests were skipped, for {kafka_jars.why_not()}")


@pytest.fixture(scope="session")
def kafka_broker(server_directory: Path) -> Iterator[KafkaBroker | None]:
    """The session's broker; None where there can be none (each test that needs it is skipped by itself)."""
    if kafka_jars.why_not() is not None:
        yield None
        return
    with Progress() as progress:
        kafka_jars.install(progress)
    directory = server_directory / "kafka"
    directory.mkdir()
    server = KafkaBroker(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def kafka(kafka_broker: KafkaBroker | None, request: pytest.FixtureRequest) -> KafkaBroker:
    """One throw-away broker for the whole session. Do not stop it: take `kafka_factory` for that."""
    _require(request.node.nodeid)
    if kafka_broker is None:
        raise RuntimeError("a broker could run here, but was not started")
    return kafka_broker


@pytest.fixture
def kafka_cluster(kafka: KafkaBroker) -> KafkaCluster:
    """A cluster of one test's own: a fresh prefix on the session's broker, with all topics (of 8 partitions)."""
    # The process id keeps names apart when a broker is shared by mistake.
    cluster = kafka.cluster(f"test-{os.getpid()}-{next(_names)}")
    create_topics(cluster)
    return cluster


def create_topics(cluster: KafkaCluster, *, partitions: int | None = None) -> None:
    """Create a cluster's topics, as `rialto topics apply` does; or add partitions."""

    def run() -> None:
        asyncio.run(ensure_topics(cluster, SystemRuntime(), partitions=partitions))

    # A thread has no event loop of its own, whereas the caller's may be running.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.fixture
def kafka_factory(server_directory: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., KafkaBroker]]:
    """Start brokers of a test's own, to stop, kill, pause and start again: `kafka_factory(secured=True)`."""
    _require(request.node.nodeid)
    servers: list[KafkaBroker] = []

    def create(*, secured: bool = False) -> KafkaBroker:
        server = KafkaBroker(Path(tempfile.mkdtemp(prefix="kafka-", dir=server_directory)), secured=secured)
        servers.append(server)
        server.start()
        return server

    yield create
    for server in servers:
        server.stop()
