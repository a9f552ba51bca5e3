"""Candidate models: each learns the location of the standardised return at the knot horizons.

Financial returns are almost all noise, so every default is strongly regularised: shallow trees,
large leaves, half of the rows and features per tree, a heavy ridge penalty. Targets are
winsorised at |z| <= 4 for learning only, so that single crashes do not set a tree's leaves;
calibration and evaluation see them whole. A row teaches only if all of its knots are known.
Shares (`max_features`, `max_samples`, `min_samples_leaf`, `subsample`) are of features or rows.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.models import width
from forecasting.models.null_models import RandomWalk, RandomWalkWithDrift
from forecasting.models.quantiles import KNOTS

NULL_MODEL: Final = "random_walk"
"""The model every other one has to beat; never a challenger itself."""

DRIFT_MODEL: Final = "random_walk_drift"
"""The model every claim of a direction has to beat as well; never a challenger itself."""

NULLS: Final = (NULL_MODEL, DRIFT_MODEL)

CANDIDATES: Final = (*NULLS, "ridge", "random_forest", "xgboost")
EXTRAS: Final = ("lightgbm", "catboost")
WIDTHS: Final = tuple(width.PARTS)
"""Candidates that learn a width and no direction, see `forecasting.models.width`."""

WINSOR: Final = 4.0
"""Largest |z| a model learns from."""

WIDTH_PARAMETER: Final = "width"
"""Parameter of a candidate that learns locations: the candidate whose learned width it takes, see
`width.named`."""

_NO_WIDTH: Final = {WIDTH_PARAMETER: width.EWMA}

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    NULL_MODEL: {},
    DRIFT_MODEL: {},
    "ridge": {"alpha": 1.0, **_NO_WIDTH},
    "random_forest": {
        "n_estimators": 100,
        "max_depth": 5,
        "max_features": 0.25,
        "max_samples": 0.25,
        "min_samples_leaf": 0.03,
        **_NO_WIDTH,
    },
    "xgboost": {
        "n_estimators": 120,
        "max_depth": 3,
        "learning_rate": 0.02,
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "min_child_weight": 100.0,
        "reg_lambda": 50.0,
        "max_bin": 64,
        **_NO_WIDTH,
    },
    "lightgbm": {
        "n_estimators": 100,
        "max_depth": 3,
        "learning_rate": 0.02,
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "min_child_samples": 100,
        "reg_lambda": 50.0,
        "max_bin": 63,
        **_NO_WIDTH,
    },
    "catboost": {
        "iterations": 120,
        "depth": 3,
        "learning_rate": 0.02,
        "subsample": 0.5,
        "l2_leaf_reg": 50.0,
        "border_count": 64,
        **_NO_WIDTH,
    },
    **width.DEFAULTS,
}

MOST_ROWS: Final[Mapping[str, int]] = dict.fromkeys(
    ("random_forest", "xgboost", "lightgbm", "catboost"), 100_000
)
"""Most rows trees are grown on. Of a larger panel every s-th is taken: neighbouring labels share
up to 29 of 30 bars, so little is lost, and the cost stops growing."""

_ROWS_PER_TREE: Final = 10_000
"""Most rows one tree of the forest is grown on."""

_OPENMP: Final = ("xgboost", "lightgbm")
"""Libraries whose threads spin while they wait. On a machine with other work they lose far more
than they gain (measured: four times slower), so they get threads only where a caller says so."""

_OPENMP_ROWS: Final = 50_000
"""Rows below which even then one thread is used: a small panel is learned in a second anyway."""


class Fitted(Protocol):
    """What says where the standardised return will lie, and how far from there."""

    @property
    def kind(self) -> str:
        """Name of the candidate."""

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter in force, defaults included."""

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Locations [n, K] of the standardised return at the knots."""

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the width over scale * sqrt(h) at the knots; zeros where none is learned."""


class Forecaster(Fitted, Protocol):
    """Something that learns one of the two."""

    def fit(self, x: NDArray[np.float32], z: Floats, *, seed: int) -> Self:
        """Learn from features [n, k] and what is taught of each row; see `Examples.targets`.

        Rows with an unknown knot (NaN) are left out.

        Raises:
            ShortHistory: no row has all its knots.
        """

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """What it learned of the first K targets [n, K]."""


