"""The programs of one installation: PostgreSQL, Kafka, anvil, an acquirer and five services, and their settings."""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rialto_cli.embedded import anvil, bus, chain_state, kafka, postgres
from rialto_cli.embedded.bus import BusChoice
from rialto_cli.embedded.processes import memory_bytes
from rialto_cli.embedded.secrets import Secrets
from rialto_cli.embedded.supervisor import Program

POSTGRES = "postgres"
KAFKA = "kafka"
ANVIL = "anvil"
ACQUIRER = "acquirer"
GATEWAY = "gateway"
# In the order of a payment's way through them.
SERVICES = (GATEWAY, "fraud", "compliance", "ledger", "chain-bridge")
PROGRAMS = (POSTGRES, ANVIL, ACQUIRER, *SERVICES)
"""What every installation has; `Installation.programs` has Kafka too where that is its bus."""
KAFKA_CONTROLLER = "kafka-controller"
"""The name of a port, not of a program."""
# A broker tells its clients where to find it, so they all take the same way, to a port of its own.
ALL_TO_KAFKA = "all:kafka"
KAFKA_DETOUR = "detour:kafka"
# Those that seal or open personal data.
KEYRING_USERS = (GATEWAY, "compliance")
# anvil keeps the states of the last 1,500 blocks whatever it is told (1.8 GB after a day's payments in 25 minutes);
# a restart takes 0.15 s, keeps every receipt and brings it back to 100 MB.
ANVIL_MEMORY_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Installation:
    """One data directory with its secrets and ports (by program name).

    `through`: where a service reaches another program by a way round, such as a proxy that fails on purpose: ports by
    `SERVICE:PROGRAM`.
    """

    data_dir: Path
    secrets: Secrets
    ports: Mapping[str, int]
    bus: BusChoice = field(default_factory=BusChoice)
    through: Mapping[str, int] = field(default_factory=dict)

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs by name, in the order of their start."""
        return programs(self.bus)

    @property
    def kafka(self) -> kafka.Node:
        """The Kafka of this installation's own; only where that is its bus."""
        detour = None
        if (told := self.through.get(ALL_TO_KAFKA)) is not None:
            detour = kafka.Detour(self.through[KAFKA_DETOUR], told)
        return kafka.Node(self.data_dir / "kafka", self.ports[KAFKA], self.ports[KAFKA_CONTROLLER], detour=detour)

    @property
    def bus_url(self) -> str:
        """The bus, as RIALTO_BUS_URL names it."""
        if self.bus.kind == bus.KAFKA:
            return self.kafka.url
        return self.bus.url or bus.POSTGRES

    @property
    def services_bus_url(self) -> str:
        """The services' RIALTO_BUS_URL."""
        told = self.through.get(ALL_TO_KAFKA)
        return self.bus_url if told is None else f"kafka://127.0.0.1:{told}"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's files."""
        return self.data_dir / "postgres"

    @property
    def chain_state(self) -> Path:
        """anvil's state file."""
        return self.data_dir / "anvil" / "state.json"

    @property
    def logs(self) -> Path:
        """One log a program."""
        return self.data_dir / "logs"

    @property
    def access(self) -> postgres.Access:
        """How to reach PostgreSQL."""
        return self.secrets.access(self.ports[POSTGRES])

    def port_for(self, service: str, program: str) -> int:
        """Where a service reaches a program."""
        return self.through.get(f"{service}:{program}", self.ports[program])

    def url(self, name: str) -> str:
        """A program's HTTP address."""
        return f"http://127.0.0.1:{self.ports[name]}"


def programs(choice: BusChoice) -> tuple[str, ...]:
    """The programs of an installation with this bus."""
    return (POSTGRES, KAFKA, *PROGRAMS[1:]) if choice.kind == bus.KAFKA else PROGRAMS


def port_names(choice: BusChoice) -> tuple[str, ...]:
    """What needs a port in an installation with this bus."""
    return (*programs(choice), KAFKA_CONTROLLER) if choice.kind == bus.KAFKA else PROGRAMS


