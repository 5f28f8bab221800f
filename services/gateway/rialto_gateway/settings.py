"""The gateway's settings, from RIALTO_GATEWAY_* and the shared variables."""

import re
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from rialto_common.settings import KeyringSettings, ServiceSettings
from rialto_gateway.connectors.simulated import NAME as SIMULATED
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.states import Deadline

ACQUIRER_NAME = re.compile("[a-z][a-z0-9_]{0,30}")
OURS = frozenset({"test", "stripe"})
"""Names that stand for something else: `acquirer:test:receivable` is where test money comes from."""


class SimulatedAcquirerSettings(BaseModel):
    """Where a simulated acquirer is, and the secrets that are its and ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    key: SecretStr
    webhook_secret: SecretStr


class GatewaySettings(ServiceSettings, KeyringSettings):
    """Frozen; built once in `main.py`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_prefix="RIALTO_GATEWAY_")

    admin_key: SecretStr
    api_key_pepper: SecretStr
    ledger_url: str
    currencies: str = Field(default="USD", description="currencies that can be settled, separated by commas")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="where payers reach this gateway; left out, the address that it listens on",
    )
    acquirer_url: str | None = Field(default=None, description="of the simulated acquirer, for cards in test mode")
    acquirer_key: SecretStr | None = None
    acquirer_webhook_secret: SecretStr | None = None
    acquirers: dict[str, SimulatedAcquirerSettings] = Field(
        default={}, description="more simulated acquirers by name, as JSON: {name: {url, key, webhook_secret}}"
    )
    stripe_api_key: SecretStr | None = Field(default=None, description="its mode is that of the payments it is for")
    stripe_webhook_secret: SecretStr | None = None
    stripe_api_base: str = Field(default="https://api.stripe.com", pattern=r"^https?://[^/\s]+$")
    routing_file: str = Field(default="", description="JSON rules of which acquirer is asked for what")
    settlement_overdue_days: float = Field(
        default=5.0, gt=0, description="after how long a capture that no settlement file names is a difference"
    )
    dispute_fee_minor: int = Field(
        default=0, ge=0, description="what a merchant pays for a dispute, in minor units of its currency"
    )
    increment_limit_bps: int = Field(
        default=5_000, ge=0, description="how much may be added to a payment, of what it was assessed with"
    )
    increment_review_major: int = Field(
        default=10_000, gt=0, description="major units that no payment assessed with less is raised to"
    )
    webhook_allow_private: bool = False
    event_retention_days: float = Field(default=30.0, ge=7, description="how long events and deliveries are kept")
    rate_limit_per_second: float = Field(default=10_000.0, ge=1, description="requests a second of one API key")
    overload_age_seconds: float = Field(default=60.0, gt=0, description="how old the oldest unhandled payment may be")
    assessment_deadline_seconds: float = Field(default=30.0, gt=0)
    ledger_deadline_seconds: float = Field(default=60.0, gt=0)

    def deadlines(self) -> Deadlines:
        """Return the deadlines in force."""
        table = dict(Deadlines.default().by_state)
        table["created"] = Deadline(timedelta(seconds=self.assessment_deadline_seconds), table["created"].leads_to)
        table["approved"] = Deadline(timedelta(seconds=self.ledger_deadline_seconds), table["approved"].leads_to)
        return Deadlines(table)

    def simulated_acquirers(self) -> dict[str, SimulatedAcquirerSettings]:
        """Return the simulated acquirers by name, the one of `acquirer_url` first, as `sim`."""
        found: dict[str, SimulatedAcquirerSettings] = {}
        if self.acquirer_url:
            if not self.acquirer_key or not self.acquirer_webhook_secret:
                raise ValueError("an acquirer's address needs its key and its webhook secret beside it")
            found[SIMULATED] = SimulatedAcquirerSettings(
                url=self.acquirer_url, key=self.acquirer_key, webhook_secret=self.acquirer_webhook_secret
            )
        for name, acquirer in self.acquirers.items():
            if not ACQUIRER_NAME.fullmatch(name) or name in OURS or name in found:
                raise ValueError(f"{name} cannot be an acquirer's name: it is taken, or not [a-z][a-z0-9_]*")
            found[name] = acquirer
        return found

    def stripe(self) -> tuple[str, str] | None:
        """Return Stripe's API key and webhook secret, where there are any."""
        if not self.stripe_api_key:
            return None
        if not self.stripe_webhook_secret:
            raise ValueError("Stripe's API key needs its webhook secret beside it")
        return self.stripe_api_key.get_secret_value(), self.stripe_webhook_secret.get_secret_value()

    def address_for_payers(self) -> str:
        """Return where the hosted checkout is, without a slash at the end."""
        return self.public_url or f"http://{self.http_host}:{self.http_port}"

    def settled_currencies(self) -> frozenset[str]:
        """Return the currencies a payment may be in."""
        return frozenset(part.strip() for part in self.currencies.split(",") if part.strip())