@dataclass
class Learner:
    """A candidate whose estimator comes from a library and is grown by `grow`.

    Attributes:
        kind: name of the candidate.
        params: every parameter in force.
        grow: makes and fits the estimator: (params, x, z, seed, threads) -> estimator.
        threads: how many threads the library may use.
        estimator: what `grow` returned; None before `fit`.
        slopes: what locations are multiplied with at each knot, see `forecasting.models.shrinkage`.
    """

    kind: str
    params: dict[str, Any]
    grow: Callable[[dict[str, Any], NDArray[np.float32], Floats, int, int], Any]
    threads: int
    estimator: Any = None
    slopes: tuple[float, ...] = (1.0,) * len(KNOTS)

    def fit(self, x: NDArray[np.float32], z: Floats, *, seed: int) -> Self:
        """See `Forecaster.fit`."""
        known = np.flatnonzero(np.isfinite(z).all(axis=1))
        if not len(known):
            raise ShortHistory(
                "a model needs rows whose returns are known at every knot horizon",
                f"0 of {len(z)} rows",
                "Give a longer history",
            )
        most = MOST_ROWS.get(self.kind, len(known))
        if len(known) > most:
            known = known[np.linspace(0, len(known) - 1, most).astype(np.intp)]
        own = {name: value for name, value in self.params.items() if name != WIDTH_PARAMETER}
        self.estimator = self.grow(
            own, x[known], np.clip(z[known], -WINSOR, WINSOR), seed, self.threads
        )
        return self

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """The same as `locate`."""
        return self.locate(x)

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """Zeros [n, K]: the width is the scale's."""
        return np.zeros((len(x), len(KNOTS)))

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """See `Forecaster.locate`."""
        predicted = np.asarray(self.estimator.predict(x), dtype=np.float64)
        located: Floats = predicted.reshape(len(x), len(KNOTS)) * np.array(self.slopes)
        return located


def make_forecaster(
    kind: str,
    params: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
    names: Sequence[str] = (),
) -> Forecaster:
    """An unfitted candidate; `params` override its defaults.

    Args:
        kind: one of CANDIDATES, WIDTHS or EXTRAS.
        params: parameters of the candidate, see DEFAULTS.
        threads: threads its library may use; default: this container's share, or one for the
            libraries that spin while they wait.
        names: of the features it is fitted on, for a candidate whose parts differ in them.

    Raises:
        InvalidSettings: the kind or a parameter is unknown, or an extra is not installed.
    """
    if kind not in DEFAULTS:
        raise InvalidSettings(
            f"a candidate is one of {', '.join((*CANDIDATES, *WIDTHS, *EXTRAS))}", repr(kind)
        )
    defaults = DEFAULTS[kind]
    unknown = sorted(set(params or {}) - set(defaults))
    if unknown:
        raise InvalidSettings(
            f"{kind} takes the parameters {', '.join(defaults) or '(none)'}",
            f"unknown {', '.join(unknown)}",
        )
    merged = {**defaults, **(params or {})}
    taken, _ = width.named(merged.get(WIDTH_PARAMETER, width.EWMA))
    if taken not in (width.EWMA, *WIDTHS):
        raise InvalidSettings(
            f"the width of {kind} is one of {', '.join((width.EWMA, *WIDTHS))}", repr(taken)
        )
    if kind == NULL_MODEL:
        return RandomWalk(kind)
    if kind == DRIFT_MODEL:
        return RandomWalkWithDrift(kind)
    if width.learns_width(kind):
        return width.WidthLearner(kind, merged, _GROWERS, threads or 1, tuple(names))
    if kind in EXTRAS:
        _require(kind)
    return Learner(kind, merged, _GROWERS[kind], threads or (1 if kind in _OPENMP else cpu_share()))


def cpu_share() -> int:
    """CPUs this process may really use: its affinity, cut by the container's quota."""
    cpus = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cpus = min(cpus, int(quota) / int(period))
    except (OSError, ValueError):
        pass  # no control group, or an older layout: the affinity is all there is to know
    return max(int(cpus), 1)


