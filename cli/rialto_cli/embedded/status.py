"""What `rialto status` tells: every program with its process and port, and how to reach the platform."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rialto_cli.embedded import bus, postgres, secrets, services
from rialto_cli.embedded.services import ANVIL, GATEWAY, Installation
from rialto_cli.embedded.state import State, is_running
from rialto_cli.embedded.welcome import Demo
from rialto_cli.errors import OperatorError


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """One program: its process (None when it has none at the moment), its port, and its own word on readiness."""

    pid: int | None
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Status:
    """A running platform."""

    installation: Installation
    programs: dict[str, ProgramStatus]
    demo: Demo | None

    @property
    def ready(self) -> bool:
        """Whether everything is ready, the demo merchant included."""
        return self.demo is not None and all(program.ready for program in self.programs.values())

    def urls(self) -> dict[str, str]:
        """Where people and tools look."""
        api = self.installation.url(GATEWAY)
        metrics = {f"{name}_metrics": f"{self.installation.url(name)}/metrics" for name in services.SERVICES}
        return {"api": api, "docs": f"{api}/docs", "openapi": f"{api}/openapi.json", **metrics}

    def as_json(self) -> dict[str, Any]:
        """The document of `rialto status --json`."""
        installation = self.installation
        return {
            "ready": self.ready,
            "services": {
                name: {"pid": program.pid, "port": program.port, "ready": program.ready}
                for name, program in self.programs.items()
            },
            "bus": {"kind": installation.bus.kind, "url": installation.bus_url},
            "auditor_dsn": installation.access.dsn(postgres.AUDITOR),
            "chain_rpc": installation.url(ANVIL),
            "test_key": None if self.demo is None else self.demo.test_key,
            "admin_key": installation.secrets.gateway_admin_key,
            "urls": self.urls(),
        }


def find_running(data_dir: Path) -> tuple[Installation, State]:
    """The installation of a data directory on which the platform runs.

    Raises: OperatorError: it does not run.
    """
    if not is_running(data_dir):
        raise OperatorError(
            f"Rialto is not running on {data_dir}",
            "no process holds its lock" if data_dir.exists() else "there is no such directory",
            f"start it with `rialto up --data-dir {data_dir}`",
        )
    state = State.load(data_dir)
    choice = bus.load(data_dir)
    if choice is None or not set(services.port_names(choice)) <= set(state.ports):
        raise OperatorError(
            f"Rialto is just starting on {data_dir}", "it has not come to its services yet", "ask again in a moment"
        )
    return Installation(data_dir, secrets.load(data_dir), state.ports, choice), state


def collect(data_dir: Path) -> Status:
    """Ask every program whether it is ready.

    Raises: OperatorError: the platform does not run.
    """
    installation, state = find_running(data_dir)
    names = installation.programs
    with ThreadPoolExecutor(len(names)) as pool:
        ready = dict(zip(names, pool.map(lambda name: services.is_ready(installation, name), names), strict=True))
    programs = {}
    for name in names:
        identity = state.processes.get(name)
        alive = identity is not None and identity.process() is not None
        programs[name] = ProgramStatus(
            identity.pid if identity is not None and alive else None, installation.ports[name], ready[name] and alive
        )
    return Status(installation, programs, Demo.load(data_dir))


def show(status: Status) -> None:
    """Print the status as a table."""
    table = Table("program", "process", "port", "ready", box=None, pad_edge=False)
    for name, program in status.programs.items():
        table.add_row(
            name, str(program.pid or "-"), str(program.port), "[green]yes[/green]" if program.ready else "[red]no[/red]"
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"{'bus':<22} {status.installation.bus_url}", markup=False)
    for name, url in status.urls().items():
        console.print(f"{name:<22} {url}", markup=False)
