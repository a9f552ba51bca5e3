"""Candidates that learn how far prices will move: the width of the forecast at the knot horizons.

They answer the log of the width relative to scale * sqrt(h), and locate every return at zero, as
the random walk does. What they learn is the log of the realised volatility over the next h bars,
read from ranges and gaps, on features of past variance (`forecasting.features.variance`): the
heterogeneous autoregression of Corsi (2009, "A simple approximate long-memory model of realized
volatility", Journal of Financial Econometrics 7) in its log-linear form, and boosted trees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.features.variance import FEATURE_PREFIXES
from forecasting.models.quantiles import KNOTS

Grow = Callable[[dict[str, Any], NDArray[np.float32], Floats, int, int], Any]
"""Makes and fits an estimator: (params, x, target, seed, threads) -> estimator."""

_RIDGE: Final[Mapping[str, Any]] = {"alpha": 0.1}
_TREES: Final[Mapping[str, Any]] = {
    "n_estimators": 150,
    "max_depth": 3,
    "learning_rate": 0.05,
    "subsample": 0.5,
    "colsample_bytree": 0.5,
    "min_child_weight": 100.0,
    "reg_lambda": 50.0,
    "max_bin": 64,
}
PARTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "har": {"ridge": _RIDGE},
    "har_boosted": {"xgboost": _TREES},
    "har_combination": {"ridge": _RIDGE, "xgboost": _TREES},
}
"""Candidates that learn a width -> the estimators they are the geometric mean of, with defaults."""

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    kind: {name: value for part in parts.values() for name, value in part.items()}
    for kind, parts in PARTS.items()
}

EWMA: Final = "ewma"
"""The width that is not learned: the EWMA volatility that is every candidate's scale."""

CALENDAR: Final = ("day_of_week_", "hour_of_day_")
"""Prefixes of features about time that widths depend on, too: a weekend lies between some bars."""


def learns_width(kind: str) -> bool:
    """Whether a candidate learns widths; the others learn locations."""
    return kind in PARTS


def columns_of(kind: str, names: Sequence[str]) -> NDArray[np.intp]:
    """Columns of the feature table that a candidate learns from, in its order.

    Widths are learned from features of variance and the calendar, locations from all others.

    Raises:
        InvalidSettings: it learns widths, and the table has no features of variance.
    """
    of_variance = np.array([name.startswith(FEATURE_PREFIXES) for name in names], dtype=bool)
    if not learns_width(kind):
        return np.flatnonzero(~of_variance)
    if not of_variance.any():
        raise InvalidSettings(
            f"the candidate {kind} learns a width from features of variance",
            "the feature table has none",
            f"Name {kind} among the candidates when the features are made, "
            "or give FeatureSpec(variance=...)",
        )
    calendar = np.array([name.startswith(CALENDAR) for name in names], dtype=bool)
    return np.flatnonzero(of_variance | calendar)


@dataclass
class WidthLearner:
    """The geometric mean of the widths that its estimators learned.

    Attributes:
        kind: a key of PARTS.
        params: every parameter in force.
        growers: name of each part -> what makes and fits its estimator.
        threads: how many threads the libraries may use.
        estimators: name of each part -> its fitted estimator; empty before `fit`.
        slopes: what logs of widths are multiplied with at each knot, see `forecasting.models.shrinkage`.
    """

    kind: str
    params: dict[str, Any]
    growers: Mapping[str, Grow]
    threads: int
    estimators: Mapping[str, Any] = field(default_factory=dict)
    slopes: tuple[float, ...] = (1.0,) * len(KNOTS)

    def fit(self, x: NDArray[np.float32], target: Floats, *, seed: int) -> Self:
        """Learn from features [n, k] and logs of realised volatility [n, K] over scale * sqrt(h).

        Rows with an unknown knot (NaN) are left out.

        Raises:
            ShortHistory: no row has all its knots.
        """
        known = np.flatnonzero(np.isfinite(target).all(axis=1))
        if not len(known):
            raise ShortHistory(
                "a width needs rows whose volatility is known over every knot horizon",
                f"0 of {len(target)} rows",
                "Give a longer history",
            )
        self.estimators = {
            part: self.growers[part](
                {name: self.params[name] for name in defaults},
                x[known],
                target[known],
                seed,
                self.threads,
            )
            for part, defaults in PARTS[self.kind].items()
        }
        return self

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the width: the same as `log_width`."""
        parts = [
            np.asarray(estimator.predict(x), dtype=np.float64).reshape(len(x), len(KNOTS))
            for estimator in self.estimators.values()
        ]
        mean: Floats = np.mean(parts, axis=0) * np.array(self.slopes)
        return mean

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Zeros [n, K]: no direction is learned."""
        return np.zeros((len(x), len(KNOTS)))

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """See `candidates.Forecaster.log_width`."""
        return self.predict(x)
