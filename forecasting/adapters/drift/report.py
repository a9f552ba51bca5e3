"""Evidently: the drift statistic of every column, and its report as HTML and JSON.

The only module that imports evidently, whose interface changes between releases (0.7.23 here).
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from forecasting.drift.columns import Comparison, Sample
from forecasting.drift.config import METHOD

SMALLEST_SPREAD: Final = 0.01
"""Evidently divides the Wasserstein distance by the reference's standard deviation, but never by
less than 0.001; columns below ten times that are multiplied by a power of ten first."""


def measure(
    compared: Comparison, thresholds: Mapping[str, float], *, html: Path, json_file: Path
) -> dict[str, float]:
    """Score every column with Evidently and write its report.

    Args:
        compared: the measurable columns of reference and current, from `drift_compare.compare`.
        thresholds: by column, the distance at which it counts as drifted, as the page shows it.
        html: file to write the page to; it needs no network.
        json_file: file to write the same figures to.

    Returns:
        Score by column; NaN where the statistic is undefined.
    """
    names = {column: _shown(column, compared.reference) for column in compared.columns}
    with warnings.catch_warnings():
        # Deprecations between evidently, litestar and numpy; and numpy's own warnings about
        # bins without rows, which come back as NaN and are named by the caller.
        warnings.simplefilter("ignore")
        snapshot = _run(compared, names, thresholds)
        snapshot.save_html(str(html))
        figures = snapshot.dict()
    # Evidently's own writer leaves NaN in the file, which is no JSON.
    json_file.write_text(json.dumps(_finite(figures), indent=1, allow_nan=False))
    scores = _scores(figures)
    return {column: scores.get(name, float("nan")) for column, (name, _) in names.items()}


def _run(
    compared: Comparison, names: dict[str, tuple[str, float]], thresholds: Mapping[str, float]
) -> Any:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    shown = [name for name, _ in names.values()]
    definition = DataDefinition(numerical_columns=shown, categorical_columns=[])
    preset = DataDriftPreset(
        columns=shown,
        drift_share=1 / len(shown),  # one column is enough: thresholds allow for their number
        per_column_method=dict.fromkeys(shown, METHOD),
        per_column_threshold={name: thresholds[column] for column, (name, _) in names.items()},
    )
    return Report([preset], include_tests=False).run(
        Dataset.from_pandas(_table(compared.current, names), definition),
        Dataset.from_pandas(_table(compared.reference, names), definition),
    )


def _table(sample: Sample, names: dict[str, tuple[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: sample.column(column) * factor for column, (name, factor) in names.items()}
    )


def _shown(column: str, reference: Sample) -> tuple[str, float]:
    """Name and factor a column is measured under."""
    spread = float(np.nanstd(reference.column(column)))
    if spread >= SMALLEST_SPREAD or spread <= 0:
        return column, 1.0
    power = int(np.ceil(np.log10(SMALLEST_SPREAD / spread)))
    return f"{column} (x 1e{power})", float(10.0**power)


def _scores(figures: dict[str, Any]) -> dict[str, float]:
    scores = {}
    for metric in figures["metrics"]:
        value = metric["value"]
        if isinstance(value, int | float):
            scores[str(metric["config"]["column"])] = float(value)
    return scores


def _finite(value: Any) -> Any:
    """The same figures with numbers JSON knows; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
