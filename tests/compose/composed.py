"""Run docker-compose.yml without Docker: its entry points, commands and environments, as processes of this machine.

Only hosts, ports and paths are mapped. Each image's Python environment is built by the Dockerfile's steps: the
libraries that deploy/docker/closure.py names, by their hashes, and the code that it copies. PostgreSQL and Kafka come
from this machine instead of their official images, with the settings that the file gives those.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from rialto_cli.embedded import anvil, kafka, kafka_jars, postgres
from rialto_cli.embedded.processes import free_ports, launch

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
PORTS = {"postgres": 5432, "kafka": 9092, "anvil": 8545}
HTTP_PORT = 8080
OFFICIAL = {"postgres": "pg_isready", "kafka": "kafka-broker-api-versions.sh"}
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
"""The official image's, where none is given."""
PATIENCE_SECONDS = 120.0
HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"


def services_of_the_file(secrets: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The file's services, with secrets filled in as compose does: in the values, after reading the document."""
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    return cast(dict[str, dict[str, Any]], _interpolated(document["services"], secrets))


def _interpolated(value: Any, secrets: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each, secrets) for each in value]
    return _filled_in(value, secrets) if isinstance(value, str) else value


def _filled_in(text: str, secrets: Mapping[str, str]) -> str:
    """Replace each ${NAME:?...}; another form of it would have a default, and fails here."""
    replaced = re.sub(r"\$\{([A-Z0-9_]+):\?[^}]*\}", lambda match: secrets[match[1]], text)
    assert "${" not in replaced, "a variable without `:?`"
    return replaced


def entry_point(stage: str) -> list[str]:
    """The ENTRYPOINT of a stage of the Dockerfile."""
    (body,) = re.findall(rf"(?ms)^FROM \S+ AS {stage}$(.*?)(?=^FROM |\Z)", DOCKERFILE.read_text())
    (found,) = re.findall(r"(?m)^ENTRYPOINT (\[.*\])$", body)
    return list(json.loads(found))


