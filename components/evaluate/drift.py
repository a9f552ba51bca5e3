"""Forecasts of the random walk with drift, where a training did not name it among its candidates."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from components.artifacts import Artifact
from components.report import THREADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.models.out_of_sample import OutOfSample


def with_drift(
    forecasts: "Mapping[str, OutOfSample]", table: Artifact, *, seed: int
) -> "dict[str, OutOfSample]":
    """The candidates' forecasts, and those of the random walk with drift on the same spans.

    No claim of a direction can be proved without them, whatever a training was asked to compare.

    Args:
        forecasts: the candidates' by kind, the random walk's among them.
        table: training table they learned from.
        seed: of everything random.

    Raises:
        InvalidInput: the random walk is not among the candidates.
    """
    from components.training_table import TrainingTable
    from forecasting.errors import InvalidInput
    from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
    from forecasting.models.training import forecast_as_incumbent
    from forecasting.models.training_set import Examples

    if DRIFT_MODEL in forecasts:
        return dict(forecasts)
    if NULL_MODEL not in forecasts:
        raise InvalidInput(
            "every evaluation has the random walk to beat",
            f"candidates are {', '.join(forecasts) or 'none'}",
            f"Train the candidate {NULL_MODEL} as well",
        )
    learned_from = TrainingTable.load(Path(table.path))
    walked = forecast_as_incumbent(
        DRIFT_MODEL,
        {},
        Examples.of(learned_from.features, learned_from.returns),
        beside=forecasts[NULL_MODEL],
        seed=seed,
        threads=int(os.environ.get(THREADS, "0")) or None,
    )
    return {**forecasts, DRIFT_MODEL: walked}
