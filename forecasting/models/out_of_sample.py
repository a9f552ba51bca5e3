"""Walk-forward forecasts of one candidate beside what really happened, and their file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import Corrupted
from forecasting.npz import load_with_metadata, save_with_metadata
from forecasting.schema import QUANTILE_LEVELS


@dataclass(frozen=True)
class OutOfSample:
    """Forecasts for rows no part of the model or its calibration had seen, in the table's order.

    The first fold only feeds the calibration of the later ones and is not in here. Candidates
    trained on the same table with the same folds have the same rows.

    Attributes:
        kind: the candidate, e.g. "ridge".
        params: its parameters.
        symbols: the symbols `codes` count.
        codes: int32 [n] symbol of each row.
        timestamps: int64 [n] close of the bar the forecast was made at, ns.
        fold: int16 [n] test span of each row, from 2.
        close: float64 [n] last close, raw.
        scale: float64 [n] volatility of one bar's log return, known at the bar's close.
        loc: float64 [n, K] locations of the standardised return at the knots.
        log_width: float64 [n, K] logs of the width over scale * sqrt(h) at the knots; zeros for a
            candidate that learns none.
        quantiles: float32 [n, H, Q] log return quantiles, calibrated on outcomes known by then.
        variance: float32 [n, K] forecast second moment of the log return at the knots, see
            `forecasting.models.knot_forecasts`.
        ranks: uint8 [n, K] whole percents of the forecast distribution below what came, 0..99, at
            the knots; 255 where it is not known.
        probability_above_cost: float32 [n, 2] P(r > cost) and P(r > -cost) at the signal horizon;
            P(r < -cost) is one minus the second.
        realised: float32 [n, H] log total returns; NaN where the future is not known yet.
        cost: round-trip cost of the signal rule, log return.
        signal_horizon: its horizon, bars.
        levels: the Q levels of `quantiles`.
        features: names of the features that each part of the candidate takes, in the order of
            `forecasting.models.parts.parts_of`.
    """

    kind: str
    params: dict[str, Any]
    symbols: tuple[str, ...]
    codes: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    fold: NDArray[np.int16]
    close: Floats
    scale: Floats
    loc: Floats
    log_width: Floats
    quantiles: NDArray[np.float32]
    variance: NDArray[np.float32]
    ranks: NDArray[np.uint8]
    probability_above_cost: NDArray[np.float32]
    realised: NDArray[np.float32]
    cost: float = 0.001
    signal_horizon: int = 5
    levels: tuple[float, ...] = QUANTILE_LEVELS
    features: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    def save(self, path: Path) -> None:
        """Write an .npz without pickles, under a temporary name first."""
        metadata = {
            "kind": self.kind,
            "params": self.params,
            "symbols": self.symbols,
            "cost": self.cost,
            "signal_horizon": self.signal_horizon,
            "levels": self.levels,
            "features": self.features,
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        save_with_metadata(path, arrays, metadata)

    @classmethod
    def load(cls, path: Path) -> "OutOfSample":
        """Read what `save` wrote.

        Raises:
            Corrupted: the file is not one of ours, is damaged, or was written by another build.
        """
        try:
            arrays, metadata = load_with_metadata(path, _ARRAYS)
            metadata["features"] = tuple(tuple(names) for names in metadata["features"])
        except (KeyError, ValueError) as fault:
            if KeyError in {type(fault), type(fault.__cause__)}:
                raise Corrupted(
                    "out-of-sample forecasts are read by the build that wrote them",
                    f"{path} is of another build: {fault}",
                    "Train again, all steps with one build",
                ) from fault
            raise Corrupted(
                "out-of-sample forecasts are an .npz that OutOfSample.save wrote",
                f"{path}: {fault}",
                "Train again",
            ) from fault
        metadata |= {name: tuple(metadata[name]) for name in ("symbols", "levels")}
        return cls(**metadata, **arrays)


_ARRAYS = (
    "codes",
    "timestamps",
    "fold",
    "close",
    "scale",
    "loc",
    "log_width",
    "quantiles",
    "variance",
    "ranks",
    "probability_above_cost",
    "realised",
)
