"""Writes a fitted candidate as one ONNX graph: features [n, k] in, knot locations [n, K] out.

A candidate that learns widths gives their logs [n, K] as a second output of the same run.

Every tree library's model is read into the same flat list of nodes and written as a single
TreeEnsembleRegressor with K targets, so that a forecast is one call whatever grew the trees.
Thresholds are compared in float32 as the features are: a float64 threshold `x <= t` becomes the
largest float32 not above t, which splits float32 features in exactly the same way.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.bundle.files import OUTPUTS
from forecasting.errors import InvalidSettings
from forecasting.models.candidates import Fitted, Learner
from forecasting.models.garch import Garch
from forecasting.models.null_models import RandomWalk, RandomWalkWithDrift
from forecasting.models.parts import LocationAndWidth
from forecasting.models.quantiles import KNOTS
from forecasting.models.width import RECURSION, WEIGHTS, WidthLearner

INPUT: Final = "features"
OUTPUT, WIDTH = OUTPUTS
IR_VERSION: Final = 9
OPSETS: Final = {"": 17, "ai.onnx.ml": 3}


@dataclass
class Trees:
    """Trees as the attributes of a TreeEnsembleRegressor."""

    treeids: list[int] = field(default_factory=list)
    nodeids: list[int] = field(default_factory=list)
    featureids: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    truenodeids: list[int] = field(default_factory=list)
    falsenodeids: list[int] = field(default_factory=list)
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)
    count: int = 0

    def split(
        self, node: int, feature: int, mode: str, value: float, children: tuple[int, int]
    ) -> None:
        """Add a node that asks `feature mode value` and goes to the first child if so."""
        self.treeids.append(self.count)
        self.nodeids.append(node)
        self.featureids.append(feature)
        self.modes.append(mode)
        self.values.append(float(value))
        self.truenodeids.append(int(children[0]))
        self.falsenodeids.append(int(children[1]))

    def leaf(self, node: int, weights: Sequence[float], targets: Sequence[int]) -> None:
        """Add a leaf that gives `weights` to `targets`."""
        self.split(node, 0, "LEAF", 0.0, (0, 0))
        for target, weight in zip(targets, weights, strict=True):
            self.leaves.append((self.count, node, target, float(weight)))

    def close(self) -> None:
        """End the tree being written."""
        self.count += 1


def to_onnx(forecaster: Fitted, width: int, columns: Sequence[int]) -> bytes:
    """The ONNX model of a fitted candidate.

    Args:
        forecaster: fitted on the columns `columns` of the feature table.
        width: how many features the table has: the graph takes all of them.
        columns: which of them the candidate was fitted on, in its order.

    Raises:
        InvalidSettings: the candidate's kind has no export.
    """
    if isinstance(forecaster, LocationAndWidth):
        place = np.asarray(columns)
        own = place[forecaster.location_columns].tolist()
        nodes, tensors = _locations(forecaster.location, width, own)
        wide = place[forecaster.width_columns].tolist()
        more, held = _widths(forecaster.width, width, wide)
        return _model(nodes + more, tensors + held, width, WIDTH)
    if isinstance(forecaster, WidthLearner):
        nodes, tensors = _widths(forecaster, width, columns)
        return _model(_zeros() + nodes, tensors, width, WIDTH)
    return _model(*_locations(forecaster, width, columns), width)


def _locations(
    forecaster: Fitted, width: int, columns: Sequence[int]
) -> tuple[list[Any], list[Any]]:
    """Nodes and tensors that give the locations."""
    if isinstance(forecaster, RandomWalk):
        return _zeros(), []
    if isinstance(forecaster, RandomWalkWithDrift):
        return _drifting(forecaster, width)
    if not isinstance(forecaster, Learner):
        raise InvalidSettings("a candidate needs an ONNX export", forecaster.kind)
    return _estimator(
        forecaster.kind, forecaster.estimator, forecaster.slopes, width, columns, OUTPUT
    )


def _widths(learner: Fitted, width: int, columns: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Nodes and tensors that give the weighted mean of the estimators' logs of widths."""
    from onnx import helper

    if not isinstance(learner, WidthLearner):
        raise InvalidSettings("a width needs an ONNX export", learner.kind)
    nodes, tensors = list[Any](), list[Any]()
    names = [f"{WIDTH}_{part}" for part in learner.estimators]
    average = float(np.mean([WEIGHTS[part] for part in learner.estimators]))
    for (part, estimator), name in zip(learner.estimators.items(), names, strict=True):
        taken = [columns[place] for place in learner.columns(part, len(columns))]
        slopes = [slope * WEIGHTS[part] / average for slope in learner.slopes]
        own, held = _estimator(part, estimator, slopes, width, taken, name)
        nodes, tensors = nodes + own, tensors + held
    nodes.append(helper.make_node("Mean", names, [WIDTH]))
    return nodes, tensors


