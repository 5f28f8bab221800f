"""The service as a process of its own: settings from the environment, a clear word when it cannot start."""

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from rialto_cli.testing import Database
from rialto_compliance.adapters.list_files import FIXTURE
from rialto_compliance.settings import ComplianceSettings

REQUIRED = {
    "RIALTO_COMPLIANCE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "RIALTO_SERVICE_TOKEN_SECRET": "a secret of thirty-two characters",
    "RIALTO_KEYRING_MASTER_KEY": b64encode(bytes(32)).decode(),
}


def set_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in list(os.environ):
        if name.startswith("RIALTO_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_the_fixture_list_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, REQUIRED)
    assert ComplianceSettings().list_paths == (FIXTURE,)


def test_list_paths_are_parted_by_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, REQUIRED | {"RIALTO_COMPLIANCE_LIST_PATHS": "a.csv:b.csv.gz"})
    assert ComplianceSettings().list_paths == (Path("a.csv"), Path("b.csv.gz"))


def test_a_worker_without_its_lists_stops_with_a_sentence(database: Database) -> None:
    variables = REQUIRED | {
        "RIALTO_COMPLIANCE_DATABASE_URL": database.dsn("compliance"),
        "RIALTO_COMPLIANCE_LIST_PATHS": "no-such-list.csv",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RIALTO_")}
    ended = subprocess.run(
        [sys.executable, "-m", "rialto_compliance", "--role", "worker"],
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "no-such-list.csv" in ended.stderr
    assert "RIALTO_COMPLIANCE_LIST_PATHS" in ended.stderr
    assert "Traceback" not in ended.stderr
