"""The variables of this service: `RIALTO_FRAUD_*`, and the shared ones of `rialto_common.settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from rialto_common.settings import ServiceSettings
from rialto_fraud.adapters.onnx_scorer import MODELS


class FraudSettings(ServiceSettings):
    """Frozen; read once by `main.py`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="RIALTO_FRAUD_", protected_namespaces=()
    )

    model_version: str = "fraud-v1"
    """Which model to load: NAME.onnx and NAME.json in the models' folder."""

    models_folder: Path = MODELS
    """Where the models lie; those of the package by default."""
