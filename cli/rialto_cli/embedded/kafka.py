"""A real Apache Kafka of one node (KRaft: broker and controller in one process), configured and started by us.

It listens on 127.0.0.1 only, without a password: whoever may open a port on this machine may speak to it. For tests of
TLS and SASL it opens a second port. One node keeps one copy of each record and leaves writing it out to the operating
system: a killed broker loses nothing, a power cut may take the last second (see deploy/kafka/README.md).
"""

import asyncio
import base64
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rialto_cli.embedded import kafka_jars
from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.files import write_atomically
from rialto_cli.embedded.processes import launch
from rialto_cli.embedded.supervisor import Program
from rialto_cli.errors import OperatorError

# After `kill -9` the controller takes the old process for alive until its session ends: 6 s from start to ready.
SESSION_TIMEOUT_MS = 3000
START_TIMEOUT_SECONDS = 90.0
FORMAT_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")

# For a machine of two cores that has more to do: half of the default heap, one thread to collect it, and of the two
# compilers the one that is quick itself (ready in 1.9 s instead of 2.5 s, for 2.3 s of CPU instead of 4.0 s).
JVM = (
    *("-Xms96m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData"),
)

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "LOCAL",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": str(SESSION_TIMEOUT_MS),
    "broker.heartbeat.interval.ms": "500",
    # The first member of a group need not wait for others: each start would be 3 s later.
    "group.initial.rebalance.delay.ms": "0",
    # As low as a client may ask for, so that a dead member's partitions move on soon.
    "group.min.session.timeout.ms": "1000",
    "min.insync.replicas": "1",
    # One node, few partitions: Kafka's own topics have 50 each by default, and every one is a folder and open files.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.segment.bytes": str(16 * 1024 * 1024),
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.segment.bytes": str(16 * 1024 * 1024),
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.segment.bytes": str(64 * 1024 * 1024),
    "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    "message.max.bytes": str(1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    # It starts in seconds or not at all; later than this the supervisor has given up.
    "initial.broker.registration.timeout.ms": "60000",
}

LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %-5p %c{1} %m%n
logger.started.name = kafka.server.KafkaRaftServer
logger.started.level = info
logger.state.name = kafka.server.BrokerLifecycleManager
logger.state.level = info
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """A second port with TLS and SASL. `certificate` is a PEM file with the key (PKCS #8) and the certificate."""

    port: int
    certificate: Path
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Detour:
    """One more port, of which clients are told another: a proxy's that leads there."""

    port: int
    told_port: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its folder and its ports. The controller's port is used by the node itself only."""

    directory: Path
    port: int
    controller_port: int
    secured: Secured | None = None
    detour: Detour | None = None

    @property
    def data(self) -> Path:
        """Where the records are."""
        return self.directory / "data"

    @property
    def settings_file(self) -> Path:
        """Kafka's server.properties."""
        return self.directory / "server.properties"

    @property
    def logging_file(self) -> Path:
        """Log4j's configuration."""
        return self.directory / "log4j2.properties"

    @property
    def url(self) -> str:
        """What RIALTO_BUS_URL would be."""
        return f"kafka://127.0.0.1:{self.port}"


