"""The secrets of one data directory: made once, kept in secrets.json, readable by its owner only."""

import base64
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from rialto_cli.embedded import postgres
from rialto_cli.embedded.crashing import crash_point
from rialto_cli.embedded.files import write_atomically
from rialto_cli.errors import OperatorError

FILE_NAME = "secrets.json"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this installation may know. Never printed, except the admin key that the operator asks for."""

    superuser_password: str
    role_passwords: dict[str, str]
    service_token_secret: str
    keyring_master_key: str
    gateway_admin_key: str
    gateway_api_key_pepper: str
    chain_mnemonic: str
    chain_operator_key: str

    @property
    def acquirer_key(self) -> str:
        """What the gateway shows the simulated acquirer; derived, as both ends of it are ours."""
        return hmac.digest(self.service_token_secret.encode(), b"acquirer key", "sha256").hex()

    @property
    def acquirer_webhook_secret(self) -> str:
        """What the simulated acquirer signs its webhooks with."""
        raw = hmac.digest(self.service_token_secret.encode(), b"acquirer webhooks", "sha256")
        return "whsec_" + base64.b64encode(raw).decode()

    def access(self, port: int) -> postgres.Access:
        """How to reach this installation's PostgreSQL."""
        return postgres.Access(port, self.superuser_password, self.role_passwords)


def passwords() -> dict[str, str]:
    """A fresh password for each database role."""
    return {role: secrets.token_urlsafe(24) for role in postgres.ROLES}


def load_or_create(data_dir: Path) -> Secrets:
    """Read the data directory's secrets, or make them when it is new.

    Raises: OperatorError: unreadable, or missing although a database exists that only they open.
    """
    path = data_dir / FILE_NAME
    if path.exists():
        return load(data_dir)
    if (data_dir / "postgres").exists():
        raise OperatorError(
            "The data directory has a database but no secrets",
            f"{path} is missing, and nothing else can open the database beside it",
            f"put {FILE_NAME} back, or remove {data_dir} to start afresh (its payments are lost)",
        )
    created = create()
    crash_point("supervisor.before_secrets_written")
    write_atomically(path, json.dumps(asdict(created), indent=2) + "\n", mode=0o600)
    crash_point("supervisor.after_secrets_written")
    return created


def load(data_dir: Path) -> Secrets:
    """Read the data directory's secrets.

    Raises: OperatorError: missing, or not what we wrote.
    """
    path = data_dir / FILE_NAME
    try:
        return Secrets(**json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise OperatorError(
            f"{data_dir} is not a data directory of Rialto",
            f"it has no {FILE_NAME}",
            "start the platform with `rialto up --data-dir DIR`, or name the directory it was started with",
        ) from error
    except (ValueError, TypeError) as error:
        raise OperatorError(
            "The secrets cannot be read",
            f"{path} is not what Rialto wrote",
            "put the original back, or remove the data directory to start afresh (its payments are lost)",
        ) from error


def create() -> Secrets:
    """Make fresh secrets."""
    # Slow to import, and needed on the very first start only.
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    account, mnemonic = Account.create_with_mnemonic()
    return Secrets(
        superuser_password=secrets.token_urlsafe(24),
        role_passwords=passwords(),
        service_token_secret=secrets.token_urlsafe(48),
        keyring_master_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        gateway_admin_key="ak_" + secrets.token_urlsafe(32),
        gateway_api_key_pepper=secrets.token_urlsafe(32),
        chain_mnemonic=str(mnemonic),
        chain_operator_key="0x" + bytes(account.key).hex(),
    )