def _drifting(walk: RandomWalkWithDrift, width: int) -> tuple[list[Any], list[Any]]:
    """The same location in every row: a linear model whose weights are zero."""
    from onnx import helper, numpy_helper

    weights = np.zeros((width, len(KNOTS)), dtype=np.float32)
    drift = walk.locate(np.empty((1, 0), dtype=np.float32))[0].astype(np.float32)
    tensors = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(drift, "drift"),
    ]
    return [helper.make_node("Gemm", [INPUT, "weights", "drift"], [OUTPUT])], tensors


def _estimator(
    kind: str,
    estimator: Any,
    slopes: Sequence[float],
    width: int,
    columns: Sequence[int],
    output: str,
) -> tuple[list[Any], list[Any]]:
    """Nodes and tensors that give a fitted estimator's predictions, times the slopes."""
    if kind == "ridge":
        return _linear(estimator, slopes, width, columns, output)
    if kind == RECURSION:
        return _recursion(estimator, slopes, width, columns, output)
    if kind not in _READERS:
        raise InvalidSettings("a candidate needs an ONNX export", kind)
    trees, base = _READERS[kind](estimator)
    trees.leaves = [
        (tree, node, target, weight * slopes[target]) for tree, node, target, weight in trees.leaves
    ]
    trees.featureids = [int(columns[feature]) for feature in trees.featureids]
    return [_ensemble(trees, base * np.array(slopes), output)], []


def _zeros() -> list[Any]:
    from onnx import TensorProto, helper

    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    knots = helper.make_tensor("knots", TensorProto.INT64, [1], [len(KNOTS)])
    return [
        helper.make_node("Shape", [INPUT], ["rows"], start=0, end=1),
        helper.make_node("Constant", [], ["knots"], value=knots),
        helper.make_node("Concat", ["rows", "knots"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], [OUTPUT], value=zero),
    ]


def _linear(
    pipeline: Any, slopes: Sequence[float], width: int, columns: Sequence[int], output: str
) -> tuple[list[Any], list[Any]]:
    from onnx import helper, numpy_helper

    scaler, ridge = pipeline.steps[0][1], pipeline.steps[1][1]
    mean = np.zeros(width)
    weights = np.zeros((width, len(KNOTS)))
    mean[list(columns)] = scaler.mean_
    weights[list(columns)] = (ridge.coef_ / scaler.scale_).T * np.array(slopes)
    intercept = ridge.intercept_ * np.array(slopes)
    # A graph may hold two of these; the location's keep the names they have in older bundles.
    prefix = "" if output == OUTPUT else f"{output}_"
    tensors = [
        numpy_helper.from_array(mean.astype(np.float32), f"{prefix}mean"),
        numpy_helper.from_array(weights.astype(np.float32), f"{prefix}weights"),
        numpy_helper.from_array(intercept.astype(np.float32), f"{prefix}intercept"),
    ]
    taken = [f"{prefix}{name}" for name in ("centred", "weights", "intercept")]
    nodes = [
        helper.make_node("Sub", [INPUT, f"{prefix}mean"], taken[:1]),
        helper.make_node("Gemm", taken, [output]),
    ]
    return nodes, tensors


def _recursion(
    garch: Garch, slopes: Sequence[float], width: int, columns: Sequence[int], output: str
) -> tuple[list[Any], list[Any]]:
    """Logs of the weighted mean of three variances, whose logs are among the features."""
    from onnx import helper, numpy_helper

    picked = np.zeros((width, 3))
    for place, column in enumerate(garch.columns):
        picked[columns[column], place] = 1.0
    constants = {
        "picked": picked,
        "variance_weights": garch.weights,
        "half_slopes": 0.5 * np.array(slopes),
    }
    tensors = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()
    ]
    nodes = [
        helper.make_node("MatMul", [INPUT, "picked"], ["log_variances"]),
        helper.make_node("Exp", ["log_variances"], ["variances"]),
        helper.make_node("MatMul", ["variances", "variance_weights"], ["mean_variance"]),
        helper.make_node("Log", ["mean_variance"], ["log_variance"]),
        helper.make_node("Mul", ["log_variance", "half_slopes"], [output]),
    ]
    return nodes, tensors


def _ensemble(trees: Trees, base: Floats, output: str) -> Any:
    from onnx import helper

    tree, node, target, weight = (list(column) for column in zip(*trees.leaves, strict=True))
    return helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [output],
        domain="ai.onnx.ml",
        nodes_treeids=trees.treeids,
        nodes_nodeids=trees.nodeids,
        nodes_featureids=trees.featureids,
        nodes_modes=trees.modes,
        nodes_values=trees.values,
        nodes_truenodeids=trees.truenodeids,
        nodes_falsenodeids=trees.falsenodeids,
        nodes_missing_value_tracks_true=[0] * len(trees.treeids),
        target_treeids=tree,
        target_nodeids=node,
        target_ids=target,
        target_weights=weight,
        n_targets=len(KNOTS),
        base_values=[float(value) for value in base],
        aggregate_function="SUM",
        post_transform="NONE",
    )