def answers(url: str, *, timeout_seconds: float = 2.0) -> bool:
    """Whether a GET is answered with a 2xx now."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as response:  # noqa: S310 - our own http URLs
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def is_ready(installation: Installation, name: str) -> bool:
    """Whether a program can do its work now, by its own account."""
    if name == POSTGRES:
        return postgres.accepts_connections(installation.access)
    if name == KAFKA:
        return kafka.is_ready(installation.ports[KAFKA])
    if name == ANVIL:
        return anvil.block_number(installation.url(ANVIL)) is not None
    return answers(f"{installation.url(name)}/readyz")


def program(installation: Installation, name: str) -> Program:
    """How to run a program of this installation."""
    if name == POSTGRES:
        return _postgres(installation)
    if name == KAFKA:
        return kafka.program(installation.kafka)
    if name == ANVIL:
        return _anvil(installation)
    if name == ACQUIRER:
        return _acquirer(installation)
    return _service(installation, name)


def _readiness(installation: Installation, name: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await asyncio.to_thread(is_ready, installation, name)

    return ask


def _postgres(installation: Installation) -> Program:
    def prepare() -> None:
        postgres.clear_leftovers(installation.cluster)
        postgres.configure(installation.cluster, installation.ports[POSTGRES])

    return Program(
        name=POSTGRES,
        port=installation.ports[POSTGRES],
        command=postgres.server_command(installation.cluster),
        environment=postgres.server_environment(),
        working_directory=installation.cluster,
        is_ready=_readiness(installation, POSTGRES),
        prepare=prepare,
        stop_signal=signal.SIGINT,
        stop_timeout_seconds=60.0,
        death_signal=signal.SIGINT,
        account=postgres.server_account(installation.cluster),
    )


def _anvil(installation: Installation) -> Program:
    state_file = installation.chain_state
    keeper = chain_state.Keeper(state_file)

    def tend(pid: int) -> bool:
        keeper.copy()
        return memory_bytes(pid) > ANVIL_MEMORY_BYTES

    return Program(
        name=ANVIL,
        port=installation.ports[ANVIL],
        command=anvil.command(
            installation.ports[ANVIL],
            directory=state_file.parent,
            state_file=state_file,
            mnemonic=installation.secrets.chain_mnemonic,
        ),
        environment={"HOME": str(state_file.parent)},
        working_directory=state_file.parent,
        is_ready=_readiness(installation, ANVIL),
        prepare=keeper.repair,
        tend=tend,
        death_signal=signal.SIGTERM,
    )


def _acquirer(installation: Installation) -> Program:
    secrets = installation.secrets
    webhooks = f"{installation.url(GATEWAY)}/v1/connectors/sim/webhooks"
    return Program(
        name=ACQUIRER,
        port=installation.ports[ACQUIRER],
        command=[
            *(sys.executable, "-P", "-m", "rialto_cli", "acquirer-sim"),
            *("--port", str(installation.ports[ACQUIRER])),
            *("--data-dir", str(installation.data_dir / ACQUIRER)),
            *("--webhook-url", webhooks),
        ],
        environment={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "RIALTO_ACQUIRER_SIM_KEY": secrets.acquirer_key,
            "RIALTO_ACQUIRER_SIM_WEBHOOK_SECRET": secrets.acquirer_webhook_secret,
        },
        working_directory=installation.data_dir,
        is_ready=_readiness(installation, ACQUIRER),
    )


def _service(installation: Installation, name: str) -> Program:
    return Program(
        name=name,
        port=installation.ports[name],
        command=[sys.executable, "-P", "-m", f"rialto_{name.replace('-', '_')}", "--role", "all"],
        environment=service_environment(installation, name),
        working_directory=installation.data_dir,
        is_ready=_readiness(installation, name),
    )


def service_environment(installation: Installation, name: str) -> dict[str, str]:
    """A service's settings. The caller's own RIALTO_* variables reach it too, but cannot change where it runs."""
    secrets = installation.secrets
    prefix = f"RIALTO_{name.replace('-', '_').upper()}_"
    environment = {
        # numpy would start a thread for every core, in every process, for nothing.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "RIALTO_BUS_URL": installation.services_bus_url,
        "RIALTO_SERVICE_TOKEN_SECRET": secrets.service_token_secret,
        f"{prefix}DATABASE_URL": secrets.access(installation.port_for(name, POSTGRES)).dsn(name),
        f"{prefix}HTTP_HOST": "127.0.0.1",
        f"{prefix}HTTP_PORT": str(installation.ports[name]),
    }
    if installation.bus.kind != bus.CLUSTER:
        # Credentials for some other cluster: ours has none.
        environment |= {"RIALTO_BUS_USERNAME": "", "RIALTO_BUS_PASSWORD": ""}
    if name in KEYRING_USERS:
        environment["RIALTO_KEYRING_MASTER_KEY"] = secrets.keyring_master_key
    if name == GATEWAY:
        environment |= {
            f"{prefix}ADMIN_KEY": secrets.gateway_admin_key,
            f"{prefix}API_KEY_PEPPER": secrets.gateway_api_key_pepper,
            f"{prefix}LEDGER_URL": f"http://127.0.0.1:{installation.port_for(name, 'ledger')}",
            f"{prefix}ACQUIRER_URL": f"http://127.0.0.1:{installation.port_for(name, ACQUIRER)}",
            f"{prefix}ACQUIRER_KEY": secrets.acquirer_key,
            f"{prefix}ACQUIRER_WEBHOOK_SECRET": secrets.acquirer_webhook_secret,
            # Webhooks to this very machine are what a developer's laptop is for.
            f"{prefix}WEBHOOK_ALLOW_PRIVATE": "true",
        }
    if name == "chain-bridge":
        environment |= {
            f"{prefix}RPC_URL": f"http://127.0.0.1:{installation.port_for(name, ANVIL)}",
            f"{prefix}OPERATOR_KEY": secrets.chain_operator_key,
            f"{prefix}DEPLOY": "true",
        }
    return environment
