"""The demo merchant, its test key and a funded wallet: what the first `curl` needs. Made through the public API."""

import json
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.files import write_atomically
from rialto_cli.embedded.services import GATEWAY, Installation
from rialto_cli.errors import OperatorError

FILE_NAME = "demo.json"
TOP_UP_MINOR = "100000000"
CURRENCY = "USD"
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo merchant's test key and its wallet."""

    merchant_id: str
    test_key: str
    wallet_id: str

    @classmethod
    def load(cls, data_dir: Path) -> "Demo | None":
        """What an earlier start made; None when there is nothing (or nothing readable) yet."""
        try:
            return cls(**json.loads((data_dir / FILE_NAME).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def ensure(installation: Installation) -> Demo:
    """Make the demo merchant, wallet and money unless they exist. The idempotency keys make a repetition harmless.

    Raises: OperatorError: the gateway refuses.
    """
    existing = Demo.load(installation.data_dir)
    if existing is not None:
        return existing
    admin = installation.secrets.gateway_admin_key
    # A payee's address that belongs to this installation alone; nobody has its key, as befits a test's merchant.
    payee = "0x" + sha256(installation.secrets.chain_operator_key.encode()).hexdigest()[:40]
    with httpx.Client(base_url=installation.url(GATEWAY), timeout=10.0) as client:
        merchant = _post(
            client,
            "/v1/merchants",
            {"name": "Demo shop", "country": "US", "settlement_address": payee},
            admin,
            "merchant",
        )
        key = str(merchant["keys"]["test"])
        wallet = _post(client, "/v1/wallets", {"currency": CURRENCY}, key, "wallet")
        _post(client, f"/v1/wallets/{wallet['id']}/top_ups", {"amount_minor": TOP_UP_MINOR}, key, "top-up")
    demo = Demo(str(merchant["id"]), key, str(wallet["id"]))
    crash_point("supervisor.before_demo_written")
    write_atomically(installation.data_dir / FILE_NAME, json.dumps(asdict(demo), indent=2) + "\n", mode=0o600)
    crash_point("supervisor.after_demo_written")
    return demo


def _post(client: httpx.Client, path: str, body: dict[str, str], key: str, step: str) -> dict[str, Any]:
    """POST until there is an answer; a service that is busy starting answers 503, and that passes."""
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"rialto-up-demo-{step}"}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        problem = "it does not answer"
        try:
            response = client.post(path, json=body, headers=headers)
            if response.is_success:
                return dict(response.json())
            problem = f"it answers {response.status_code}: {response.text[:300]}"
            passing = response.status_code in (409, 429, 503)
        except httpx.TransportError:
            passing = True
        if not passing or time.monotonic() > deadline:
            raise OperatorError(
                f"The gateway did not make the demo {step}", problem, "read logs/gateway.log in the data directory"
            )
        time.sleep(PAUSE_SECONDS)


def text(installation: Installation, demo: Demo) -> str:
    """What to try first."""
    api = installation.url(GATEWAY)
    body = {
        "amount_minor": "1250",
        "currency": CURRENCY,
        "payment_method": {"type": "wallet", "wallet_id": demo.wallet_id},
        "payer": {"name": "Ada Lovelace", "country": "GB"},
        "capture_method": "automatic",
    }
    return f"""
API docs     {api}/docs
Metrics      {api}/metrics
Test key     {demo.test_key}
Chain RPC    {installation.url("anvil")}

Make a payment:

  curl -sS {api}/v1/payments \\
    -H 'Authorization: Bearer {demo.test_key}' \\
    -H "Idempotency-Key: $(date +%s%N)" \\
    -H 'Content-Type: application/json' \\
    -H 'Prefer: wait=5' \\
    -d '{json.dumps(body)}'

Status: rialto status --data-dir {installation.data_dir}   Logs: {installation.logs}   Stop: Ctrl-C
"""
