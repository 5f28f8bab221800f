"""The service as a process of its own: settings from the environment, ready, and a graceful end."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from rialto_cli.testing import Database


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("role", ["all", "api", "worker"])
def test_the_process_becomes_ready_and_ends_on_sigterm(database: Database, role: str) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RIALTO_")} | {
        "RIALTO_FRAUD_DATABASE_URL": database.dsn("fraud"),
        "RIALTO_FRAUD_HTTP_PORT": str(port),
        "RIALTO_SERVICE_TOKEN_SECRET": "a secret of thirty-two characters",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "rialto_fraud", "--role", role],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        transport = httpx.HTTPTransport(retries=12)
        with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            ready = client.get("/readyz")
            shown = client.get("/v1/assessments/pay_00000000000000000000000000")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (ready.status_code, ready.json()["missing"]) == (200, {})
    assert shown.status_code == (404 if role == "worker" else 401)
    assert process.returncode == 0, output
    assert ("model.loaded" in output) == (role != "api")
    assert "a secret of thirty-two" not in output
