"""How good the forecasts were whose day has come, per model version and horizon."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.evaluation.losses import inside, mean_pinball, median_error
from forecasting.live.outcomes import ForecastRows, Matured


@dataclass(frozen=True)
class RealisedScore:
    """How good the matured forecasts of one model version were at one horizon.

    Attributes:
        horizon: in bars.
        matured: forecasts scored.
        dates: distinct as-of instants among them (forecasts of one instant are no independent
            evidence, and those of overlapping horizons hardly are).
        pinball: mean pinball loss over the published levels, log return units.
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
        pinball, baseline_pinball: mean losses, log return units; the latter None if not known.
        coverage: share of outcomes inside the 90 % interval.
    """

    model_version: str
    horizon: int
    as_of: int
    matured: int
    pinball: float
    baseline_pinball: float | None
    coverage: float


def score(matured: Matured, baselines: Mapping[str, Floats]) -> tuple[RealisedScore, ...]:
    """Score matured forecasts per model version and horizon, in that order.

    Args:
        matured: forecasts with their outcomes.
        baselines: by model version, the random walk's quantiles [H, Q] of the return divided by
            the one-bar volatility (calibration times the square root of the horizon).
    """
    losses = _losses(matured, baselines)
    scores = []
    for version, horizon, mine in _groups(matured.rows):
        loss, baseline = losses.pinball[mine], losses.baseline[mine]
        known = np.isfinite(baseline)
        theirs = float(baseline[known].mean()) if known.any() else None
        skill = 1 - float(loss[known].mean()) / theirs if theirs else None
        scores.append(
            RealisedScore(
                version,
                horizon,
                len(mine),
                len(np.unique(matured.rows.as_of[mine])),
                float(loss.mean()),
                theirs,
                skill,
                float(losses.inside_90[mine].mean()),
                float(losses.inside_50[mine].mean()),
                float(losses.median_error[mine].mean()),
            )
        )
    return tuple(scores)


def by_instant(
    matured: Matured, baselines: Mapping[str, Floats], *, newest: int = 250
) -> tuple[RealisedPoint, ...]:
    """Realised loss and coverage per model version, horizon and as-of instant, oldest first.

    Args:
        matured: forecasts with their outcomes.
        baselines: as in `score`.
        newest: most instants per version and horizon; older ones are left out.
    """
    losses = _losses(matured, baselines)
    points = []
    for version, horizon, mine in _groups(matured.rows):
        instants, place = np.unique(matured.rows.as_of[mine], return_inverse=True)
        count = np.bincount(place)
        loss = np.bincount(place, losses.pinball[mine]) / count
        theirs = np.bincount(place, losses.baseline[mine]) / count
        inside_90 = np.bincount(place, losses.inside_90[mine]) / count
        points += [
            RealisedPoint(
                version,
                horizon,
                int(instants[i]),
                int(count[i]),
                float(loss[i]),
                float(theirs[i]) if np.isfinite(theirs[i]) else None,
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


def _losses(matured: Matured, baselines: Mapping[str, Floats]) -> _Losses:
    rows = matured.rows
    baseline = np.full(len(rows), np.nan)
    for version, spread in baselines.items():
        mine = np.flatnonzero((rows.model_versions == version) & (rows.horizons <= len(spread)))
        quantiles = spread[rows.horizons[mine] - 1] * matured.scale[mine, None]
        baseline[mine] = mean_pinball(matured.realised[mine], quantiles)
    return _Losses(
        np.asarray(mean_pinball(matured.realised, rows.returns), dtype=np.float64),
        baseline,
        inside(matured.realised, rows.returns, 0.9),
        inside(matured.realised, rows.returns, 0.5),
        np.asarray(median_error(matured.realised, rows.returns), dtype=np.float64),
    )


def _groups(rows: ForecastRows) -> list[tuple[str, int, Instants]]:
    """(model version, horizon, rows) of every group; versions that are numbers by number."""
    groups = []
    for version in np.unique(rows.model_versions):
        of_version = rows.model_versions == version
        for horizon in np.unique(rows.horizons[of_version]):
            mine = np.flatnonzero(of_version & (rows.horizons == horizon))
            groups.append((str(version), int(horizon), mine))
    return sorted(groups, key=lambda group: (_rank(group[0]), group[1]))


def _rank(version: str) -> tuple[int, int, str]:
    return (0, int(version), "") if version.isdigit() else (1, 0, version)
