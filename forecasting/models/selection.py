"""Which features a candidate needs, by permutation on walk-forward folds of a training window."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.models.candidates import make_forecaster
from forecasting.models.search import Window, relative_error

FEWEST: Final = 8
"""Features that are kept in any case, best first: a noisy window must not empty the model."""


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
    keep[order[:FEWEST]] = True
    return np.flatnonzero(keep)


def permutation_importance(
    kind: str,
    window: Window,
    *,
    params: Mapping[str, Any] | None = None,
    seed: int,
    threads: int | None = None,
) -> Floats:
    """Growth [folds, k] of the relative error when a column is shuffled, fold by fold."""
    random = np.random.default_rng(seed)
    growth = []
    for fold in window.folds():
        model = make_forecaster(kind, params, threads=threads)
        model.fit(window.x[fold.train], window.z[fold.train], seed=seed)
        x, z = window.x[fold.test].copy(), window.z[fold.test]
        base = relative_error(z, model.locate(x))
        shuffled = random.permutation(len(x))
        row = np.empty(x.shape[1])
        for column in range(x.shape[1]):
            kept = x[:, column].copy()
            x[:, column] = kept[shuffled]
            row[column] = relative_error(z, model.locate(x)) - base
            x[:, column] = kept
        growth.append(row)
    return np.array(growth)