def _require(kind: str) -> None:
    from importlib.util import find_spec

    if find_spec(kind) is None:
        raise InvalidSettings(
            f"the candidate {kind} needs the package of the same name",
            "it is not installed",
            "Install the extra: pip install 'bellwether[boost]'",
        )


def _grow_ridge(
    params: dict[str, Any], x: NDArray[np.float32], z: Floats, seed: int, threads: int
) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    del seed, threads  # the solution is closed
    # Labels overlap and symbols move together, so rows are worth far less than their number:
    # the penalty is counted per row and does not fade as the panel grows.
    ridge = Ridge(alpha=params["alpha"] * len(x), solver="cholesky")
    with threadpool_limits(1, "blas"):  # the same sums, in the same order, on any machine
        return make_pipeline(StandardScaler(), ridge).fit(x.astype(np.float64), z)


@contextmanager
def _warning_filters_kept() -> Iterator[None]:
    """Ignore warnings inside, and leave the process's filters as they were before.

    Each of scikit-learn's threads sets the filters of the whole process and puts back what it found,
    so they end up in another order or empty (1.9.1, findings/sklearn-forest-warning-filters.sh).
    """
    default = warnings.defaultaction  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.defaultaction = "ignore"  # type: ignore[attr-defined]
        try:
            yield
        finally:
            warnings.defaultaction = default  # type: ignore[attr-defined]


def _grow_random_forest(
    params: dict[str, Any], x: NDArray[np.float32], z: Floats, seed: int, threads: int
) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    drawn = max(min(int(len(x) * params["max_samples"]), _ROWS_PER_TREE), 1)
    leaf = max(int(drawn * params["min_samples_leaf"]), 1)
    settings = {**params, "max_samples": drawn, "min_samples_leaf": leaf}
    forest = RandomForestRegressor(**settings, random_state=seed, n_jobs=threads)
    with _warning_filters_kept():
        forest.fit(x, z)
    # Threads would add the trees up in the order they finish, and the last bit would change.
    return forest.set_params(n_jobs=1)


def _grow_xgboost(
    params: dict[str, Any], x: NDArray[np.float32], z: Floats, seed: int, threads: int
) -> Any:
    from xgboost import XGBRegressor

    # One tree a round with a vector of all knots in each leaf: an eighth of the trees to serve.
    return XGBRegressor(
        **params,
        tree_method="hist",
        multi_strategy="multi_output_tree",
        random_state=seed,
        n_jobs=threads if len(x) >= _OPENMP_ROWS else 1,
    ).fit(x, z)


@dataclass
class PerKnot:
    """One booster a knot, for a library without several outputs."""

    boosters: list[Any]

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """Predictions [n, K]."""
        return np.column_stack([booster.predict(x) for booster in self.boosters])


def _grow_lightgbm(
    params: dict[str, Any], x: NDArray[np.float32], z: Floats, seed: int, threads: int
) -> Any:
    import lightgbm

    settings = {
        **params,
        "objective": "regression",
        "num_leaves": 2 ** params["max_depth"],
        "bagging_freq": 1,
        "seed": seed,
        "num_threads": threads if len(x) >= _OPENMP_ROWS else 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    rounds = settings.pop("n_estimators")
    return PerKnot(
        [
            lightgbm.train(settings, lightgbm.Dataset(x, label=column), num_boost_round=rounds)
            for column in z.T
        ]
    )


def _grow_catboost(
    params: dict[str, Any], x: NDArray[np.float32], z: Floats, seed: int, threads: int
) -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor(
        **params,
        loss_function="MultiRMSE",
        bootstrap_type="Bernoulli",
        random_seed=seed,
        thread_count=threads,
        allow_writing_files=False,
        verbose=False,
    ).fit(x, z)


_GROWERS: Final = {
    "ridge": _grow_ridge,
    "random_forest": _grow_random_forest,
    "xgboost": _grow_xgboost,
    "lightgbm": _grow_lightgbm,
    "catboost": _grow_catboost,
}