def build_image(service: str, folder: Path) -> Path:
    """Make what the image of a service has in /opt/rialto, and return the folder; made once."""
    target = folder / service
    if target.exists():
        return target
    closure = ROOT / "deploy" / "docker" / "closure.py"
    lock = folder / f"{service}.lock"
    arguments = [sys.executable, str(closure), str(ROOT), service, str(ROOT / "requirements.lock")]
    lock.write_text(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
    options = ["--python", str(target / "bin" / "python"), "--no-deps", "--require-hashes", "-r", str(lock)]
    # Behind a proxy with certificates of its own, the system's are the right ones; as in the Makefile.
    commands = [[*uv, *more, *options] for more in ([], ["--system-certs"])]
    done = any(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    assert done, f"the libraries of {service} could not be installed: try {' '.join(commands[0])}"
    subprocess.run([sys.executable, str(closure), "--copy", str(ROOT), service, str(target)], check=True)
    return target


class Composed:
    """The services of the file, each as one process."""

    def __init__(self, folder: Path, secrets: Mapping[str, str]) -> None:
        self.services = services_of_the_file(secrets)
        self._folder = folder
        self._password = secrets["POSTGRES_PASSWORD"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._done: set[str] = set()
        self.ports = dict(zip(self.services, free_ports(len(self.services)), strict=True))
        (self._controller_port,) = free_ports(1, taken=self.ports.values())

    @property
    def url(self) -> str:
        """The published API."""
        (published,) = self.services["gateway"]["ports"]
        assert published == f"127.0.0.1:{HTTP_PORT}:{HTTP_PORT}"
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def up(self) -> None:
        """Start everything in the order that the file's conditions give."""
        for name in self.services:
            self._need(name, None)

    def _need(self, name: str, condition: str | None) -> None:
        if name not in self._processes:
            for other, its in self.services[name].get("depends_on", {}).items():
                self._need(other, its["condition"])
            self._processes[name] = self._start(name)
        if condition == COMPLETED:
            status = self._processes[name].wait(PATIENCE_SECONDS)
            assert status == 0, f"{name} ended with status {status}:\n{self.log(name)}"
        elif condition == HEALTHY:
            self.wait_until_healthy(name)

    def wait_until_healthy(self, name: str) -> None:
        """Return when the healthcheck of a service passes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_healthy(name):
            assert self._processes[name].poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(0.1)

    def is_healthy(self, name: str) -> bool:
        """Whether the healthcheck of a service passes now."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        if name in OFFICIAL:
            # The checks of the official images are programs that only these have; we ask the same in another way.
            assert Path(command[0]).name == OFFICIAL[name]
            port = self.ports[name]
            access = postgres.Access(port, self._password, {})
            return kafka.is_ready(port) if name == "kafka" else postgres.accepts_connections(access)
        mapped = [self._mapped(name, part) for part in command]
        return subprocess.run(mapped, capture_output=True, timeout=30, env={"LC_ALL": "C"}).returncode == 0

    def log(self, name: str) -> str:
        """What a service has printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def down(self) -> dict[str, int]:
        """Stop everything, who uses others first; return the exit statuses of the services of ours."""
        statuses = {}
        for name, process in reversed(self._processes.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
                try:
                    status = process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    status = process.wait()
                if "image" in self.services[name] and "build" in self.services[name]:
                    statuses[name] = status
        return statuses

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        service = self.services[name]
        if name == "postgres":
            return self._start_postgres(service["command"])
        if name == "kafka":
            return self._start_kafka(service["environment"])
        stage = service["build"].get("target", "service")
        command = [self._mapped(name, part) for part in (*entry_point(stage), *service["command"])]
        environment = {key: self._mapped(name, str(value)) for key, value in service["environment"].items()}
        for key in environment:
            if key.endswith("_HTTP_PORT"):
                assert environment[key] == str(HTTP_PORT)
                environment[key] = str(self.ports[name])
        return self._launch(name, command, environment)

    def _launch(self, name: str, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        home = self._folder / name
        home.mkdir(exist_ok=True)
        with (self._folder / f"{name}.log").open("ab") as log:
            return launch(command, environment=environment, working_directory=home, output=log)

    def _mapped(self, name: str, text: str) -> str:
        """One argument or value of a service with this machine's hosts, ports and paths."""
        build = self.services[name].get("build", {})
        home = self._folder / name
        paths = {"/data/": f"{home}/", "/tmp/": f"{home}/tmp-", "/usr/local/bin/python": sys.executable}
        if "SERVICE" in build.get("args", {}):
            paths["/opt/rialto/"] = f"{build_image(build['args']['SERVICE'], self._folder.parent)}/"
        if name == "anvil":
            paths["/usr/local/bin/anvil"] = str(anvil.program())
        for here, there in paths.items():
            text = text.replace(here, there) if text.startswith(here) else text
        for other, port in self.ports.items():
            inside = PORTS.get(other, HTTP_PORT)
            text = re.sub(rf"\b{other}:{inside}\b", f"127.0.0.1:{port}", text)
        own = PORTS.get(name, HTTP_PORT)
        text = text.replace(f"127.0.0.1:{own}", f"127.0.0.1:{self.ports[name]}")
        if name == "anvil" and text == str(own):
            text = str(self.ports[name])
        return text.replace("0.0.0.0", "127.0.0.1")

    def _start_postgres(self, command: list[str]) -> "subprocess.Popen[bytes]":
        assert command[0] == "postgres"
        settings = dict(setting.split("=", 1) for flag, setting in zip(command[1::2], command[2::2], strict=True))
        cluster = self._folder / "postgres"
        postgres.initialise(cluster, self._password, sync=False)
        postgres.configure(cluster, self.ports["postgres"], {**postgres.NOT_DURABLE, **settings})
        with (self._folder / "postgres.log").open("ab") as log:
            return postgres.start(cluster, log)

    def _start_kafka(self, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Give the settings to a broker as the official image does: KAFKA_LOG_DIRS is log.dirs."""
        home = self._folder / "kafka"
        home.mkdir()
        given = {key: value for key, value in environment.items() if key != "KAFKA_HEAP_OPTS"}
        mapped = {key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in given.items()}
        mapped["log.dirs"] = str(home / "data")
        lines = [f"{key}={self._mapped('kafka', value)}" for key, value in mapped.items()]
        text = "\n".join(lines).replace("localhost:9093", f"127.0.0.1:{self._controller_port}")
        (home / "server.properties").write_text(text)
        heap = environment["KAFKA_HEAP_OPTS"].split()
        java = [str(kafka_jars.find_java().program), *heap, "-cp", kafka_jars.class_path()]
        format_storage = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties"]
        subprocess.run([*java, *format_storage], cwd=home, check=True, capture_output=True)
        return self._launch("kafka", [*java, "kafka.Kafka", "server.properties"], {})
