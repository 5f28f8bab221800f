"""Write a LightGBM binary classifier as an ONNX graph, exactly.

The graph is one ``TreeEnsembleRegressor`` (the sum of the leaves, in log-odds) and one ``Sigmoid``. Written by hand
because the usual converters either are not maintained for this pair of versions or round the thresholds carelessly:
a split is ``x <= threshold`` with a float64 threshold, and the largest float32 not above it decides every float32
input the same way.
"""

from __future__ import annotations

from typing import Any, cast

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT = "features"
LOG_ODDS = "log_odds"
SCORE = "score"


def _float32_not_above(threshold: float) -> float:
    rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def _flatten(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tree's nodes in preorder; each inner node gets ``true`` and ``false``, the indices of its children."""
    nodes: list[dict[str, Any]] = []

    def visit(node: dict[str, Any]) -> int:
        index = len(nodes)
        if "leaf_value" in node and "split_feature" not in node:
            nodes.append({"leaf": float(node["leaf_value"])})
            return index
        if node["decision_type"] != "<=":
            raise ValueError(f"cannot export decision type {node['decision_type']}")
        entry: dict[str, Any] = {
            "feature": int(node["split_feature"]),
            "threshold": _float32_not_above(float(node["threshold"])),
        }
        nodes.append(entry)
        entry["true"] = visit(node["left_child"])
        entry["false"] = visit(node["right_child"])
        return index

    visit(tree)
    return nodes


def to_onnx(booster: lightgbm.Booster, *, n_features: int, name: str) -> bytes:
    """Return the serialised graph: ``features`` float32 (n, n_features) -> ``score`` and ``log_odds`` float32 (n, 1).

    The bytes depend on the trees, the name and the versions of onnx only. Raises ValueError: a categorical split.
    """
    columns: dict[str, list[Any]] = {
        key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    }
    target: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree_id, tree in enumerate(booster.dump_model()["tree_info"]):
        for node_id, node in enumerate(_flatten(tree["tree_structure"])):
            leaf = "leaf" in node
            columns["treeids"].append(tree_id)
            columns["nodeids"].append(node_id)
            columns["featureids"].append(0 if leaf else node["feature"])
            columns["modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            columns["values"].append(0.0 if leaf else node["threshold"])
            columns["truenodeids"].append(0 if leaf else node["true"])
            columns["falsenodeids"].append(0 if leaf else node["false"])
            if leaf:
                target["treeids"].append(tree_id)
                target["nodeids"].append(node_id)
                target["ids"].append(0)
                target["weights"].append(node["leaf"])
    attributes: dict[str, Any] = {
        **{f"nodes_{key}": values for key, values in columns.items()},
        **{f"target_{key}": values for key, values in target.items()},
    }
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [LOG_ODDS],
        name="trees",
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        **attributes,
    )
    sigmoid = helper.make_node("Sigmoid", [LOG_ODDS], [SCORE], name="probability")
    graph = helper.make_graph(
        [trees, sigmoid],
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_features])],
        [
            helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info(LOG_ODDS, TensorProto.FLOAT, [None, 1]),
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        producer_name="rialto-fraud-training",
        ir_version=9,
    )
    onnx.checker.check_model(model)
    return cast(bytes, model.SerializeToString())
