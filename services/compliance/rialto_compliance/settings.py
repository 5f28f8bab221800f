"""The variables of this service: `RIALTO_COMPLIANCE_*`, and the shared ones of `rialto_common.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from rialto_common.settings import KeyringSettings, ServiceSettings
from rialto_compliance.adapters.list_files import FIXTURE


class ComplianceSettings(ServiceSettings, KeyringSettings):
    """Frozen; read once by `main.py`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="RIALTO_COMPLIANCE_"
    )

    list_paths: Annotated[tuple[Path, ...], NoDecode] = (FIXTURE,)
    """List files, parted by `:`; the packaged fixture of invented names by default."""

    remembered_names: int = Field(default=100_000, ge=0)
    """How many names' hits to keep in memory."""

    @field_validator("list_paths", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in value.split(":") if part) or (FIXTURE,)
