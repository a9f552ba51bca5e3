"""The pooled GARCH recursion: one set of parameters for all symbols, by maximum likelihood.

    h_(t+1) = omega + (alpha + gamma [r_t < 0]) r_t^2 + beta h_t,   r_(t+1) = sqrt(h_(t+1)) e_(t+1)

Glosten, Jagannathan and Runkle 1993, "On the relation between the expected value and the volatility
of the nominal excess return on stocks", Journal of Finance 48; e is Student's t of variance 1
(Bollerslev 1987, Review of Economics and Statistics 69); omega is such that the long-run variance is
that of a symbol's last year (Engle and Mezrich 1996, "GARCH for groups", Risk 9).
The recursion is unrolled into `variance.state_features`, so a forecast needs a symbol's last year of
bars and nothing else: no state is kept, and symbols that were not learned from are forecast, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.features.variance import MEMORY, STATE_PREFIXES
from forecasting.models.quantiles import KNOTS

_MOST_ROWS: Final = 100_000
"""Most rows that parameters are estimated on; of a larger panel every s-th is taken."""

_START: Final = (2.0, 0.0, float(np.log(6.0)))
_BOUNDS: Final = ((-8.0, 8.0), (-8.0, 8.0), (float(np.log(0.05)), float(np.log(200.0))))
"""Of the logits of `weight` and `leverage`, and of ln(degrees - 2): persistence stays below 1."""


@dataclass(frozen=True)
class Garch:
    """A fitted recursion.

    The variance of the next bar is a weighted mean: 1 - weight of the long-run variance, the rest
    of squared returns averaged with weights beta^age, of which `leverage` of losses alone, doubled.

    Attributes:
        beta: share of the variance before.
        weight: (alpha + gamma / 2) / (1 - beta), within (0, 1).
        leverage: (gamma / 2) / (alpha + gamma / 2), within (0, 1).
        degrees: degrees of freedom of Student's t.
        columns: places of three features: the logs of the long-run variance, of the average of
            squared returns and of that of squared losses, over the squared scale.
    """

    beta: float
    weight: float
    leverage: float
    degrees: float
    columns: tuple[int, int, int]

    @property
    def alpha(self) -> float:
        """What a squared return adds to the next variance."""
        return (1 - self.beta) * self.weight * (1 - self.leverage)

    @property
    def gamma(self) -> float:
        """What it adds besides if it was a loss."""
        return 2 * (1 - self.beta) * self.weight * self.leverage

    @property
    def persistence(self) -> float:
        """Share of a deviation from the long run that is left a bar later, below 1."""
        return self.beta + (1 - self.beta) * self.weight

    @property
    def weights(self) -> Floats:
        """Weights [3, K] of the three variances in the mean variance of the next bars.

        A deviation from the long run decays with the persistence; its mean over h bars is
        (1 - persistence^h) / (h (1 - persistence)) of that of the first.
        """
        horizons, rate = np.array(KNOTS, dtype=np.float64), self.persistence
        left = (1 - rate**horizons) / (horizons * (1 - rate))
        moving = self.weight * left
        return np.stack([1 - moving, moving * (1 - self.leverage), 2 * moving * self.leverage])

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the expected volatility of the next h bars over scale * sqrt(h)."""
        variances = np.exp(x[:, list(self.columns)].astype(np.float64))
        logs: Floats = 0.5 * np.log(variances @ self.weights)
        return logs


def fit_garch(x: NDArray[np.float32], returns: Floats, names: Sequence[str]) -> Garch:
    """Estimate a recursion on rows of all symbols by maximum likelihood, beta from the grid.

    Args:
        x: float32 [n, k] features.
        returns: float64 [n] returns of the next bar over the scale, finite.
        names: of the k features; which decays they have is the grid.

    Raises:
        InvalidSettings: the features lack the state of the recursion.
    """
    if len(x) > _MOST_ROWS:
        chosen = np.linspace(0, len(x) - 1, _MOST_ROWS).astype(np.intp)
        x, returns = x[chosen], returns[chosen]
    squares = np.square(returns)
    best, least, start = None, np.inf, np.array(_START)
    for beta, columns in _grid(names).items():
        variances = np.exp(x[:, list(columns)].astype(np.float64))
        start, loss = _fit(variances, squares, start)
        if loss < least:
            weight, leverage, degrees = _parameters(start)
            best, least = Garch(beta, weight, leverage, degrees, columns), loss
    if best is None:
        raise InvalidSettings(
            "a GARCH recursion is fitted to returns that are known",
            f"its likelihood is undefined on {len(x)} rows",
            "Look for prices that stand still or are wrong",
        )
    return best


def _grid(names: Sequence[str]) -> dict[float, tuple[int, int, int]]:
    """Decays among the features -> places of the long-run variance and of the two averages."""
    place = {name: number for number, name in enumerate(names)}
    prefix, losses = STATE_PREFIXES
    long_run = f"{prefix}{MEMORY}"
    decays = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    decays = [decay for decay in decays if f"{losses}{decay}" in place]
    if not decays or long_run not in place:
        raise InvalidSettings(
            "a GARCH recursion needs its state among the features",
            f"{long_run} and pairs of {prefix}DECAY and {losses}DECAY are not among {len(names)}",
            "Give FeatureSpec(variance=..., decays=...)",
        )
    return {
        float(decay): (place[long_run], place[f"{prefix}{decay}"], place[f"{losses}{decay}"])
        for decay in decays
    }


def _fit(variances: Floats, squares: Floats, start: Floats) -> tuple[Floats, float]:
    """Logits and log degrees of the greatest likelihood, and the mean negative log-likelihood."""
    from scipy.optimize import minimize

    found = minimize(
        _loss, start, args=(variances, squares), jac=True, method="L-BFGS-B", bounds=_BOUNDS
    )
    return np.asarray(found.x, dtype=np.float64), float(found.fun)


def _parameters(point: Floats) -> tuple[float, float, float]:
    """Weight, leverage and degrees of freedom of a point of the search."""
    weight, leverage = 1.0 / (1.0 + np.exp(-point[:2]))
    return float(weight), float(leverage), float(2.0 + np.exp(point[2]))


def _loss(point: Floats, variances: Floats, squares: Floats) -> tuple[float, Floats]:
    """Mean negative log-likelihood of Student's t, and its gradient.

    Args:
        point: [3], see `_parameters`.
        variances: [n, 3] over the squared scale: long-run, of returns, of losses.
        squares: [n] squared returns of the next bar over the squared scale.
    """
    from scipy.special import digamma, gammaln

    weight, leverage, degrees = _parameters(point)
    long_run, all_moves, losses = variances.T
    moving = (1 - leverage) * all_moves + 2 * leverage * losses
    variance = (1 - weight) * long_run + weight * moving
    half, free = (degrees + 1) / 2, degrees - 2
    excess = squares / (variance * free)
    tail = np.log1p(excess)
    constant = gammaln(half) - gammaln(degrees / 2) - 0.5 * np.log(np.pi * free)
    loss = 0.5 * np.log(variance) + half * tail - constant
    share = excess / (1 + excess)
    slope = (0.5 - half * share) / variance  # of a row's loss on its variance
    by_degrees = 0.5 * (tail - digamma(half) + digamma(degrees / 2)) + (0.5 - half * share) / free
    gradient = [
        np.mean(slope * (moving - long_run)) * weight * (1 - weight),
        np.mean(slope * (2 * losses - all_moves)) * weight * leverage * (1 - leverage),
        np.mean(by_degrees) * free,
    ]
    return float(np.mean(loss)), np.array(gradient)
