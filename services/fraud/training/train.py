"""Train the fraud model on simulated days and write the model, its manifest and its card.

    python -m training.train            (from services/fraud; a minute)

The same seed, code and library versions give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
import numpy.typing as npt

from rialto_fraud.adapters.onnx_scorer import OnnxScorer
from rialto_fraud.domain.features import FEATURE_NAMES, FEATURE_VERSION, FloatArray
from rialto_fraud.domain.policy import CURRENT
from training.card import write_card
from training.dataset import world_features
from training.export import to_onnx
from training.metrics import confusion, ranking
from training.simulator import PATTERNS, World, WorldConfig, simulate

VERSION: Final = "fraud-v1"
PACKAGE: Final = Path(__file__).parent.parent

RISES_WITH: Final = frozenset(
    {"amount", "customer_amount_ratio_30d", "customer_amount_z_30d", "is_new_terminal", "terminal_amount_ratio_30d"}
)
"""Features that may only raise the score: nobody could explain why paying more, or further away, is safer."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the model's bytes depend on, apart from code and library versions."""

    world: WorldConfig
    train_days: int = 40
    calibration_days: int = 10
    trees: int = 200
    leaves: int = 15
    learning_rate: float = 0.08


FULL: Final = Recipe(world=WorldConfig(seed=7))


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model and what was found out about it."""

    onnx: bytes
    manifest: dict[str, Any]


def fit(features: FloatArray, fraud: npt.NDArray[np.bool_], recipe: Recipe) -> lightgbm.Booster:
    """Return the trees. One thread and fixed seeds, so that the result does not depend on the machine's cores."""
    parameters = {
        "objective": "binary",
        "num_leaves": recipe.leaves,
        "learning_rate": recipe.learning_rate,
        "min_data_in_leaf": 30,
        "max_bin": 1023,
        "lambda_l2": 5.0,
        "monotone_constraints": [int(name in RISES_WITH) for name in FEATURE_NAMES],
        "monotone_constraints_method": "advanced",
        "use_missing": False,
        "feature_pre_filter": False,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": recipe.world.seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(features, fraud, feature_name=list(FEATURE_NAMES))
    return lightgbm.train(parameters, data, num_boost_round=recipe.trees)


def train(recipe: Recipe) -> Trained:
    """Simulate, compute features, fit, export, and measure on days that the trees never saw."""
    world = simulate(recipe.world)
    features = world_features(world)
    fraud, day = world.pattern > 0, world.day()
    calibration_from, test_from = recipe.train_days, recipe.train_days + recipe.calibration_days
    booster = fit(features[day < calibration_from], fraud[day < calibration_from], recipe)
    onnx = to_onnx(booster, n_features=len(FEATURE_NAMES), name=VERSION)
    scorer = OnnxScorer(onnx, VERSION)
    scores = scorer.score(features).probability
    difference = float(np.abs(scores - np.asarray(booster.predict(features), dtype=np.float64)).max())
    if difference > 1e-5:
        raise RuntimeError(f"the exported graph differs from the trees by {difference}")
    calibration = (day >= calibration_from) & (day < test_from)
    test = day >= test_from
    manifest = {
        "version": VERSION,
        "sha256": hashlib.sha256(onnx).hexdigest(),
        "feature_version": FEATURE_VERSION,
        "features": list(FEATURE_NAMES),
        "policy": asdict(CURRENT),
        "recipe": asdict(recipe),
        "libraries": {name: library_version(name) for name in ("lightgbm", "numpy", "onnx")},
        "calibration": {
            "honest_score_quantiles": _quantiles(scores[calibration & ~fraud], (0.99, 0.995, 0.998, 0.999, 0.9998)),
            "honest_share_from_review": _share_from(scores[calibration & ~fraud], CURRENT.review_from),
            "honest_share_from_block": _share_from(scores[calibration & ~fraud], CURRENT.block_from),
        },
        "test": {
            **ranking(scores[test], fraud[test]),
            "confusion": confusion(scores[test], features[test], fraud[test], CURRENT),
            "recall_by_pattern": _recall(world, scores, test),
        },
        "cold_day": _cold_day(scorer, recipe),
    }
    return Trained(onnx, manifest)


def _quantiles(scores: npt.NDArray[Any], at: tuple[float, ...]) -> dict[str, float]:
    return {str(q): round(float(np.quantile(scores, q)), 4) for q in at}


def _share_from(scores: npt.NDArray[Any], threshold: float) -> float:
    return round(float((scores >= threshold).mean()), 5)


def _recall(world: World, scores: npt.NDArray[Any], chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    recall = {}
    for index, name in enumerate(PATTERNS[1:], start=1):
        of_pattern = scores[chosen & (world.pattern == index)]
        if len(of_pattern):
            recall[name] = round(float((of_pattern >= CURRENT.review_from).mean()), 3)
    return recall


def _cold_day(scorer: OnnxScorer, recipe: Recipe) -> dict[str, Any]:
    """Measure the first day of another world: nothing is known of anyone."""
    config = recipe.world
    world = simulate(WorldConfig(seed=config.seed + 1, wallets=config.wallets, terminals=config.terminals, days=1))
    features = world_features(world)
    scores, fraud = scorer.score(features).probability, world.pattern > 0
    return {**ranking(scores, fraud), "confusion": confusion(scores, features, fraud, CURRENT)}


def main() -> None:
    """Train with the full recipe and write into the package and ``docs/models``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PACKAGE, help="the service's folder")
    folder: Path = parser.parse_args().out
    trained = train(FULL)
    models, docs = folder / "rialto_fraud" / "models", folder / "docs" / "models"
    models.mkdir(parents=True, exist_ok=True)
    docs.mkdir(parents=True, exist_ok=True)
    (models / f"{VERSION}.onnx").write_bytes(trained.onnx)
    (models / f"{VERSION}.json").write_text(json.dumps(trained.manifest, indent=2) + "\n")
    evaluation = docs / f"{VERSION}-evaluation.json"
    outside = json.loads(evaluation.read_text()) if evaluation.exists() else None
    (docs / f"{VERSION}.md").write_text(write_card(trained.manifest, outside))
    print(json.dumps({key: trained.manifest[key] for key in ("sha256", "calibration", "test", "cold_day")}, indent=2))


if __name__ == "__main__":
    main()
