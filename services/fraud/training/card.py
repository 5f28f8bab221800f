"""The model card: words that people wrote (``card.md``), figures that the training wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_CARD = Path(__file__).with_name("card.md")
_NOT_EVALUATED = "Not evaluated: `RIALTO_DATA=… python -m training.evaluate` fills this in where the file is at hand."


def _table(confusion: dict[str, Any]) -> str:
    lines = ["| outcome | share | honest | fraud |", "|---|---|---|---|"]
    for outcome, row in confusion.items():
        lines.append(f"| {outcome} | {row['share']:.2%} | {row['honest']} | {row['fraud']} |")
    return "\n".join(lines)


def _outside(results: dict[str, Any]) -> str:
    lines = [
        "Days of the Fraud Detection Handbook's simulated card transactions (`training/evaluate.py`; the file has no",
        "licence, is not committed and not trained on; the simulator's mix was revised after looking at these days, so",
        "the figures are not blind). 62 % of its fraud is at terminals chosen at random, at ordinary amounts: without",
        "labels fed back nobody can see it, which bounds the AUC.",
        "",
        "| | payments | fraud | AUC | AP | reviewed (fraud) | blocked (fraud) | allowed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        table = result["confusion"]
        review, block, allow = table["review"], table["block"], table["allow"]
        figures = (result["payments"], f"{result['fraud_share']:.2%}", result["auc"], result["average_precision"])
        outcomes = (
            f"{review['honest'] + review['fraud']} ({review['fraud']})",
            f"{block['honest'] + block['fraud']} ({block['fraud']})",
            f"{allow['share']:.2%}",
        )
        lines.append(f"| {' | '.join(str(cell) for cell in (name, *figures, *outcomes))} |")
    return "\n".join(lines)


def write_card(manifest: dict[str, Any], outside: dict[str, Any] | None) -> str:
    """Return the card's Markdown. Args: the manifest of the training; the figures of ``training.evaluate`` or None."""
    recipe, policy, test = manifest["recipe"], manifest["policy"], manifest["test"]
    return _CARD.read_text().format(
        version=manifest["version"],
        sha256=manifest["sha256"],
        n_features=len(manifest["features"]),
        feature_version=manifest["feature_version"],
        policy_version=policy["version"],
        review_from=policy["review_from"],
        block_from=policy["block_from"],
        block_needs_history=policy["block_needs_history"],
        review_from_count_1h=f"{policy['review_from_count_1h']:,}",
        trees=recipe["trees"],
        leaves=recipe["leaves"],
        seed=recipe["world"]["seed"],
        wallets=recipe["world"]["wallets"],
        terminals=recipe["world"]["terminals"],
        days=recipe["world"]["days"],
        train_days=recipe["train_days"],
        calibration_days=recipe["calibration_days"],
        libraries=", ".join(f"{name} {version}" for name, version in manifest["libraries"].items()),
        calibration=manifest["calibration"],
        test=test,
        cold=manifest["cold_day"],
        test_table=_table(test["confusion"]),
        recall=", ".join(f"{name} {share:.0%}" for name, share in test["recall_by_pattern"].items()),
        quantiles=", ".join(f"{q} → {score}" for q, score in manifest["calibration"]["honest_score_quantiles"].items()),
        outside=_outside(outside) if outside else _NOT_EVALUATED,
    )
