"""Forecasts of the champion on the candidates' test spans, when none of them is its method.

Tested on real prices and a real registry, in tests/integration/test_training_pipeline.py.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.artifacts import Artifact
from components.report import THREADS
from forecasting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.adapters.registry.records import ModelVersion
    from forecasting.models.out_of_sample import OutOfSample


def incumbent_of(
    champion: "ModelVersion",
    forecasts: "Mapping[str, OutOfSample]",
    table: Artifact,
    *,
    seed: int,
) -> "tuple[str, OutOfSample | None]":
    """Name of the champion in the evaluation, and its forecasts where no candidate's are its own.

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
    from forecasting.models.candidates import NULL_MODEL, make_forecaster

    kind = champion.kind
    if kind == NULL_MODEL:
        return kind, None
    # Parameters that were not there when the champion was trained have their default.
    params = make_forecaster(kind, _manifest_of(champion)["params"]).params
    if kind in forecasts and dict(forecasts[kind].params) == params:
        return kind, None
    walked = walked_beside(forecasts, kind, params, table, seed=seed)
    return (kind if kind not in forecasts else f"{kind}_v{champion.version}"), walked


def walked_beside(
    forecasts: "Mapping[str, OutOfSample]",
    kind: str,
    params: "Mapping[str, Any]",
    table: Artifact,
    *,
    seed: int,
) -> "OutOfSample":
    """Forecasts of one more method on the candidates' test spans.

    Args:
        forecasts: the candidates', the random walk's among them.
        kind: the method.
        params: its parameters.
        table: training table the candidates learned from.
        seed: of everything random.

    Raises:
        InvalidSettings: the kind needs a package that is not installed.
    """
    from components.training_table import TrainingTable
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.training import forecast_as_incumbent
    from forecasting.models.training_set import Examples

    learned_from = TrainingTable.load(Path(table.path))
    return forecast_as_incumbent(
        kind,
        params,
        Examples.of(learned_from.features, learned_from.returns),
        beside=forecasts[NULL_MODEL],
        seed=seed,
        threads=int(os.environ.get(THREADS, "0")) or None,
    )


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
