"""The variables of this service: `RIALTO_CHAIN_BRIDGE_*`, and the shared ones of `rialto_common.settings`."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from rialto_common.money import TOKENS
from rialto_common.settings import ServiceSettings


class ChainBridgeSettings(ServiceSettings):
    """Frozen; read once by `main.py`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="RIALTO_CHAIN_BRIDGE_"
    )

    linger_seconds: float = Field(default=0.2, ge=0, le=1)
    """Nobody waits for a settlement's first step: blocks come every second or more seldom."""

    rpc_url: str
    operator_key: SecretStr
    """The private key, 0x and 64 hexadecimal digits, of the account that settles."""

    chain_id: int = Field(default=31337, gt=0)
    rpc_timeout_seconds: float = Field(default=5.0, gt=0)
    confirmations: int = Field(default=3, ge=1)
    """How many blocks must lie on top before a settlement counts."""

    mode: Literal["test", "live"] = "test"
    token: str = "RUSD"  # noqa: S105 - a currency, not a secret
    deploy: bool = False
    """Deploy the contracts and mint the treasury when they are not known yet: for test mode only."""

    treasury_amount: int = Field(default=10**18, gt=0)
    """What `deploy` mints, in the token's smallest unit: 10^18 is a million million test dollars."""

    token_address: str | None = None
    settlement_address: str | None = None
    """Contracts that exist already; both are needed when `deploy` is off."""

    batch_size: int = Field(default=100, ge=1, le=200)
    batch_age_seconds: float = Field(default=0.5, ge=0)
    max_in_flight: int = Field(default=32, ge=1)
    """How many transactions may wait for their block at once."""

    poll_seconds: float = Field(default=0.25, gt=0)
    resend_seconds: float = Field(default=5.0, gt=0)
    """After how long a transaction that is in no block is handed to the node once more."""

    settlement_deadline_seconds: float = Field(default=24 * 3600.0, gt=0)
    max_fee_gwei: int = Field(default=500, gt=0)
    priority_fee_gwei: int = Field(default=1, ge=0)

    @field_validator("operator_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        if re.fullmatch(r"0x[0-9a-fA-F]{64}", value.get_secret_value()) is None:
            raise ValueError("a private key is 0x and 64 hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _contracts_are_known(self) -> "ChainBridgeSettings":
        if self.token not in TOKENS:
            raise ValueError(f"token '{self.token}' is not a registered token")
        if self.deploy and self.mode != "test":
            raise ValueError("deploy makes a test stablecoin, so mode must be test")
        if not self.deploy and (self.token_address is None or self.settlement_address is None):
            raise ValueError("set deploy, or both token_address and settlement_address")
        return self
