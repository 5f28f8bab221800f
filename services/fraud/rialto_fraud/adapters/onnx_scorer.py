"""The model behind a port: onnxruntime, one thread, loaded once and checked against its manifest.

Nothing else in the platform imports onnxruntime.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnxruntime

from rialto_fraud.application.ports import Scores
from rialto_fraud.domain.errors import ModelInputInvalid, ModelUnusable
from rialto_fraud.domain.features import FEATURE_NAMES, FEATURE_VERSION, FloatArray

MODELS: Final = Path(__file__).parent.parent / "models"
INLINE_ROWS: Final = 1_024
"""Up to here inference (1.5 ms at most) holds the event loop for less than a thread hop costs; above, it leaves it."""


class OnnxScorer:
    """Scores rows of features. Not to be built on import: loading reads the disk."""

    def __init__(self, model: bytes, version: str) -> None:
        """Load a serialised graph with the inputs and outputs that ``training/export.py`` writes."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.version = version

    def score(self, features: FloatArray) -> Scores:
        """Return the scores of some rows, on the calling thread.

        Args: features: float32, shape (batch, 14), columns as in FEATURE_NAMES, not standardised.
        Returns: float32, shape (batch,) each; probabilities in [0, 1], higher is riskier.
        Raises: ModelInputInvalid: wrong width, or any NaN or infinity.   Source: docs/models/fraud-v1.md.
        """
        if features.ndim != 2 or features.shape[1] != len(FEATURE_NAMES):
            raise ModelInputInvalid(f"the model takes {len(FEATURE_NAMES)} features, not shape {features.shape}")
        if not np.isfinite(features).all():
            raise ModelInputInvalid("a feature is not a finite number")
        probability, log_odds = self._session.run(["score", "log_odds"], {"features": features})
        return Scores(cast(FloatArray, probability[:, 0]), cast(FloatArray, log_odds[:, 0]))

    async def score_batch(self, features: FloatArray) -> Scores:
        """Return the scores of some rows without holding the event loop for longer than a small batch takes."""
        if len(features) <= INLINE_ROWS:
            return self.score(features)
        return await asyncio.get_running_loop().run_in_executor(None, partial(self.score, features))


def load(version: str = "fraud-v1", folder: Path = MODELS) -> OnnxScorer:
    """Return the scorer of a model in the package.

    Raises: ModelUnusable: the file is missing, is not the one in the manifest, or was trained on other features.
    """
    manifest = read_manifest(version, folder)
    try:
        model = (folder / f"{version}.onnx").read_bytes()
    except OSError as error:
        raise ModelUnusable(f"the model {version} cannot be read: {error}") from error
    digest = hashlib.sha256(model).hexdigest()
    if digest != manifest["sha256"]:
        raise ModelUnusable(f"{version}.onnx has SHA-256 {digest}, its manifest says {manifest['sha256']}")
    if manifest["features"] != list(FEATURE_NAMES) or manifest["feature_version"] != FEATURE_VERSION:
        raise ModelUnusable(f"{version} was trained on other features than this service computes")
    return OnnxScorer(model, version)


def read_manifest(version: str, folder: Path = MODELS) -> Mapping[str, Any]:
    """Return a model's manifest. Raises: ModelUnusable: it is missing or unreadable."""
    try:
        return cast(Mapping[str, Any], json.loads((folder / f"{version}.json").read_text()))
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"the manifest of {version} cannot be read: {error}") from error
