"""Forecasts of the champion on the candidates' test spans, when none of them is its method.

Tested on real prices and a real registry as well, in tests/integration/test_training_pipeline.py.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.artifacts import Artifact
from components.report import THREADS
from forecasting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from forecasting.adapters.registry.records import ModelVersion
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.parts import PartFeatures
    from forecasting.models.training_set import Examples


@dataclass(frozen=True, eq=False)
class Incumbent:
    """What stands for the champion in an evaluation.

    Attributes:
        name: of the champion: a candidate's where that is the champion's own method, else another.
        forecasts: the champion's method on the candidates' test spans; None where a candidate's
            are its own, or it could not be forecast.
        absence: why it could not be forecast, and what can be done; "" where it could.
    """

    name: str
    forecasts: "OutOfSample | None" = None
    absence: str = ""


def incumbent_of(
    champion: "ModelVersion",
    forecasts: "Mapping[str, OutOfSample]",
    table: Artifact,
    *,
    seed: int,
) -> Incumbent:
    """The champion in the evaluation; see `incumbent_from`, which is given its manifest.

    Args:
        champion: version of the registry.
        forecasts: the candidates', the random walk's among them.
        table: training table they learned from.
        seed: of everything random.

    Raises:
        BundleRejected: the champion's manifest is not the one the registry promises.
        RegistryUnavailable: MLflow cannot be reached.
        InvalidSettings: the champion's kind needs a package that is not installed.
    """
    from forecasting.models.candidates import NULL_MODEL

    if champion.kind == NULL_MODEL:
        return Incumbent(champion.kind)
    return incumbent_from(champion.version, _manifest_of(champion), forecasts, table, seed=seed)


def incumbent_from(
    version: str,
    manifest: "Mapping[str, Any]",
    forecasts: "Mapping[str, OutOfSample]",
    table: Artifact,
    *,
    seed: int,
) -> Incumbent:
    """A candidate of exactly the champion's method, or that method walked anew.

    A candidate is the champion's own method if their kind, parameters, features and the horizon
    and cost of their signals are the same; the seed and the number of folds are the training's, not the method's. Else the
    champion's method is walked with exactly the features its bundle takes. The column of a symbol
    that the table has none of is zero, as it is for the champion itself; without any other
    feature the champion cannot be forecast.

    Args:
        version: the champion's number.
        manifest: its bundle's.
        forecasts: the candidates', the random walk's among them.
        table: training table they learned from.
        seed: of everything random.

    Raises:
        InvalidSettings: the champion's kind needs a package that is not installed.
    """
    from forecasting.models.candidates import make_forecaster

    kind = str(manifest["kind"])
    # Parameters that were not there when the champion was trained have their default.
    params = make_forecaster(kind, manifest["params"]).params
    features = features_of(manifest, params)
    own = forecasts.get(kind)
    if own and (dict(own.params), own.features) == (params, features) and _same_rule(own, manifest):
        return Incumbent(kind)
    name = kind if own is None else f"{kind}_v{version}"
    examples = examples_with_symbols(_examples(table), manifest)
    lacking = sorted({name for part in features for name in part} - set(examples.names))
    if lacking:
        return Incumbent(name, absence=_absence(version, lacking))
    walked = _walked(forecasts, kind, params, examples, features=features, seed=seed)
    return Incumbent(name, walked)


def features_of(manifest: "Mapping[str, Any]", params: "Mapping[str, Any]") -> "PartFeatures":
    """Names of the features that each part of a bundle's candidate takes.

    Of an older bundle, which says only what all parts take together, each part takes those that
    it can learn from.

    Args:
        manifest: the bundle's.
        params: every parameter in force.
    """
    from forecasting.models.parts import columns_of_parts, named_columns, parts_of

    if "part_features" in manifest:
        return tuple(tuple(part) for part in manifest["part_features"])
    names, selected = manifest["feature_names"], set(manifest["selected_features"])
    return tuple(
        tuple(name for name in named_columns(names, columns) if name in selected)
        for columns in columns_of_parts(parts_of(manifest["kind"], params), names)
    )


def examples_with_symbols(examples: "Examples", manifest: "Mapping[str, Any]") -> "Examples":
    """The examples, with a column of zeros for each symbol of a bundle that the table lacks.

    Args:
        examples: n rows.
        manifest: the bundle's, whose specification names its symbols.
    """
    import numpy as np

    columns = [f"symbol_{symbol}" for symbol in manifest["feature_spec"]["symbols"]]
    absent = [
        name for name in columns if name in manifest["feature_names"] and name not in examples.names
    ]
    zeros: NDArray[np.float32] = np.zeros((len(examples), len(absent)), dtype=np.float32)
    return replace(examples, names=(*examples.names, *absent), x=np.hstack([examples.x, zeros]))


def _same_rule(forecasts: "OutOfSample", manifest: "Mapping[str, Any]") -> bool:
    """Whether the probabilities refer to the same horizon and cost."""
    rule = manifest["signal"]
    return bool((rule["horizon"], rule["cost"]) == (forecasts.signal_horizon, forecasts.cost))


def _absence(version: str, lacking: list[str]) -> str:
    others = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return (
        f"its bundle takes features that this training's table lacks ({', '.join(lacking[:3])}"
        f"{others}); train with the candidates and the width that version {version} was "
        "trained with, or promote a version by hand, despite the verdict"
    )


def walked_beside(
    forecasts: "Mapping[str, OutOfSample]",
    kind: str,
    params: "Mapping[str, Any]",
    table: Artifact,
    *,
    seed: int,
) -> "OutOfSample":
    """Forecasts of one more method, with all its features, on the candidates' test spans.

    Args:
        forecasts: the candidates', the random walk's among them.
        kind: the method.
        params: its parameters.
        table: training table the candidates learned from.
        seed: of everything random.

    Raises:
        InvalidSettings: the kind needs a package that is not installed.
    """
    return _walked(forecasts, kind, params, _examples(table), seed=seed)


def _walked(
    forecasts: "Mapping[str, OutOfSample]",
    kind: str,
    params: "Mapping[str, Any]",
    examples: "Examples",
    *,
    features: "PartFeatures" = (),
    seed: int,
) -> "OutOfSample":
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.training import forecast_as_incumbent

    return forecast_as_incumbent(
        kind,
        params,
        examples,
        beside=forecasts[NULL_MODEL],
        features=features,
        seed=seed,
        threads=int(os.environ.get(THREADS, "0")) or None,
    )


def _examples(table: Artifact) -> "Examples":
    from components.training_table import TrainingTable
    from forecasting.models.training_set import Examples

    learned_from = TrainingTable.load(Path(table.path))
    return Examples.of(learned_from.features, learned_from.returns)


def _manifest_of(champion: "ModelVersion") -> "dict[str, Any]":
    from forecasting.adapters.registry.reader import RegistryReader
    from forecasting.bundle.bundle import read_manifest

    settings = Settings()
    with (
        RegistryReader(settings.registry_url, settings.registered_model) as registry,
        TemporaryDirectory() as folder,
    ):
        bundle = registry.download_bundle(champion, Path(folder) / "bundle")
        return read_manifest(bundle, expected_digest=champion.checked_digest)[1]
