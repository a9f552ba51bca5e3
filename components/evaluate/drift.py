"""Forecasts of the random walk with drift, where a training did not name it among its candidates."""

from typing import TYPE_CHECKING

from components.artifacts import Artifact
from components.evaluate.incumbent import walked_beside

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
    from forecasting.evaluation.evaluate import require_random_walk
    from forecasting.models.candidates import DRIFT_MODEL

    if DRIFT_MODEL in forecasts:
        return dict(forecasts)
    require_random_walk(forecasts)
    return {**forecasts, DRIFT_MODEL: walked_beside(forecasts, DRIFT_MODEL, {}, table, seed=seed)}
