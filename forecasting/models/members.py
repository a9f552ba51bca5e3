"""Chooses which parts a combination of learned widths is made of, inside a training window."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import ShortHistory
from forecasting.models.candidates import make_forecaster
from forecasting.models.cross_validation import Fold
from forecasting.models.quantiles import KNOTS
from forecasting.models.training_set import Window
from forecasting.models.width import MEMBERS, PARTS, WidthLearner, geometric_mean
from forecasting.stats.significance import diebold_mariano

_FOUND_WORSE: Final = 0.05
"""p-value below which a combination is taken to be worse than the best."""


@dataclass(frozen=True)
class Chosen:
    """What a combination is to be made of.

    Attributes:
        members: names of its parts, in their order.
        trials: how many combinations were compared; 1 where the window was too short to compare.
    """

    members: tuple[str, ...]
    trials: int


def choose_members(
    kind: str,
    window: Window,
    *,
    params: Mapping[str, Any],
    seed: int,
    threads: int | None = None,
    report: Callable[[str], None],
) -> Chosen:
    """The parts whose geometric mean told the squared returns of the window's own folds best.

    Every part is fitted once a fold, and all combinations of them are compared on the same rows by
    `qlike`, averaged over the knots. The largest combination is taken that is not found worse than
    the best: a mean of more forecasts is the safer one, so it is left only for evidence.

    Args:
        kind: a candidate of several parts.
        window: the rows it may look at, before the first test span.
        params: its parameters.
        seed: of everything random.
        threads: for the libraries.
        report: called with a few words about what is being done.
    """
    parts = tuple(PARTS[kind])
    report(f"{kind}: choosing among {', '.join(parts)}")
    everyone = {**params, MEMBERS: "+".join(parts)}
    try:
        folds = window.folds()
        told = _told(kind, window, folds, everyone, seed=seed, threads=threads)
    except ShortHistory as short:
        report(f"{kind}: made of all, as the history is too short to choose: {short.found}")
        return Chosen(parts, 1)
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    returns = window.z[tested, len(KNOTS) :]
    tried = [names for size in range(1, len(parts) + 1) for names in combinations(parts, size)]
    losses = {
        names: qlike(geometric_mean({part: told[part][tested] for part in names}), returns)
        for names in tried
    }
    members = largest_as_good(losses, window.timestamps[tested])
    report(f"{kind}: made of {', '.join(members)}")
    return Chosen(members, len(tried))


def _told(
    kind: str,
    window: Window,
    folds: list[Fold],
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int | None,
) -> dict[str, Floats]:
    """Logs of widths [n, K] of each part in the folds' test spans, NaN elsewhere."""
    told = {part: np.full((len(window.x), len(KNOTS)), np.nan) for part in PARTS[kind]}
    for fold in folds:
        model = make_forecaster(kind, params, threads=threads, names=window.names)
        model.fit(window.x[fold.train], window.z[fold.train], seed=seed)
        if isinstance(model, WidthLearner):
            for part, logs in model.each(window.x[fold.test]).items():
                told[part][fold.test] = logs
    return told


def qlike(log_width: Floats, returns: Floats) -> Floats:
    """QLIKE loss [n] of variances for squared returns, mean over the knots; NaN where unknown.

    ln v + r^2 / v (Patton 2011, "Volatility forecast comparison using imperfect volatility
    proxies", Journal of Econometrics 160: a squared return in place of the variance leaves the
    ranking as it is). Each knot's variances are first multiplied with the number that makes their
    loss least, for the level of an interval is set by its calibration, not by the width.

    Args:
        log_width: [n, K] logs of widths.
        returns: [n, K] standardised returns, NaN where not known.
    """
    squares = np.square(returns)
    ratio = squares / np.exp(2 * log_width)
    known = np.isfinite(squares).all(axis=1)
    level = np.maximum(np.mean(ratio[known], axis=0), 1e-12) if known.any() else 1.0
    loss: Floats = np.mean(np.log(level) + 2 * log_width + ratio / level, axis=1)
    return loss


def largest_as_good(
    losses: Mapping[tuple[str, ...], Floats], timestamps: NDArray[np.int64]
) -> tuple[str, ...]:
    """The largest combination that is not found worse than the one of the least mean loss.

    Of equally large ones that of the lesser loss. Found worse is what a one-sided test of Diebold
    and Mariano at 5 % says; an instant's symbols count as one observation.

    Args:
        losses: names -> loss [n] of each row, NaN where not known.
        timestamps: [n] bar closes.
    """
    known = np.isfinite(next(iter(losses.values())))
    _, place = np.unique(timestamps[known], return_inverse=True)
    size = np.bincount(place)
    series = {names: np.bincount(place, loss[known]) / size for names, loss in losses.items()}
    mean = {names: float(loss.mean()) if loss.size else 0.0 for names, loss in series.items()}
    best = min(mean, key=lambda names: mean[names])

    def as_good(names: tuple[str, ...]) -> bool:
        test = diebold_mariano(series[names] - series[best], horizon=KNOTS[-1])
        return not test.p_value < _FOUND_WORSE  # NaN where too little is known to say

    return min(filter(as_good, mean), key=lambda names: (-len(names), mean[names]))
