"""The random walks that candidates have to beat: one without drift, one with the mean past return."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import ShortHistory
from forecasting.models.quantiles import KNOTS


@dataclass
class RandomWalk:
    """The null model: tomorrow's price is today's, on average."""

    kind: str
    params: dict[str, Any] = field(default_factory=dict)

    def fit(self, x: NDArray[np.float32], z: Floats, *, seed: int) -> Self:
        """Learn nothing: that is its whole point."""
        del x, z, seed
        return self

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """Zeros [n, K]."""
        return np.zeros((len(x), len(KNOTS)))

    locate = log_width = predict


@dataclass
class RandomWalkWithDrift:
    """The null model of a direction: prices go on drifting as they did on average.

    It learns one number for all symbols, the mean standardised return of one bar. Over h bars that
    adds up to h times as much, which is sqrt(h) times in units of scale * sqrt(h).

    Attributes:
        kind: name of the candidate.
        params: none.
        drift: mean return of one bar over the scale; 0 before `fit`.
    """

    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    drift: float = 0.0

    def fit(self, x: NDArray[np.float32], z: Floats, *, seed: int) -> Self:
        """Learn from targets [n, K] at the knots; the first is that of one bar.

        Rows whose first target is unknown (NaN) are left out.

        Raises:
            ShortHistory: no row has it.
        """
        del x, seed
        known = z[np.isfinite(z[:, 0]), 0]
        if not len(known):
            raise ShortHistory(
                "a drift needs rows whose return over the next bar is known",
                f"0 of {len(z)} rows",
                "Give a longer history",
            )
        self.drift = float(known.mean())
        return self

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """The same location in every row: the drift times sqrt(h) at the knots, [n, K]."""
        return np.tile(self.drift * np.sqrt(np.array(KNOTS, dtype=np.float64)), (len(x), 1))

    locate = predict

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """Zeros [n, K]: the width is the scale's."""
        return np.zeros((len(x), len(KNOTS)))
