"""Evaluate the committed model on the public card-transaction file, when it is there. Nothing is trained on it.

    RIALTO_DATA=FOLDER python -m training.evaluate      (FOLDER/fraud/handbook_raw_*.parquet)

The file has no licence, so it is neither committed nor used for training; only the figures below are kept. One day is
scored twice: cold (as the replay of one day on an empty installation) and after some days of warming up.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet

from rialto_fraud.adapters.onnx_scorer import load
from rialto_fraud.domain.policy import CURRENT
from training.card import write_card
from training.dataset import features_of
from training.metrics import confusion, ranking
from training.train import PACKAGE, VERSION

FILE: Final = "fraud/handbook_raw_2018-04-01_2018-09-30.parquet"
EPOCH: Final = 1_522_540_800
"""TX_TIME_SECONDS counts from 2018-04-01T00:00Z."""
DAYS: Final = (30, 100, 150)
WARM_UPS: Final = (0, 3, 30)


def evaluate(path: Path) -> dict[str, Any]:
    """Return AUC, AP and the confusion of some days of the file, by days of history before them."""
    scorer = load(VERSION)
    table = pyarrow.parquet.read_table(path)
    column = {name: table[name].to_numpy() for name in table.column_names}
    results: dict[str, Any] = {}
    for day in DAYS:
        for warm_up in WARM_UPS:
            chosen = (column["TX_TIME_DAYS"] >= day - warm_up) & (column["TX_TIME_DAYS"] <= day)
            features = features_of(
                column["TX_TIME_SECONDS"][chosen].astype(np.int64) + EPOCH,
                np.round(column["TX_AMOUNT"][chosen] * 100).astype(np.int64),
                column["CUSTOMER_ID"][chosen].astype(np.int64),
                column["TERMINAL_ID"][chosen].astype(np.int64),
            )
            of_day = column["TX_TIME_DAYS"][chosen] == day
            rows, fraud = features[of_day], column["TX_FRAUD"][chosen][of_day] > 0
            scores = scorer.score(rows).probability
            results[f"day {day}, {warm_up} days before it"] = {
                **ranking(scores, fraud),
                "confusion": confusion(scores, rows, fraud, CURRENT),
            }
    return results


def main() -> None:
    """Evaluate, and write the figures beside the card and into it."""
    folder = os.environ.get("RIALTO_DATA")
    if not folder or not (Path(folder) / FILE).exists():
        print(f"nothing to evaluate: set RIALTO_DATA to the folder that holds {FILE}")
        return
    results = evaluate(Path(folder) / FILE)
    docs = PACKAGE / "docs" / "models"
    (docs / f"{VERSION}-evaluation.json").write_text(json.dumps(results, indent=2) + "\n")
    manifest = json.loads((PACKAGE / "rialto_fraud" / "models" / f"{VERSION}.json").read_text())
    (docs / f"{VERSION}.md").write_text(write_card(manifest, results))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
