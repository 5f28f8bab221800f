"""Settings that every service has; each service extends them and is the only one to read its own variables."""

from base64 import b64decode
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rialto_common.bus.kafka_cluster import POSTGRES, KafkaCluster
from rialto_common.faults import FAULTS_DIR_VARIABLE

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
    bus_url: str = Field(default=POSTGRES, validation_alias="RIALTO_BUS_URL")
    bus_username: str | None = Field(default=None, validation_alias="RIALTO_BUS_USERNAME")
    bus_password: SecretStr | None = Field(default=None, validation_alias="RIALTO_BUS_PASSWORD")
    bus_sasl_mechanism: str = Field(default="SCRAM-SHA-512", validation_alias="RIALTO_BUS_SASL_MECHANISM")
    bus_ca_file: str | None = Field(default=None, validation_alias="RIALTO_BUS_CA_FILE")
    bus_backlog_limit: int = Field(default=100_000, ge=1, validation_alias="RIALTO_BUS_BACKLOG_LIMIT")
    bus_lease_seconds: float | None = Field(default=None, ge=1, validation_alias="RIALTO_BUS_LEASE_SECONDS")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", validation_alias="RIALTO_LOG_LEVEL")
    faults_dir: Path | None = Field(default=None, validation_alias=FAULTS_DIR_VARIABLE)

    @field_validator("faults_dir", "bus_lease_seconds", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _bus_can_be_reached(self) -> "ServiceSettings":
        self.kafka()
        return self

    @property
    def instance_name(self) -> str | None:
        """What tells this service from others of its kind in the installation; None where it is the only one."""
        return None

    def kafka(self) -> KafkaCluster | None:
        """Return the cluster that is the bus; None where the bus is the log in PostgreSQL.

        Raises: ValueError: neither `postgres` nor a cluster's URL, or incomplete credentials.
        """
        if self.bus_url == POSTGRES:
            return None
        return KafkaCluster.from_url(
            self.bus_url,
            username=self.bus_username or None,
            password=self.bus_password.get_secret_value() if self.bus_password else None,
            mechanism=self.bus_sasl_mechanism,
            ca_file=self.bus_ca_file or None,
        )


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