def settings(node: Node, data: Path | None = None) -> dict[str, str]:
    """The contents of server.properties; `data` instead of the node's own folder while it is being made."""
    listeners = {"LOCAL": node.port, "CONTROLLER": node.controller_port}
    chosen = {
        **SETTINGS,
        "controller.quorum.voters": f"1@127.0.0.1:{node.controller_port}",
        "log.dirs": str((data or node.data).resolve()),
        "listener.security.protocol.map": "LOCAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    if node.secured is not None:
        listeners["SECURED"] = node.secured.port
        chosen |= _secured_settings(node.secured)
    told = dict(listeners)
    if node.detour is not None:
        listeners["DETOUR"], told["DETOUR"] = node.detour.port, node.detour.told_port
        chosen["listener.security.protocol.map"] += ",DETOUR:PLAINTEXT"
    chosen["listeners"] = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
    chosen["advertised.listeners"] = ",".join(
        f"{name}://127.0.0.1:{port}" for name, port in told.items() if name != "CONTROLLER"
    )
    return chosen


def _secured_settings(secured: Secured) -> dict[str, str]:
    prefix = "listener.name.secured"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required "
    plain += f'user_{secured.username}="{secured.password}";'
    return {
        "listener.security.protocol.map": "LOCAL:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
        f"{prefix}.ssl.keystore.type": "PEM",
        f"{prefix}.ssl.keystore.location": str(secured.certificate.resolve()),
        f"{prefix}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
        f"{prefix}.scram-sha-256.sasl.jaas.config": scram,
        f"{prefix}.plain.sasl.jaas.config": plain,
    }


def configure(node: Node) -> None:
    """Write the node's configuration; ours alone, so that an upgrade of Rialto brings its settings along."""
    node.directory.mkdir(parents=True, exist_ok=True)
    # It may hold a password, and a properties file wants its backslashes doubled.
    write_atomically(node.settings_file, _properties(settings(node)), mode=0o600)
    write_atomically(node.logging_file, LOGGING)


def _properties(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in values.items())


def initialise(node: Node) -> None:
    """Format the node's storage unless it exists. Half-formatted storage never stays: it gets its name when complete.

    Raises: OperatorError: Kafka's tool refuses.
    """
    if (node.data / "meta.properties").exists():
        return
    configure(node)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=node.directory))
    try:
        file = building / "server.properties"
        write_atomically(file, _properties(settings(node, building / "data")), mode=0o600)
        # A cluster's id is a UUID in base64: it may begin with a dash, so it is joined to its option.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*_java(node), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(file)]
        if node.secured is not None:
            for mechanism in MECHANISMS[:2]:
                user = f"name={node.secured.username},password={node.secured.password}"
                command += ["--add-scram", f"{mechanism}=[{user}]"]
        result = subprocess.run(
            command, cwd=building, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_SECONDS, check=False
        )
        if result.returncode != 0:
            lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
            raise OperatorError(
                "Kafka could not create its files",
                lines[-1] if lines else f"its storage tool ended with status {result.returncode}",
                f"check that {node.directory} is writable and its disk has room, then run the command again",
            )
        crash_point("supervisor.kafka.before_storage_named")
        (building / "data").rename(node.data)
        crash_point("supervisor.kafka.after_storage_named")
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _java(node: Node) -> list[str]:
    options = [*JVM, f"-Dlog4j2.configurationFile={node.logging_file.resolve()}"]
    return [str(kafka_jars.find_java().program), *options, "-cp", kafka_jars.class_path()]


def server_command(node: Node) -> list[str | Path]:
    """The command line of a configured node."""
    return [*_java(node), "kafka.Kafka", node.settings_file.resolve()]


def server_environment() -> dict[str, str]:
    """Nothing of the caller's environment reaches the server: JAVA_TOOL_OPTIONS and the like would change it."""
    return {"LC_ALL": "C.UTF-8"}


def program(node: Node) -> Program:
    """How a supervisor runs a node whose storage exists."""

    async def ask() -> bool:
        return await asyncio.to_thread(is_ready, node.port)

    return Program(
        name="kafka",
        port=node.port,
        command=server_command(node),
        environment=server_environment(),
        working_directory=node.directory,
        is_ready=ask,
        prepare=lambda: configure(node),
        stop_timeout_seconds=60.0,
        death_signal=signal.SIGTERM,
    )


def start(node: Node, output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    """Start a configured node. It shuts down in order (SIGTERM) when we die."""
    return launch(
        server_command(node),
        environment=server_environment(),
        working_directory=node.directory,
        output=output,
        death_signal=signal.SIGTERM,
    )


def is_ready(port: int, *, timeout_seconds: float = 2.0) -> bool:
    """Whether the broker does its work now.

    It asks for the cluster's metadata, as every client does first. A broker that its controller has not let in (yet)
    answers that there are no brokers.
    """
    client = b"rialto"
    # Metadata is request 3; version 1 is the oldest that tells an empty list of topics (none) from all of them.
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            # Length, correlation id, number of brokers.
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] > 0


def wait_until_ready(port: int, still_running: Callable[[], bool]) -> None:
    """Return when the broker does its work.

    Raises: OperatorError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not is_ready(port):
        if not still_running() or time.monotonic() > deadline:
            raise OperatorError(
                "Kafka did not start",
                "it ended while starting" if not still_running() else "it did not answer in time",
                "read kafka.log in its folder of logs: the last lines name the reason",
            )
        time.sleep(POLL_SECONDS)
