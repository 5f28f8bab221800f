"""Settings that every service has; each service extends them and is the only one to read its own variables."""

from base64 import b64decode
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Role = Literal["api", "worker", "all"]


class ServiceSettings(BaseSettings):
    """Frozen; read from the environment once, in `main.py`. Secrets have no default."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535)
    database_connections: int = Field(default=8, ge=2)
    max_batch_events: int = Field(default=400, ge=1)
    linger_seconds: float = Field(default=0.015, ge=0, le=1)
    service_token_secret: SecretStr = Field(validation_alias="RIALTO_SERVICE_TOKEN_SECRET")
    bus_url: str = Field(default="postgres", validation_alias="RIALTO_BUS_URL")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", validation_alias="RIALTO_LOG_LEVEL")
    crash_point: str | None = Field(default=None, validation_alias="RIALTO_CRASH_POINT")


class KeyringSettings(BaseSettings):
    """The master key, for the services that may read personal data."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    keyring_master_key: SecretStr = Field(validation_alias="RIALTO_KEYRING_MASTER_KEY")

    @field_validator("keyring_master_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        try:
            length = len(b64decode(value.get_secret_value(), validate=True))
        except ValueError:
            length = 0
        if length != 32:
            raise ValueError("must be the base64 of 32 bytes")
        return value

    def master_key(self) -> bytes:
        """Return the 32 bytes."""
        return b64decode(self.keyring_master_key.get_secret_value(), validate=True)