def _model(nodes: list[Any], tensors: list[Any], width: int, *further: str) -> bytes:
    """The graph that gives locations, and further outputs [n, K] by name."""
    from onnx import TensorProto, checker, helper

    graph = helper.make_graph(
        nodes,
        "bellwether",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(KNOTS)])
            for name in (OUTPUT, *further)
        ],
        initializer=tensors,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bellwether"
    )
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _floor32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each value."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def _read_forest(forest: Any) -> tuple[Trees, Floats]:
    trees, share = Trees(), 1.0 / len(forest.estimators_)
    targets = range(len(KNOTS))
    for estimator in forest.estimators_:
        grown = estimator.tree_
        cuts = _floor32(grown.threshold)
        for node, (yes, no) in enumerate(
            zip(grown.children_left, grown.children_right, strict=True)
        ):
            if yes < 0:
                trees.leaf(node, grown.value[node, :, 0] * share, targets)
            else:
                feature, cut = int(grown.feature[node]), float(cuts[node])
                trees.split(node, feature, "BRANCH_LEQ", cut, (yes, no))
        trees.close()
    return trees, np.zeros(len(KNOTS))


def _read_xgboost(estimator: Any) -> tuple[Trees, Floats]:
    learner = json.loads(estimator.get_booster().save_raw("json"))["learner"]
    trees, targets = Trees(), range(len(KNOTS))
    for grown in learner["gradient_booster"]["model"]["trees"]:
        weights = np.array(grown["leaf_weights"], dtype=np.float32).reshape(-1, len(KNOTS))
        cuts = np.array(grown["split_conditions"], dtype=np.float32)
        for node, (yes, no) in enumerate(
            zip(grown["left_children"], grown["right_children"], strict=True)
        ):
            if yes < 0:  # the right child of a leaf is the number of its weight vector
                trees.leaf(node, weights[no], targets)
            else:
                feature, cut = grown["split_indices"][node], float(cuts[node])
                trees.split(node, feature, "BRANCH_LT", cut, (yes, no))
        trees.close()
    return trees, np.array(json.loads(learner["learner_model_param"]["base_score"]))


def _read_lightgbm(estimator: Any) -> tuple[Trees, Floats]:
    trees = Trees()
    for target, booster in enumerate(estimator.boosters):
        for grown in booster.dump_model()["tree_info"]:
            numbered = _numbered(grown["tree_structure"])
            for node, branch, yes, no in numbered:
                if "leaf_value" in branch:
                    trees.leaf(node, [branch["leaf_value"]], [target])
                else:
                    cut = float(_floor32(np.array([branch["threshold"]]))[0])
                    trees.split(node, branch["split_feature"], "BRANCH_LEQ", cut, (yes, no))
            trees.close()
    return trees, np.zeros(len(KNOTS))


def _numbered(root: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], int, int]]:
    """Nodes of a nested tree as (number, node, left child's number, right child's number)."""
    waiting, last = [(0, root)], 0
    while waiting:
        number, branch = waiting.pop()
        if "leaf_value" in branch:
            yield number, branch, 0, 0
            continue
        yes, no, last = last + 1, last + 2, last + 2
        yield number, branch, yes, no
        waiting += [(yes, branch["left_child"]), (no, branch["right_child"])]


def _read_catboost(estimator: Any) -> tuple[Trees, Floats]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        model = json.loads(path.read_text())
    trees, targets = Trees(), range(len(KNOTS))
    scale, bias = model["scale_and_bias"]
    for grown in model.get("oblivious_trees", []):
        splits = grown["splits"] or []
        leaves = np.array(grown["leaf_values"]).reshape(-1, len(KNOTS)) * scale
        inner = 2 ** len(splits) - 1
        for node in range(inner):
            level = (node + 1).bit_length() - 1
            split = splits[len(splits) - 1 - level]  # the last split is the leaf's highest bit
            cut = float(np.float32(split["border"]))
            yes, no = 2 * node + 2, 2 * node + 1
            trees.split(node, split["float_feature_index"], "BRANCH_GT", cut, (yes, no))
        for leaf, weights in enumerate(leaves):
            trees.leaf(inner + leaf, weights, targets)
        trees.close()
    return trees, np.array(bias, dtype=np.float64)


_READERS: Final = {
    "random_forest": _read_forest,
    "xgboost": _read_xgboost,
    "lightgbm": _read_lightgbm,
    "catboost": _read_catboost,
}
