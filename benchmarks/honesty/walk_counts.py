"""Counts outcomes inside the intervals of one walk, on bundled or on simulated prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import bundled
from forecasting.models.conformal import STEP, Recalibrated

STEPS: Final = (0.0, 0.02, STEP, 0.1)
"""Feedback that is tried; 0 is split conformal prediction alone."""

MARKETS: Final = {
    "garch": "GARCH(1,1), a = 0.08, b = 0.90, Student t with 5 degrees of freedom",
    "fat tails": "independent, Student t with 3 degrees of freedom",
    "shift": "volatility triples for good half-way",
    "regimes": "calm and storm: volatility 1 or 3, about 250 and 60 bars at a time",
    "ramp": "volatility grows fourfold from beginning to end",
}
SEED: Final = 7


@dataclass(frozen=True)
class Real:
    """A candidate on a bundled data set."""

    universe: str
    kind: str


@dataclass(frozen=True)
class Simulated:
    """One history of a simulated market, of one symbol."""

    market: str
    bars: int
    seed: int


@dataclass(frozen=True)
class Counted:
    """What came of one walk, by step of the feedback.

    Attributes:
        known: outcomes per horizon [H].
        inside: of these inside the 90 % interval, per step [H].
        pinball: mean loss in units of volatility known beforehand, per step [H].
        bins: outcomes in the six bins between the published quantiles, at the product's step [6].
        by_symbol: coverage per symbol over all horizons, at the product's step.
    """

    known: NDArray[np.int64]
    inside: dict[float, NDArray[np.int64]]
    pinball: dict[float, NDArray[np.float64]]
    bins: NDArray[np.int64]
    by_symbol: dict[str, float]

    def coverage(self, step: float = STEP) -> NDArray[np.float64]:
        """Share inside per horizon [H]."""
        return self.inside[step] / self.known


def real(item: Real) -> Counted:
    """Walk a candidate over a bundled data set."""
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.shrinkage import shrink_walk
    from forecasting.models.training_set import at_knots
    from forecasting.models.walk_forward import walk_predictions
    from forecasting.models.width import columns_of

    examples = bundled.examples_of(item.universe)
    z = examples.standardised()
    steps = walk_forward(examples.timestamps, examples.codes)
    knots = at_knots(z)
    x = examples.x[:, columns_of(item.kind, examples.names)]
    loc = walk_predictions(item.kind, x, knots, steps, seed=SEED, threads=1)
    loc, _ = shrink_walk(loc, knots, examples.timestamps, examples.codes, steps)
    return _count(z, loc, examples.timestamps, examples.codes, steps, examples.symbols)


def simulated(item: Simulated) -> Counted:
    """Walk the random walk over a simulated market."""
    from forecasting.features.indicators import ewma_volatility
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.quantiles import KNOTS
    from forecasting.schema import MAX_HORIZON

    bars = returns_of(item)
    scale = ewma_volatility(np.concatenate([[np.nan], bars]))[1:]
    path = np.concatenate([[0.0], np.cumsum(bars)])[1:]
    z = np.full((item.bars, MAX_HORIZON), np.nan)
    for h in range(1, MAX_HORIZON + 1):
        z[:-h, h - 1] = (path[h:] - path[:-h]) / (scale[:-h] * np.sqrt(h))
    z = z[252:]  # the warm-up of the features
    times = np.arange(len(z), dtype=np.int64) * 86_400 * 10**9 * 7 // 5
    codes = np.zeros(len(z), dtype=np.int32)
    steps = walk_forward(times, codes)
    loc = np.zeros((len(z), len(KNOTS)))
    return _count(z, loc, times, codes, steps, ("simulated",))


def returns_of(item: Simulated) -> NDArray[np.float64]:
    """Log returns of one market, by name; about 1 % a bar."""
    random = np.random.default_rng(np.random.SeedSequence([item.seed, len(item.market)]))
    bars = item.bars
    shock: NDArray[np.float64] = random.standard_t(5, bars) * np.sqrt(3 / 5)
    if item.market == "garch":
        returns = np.empty(bars)
        variance = 1.0
        for t in range(bars):
            returns[t] = np.sqrt(variance) * shock[t]
            variance = 0.02 + 0.08 * returns[t] ** 2 + 0.90 * variance
        return 0.01 * returns
    if item.market == "fat tails":
        return np.asarray(0.01 * random.standard_t(3, bars) / np.sqrt(3))
    if item.market == "shift":
        return 0.01 * shock * np.where(np.arange(bars) < bars // 2, 1.0, 3.0)
    if item.market == "regimes":
        storm, level = False, np.empty(bars)
        for t in range(bars):
            storm ^= bool(random.random() < (1 / 60 if storm else 1 / 250))
            level[t] = 3.0 if storm else 1.0
        return 0.01 * shock * level
    return 0.01 * shock * np.linspace(1.0, 4.0, bars)


def _count(
    z: NDArray[Any],
    loc: NDArray[np.float64],
    times: NDArray[np.int64],
    codes: NDArray[np.int32],
    steps: Sequence[Any],
    symbols: Sequence[str],
) -> Counted:
    from forecasting.models.conformal import Schedule, recalibrate

    horizons = z.shape[1]
    schedule = Schedule.of(times, codes, list(steps), horizons)
    inside, pinball = {}, {}
    known, bins, by_symbol = np.zeros(horizons, dtype=np.int64), np.zeros(6, dtype=np.int64), {}
    for size in STEPS:
        walked = recalibrate(z, loc, list(steps), schedule, step_size=size)
        above, losses, realised = _ranks(z, loc, walked)
        covered = (above >= 1) & (above <= 4) & realised
        inside[size] = covered.sum(axis=0)
        known = realised.sum(axis=0)
        pinball[size] = np.nanmean(np.where(realised, losses, np.nan), axis=0)
        if size == STEP:
            rows = np.sort(np.concatenate([rows for rows, _ in walked.spans]))
            bins = np.bincount(above[realised], minlength=6)
            covered, realised = covered[rows], realised[rows]
            for code, symbol in enumerate(symbols):
                of_symbol = codes[rows] == code
                by_symbol[symbol] = float(
                    covered[of_symbol].sum() / max(realised[of_symbol].sum(), 1)
                )
    return Counted(known, inside, pinball, bins, by_symbol)


def _ranks(
    z: NDArray[Any], loc: NDArray[np.float64], walked: Recalibrated
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Per outcome [n, H]: published quantiles below it, pinball loss, and whether it is known."""
    from forecasting.evaluation.losses import mean_pinball
    from forecasting.models.quantiles import grid_columns, interpolation_matrix
    from forecasting.schema import QUANTILE_LEVELS

    columns = grid_columns(QUANTILE_LEVELS)
    weights = interpolation_matrix(z.shape[1])
    above = np.zeros(z.shape, dtype=np.int64)
    losses, realised = np.zeros(z.shape), np.zeros(z.shape, dtype=np.bool_)
    for rows, calibration in walked.spans:
        residual = z[rows] - loc[rows] @ weights
        published = calibration[:, columns]
        above[rows] = (residual[:, :, None] > published).sum(axis=2)
        # Exactly on the lowest quantile is inside the interval, as in `losses.inside`.
        above[rows] += residual == published[:, 0]
        losses[rows] = mean_pinball(residual, np.broadcast_to(published, (*residual.shape, 5)))
        realised[rows] = np.isfinite(residual)
    return above, losses, realised
