"""What counts as drift: method and threshold per column, and the limits of realised figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from forecasting.errors import InvalidSettings

DISTANCES: Final = ("hellinger", "jensenshannon", "psi", "wasserstein")
"""Methods whose score grows with drift: a column drifted at or above its threshold."""

CATEGORICAL: Final = ("hellinger", "jensenshannon", "psi")
"""Methods that can compare columns of a few distinct values as categories."""

P_VALUES: Final = ("ks",)
"""Methods whose score is a p-value: a column drifted at or below its threshold."""


@dataclass(frozen=True)
class ColumnRule:
    """How one column is compared.

    Attributes:
        method: one of DISTANCES or P_VALUES.
        threshold: score at which the column counts as drifted.
    """

    method: str
    threshold: float

    def __post_init__(self) -> None:
        if self.method not in (*DISTANCES, *P_VALUES):
            raise InvalidSettings(
                f"a drift method must be one of {', '.join((*DISTANCES, *P_VALUES))}",
                repr(self.method),
            )
        if not (np.isfinite(self.threshold) and self.threshold > 0):
            raise InvalidSettings(
                "a drift threshold must be a positive number", f"{self.method}: {self.threshold}"
            )

    def drifted(self, score: float) -> bool:
        """Whether this score means drift."""
        return score <= self.threshold if self.method in P_VALUES else score >= self.threshold


@dataclass(frozen=True)
class DriftRules:
    """What counts as drift. The defaults are conservative, and not calibrated yet.

    A recent window of persistent features (volatility, trend) never looks like ten years of
    history, so textbook thresholds cry wolf. Measured on stationary GARCH panels (6 symbols, 13
    indicators, 60 current bars against 1,250; 60 panels): Evidently's own default, normed
    Wasserstein distance >= 0.1 in half of the columns, flagged all 60; >= 0.75 flagged 3. The
    price: volatility that doubled for those 60 bars was flagged in 10 of 20 panels.

    Attributes:
        numeric: rule of continuous columns. The Wasserstein distance is in standard deviations
            of the reference, and unlike a p-value does not grow with the number of rows.
        categorical: rule of columns with at most `few_values` distinct values.
        columns: rules of single columns, by name, before the two above.
        share: the features or predictions as a whole drifted when this share of the measured
            columns did.
        few_values: most distinct reference values of a categorical column.
        min_rows: fewest finite rows of a column, on either side, that may be compared.
        max_missing: largest share of not finite rows, on either side.
        ignored: columns whose name starts with one of these are not watched: a recent window
            is always another season than the whole history, and over all symbols neither their
            identities nor their ranks ever move.
        watched_horizons: horizons, in bars, whose realised coverage and skill can raise an alarm.
        min_coverage: smallest realised coverage of the 90 % interval.
        min_skill: smallest realised skill against the random walk.
        min_dates: fewest distinct as-of instants behind a realised alarm.
    """

    numeric: ColumnRule = ColumnRule("wasserstein", 0.75)
    categorical: ColumnRule = ColumnRule("jensenshannon", 0.3)
    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    share: float = 0.5
    few_values: int = 10
    min_rows: int = 30
    max_missing: float = 0.2
    ignored: tuple[str, ...] = ("symbol", "rank_", "day_of_week", "month", "hour_of_day")
    watched_horizons: tuple[int, ...] = (1, 5)
    min_coverage: float = 0.75
    min_skill: float = -0.10
    min_dates: int = 20

    def __post_init__(self) -> None:
        shares = {"share": self.share, "min_coverage": self.min_coverage}
        for name, value in shares.items():
            if not 0 < value <= 1:
                raise InvalidSettings(f"{name} must lie in (0, 1]", str(value))
        if not 0 <= self.max_missing < 1:
            raise InvalidSettings("max_missing must lie in [0, 1)", str(self.max_missing))
        if self.min_rows < 2 or self.few_values < 1 or self.min_dates < 1:
            raise InvalidSettings(
                "min_rows must be at least 2, few_values and min_dates at least 1",
                f"{self.min_rows}, {self.few_values} and {self.min_dates}",
            )
        if self.categorical.method not in CATEGORICAL:
            raise InvalidSettings(
                f"the method of categorical columns must be one of {', '.join(CATEGORICAL)}",
                repr(self.categorical.method),
            )
        if self.numeric.method in P_VALUES and self.numeric.threshold >= 1:
            raise InvalidSettings("the threshold of a p-value must be below 1", str(self.numeric))
