"""Hyper-parameter search and feature selection inside a training window, every trial counted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.models.candidates import WIDTH_PARAMETER, WINSOR, make_forecaster
from forecasting.models.cross_validation import Fold
from forecasting.models.quantiles import KNOTS
from forecasting.models.training_set import Window

if TYPE_CHECKING:
    from optuna import Trial

FEWEST_FEATURES: Final = 8
"""Features that are kept in any case, best first: a noisy window must not empty the model."""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        params: the best parameters, given ones included.
        trials: how many settings were tried, the defaults among them; evaluation deflates by it.
        loss: squared error of the best, relative to that of the zero forecast.
    """

    params: dict[str, Any]
    trials: int
    loss: float


def tune(
    kind: str,
    window: Window,
    *,
    params: Mapping[str, Any] | None = None,
    trials: int,
    seed: int,
    threads: int | None = None,
) -> Tuned:
    """Search a candidate's parameters by tree-structured Parzen estimators (Bergstra et al. 2011).

    The first trial is the defaults, so a search never ends worse than no search, by its own
    measure. The same data and seed give the same answer.

    Args:
        kind: the candidate.
        window: the rows it may look at.
        params: parameters that stay fixed.
        trials: how many settings to try at most.
        seed: of the sampler and the models.
        threads: for each model; trials run one after the other.

    Raises:
        InvalidSettings: fewer than one trial.
        ShortHistory: the window is too short to be cut again.
    """
    if trials < 1:
        raise InvalidSettings("a search needs at least one trial", str(trials))
    fixed = dict(params or {})
    defaults = make_forecaster(kind, fixed, threads=threads).params
    space = SPACES.get(kind)
    folds = window.folds()

    def loss_of(chosen: Mapping[str, Any]) -> float:
        merged = {**chosen, **fixed}
        losses = _losses(kind, merged, window, folds, seed=seed, threads=threads)
        return float(np.mean(list(losses)))

    if space is None:
        return Tuned(defaults, 1, loss_of({}))

    import optuna

    def objective(trial: "Trial") -> float:
        return loss_of(space(trial))

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        given = {*fixed, WIDTH_PARAMETER}
        study.enqueue_trial({name: value for name, value in defaults.items() if name not in given})
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(verbosity)
    best = {**defaults, **study.best_params, **fixed}
    return Tuned(best, len(study.trials), float(study.best_value))


def select_features(
    kind: str,
    window: Window,
    *,
    params: Mapping[str, Any] | None = None,
    seed: int,
    threads: int | None = None,
) -> NDArray[np.intp]:
    """Columns [m] worth keeping, in table order.

    Permutation importance (Breiman 2001) on rows the model has not seen: shuffle one column of a
    test span and see how much the error grows. A feature stays if that hurts on average and in
    most folds; the rest is noise the model would otherwise fit.

    Raises:
        ShortHistory: the window is too short to be cut again.
    """
    growth = permutation_importance(kind, window, params=params, seed=seed, threads=threads)
    useful = (growth.mean(axis=0) > 0) & ((growth > 0).mean(axis=0) > 0.5)
    order = np.argsort(-growth.mean(axis=0), kind="stable")
    keep = useful.copy()
    keep[order[:FEWEST_FEATURES]] = True
    return np.flatnonzero(keep)


def permutation_importance(
    kind: str,
    window: Window,
    *,
    params: Mapping[str, Any] | None = None,
    seed: int,
    threads: int | None = None,
) -> Floats:
    """Growth [folds, k] of `skill_loss` when a column is shuffled, fold by fold."""
    random = np.random.default_rng(seed)
    growth = []
    for fold in window.folds():
        model = make_forecaster(kind, params, threads=threads, names=window.names)
        model.fit(window.x[fold.train], window.z[fold.train], seed=seed)
        x, z = window.x[fold.test].copy(), window.z[fold.test, : len(KNOTS)]
        base = skill_loss(z, model.predict(x))
        shuffled = random.permutation(len(x))
        row = np.empty(x.shape[1])
        for column in range(x.shape[1]):
            values = x[:, column].copy()
            x[:, column] = values[shuffled]
            row[column] = skill_loss(z, model.predict(x)) - base
            x[:, column] = values
        growth.append(row)
    return np.array(growth)


def skill_loss(z: Floats, loc: Floats) -> float:
    """Squared error of `loc` against winsorised `z`, over that of the zero forecast: 1 - skill.

    Args:
        z: [n, K] what was to be learned at the knots; rows with NaN are left out.
        loc: [n, K] what was predicted of it.
    """
    known = np.isfinite(z).all(axis=1)
    target = np.clip(z[known], -WINSOR, WINSOR)
    zero = np.mean(target**2, axis=0)
    error = np.mean((target - loc[known]) ** 2, axis=0)
    return float(np.mean(error / np.maximum(zero, 1e-12))) if known.any() else 1.0


def _losses(
    kind: str,
    params: Mapping[str, Any],
    window: Window,
    folds: list[Fold],
    *,
    seed: int,
    threads: int | None,
) -> Iterator[float]:
    for fold in folds:
        model = make_forecaster(kind, params, threads=threads, names=window.names)
        model.fit(window.x[fold.train], window.z[fold.train], seed=seed)
        yield skill_loss(window.z[fold.test, : len(KNOTS)], model.predict(window.x[fold.test]))


def _ridge(trial: "Trial") -> dict[str, Any]:
    return {"alpha": trial.suggest_float("alpha", 0.01, 100.0, log=True)}


def _random_forest(trial: "Trial") -> dict[str, Any]:
    return {
        "max_depth": trial.suggest_int("max_depth", 2, 7),
        "max_features": trial.suggest_float("max_features", 0.1, 0.6),
        "max_samples": trial.suggest_float("max_samples", 0.1, 0.5),
        "min_samples_leaf": trial.suggest_float("min_samples_leaf", 0.005, 0.1, log=True),
    }


def _xgboost(trial: "Trial") -> dict[str, Any]:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 20, 300),
        "max_depth": trial.suggest_int("max_depth", 1, 4),
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.08, log=True),
        "subsample": trial.suggest_float("subsample", 0.3, 0.9),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 0.9),
        "min_child_weight": trial.suggest_float("min_child_weight", 20.0, 500.0, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1.0, 1000.0, log=True),
    }


def _lightgbm(trial: "Trial") -> dict[str, Any]:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 20, 200),
        "max_depth": trial.suggest_int("max_depth", 1, 4),
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.08, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 20, 500, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1.0, 1000.0, log=True),
    }


def _catboost(trial: "Trial") -> dict[str, Any]:
    return {
        "iterations": trial.suggest_int("iterations", 20, 300),
        "depth": trial.suggest_int("depth", 1, 5),
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.08, log=True),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 1.0, 1000.0, log=True),
    }


SPACES: Final[Mapping[str, Callable[["Trial"], dict[str, Any]]]] = {
    "ridge": _ridge,
    "random_forest": _random_forest,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
}
"""What each candidate's search varies; the random walk has nothing to vary."""
