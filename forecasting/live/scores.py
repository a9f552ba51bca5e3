"""Scores matured forecasts per model version, horizon and as-of instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.evaluation.losses import inside, mean_pinball, median_error
from forecasting.live.outcomes import Matured, groups

Baselines: TypeAlias = Mapping[tuple[str, int], Floats]
"""The random walk's quantiles by model version and number of the calibration, see `score`."""

NEWEST_INSTANTS: Final = 250
"""Most as-of instants per version and horizon that are judged: a year of daily bars."""


@dataclass(frozen=True)
class RealisedScore:
    """How good the matured forecasts of one model version were at one horizon.

    Attributes:
        horizon: in bars.
        matured: forecasts scored.
        dates: distinct as-of instants among them (forecasts of one instant are no independent
            evidence, and those of overlapping horizons hardly are).
        pinball: mean scaled pinball loss over the published levels: each loss over the volatility
            expected over its horizon (`evaluation.losses.loss_units`), as the gates count it.
        baseline_pinball: the random walk's loss on the same forecasts; None if it is not known.
        skill: 1 - pinball / baseline_pinball; None if the baseline is not known.
        coverage, coverage_50: share of outcomes inside the 90 % and the 50 % interval.
        median_error: mean absolute error of the median, log return units.
    """

    model_version: str
    horizon: int
    matured: int
    dates: int
    pinball: float
    baseline_pinball: float | None
    skill: float | None
    coverage: float
    coverage_50: float
    median_error: float


@dataclass(frozen=True)
class RealisedPoint:
    """One as-of instant of a model version and horizon: a point of a plot over time.

    Attributes:
        as_of: unix nanoseconds.
        matured: forecasts (symbols) of this instant.
        pinball, baseline_pinball: mean scaled pinball losses; the latter None if not known.
        coverage: share of outcomes inside the 90 % interval.
    """

    model_version: str
    horizon: int
    as_of: int
    matured: int
    pinball: float
    baseline_pinball: float | None
    coverage: float


def score(matured: Matured, baselines: Baselines) -> tuple[RealisedScore, ...]:
    """Score matured forecasts per model version and horizon, in that order.

    Args:
        matured: forecasts with their outcomes.
        baselines: by model version and number of the calibration, the random walk's quantiles
            [H, Q] of the return divided by the one-bar volatility (calibration times the square
            root of the horizon): each forecast is held against the random walk of its day.
    """
    losses = _losses(matured, baselines)
    scores = []
    for version, horizon, group in groups(matured.rows):
        loss, baseline = losses.pinball[group], losses.baseline[group]
        known = np.isfinite(baseline)
        null_loss = float(baseline[known].mean()) if known.any() else None
        skill = 1 - float(loss[known].mean()) / null_loss if null_loss else None
        scores.append(
            RealisedScore(
                version,
                horizon,
                len(group),
                len(np.unique(matured.rows.as_of[group])),
                float(loss.mean()),
                null_loss,
                skill,
                float(losses.inside_90[group].mean()),
                float(losses.inside_50[group].mean()),
                float(losses.median_error[group].mean()),
            )
        )
    return tuple(scores)


def by_instant(
    matured: Matured, baselines: Baselines, *, newest: int = NEWEST_INSTANTS
) -> tuple[RealisedPoint, ...]:
    """Realised loss and coverage per model version, horizon and as-of instant, oldest first.

    Args:
        matured: forecasts with their outcomes.
        baselines: as in `score`.
        newest: most instants per version and horizon; older ones are left out.
    """
    losses = _losses(matured, baselines)
    points = []
    for version, horizon, group in groups(matured.rows):
        instants, place = np.unique(matured.rows.as_of[group], return_inverse=True)
        count = np.bincount(place)
        loss = np.bincount(place, losses.pinball[group]) / count
        null_loss = np.bincount(place, losses.baseline[group]) / count
        inside_90 = np.bincount(place, losses.inside_90[group]) / count
        points += [
            RealisedPoint(
                version,
                horizon,
                int(instants[i]),
                int(count[i]),
                float(loss[i]),
                float(null_loss[i]) if np.isfinite(null_loss[i]) else None,
                float(inside_90[i]),
            )
            for i in range(max(0, len(instants) - newest), len(instants))
        ]
    return tuple(points)


@dataclass(frozen=True)
class _Losses:
    pinball: Floats
    baseline: Floats
    inside_90: NDArray[np.bool_]
    inside_50: NDArray[np.bool_]
    median_error: Floats


def _losses(matured: Matured, baselines: Baselines) -> _Losses:
    rows = matured.rows
    baseline = np.full(len(rows), np.nan)
    for (version, calibration), spread in baselines.items():
        made_with = (rows.model_versions == version) & (rows.calibrations == calibration)
        group = np.flatnonzero(made_with & (rows.horizons <= len(spread)))
        quantiles = spread[rows.horizons[group] - 1] * matured.scale[group, None]
        baseline[group] = mean_pinball(matured.realised[group], quantiles) / matured.units[group]
    return _Losses(
        np.asarray(mean_pinball(matured.realised, rows.returns) / matured.units, dtype=np.float64),
        baseline,
        inside(matured.realised, rows.returns, 0.9),
        inside(matured.realised, rows.returns, 0.5),
        np.asarray(median_error(matured.realised, rows.returns), dtype=np.float64),
    )
